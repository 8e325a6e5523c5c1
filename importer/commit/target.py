"""The branch to which images are committed, and the form of the commit."""

from __future__ import annotations

from dataclasses import KW_ONLY, field
from enum import Enum
from typing import TYPE_CHECKING

from importer.ingest.budget import Budget
from layers.frozen import frozen
from layers.limits import CALL_LIMITS, Limits
from layers.storage.layer_id import Whiteouts

if TYPE_CHECKING:
    from pathlib import Path

    from layers.limits import LayerOptions
    from layers.storage.layer_id import LayerIds


class Form(Enum):
    """The form of the commit that an import makes beside the layers' branches."""

    STORE = "store"
    LAYERS = "layers"
    ROOTFS = "rootfs"
    BUNDLE = "bundle"  # a root file system in a directory beside its configuration

    @property
    def recorded(self) -> str:
        """Return the form as a commit's metadata has it, in which a bundle is a root file
        system."""
        return Form.ROOTFS.value if self.is_rootfs else self.value

    @property
    def is_rootfs(self) -> bool:
        """Return whether the commit has the root file system of one image."""
        return self in (Form.ROOTFS, Form.BUNDLE)


class ExistingStore(Enum):
    """How to treat images that the base commit has under the prefix already."""

    ERROR = "error"
    REPLACE = "replace"
    MERGE = "merge"


@frozen
class GpgKey:
    """A key in a GPG keyring; `homedir` None stands for GPG's default."""

    key: str
    homedir: str | None


@frozen
class KeyFile:
    """A file with a secret key for one of libostree's own kinds of signature."""

    path: Path
    kind: str


@frozen
class Labelling:
    """The options on SELinux labels, each None if it is not given.

    `label` is the context of the store's files. `policy` is a root directory with a policy, or
    "base" for the base commit's.
    """

    label: str | None = None
    policy: str | None = None


@frozen
class EngineOptions:
    """The options on the configuration of podman and CRI-O. `internal_repair` None leaves CRI-O's
    setting as it is."""

    storage_conf: bool = False
    crio_conf: bool = False
    internal_repair: bool | None = None


@frozen
class Target:
    """The branch that images are committed to, and how.

    - `branch` None stands for a branch for each image. `onto` is the branch of an operating system
      that the store is put into.
    - `replace_branch` lets the branch lose what no import can make again.
    - `layer_ids` None keeps the ids of the last store; see `importer.commit.store_kind`.
    - `whiteouts` None takes the form that the target needs, or else the `usual_whiteouts`; see
      `importer.commit.store_kind`.
    - `keep_images` is the number of earlier releases whose images stay in a release's store.
    - `total` bounds all layers that are read, together.
    """

    _: KW_ONLY
    repo: Path
    form: Form
    flatten: bool = False
    layer_ids: LayerIds | None = None
    whiteouts: Whiteouts | None = None
    usual_whiteouts: Whiteouts = Whiteouts.QUOTED
    branch: str | None = None
    replace_branch: bool = False
    onto: str | None = None
    existing_store: ExistingStore = ExistingStore.ERROR
    engines: EngineOptions = EngineOptions()
    keep_images: int = 0
    labelling: Labelling = Labelling()
    prefix: str
    layer_options: LayerOptions
    subject: str | None = None
    timestamp: int | None = None
    signing: tuple[GpgKey | KeyFile, ...] = ()
    budget: Budget = field(default_factory=Budget)
    total: Limits = CALL_LIMITS
