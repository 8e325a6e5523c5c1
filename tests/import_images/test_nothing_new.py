"""An import by digest that finds nothing new: no skopeo, and no module that it has no use for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import importer
from tests.tools.entry import Entry
from tests.tools.image import build_oci
from tests.tools.importimage import run_import
from tests.tools.importrelease import run_release
from tests.tools.registry import Registry

# Each takes milliseconds to load, or loads others that do; readers, writers and libraries of HTTP.
IDLE = {
    *("email", "importlib.metadata", "jinja2", "requests", "tomlkit", "tomllib", "yaml"),
    *("asyncio", "fastcrc", "gi", "multiprocessing", "socket", "zstandard"),
    *("configparser", "ctypes", "ipaddress", "platform", "secrets"),
    *("bz2", "lzma", "random", "shutil", "tempfile"),
    *("importer.ingest.layer_pool", "importer.fetch.http", "importer.workers.pool"),
    *("importer.cache.flattened", "importer.cluster.address", "importer.files.beneath"),
    *("layers.tar.reader", "layers.tree.builder", "layers.tree.read_layer"),
}
# As worker processes start (importer/workers/pool.py): no .pth file of this machine loads modules.
PATHS = [*sys.path, str(Path(importer.__file__).parent.parent)]
RUN = f"""
import atexit, sys
sys.path[:] = {PATHS!r}
from importer.cli import main
def check():
    print(*sorted({IDLE!r} & sys.modules.keys()), file=sys.stderr)
atexit.register(check)
sys.argv[0] = "command"
getattr(main, sys.argv.pop(1))()
"""


@pytest.mark.parametrize("command", ["import_image", "import_release"])
def test_nothing_new_runs_no_skopeo_and_loads_little(
    registry: Registry, layout: Path, repo: Path, tmp_path: Path, command: str
) -> None:
    name = command.replace("_", "-")
    image = build_oci(layout, "t", [[Entry(b"file", content=b"text")]])
    reference = registry.push(image, f"nothing-new/{name}")
    release = tmp_path / "release.json"
    release.write_text(json.dumps({"release": {"base": "1"}, "images": {"one": reference}}))
    if command == "import_image":
        source, first = reference, run_import(repo, "--branch=all", reference)
    else:
        source, first = str(release), run_release(repo, "--branch=all", release)
    assert first.status == 0, first.stderr
    options = (f"--repo={repo}", "--branch=all", "--insecure-policy", "--quiet", "--json")
    argv = [sys.executable, "-S", "-c", RUN, command, *options, source]
    again = subprocess.run(
        argv, capture_output=True, text=True, check=True, env={"PATH": str(tmp_path)}
    )
    said = json.loads(again.stdout)
    (only,) = said.get("releases", [said])
    assert only["unchanged"]
    assert again.stderr == "\n"
