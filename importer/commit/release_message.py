"""Write the message of a release's commit, and tell whether a commit has it already.

The commit records the options that its content depends on. A run with other options makes another
commit; --dry-run compares its options with the recorded ones.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from importer.commit.message import facts
from importer.commit.store_kind import said_layer_ids
from importer.commit.target import ExistingStore
from importer.repo import commit_keys as key
from importer.repo.commit_keys import FLATTEN, OPTIONS, PREFIX
from importer.repo.values import Message
from importer.store.layers import recorded_whiteouts
from layers.document import parse_document
from layers.release.commit_metadata import metadata, stored_release
from layers.release.diff import compare
from layers.storage.layer_id import Whiteouts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.commit.plan import PlannedBranch
    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.values import Commit
    from layers.release.release import Release


def release_message(target: Target, branch: PlannedBranch, release: Release, time: int) -> Message:
    """Return what a commit of the branch's release says; `time` in seconds since 1970."""
    how = facts(target, branch.base, branch.kind) | options_metadata(target)
    return Message(
        release_subject(release, branch.name) if target.subject is None else target.subject,
        time,
        release_body(release),
        release_metadata(release, how),
    )


def has_release(target: Target, branch: PlannedBranch, release: Release) -> bool:
    """Return whether the branch's commit has this release, of the same base, with the same options.

    Releases with the same components count as the same, whatever their names.
    """
    head = branch.head
    if head is None:
        return False
    stored = stored_release(head.metadata, head.checksum)
    same = stored is not None and compare(stored, release).is_empty
    return same and is_onto(head, branch.base) and not new_options(head, target)


def is_onto(commit: Commit, base: Base | None) -> bool:
    """Return whether the commit was made from this base; for None, from none."""
    return commit.metadata.get(key.BASE) == (base.commit.checksum if base else None)


def release_metadata(release: Release, how: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a release's commit; `how` are the `facts` of its making."""
    stated = dict(metadata(release)) | how
    if key.BASE in stated:
        stated.pop("version", None)  # `version` is then the operating system's
    return tuple(sorted(stated.items()))


def release_subject(release: Release, branch: str) -> str:
    name = release.name or release.version or branch
    return f"{name} ({release.arch}), {len(release.components)} images"


def release_body(release: Release) -> str:
    """Return one line for each component."""
    return "\n".join(sorted(f"{c.name} {c.pullspec}" for c in release.components.values()))


_TRUE = "true"


def options_metadata(target: Target) -> dict[str, str]:
    """Return the metadata that records the options without a key of their own."""
    return {OPTIONS: json.dumps(_others(target), sort_keys=True, separators=(",", ":"))}


def kept_options(commit: Commit) -> dict[str, str]:
    """Return the recorded options for a commit that is made from this one."""
    return {key: str(value) for key, value in commit.metadata.items() if key == OPTIONS}


def new_options(commit: Commit, target: Target) -> tuple[str, ...]:
    """Return the options, written `--name`, whose values differ from the commit's.

    A commit of an older version lacks the record; its unrecorded options count as equal.
    """
    says = commit.metadata
    before = _without_none({"prefix": says.get(PREFIX), "flatten": says.get(FLATTEN)})
    flatten = _TRUE if target.flatten else None
    now = _without_none({"prefix": target.prefix, "flatten": flatten})
    if target.whiteouts is not None and not target.flatten:
        before["whiteouts"] = (recorded_whiteouts(commit) or Whiteouts.QUOTED).value
        now["whiteouts"] = target.whiteouts.value
    if target.layer_ids is not None:
        before["layer-ids"] = said_layer_ids(commit).value
        now["layer-ids"] = target.layer_ids.value
    if OPTIONS in says:
        before |= parse_document(str(says[OPTIONS]).encode(), f"{commit.checksum}: {OPTIONS}")
        now |= _others(target)
    names = sorted(before.keys() | now.keys())
    return tuple(f"--{name}" for name in names if before.get(name) != now.get(name))


def _others(target: Target) -> dict[str, str]:
    existing, labelling = target.existing_store, target.labelling
    return _without_none(
        {
            "crio-conf": _TRUE if target.engines.crio_conf else None,
            "crio-internal-repair": _said(target.engines.internal_repair),
            "existing-store": None if existing is ExistingStore.ERROR else existing.value,
            "keep-images": str(target.keep_images) if target.keep_images else None,
            "selinux-label": labelling.label,
            "selinux-policy": _policy(labelling.policy),
            "storage-conf": _TRUE if target.engines.storage_conf else None,
        }
    )


def _said(answer: bool | None) -> str | None:
    return None if answer is None else str(answer).lower()


def _policy(where: str | None) -> str | None:
    """Return --selinux-policy for the record, "directory" for a path: paths differ between
    machines, and the commit must not."""
    return where if where in (None, "base") else "directory"


def _without_none(values: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}
