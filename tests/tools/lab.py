"""The same layers, read by us, by umoci and by podman, each to the tree that it shows."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from importer.commit.target import Form, Target
from importer.fetch.skopeo import Skopeo
from importer.progress import Silence
from importer.run.import_all import ImportJob, import_all
from importer.run.result import Result
from importer.sources.references import ReferenceSource
from layers.limits import DeviceNodes, LayerOptions, Limits
from layers.oci.reference import Reference
from layers.storage.layer_id import Whiteouts
from tests.tools import ostreerepo, umoci
from tests.tools.entry import Entry
from tests.tools.image import LayerSource, build_oci
from tests.tools.overlay import overlay_mount
from tests.tools.podman import new_podman
from tests.tools.process import CommandError
from tests.tools.snapshot import snapshot
from tests.tools.stack import Listing
from tests.tools.store import store_lowers

PREFIX = "/store"


def import_job(
    repo: Path,
    *references: str,
    device_nodes: str = "auto",
    whiteouts: Whiteouts | None = None,
    tls_verify: bool = True,
) -> ImportJob:
    """An import to the branch `all`, without any signature policy."""
    target = Target(
        repo=repo,
        form=Form.STORE,
        branch="all",
        prefix=PREFIX,
        whiteouts=whiteouts,
        layer_options=LayerOptions(DeviceNodes(device_nodes), Limits()),
    )
    wanted = tuple(Reference.parse(reference) for reference in references)
    source = ReferenceSource(wanted, {}, Skopeo(insecure_policy=True, tls_verify=tls_verify))
    return ImportJob(target=target, source=source)


def shown_by_podman(
    layers: Sequence[LayerSource], space: Path, ignore: Sequence[str] = ()
) -> Listing | None:
    """What podman's store shows; None if podman cannot pull the image.

    Raises FileNotFoundError for a whiteout of nothing: it is listed, and not there.
    """
    built = build_oci(space / "oci", "t", layers, compression="none")
    podman = new_podman(space / "podman")
    try:
        podman("pull", "--quiet", f"oci:{space}/oci:t")
    except CommandError:
        return None
    lowers = store_lowers(space / "podman/root", built.image_id)
    with overlay_mount(lowers, space / "mnt") as mounted:
        return shown(mounted, ignore)


def import_into(repo: Path, *references: str, device_nodes: str = "auto") -> Result:
    """Do such an import."""
    return import_all(import_job(repo, *references, device_nodes=device_nodes), Silence())


def shown(root: Path, ignore: Sequence[str] = ()) -> Listing:
    """What a directory shows; kinds to be ignored are left out, and so is the root."""
    found: Listing = {}
    for path, node in snapshot(root).items():
        if path == b"." or node.kind in ignore:
            continue
        content = node.target or b""
        if node.kind == "file":
            content = (root / os.fsdecode(path)).read_bytes()
        found[path] = (node.kind, node.mode, node.uid, node.gid, dict(node.xattrs), content)
    return found


class Lab:
    """A place for many small images, one after the other; needs root."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._template = ostreerepo.init(home / "template")
        # Durability costs most of the time here, and nobody will pull the plug.
        ostreerepo.ostree(self._template, "config", "set", "core.fsync", "false")

    @contextmanager
    def _space(self) -> Iterator[Path]:
        space = Path(tempfile.mkdtemp(dir=self._home))
        try:
            yield space
        finally:
            shutil.rmtree(space)

    def ours(
        self, layers: Sequence[LayerSource], check: Callable[[Path], None] | None = None
    ) -> Listing:
        """Imported, checked out and overlay-mounted.

        With a `check`, which is given the repo, the store is one without whiteouts.
        """
        if not layers:
            return {}
        with self._space() as space:
            built = build_oci(space / "oci", "t", layers, compression="none")
            repo = space / "repo"
            shutil.copytree(self._template, repo)
            form = Whiteouts.NONE if check is not None else None
            job = import_job(repo, f"oci:{space}/oci:t", device_nodes="skip", whiteouts=form)
            import_all(job, Silence())
            if check is not None:
                check(repo)
            quoted = check is None
            tree = ostreerepo.checkout(repo, "all", space / "tree", passthrough_whiteouts=quoted)
            lowers = store_lowers(tree / PREFIX.strip("/"), built.image_id)
            with overlay_mount(lowers, space / "mnt") as mounted:
                return shown(mounted)

    def umoci(self, layers: Sequence[LayerSource]) -> Listing | None:
        """Unpacked by umoci, without device nodes; None if umoci fails."""
        with self._space() as space:
            build_oci(space / "oci", "t", layers, compression="none")
            try:
                root = umoci.unpack(space / "oci", "t", space / "root")
            except CommandError:
                return None
            return shown(root, ignore=("char", "block", "fifo"))

    def podman(self, layers: Sequence[LayerSource]) -> Listing | None:
        """As podman's own store shows it, without device nodes; None if it cannot be had."""
        if not layers:
            return {}
        with self._space() as space:
            try:
                return shown_by_podman(layers, space, ignore=("char", "block", "fifo"))
            except FileNotFoundError:
                return None


def side_by_side(stacks: Sequence[Sequence[Sequence[Entry]]]) -> list[list[Entry]]:
    """One image of many: each stack below a top directory of its own, t0, t1, …"""
    height = max(map(len, stacks), default=0)
    return [
        [
            below(b"t%d" % number, entry)
            for number, stack in enumerate(stacks)
            for entry in (stack[layer] if layer < len(stack) else ())
        ]
        for layer in range(height)
    ]


def below(top: bytes, entry: Entry) -> Entry:
    """The entry, and what it links to, below this directory."""
    if entry.kind == "g":
        return entry
    link = top + b"/" + entry.link if entry.kind == "hardlink" else entry.link
    return replace(entry, path=top + b"/" + entry.path, link=link)


def part(found: Listing, number: int) -> Listing:
    """What is below one top directory."""
    top = b"t%d/" % number
    return {path[len(top) :]: node for path, node in found.items() if path.startswith(top)}
