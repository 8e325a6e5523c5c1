"""Make a commit's tree of an image's root, with an OCI runtime's configuration if wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cache.stack import fill, stacked
from importer.errors import ImporterError
from importer.files.oci_layout import Layout, manifest
from importer.files.replacement import read_file
from importer.files.scratch import scratch
from importer.process import CommandError, run
from layers.chunks import joined
from layers.digest import Digest
from layers.document import MAX_DOCUMENT_SIZE, MAX_RECORDS_SIZE
from layers.entry import Owner
from layers.oci.media_type import OCI_CONFIG

if TYPE_CHECKING:
    from importer.repo.tree import Tree
    from importer.repo.writer import Repo
    from layers.storage.image import Image
    from layers.tree.lower import Lower

# As docker and podman show every image's root, whatever the layers' tars say of it; but
# writable for root, who may change a root file system that is checked out.
_ROOT = Owner(0o755, 0, 0)
_FILE = Owner(0o644, 0, 0)
_ROOTFS = "rootfs"
_TAG = "image"
# What a name in the config's `User` is looked up in.
_ACCOUNTS = ((b"etc", b"passwd"), (b"etc", b"group"))


def rootfs_tree(repo: Repo, image: Image, *, bundle: bool) -> Tree:
    """Return the tree of all that the image's layers show, within a transaction.

    With `bundle` it is in `rootfs`, beside `config.json`. Raise ImporterError if umoci, which
    makes the configuration, fails.
    """
    top = image.layers[-1] if image.layers else None
    lower = stacked(repo, [top.id, *top.parents]) if top else None
    root = repo.tree(_ROOT)
    fill(root.directory(_ROOTFS, _ROOT) if bundle else root, lower)
    if bundle:
        config = _runtime_config(repo, image, lower)
        root.file("config.json", repo.write_file(_FILE, config))
    return root


def _runtime_config(repo: Repo, image: Image, lower: Lower | None) -> bytes:
    """Return config.json (runtime-spec config.md) of the image, as `umoci raw unpack` makes it.

    It has no terminal: a bundle that comes with an OS is started by services.
    """
    with scratch() as home:
        _write_layout(home / "layout", image.config.raw)
        _write_accounts(repo, home / _ROOTFS, lower)
        source = f"{home}/layout:{_TAG}"
        argv = ["umoci", "raw", "runtime-config", "--image", source, "--rootfs"]
        try:
            run([*argv, f"{home}/{_ROOTFS}", f"{home}/config.json"])
        except CommandError as error:
            raise ImporterError(
                f"{image.reference}: {error}", hint="--form=rootfs makes no config.json is made"
            ) from None
        document = json.loads(read_file(home / "config.json", MAX_RECORDS_SIZE))
    document["process"]["terminal"] = False
    return json.dumps(document, indent=2).encode() + b"\n"


def _write_layout(home: Path, config: bytes) -> None:
    """Write an OCI layout of the config without layers: umoci is not to unpack anything."""
    layout = Layout(home, _TAG)
    layout.prepare()
    layout.write(Digest.of(config), iter([config]))
    raw = manifest(OCI_CONFIG, config, ())
    layout.finish(raw, Digest.of(raw))


def _write_accounts(repo: Repo, root: Path, lower: Lower | None) -> None:
    (root / "etc").mkdir(parents=True)
    for path in _ACCOUNTS:
        checksum = lower.find_leaf(path) if lower else None
        if checksum is not None and repo.file(checksum).target is None:
            shown = b"/".join((b"", *path)).decode()
            content = joined(repo.content(checksum), MAX_DOCUMENT_SIZE, shown)
            root.joinpath(*(name.decode() for name in path)).write_bytes(content)
