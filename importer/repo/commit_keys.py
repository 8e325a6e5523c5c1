"""The keys that our commits' metadata has, and what each says.

Values are text: libostree writes integers of the metadata in the machine's own byte order.
The keys of a release's commit are in `layers.release.commit_metadata`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def is_ours(commit: Commit) -> bool:
    """Return whether an import of images made the commit. The commits of import-tree are as those
    of `ostree commit`."""
    of_record = commit.message.subject.startswith(RECORD) and commit.message.timestamp == 0
    return of_record or any(one.startswith((OURS, OF_A_RELEASE)) for one in commit.metadata)


def store_prefix(commit: Commit, prefix: str | None = None) -> str:
    """Return the absolute path of the store in a commit.

    `prefix` is the user's own answer. Without one, the commit's metadata says, and a commit
    that says nothing is taken to have the store at DEFAULT_PREFIX.
    """
    return prefix or str(commit.metadata.get(PREFIX, DEFAULT_PREFIX))
