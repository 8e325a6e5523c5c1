"""Images with very many layers, with empty ones, and with none: from the layout to podman."""

from pathlib import Path

import pytest

from layers.errors import LayerError
from tests.tools import umoci
from tests.tools.entry import Entry, opaque, whiteout
from tests.tools.image import BuiltImage, LayerSource, build_oci
from tests.tools.lab import PREFIX, import_into, shown
from tests.tools.ostreerepo import checkout, fsck, refs
from tests.tools.overlay import overlay_mount
from tests.tools.podman import new_podman
from tests.tools.store import store_layers, store_lowers

pytestmark = pytest.mark.root

COMMAND = {"Cmd": ["/nothing"]}


def imported(tmp_path: Path, layers: list[LayerSource]) -> tuple[BuiltImage, Path]:
    """The image, and the store of it in a checked-out commit."""
    built = build_oci(tmp_path / "oci", "t", layers, config=COMMAND)
    import_into(tmp_path / "repo", f"oci:{tmp_path}/oci:t")
    fsck(tmp_path / "repo")
    tree = checkout(tmp_path / "repo", "all", tmp_path / "tree")
    return built, tree / PREFIX.strip("/")


def check_everywhere(tmp_path: Path, built: BuiltImage, store: Path) -> None:
    """overlayfs, podman and umoci show the same."""
    unpacked = shown(umoci.unpack(tmp_path / "oci", "t", tmp_path / "root"))
    with overlay_mount(store_lowers(store, built.image_id), tmp_path / "mnt") as mounted:
        assert shown(mounted) == unpacked
    podman = new_podman(tmp_path / "podman", store)
    with podman.mounted(built.image_id) as mounted:
        # What podman lays over an image for a container to run in.
        ours = {path: node for path, node in shown(mounted).items() if path in unpacked}
        assert ours == unpacked


def many(count: int) -> list[LayerSource]:
    """Each layer adds a file, changes one, deletes one, and empties a directory now and then."""
    layers: list[LayerSource] = []
    for n in range(count):
        layer = [
            Entry(b"d", "dir", mode=0o755),
            Entry(b"d/%d" % n, content=b"%d" % n),
            Entry(b"last", content=b"%d" % n),
        ]
        if n % 3 == 2:
            layer.append(whiteout(b"d/%d" % (n - 1)))
        if n % 40 == 39:
            layer.append(opaque(b"d"))
        layers.append(layer)
    return layers


def test_127_layers(tmp_path: Path) -> None:
    """As many as docker lets an image have."""
    built, store = imported(tmp_path, many(127))
    assert len(store_lowers(store, built.image_id)) == 127
    check_everywhere(tmp_path, built, store)


def test_empty_layers(tmp_path: Path) -> None:
    """Some builders write one for each ENV line; all of them are the same blob."""
    layers: list[LayerSource] = [[], [Entry(b"a", content=b"a")], [], [], [whiteout(b"a")], []]
    built, store = imported(tmp_path, layers)
    assert len(store_layers(store)) == 6
    check_everywhere(tmp_path, built, store)


def test_nothing_but_empty_layers(tmp_path: Path) -> None:
    built, store = imported(tmp_path, [[], []])
    with overlay_mount(store_lowers(store, built.image_id), tmp_path / "mnt") as mounted:
        assert shown(mounted) == {}


def test_no_layers(tmp_path: Path) -> None:
    """Nothing to mount, but an image all the same: podman lists it, and knows its config."""
    built, store = imported(tmp_path, [])
    assert store_layers(store) == []
    podman = new_podman(tmp_path / "podman", store)
    assert podman.inspect(built.image_id)["Digest"] == built.digest
    assert podman.inspect(built.image_id)["Config"]["Cmd"] == ["/nothing"]


def test_501_layers(tmp_path: Path) -> None:
    """More than overlayfs stacks."""
    build_oci(tmp_path / "oci", "t", [[Entry(b"f", content=b"%d" % n)] for n in range(501)])
    with pytest.raises(LayerError, match="the image has 501 layers; overlayfs stacks 500"):
        import_into(tmp_path / "repo", f"oci:{tmp_path}/oci:t")
    assert refs(tmp_path / "repo") == []


def test_nothing_leaves_the_root(tmp_path: Path) -> None:
    """Links that lead out, and entries through them, in one layer and in the next."""
    outside = tmp_path / "outside"
    outside.mkdir()
    out = b"../" * 20 + str(outside).encode()[1:]
    attacks: list[list[LayerSource]] = [
        [[Entry(out + b"/x", content=b"x")]],
        [[Entry(b"l", "symlink", link=out), Entry(b"l/x", content=b"x")]],
        [[Entry(b"l", "symlink", link=out)], [Entry(b"l/x", content=b"x")]],
        [[Entry(b"l", "symlink", link=bytes(outside))], [Entry(b"l/x", content=b"x")]],
        [[Entry(b"l", "symlink", link=out)], [whiteout(b"l/x")]],
        [[Entry(b"l", "symlink", link=out)], [opaque(b"l")]],
        [[Entry(b"h", "hardlink", link=out + b"/kept")]],
        [[Entry(b"l", "symlink", link=out)], [Entry(b"h", "hardlink", link=b"l/kept")]],
    ]
    (outside / "kept").write_text("kept")
    for number, layers in enumerate(attacks):
        build_oci(tmp_path / "oci", f"t{number}", layers)
        with pytest.raises(LayerError):
            import_into(tmp_path / "repo", f"oci:{tmp_path}/oci:t{number}")
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert not [ref for ref in refs(tmp_path / "repo") if ref == "all"]


def test_link_that_leads_out_is_only_a_link(tmp_path: Path) -> None:
    """A directory of the next layer takes its place, and what is in it is in the image."""
    outside = tmp_path / "outside"
    outside.mkdir()
    layers: list[LayerSource] = [
        [Entry(b"l", "symlink", link=bytes(outside))],
        [Entry(b"l", "dir", mode=0o755), Entry(b"l/x", content=b"x")],
    ]
    built, store = imported(tmp_path, layers)
    with overlay_mount(store_lowers(store, built.image_id), tmp_path / "mnt") as mounted:
        assert (mounted / "l/x").read_bytes() == b"x"
    assert list(outside.iterdir()) == []
