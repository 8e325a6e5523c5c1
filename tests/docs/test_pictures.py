"""docs/images has the pictures that fixtures/site/pictures.py draws, and all of them are shown."""

import re
from pathlib import Path
from xml.etree.ElementTree import parse

import pytest

from fixtures.site.pictures import FLOORS, PICTURES

TOP = Path(__file__).parent.parent.parent
IMAGES = TOP / "docs" / "images"


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_the_drawn_one(name: str) -> None:
    assert (IMAGES / name).read_text() == PICTURES[name]().svg(), "run `make docs` and commit"


@pytest.mark.parametrize("name", PICTURES)
def test_picture_can_be_read(name: str) -> None:
    root = parse(IMAGES / name).getroot()  # noqa: S314 - our own file
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        at = {key: int(box.attrib.get(key, 0)) for key in ("x", "y", "width", "height")}
        assert at["x"] + at["width"] <= width
        assert at["y"] + at["height"] <= height


def test_floors_have_all_packages() -> None:
    shown = " ".join(packages for packages, _, _ in FLOORS)
    files = (TOP / "importer").iterdir()
    names = {path.stem for path in files if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(re.findall(r"\w+", shown)) == names - {"__init__"} | {"layers"}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_shown(name: str) -> None:
    pages = [TOP / "README.md", *(TOP / "docs").rglob("*.md")]
    assert any(f"images/{name})" in page.read_text() for page in pages)
