"""The keys of our commits' metadata, and their values.

Values are text: libostree writes integers of the metadata in the machine's own byte order.
The keys of a release's commit are in `layers.release.commit_metadata`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from layers.document import parse_document, strings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.repo.values import Commit

OURS = "import-image."
OF_A_RELEASE = "import-release."

# -- a commit with images --

# store, layers or rootfs: `importer.commit.target.Form`.
FORM = OURS + "form"
# The absolute path of the store in the commit.
PREFIX = OURS + "prefix"
# The checksum of the operating system's commit that the store was put onto.
BASE = OURS + "base"
# The name that the user gave the image, if all references of the commit's body have this one.
NAME = OURS + "name"
# Else the names that the user gave: a JSON object of lists, by references of the commit's body.
NAMES = OURS + "names"
# "private" where the store's layers have private ids; absent for standard ones.
LAYER_IDS = OURS + "layer-ids"
# "none" where the store has no whiteouts; absent where they are quoted.
STORE_WHITEOUTS = OURS + "store-whiteouts"
# "true" where images are flattened; otherwise absent.
FLATTEN = OURS + "flatten"
# The options of import-release that decide on the commit's content, as JSON.
OPTIONS = OF_A_RELEASE + "options"

# -- a commit of one layer --

# The digest of the uncompressed tar.
DIFF_ID = OURS + "diff-id"
# Bytes of the uncompressed tar.
DIFF_SIZE = OURS + "diff-size"
# The id of the layer below, "" for a base.
PARENT = OURS + "parent"
# Quoted whiteouts in the tree; opaque markers in the tar.
WHITEOUTS = OURS + "whiteouts"
OPAQUE = OURS + "opaque"
# Device nodes that were left out, below /dev and elsewhere.
DEVICES = OURS + "devices"
STRAY_DEVICES = OURS + "stray-devices"
# User and group ids in the layer, in order, joined by commas.
UIDS = OURS + "uids"
GIDS = OURS + "gids"
# Xattrs that were left out.
DROPPED_XATTRS = OURS + "dropped-xattrs"
# Present where no tar-split record proves that the tree is the diffID's.
UNVERIFIED = OURS + "unverified"
# Of a labelled layer: the SELinux label, and the checksum of the layer's own commit.
LABEL = OURS + "label"
LAYER = OURS + "layer"
# Of `oci/cut/…`: how many entries of the layers below it holds, and a sha256 of all their trees.
ADDED_ENTRIES = OURS + "added-entries"
STACK = OURS + "stack"

# Begins the subject of a tar-split record's commit, which has no metadata.
RECORD = "tar-split record of "

# Where an additional image store lies unless the user says otherwise.
DEFAULT_PREFIX = "/usr/lib/containers/storage"

# ostree-core.h, OSTREE_MAX_METADATA_SIZE is 128 MiB for a whole commit.
_MOST_NAMES = 64 << 20


def is_ours(commit: Commit) -> bool:
    """Return whether an import of images made the commit. import-tree's commits have no mark, as
    those of `ostree commit`."""
    of_record = commit.message.subject.startswith(RECORD) and commit.message.timestamp == 0
    return of_record or any(key.startswith((OURS, OF_A_RELEASE)) for key in commit.metadata)


def store_prefix(commit: Commit, prefix: str | None = None) -> str:
    """Return the absolute path of the store in a commit.

    `prefix` is the user's own answer. Without it, the commit's metadata tells. A commit without
    that entry is taken to have its store at DEFAULT_PREFIX.
    """
    return prefix or str(commit.metadata.get(PREFIX, DEFAULT_PREFIX))


def names_metadata(names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the keys and values that record the given names of each reference, see NAMES."""
    given = {reference: sorted(of_image) for reference, of_image in names.items() if of_image}
    if not given:
        return {}
    lists = list(given.values())
    if len(given) == len(names) and all(of_image == lists[0][:1] for of_image in lists):
        return {NAME: lists[0][0]}
    return {NAMES: json.dumps(given, sort_keys=True, separators=(",", ":"))}


def names_of(
    metadata: Mapping[str, object], references: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the given names by reference; `references` are those of the commit's body.

    Raise LayerError if the record is malformed.
    """
    text, name = metadata.get(NAMES), metadata.get(NAME)
    if isinstance(text, str):
        origin = f"the commit's {NAMES}"
        names = parse_document(text.encode(), origin, _MOST_NAMES)
        return {key: strings({key: names[key]}, key, origin) for key in names}
    return dict.fromkeys(references, (name,)) if isinstance(name, str) else {}
