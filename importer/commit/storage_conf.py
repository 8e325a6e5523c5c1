"""The configuration that makes podman and CRI-O look into the store, as the OS's default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from layers.errors import LayerError
from layers.storage.storage_conf import with_store

if TYPE_CHECKING:
    from importer.commit.base_tree import BaseTree, CommitTree

_NAME = "containers/storage.conf"
# containers-storage.conf(5): this one counts only where there is none in /etc.
_VENDOR = f"/usr/share/{_NAME}"


def add_storage_conf(tree: CommitTree, store: str) -> None:
    """Name the store in the configuration that the OS ships, unless it is named already."""
    path, made = storage_conf(tree, store)
    if made is not None:
        tree.write(path, made)


def storage_conf(tree: BaseTree, store: str) -> tuple[str, bytes | None]:
    """Return the path of the OS's configuration, and what it has to be, None if it is that.

    Raise ImporterError if the OS's configuration cannot be read, or not be written there.
    """
    path = f"{_etc(tree)}/{_NAME}"
    present = tree.read(path)
    found = present if present is not None else tree.read(_VENDOR)
    try:
        made = with_store(found, store)
    except LayerError as error:
        where = path if present is not None else _VENDOR
        raise ImporterError(
            f"{where} of the base commit: {error}", hint="containers-storage.conf(5) has its format"
        ) from None
    if made == found:
        return path, None
    tree.check_directory(path.rpartition("/")[0])
    return path, made


def _etc(tree: BaseTree) -> str:
    """Where a commit has its defaults of /etc. ostree takes /etc for it where there is no
    /usr/etc, and refuses to deploy a commit that has both (ostree-sysroot-deploy.c)."""
    return "/etc" if tree.before("/etc") and not tree.before("/usr/etc") else "/usr/etc"
