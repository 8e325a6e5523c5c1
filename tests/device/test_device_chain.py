"""What a device sees: import, pull over HTTP into an archive repo, into a bare one, check out."""

from pathlib import Path

import pytest

from fixtures.images import definition
from tests.tools.expected import checked_out_store, merged, unpacked
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import Mode, fsck, init, ls, ostree, pull_http, rev_parse
from tests.tools.podman import new_podman
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same

NAMES = ("deletions", "opaque-recreated", "owners-modes-xattrs")


@pytest.mark.root
@pytest.mark.parametrize("mode", ["archive", "bare-user"])
def test_from_the_registry_to_the_device(
    registry: Registry, tmp_path: Path, layout: Path, fixtures: Path, mode: Mode
) -> None:
    images = {n: build_oci(layout, n, definition.load(fixtures / f"{n}.layers")) for n in NAMES}
    references = [registry.push(image, f"chain-{mode}-{n}:t") for n, image in images.items()]
    build = init(tmp_path / "build", mode)
    commit = imported(build, "--branch=os/images", *references)["commit"]
    server, device = init(tmp_path / "server", "archive"), init(tmp_path / "device", "bare")
    if mode == "archive":
        pull_http(build, server, "os/images")
    else:  # only archive repos go over HTTP
        ostree(server, "pull-local", build, "os/images")
    pull_http(server, device, "os/images")
    for repo in (build, server, device):
        assert rev_parse(repo, "os/images") == commit
        fsck(repo)
    store = checked_out_store(device, "os/images", tmp_path / "root")
    for name, image in images.items():
        ours = merged(store, image.image_id, tmp_path / f"merged-{name}")
        theirs = unpacked(layout, name, tmp_path / f"umoci-{name}")
        assert_same(ours, theirs, ("the device", "umoci"))
    podman = new_podman(tmp_path / "podman", store)
    assert {image["Id"] for image in podman.images()} == {one.image_id for one in images.values()}


@pytest.mark.root
def test_a_layers_branch_alone_can_be_pulled(
    registry: Registry, tmp_path: Path, layout: Path, fixtures: Path
) -> None:
    """A commit is whole by itself: no object of another branch is missing from it."""
    built = build_oci(layout, "t", definition.load(fixtures / "deletions.layers"))
    build = init(tmp_path / "build", "archive")
    document = imported(build, "--form=layers", registry.push(built, "chain-layer:t"))
    top = f"oci/layer/{document['images'][0]['layers'][-1]['layer_id']}"
    device = init(tmp_path / "device", "bare-user")
    pull_http(build, device, top)
    fsck(device)
    assert ls(device, top) == ls(build, top)
