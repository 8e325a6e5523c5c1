"""--version alone, which scripts ask for: click's line, without loading click."""

import subprocess
import sys

import pytest

from tests.tools.importimage import SCRIPT
from tests.tools.process import run

LONE = """
import sys
from importer.cli import main
sys.argv = ["import-image", "--version"]
main.import_image()
assert not {"click", "gi", "importer.run.import_all"} & sys.modules.keys(), sys.modules.keys()
"""


@pytest.mark.parametrize(
    "command", ["import-image", "import-release", "import-storage", "import-tree", "image-store"]
)
def test_a_lone_version_is_the_line_that_click_prints(command: str) -> None:
    program = SCRIPT.with_name(command)
    by_click = subprocess.run(
        [program, "--version", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert run([program, "--version"]) == by_click
    assert by_click.startswith(f"{command}, version ")


def test_a_lone_version_loads_neither_click_nor_libostree() -> None:
    assert run([sys.executable, "-c", LONE]).startswith("import-image, version ")
