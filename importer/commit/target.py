"""The branch to which images are committed, and the form of the commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from importer.ingest.budget import Budget
from layers.limits import CALL_LIMITS, Limits
from layers.storage.store_id import Whiteouts

if TYPE_CHECKING:
    from pathlib import Path

    from importer.ingest.cluster.address import Cluster
    from layers.storage.store_id import LayerIds
    from layers.tree.read_layer import LayerOptions


class Form(Enum):
    """The form of the commit that an import makes beside the layers' branches."""

    STORE = "store"
    LAYERS = "layers"
    ROOTFS = "rootfs"


class ExistingStore(Enum):
    """How to treat images that the base commit has under the prefix already."""

    ERROR = "error"
    REPLACE = "replace"
    MERGE = "merge"


@dataclass(frozen=True, slots=True)
class GpgKey:
    """A key in a GPG keyring; `homedir` None stands for GPG's default."""

    key: str
    homedir: str | None


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with a secret key for one of libostree's own kinds of signature."""

    path: Path
    kind: str


@dataclass(frozen=True, slots=True)
class Labelling:
    """SELinux: the store's context, and a policy's root directory, or `base` for the base
    commit's own; None where the user says nothing."""

    label: str | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`onto` is the branch of an OS that the store is put into; `branch` None means one for each
    image. `layer_ids` None keeps to the ids of the store before; see `importer.commit.layer_ids`.
    `whiteouts` None takes what the target needs, or the `usual_whiteouts`; see
    `importer.commit.whiteouts`. `keep_images` is the number of earlier releases whose images stay
    in the store; only a release has any. `total` bounds what all layers that are read come to.
    `cluster` reads them; None stands for this machine."""

    repo: Path
    form: Form
    bundle: bool = False
    flatten: bool = False
    layer_ids: LayerIds | None = None
    whiteouts: Whiteouts | None = None
    usual_whiteouts: Whiteouts = Whiteouts.QUOTED
    branch: str | None = None
    onto: str | None = None
    existing_store: ExistingStore = ExistingStore.ERROR
    storage_conf: bool = False
    crio_conf: bool = False
    crio_internal_repair: bool | None = None
    keep_images: int = 0
    labelling: Labelling = Labelling()
    prefix: str
    layer_options: LayerOptions
    subject: str | None = None
    timestamp: int | None = None
    signing: tuple[GpgKey | KeyFile, ...] = ()
    budget: Budget = field(default_factory=Budget)
    cluster: Cluster | None = None
    total: Limits = CALL_LIMITS
