"""The names of the branches that imports make."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layers.errors import LayerError

if TYPE_CHECKING:
    from pathlib import Path

    from layers.oci.reference import Reference

LAYER = "oci/layer"
# A layer's tar-split record cannot lie in the layer's own tree, so it has a branch beside it.
RECORD = "oci/tar-split"
# By algorithm and digest: a blob of an artifact, as a file.
BLOB = "oci/blob"
ARTIFACT = "oci/artifact"
IMAGE = "oci/image"
STORAGE = "oci/storage"
# By the top layer's id: the layer that has all files that the image shows.
FLATTENED = "oci/flattened"
# By the private id of a layer that deletes files, or by a hash of the SELinux label and that id.
CUT = "oci/cut"
# By a hash of the SELinux label, and the layer's id.
LABELLED = "oci/labelled"
ROOTFS = "oci/rootfs"
RELEASE = "oci/release"
# By the place of a store that --to writes.
COPY = "oci/to"
_CACHES = tuple(f"{name}/" for name in (LAYER, RECORD, BLOB, FLATTENED, CUT, LABELLED))

# ostree-core.c, OSTREE_REF_REGEXP: components of letters, digits, "_", "-" and ".", none
# of which begins with "-" or ".". A component is a file name, so 255 bytes are the most.
_NAME_MAX = 255
_BRANCH = re.compile(r"\w[-.\w]*(?:/\w[-.\w]*)*")
_HEX = re.compile(r"[0-9a-f]{1,64}")
_NAME_ONE = "name one with --branch"


def layer_branch(layer_id: str) -> str:
    """Return the branch of a layer, or of an artifact's blob, whose id is its digest."""
    return f"{BLOB}/{_digest_path(layer_id)}" if is_blob(layer_id) else f"{LAYER}/{layer_id}"


def is_blob(layer_id: str) -> bool:
    return ":" in layer_id


def _digest_path(layer_id: str) -> str:
    return layer_id.replace(":", "/")


def record_branch(layer_id: str) -> str:
    return f"{RECORD}/{layer_id}"


def why_no_branch(name: str) -> str:
    """Return why images cannot be committed to a branch of this name, "" if they can."""
    if not _BRANCH.fullmatch(name) or any(len(part) > _NAME_MAX for part in name.split("/")):
        return (
            "a branch's name has letters, digits, '_', '-' and '.', and may have '/' between parts"
            " that begin with a letter, a digit or '_'"
        )
    if _HEX.fullmatch(name):
        return "ostree takes such a name for the beginning of a checksum"
    if is_cache(name):
        return "that is where the layers are"
    return ""


def flattened_branch(top_layer_id: str) -> str:
    """Return the branch of the layer that a whole chain was flattened into."""
    return f"{FLATTENED}/{top_layer_id}"


def cut_branch(store_id: str, label_hash: str = "") -> str:
    """Return the branch of a layer that deletes files, as a store without whiteouts has it;
    `label_hash` is "" for files without an SELinux label."""
    return "/".join(part for part in (CUT, label_hash, store_id) if part)


def labelled_branch(label_hash: str, layer_id: str) -> str:
    """Return the branch of a layer whose files have an SELinux label."""
    return f"{LABELLED}/{label_hash}/{_digest_path(layer_id)}"


def rootfs_branch(reference: Reference) -> str:
    return ROOTFS + image_branch(reference).removeprefix(IMAGE)


def artifact_branch(reference: Reference) -> str:
    return ARTIFACT + image_branch(reference).removeprefix(IMAGE)


def is_cache(branch: str) -> bool:
    """Return whether this is a branch of a single layer; an import recreates a missing one."""
    return branch.startswith(_CACHES)


def image_branch(reference: Reference) -> str:
    """Return the default branch of an image. Raise LayerError if the name is too long.

    A registry's reference ends in a tag or a digest, so that no branch is the directory of another.
    Other transports name paths, which may lie in each other; a path becomes one component.
    """
    parts = [str(reference)] if reference.transport != "docker" else str(reference).split("/")
    return _branch_of("the reference", IMAGE, *parts)


def storage_branch(path: Path) -> str:
    """Return the default branch of an existing store's images. The path is one component."""
    return _branch_of("the path", STORAGE, str(path))


def copy_branch(place: str) -> str:
    """Return the default branch of all images that --to writes to a place."""
    return _branch_of("the path", COPY, place)


def release_branch(name: str, arch: str) -> str:
    """Return the default branch of a release, or of a stream of releases."""
    return _branch_of("the release's name", RELEASE, name, arch)


def _branch_of(what: str, above: str, *parts: str) -> str:
    """Return the branch below `above` of these parts, each one component. Raise LayerError, naming
    `what`, if one is too long."""
    names = [_escaped(part) for part in parts]
    if any(len(name) > _NAME_MAX for name in names):
        raise LayerError(f"{what} is too long for a branch of that name", hint=_NAME_ONE)
    return "/".join([above, *names])


def _escaped(text: str) -> str:
    """Return the text as one component: `_` doubled, letters, digits, `.` and `-` as they are,
    every other byte as _XX_.
    """
    head, rest = text[:1], text[1:]
    return _escape(head, b"") + _escape(rest, b".-")


def _escape(text: str, plain: bytes) -> str:
    return "".join(
        "__"
        if byte == ord("_")
        else chr(byte)
        if byte in plain or (byte < 128 and chr(byte).isalnum())
        else f"_{byte:02X}_"
        for byte in text.encode("utf-8", "surrogateescape")
    )
