"""Every link in a Markdown file leads to a file, and to a heading if it names one."""

import re
from pathlib import Path

import pytest

from fixtures.site.links import faults
from fixtures.site.root_pages import PAGES

TOP = Path(__file__).parent.parent.parent
FILES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def prose(path: Path) -> str:
    """The text without blocks of code, in which brackets mean something else."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a file's headings, as GitHub and the site make them of plain headings."""
    found = (re.sub(r"[^\w\- ]", "", one.lower()) for one in HEADING.findall(prose(path)))
    return {one.strip().replace(" ", "-") for one in found}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert target.is_relative_to(TOP), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_of_docs_is_in_the_site() -> None:
    named = set(re.findall(r"[\w/-]+\.md", (TOP / "mkdocs.yml").read_text()))
    pages = {str(path.relative_to(TOP / "docs")) for path in (TOP / "docs").rglob("*.md")}
    assert pages - named == set()
    assert named - pages == set(PAGES.values())


def test_a_dead_link_of_a_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="x">A</h1><a href="b.html#there">b</a><a href="b.html#gone">b</a>'
        '<a href="c.html">c</a><a href="#x">up</a><a href="https://e.org/">e</a>'
        '<script src="https://cdn.example/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="there">B</p>')
    assert list(faults(tmp_path)) == [
        "a.html: loads https://cdn.example/x.js from the network",
        "a.html: b.html#gone leads nowhere",
        "a.html: c.html leads nowhere",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_named_files_of_the_repository_exist(path: Path) -> None:
    """Paths of modules, from the top or from importer/; a test may be named by its stem."""
    for name in re.findall(r"`(\w[\w/-]*/[\w-]+\.(?:py|mk|md|toml|lock))`", path.read_text()):
        assert (TOP / name).exists() or (TOP / "importer" / name).exists(), name
