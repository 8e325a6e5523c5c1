"""Every commit that we make can be pulled over HTTP into a bare repo, as devices have one."""

from pathlib import Path

import pytest

from tests.tools.entry import Entry, opaque, whiteout
from tests.tools.image import LayerSource, build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import fsck, init, pull_http, rev_parse

pytestmark = pytest.mark.root

DEEP = b"/".join([b"d"] * 500)
EXTREMES: dict[str, list[LayerSource]] = {
    "many files in one directory, many of them deleted": [
        [Entry(b"d/%d" % n) for n in range(3000)],
        [whiteout(b"d/%d" % n) for n in range(0, 3000, 2)],
    ],
    "an opaque directory over many files": [
        [Entry(b"d/%d/f" % n) for n in range(500)],
        [Entry(b"d", "dir", mode=0o755), opaque(b"d")],
    ],
    "a deep path": [[Entry(DEEP + b"/f", content=b"f")], [whiteout(DEEP + b"/f")]],
    "long names": [[Entry(b"n" * 255), Entry(b"m" * 240)], [whiteout(b"m" * 240)]],
    "large xattrs": [[Entry(b"x", xattrs={b"user.x": b"x" * 3000})]],
    "odd owners and modes": [
        [Entry(b"o", mode=0o7777, uid=0xFFFFFFFE, gid=0xFFFFFFFE), Entry(b"z", mode=0)]
    ],
    "hardly anything": [[], [Entry(b"e")], []],
    "127 layers": [[Entry(b"f%d" % n, content=b"%d" % n)] for n in range(127)],
}


@pytest.mark.parametrize("name", EXTREMES)
def test_a_commit_can_be_pulled(tmp_path: Path, layout: Path, name: str) -> None:
    build_oci(layout, "t", EXTREMES[name])
    build, device = init(tmp_path / "build", "archive"), init(tmp_path / "device", "bare")
    imported(build, "--branch=os/images", f"oci:{layout}:t")
    imported(build, "--branch=os/flat", "--flatten", f"oci:{layout}:t")
    pull_http(build, device, "os/images", "os/flat")
    for branch in ("os/images", "os/flat"):
        assert rev_parse(device, branch) == rev_parse(build, branch)
    fsck(device)
