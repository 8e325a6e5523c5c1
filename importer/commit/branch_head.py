"""Begin the plan of a branch: its commit, whether an import may replace it, the kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.plan import PlannedBranch
from importer.commit.store_kind import chosen_kind
from importer.commit.target import Form
from importer.errors import ImporterError
from importer.repo.commit_keys import BASE, FORM, OF_A_RELEASE
from layers.storage.stated_image import stated_artifacts, stated_images
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.reader import RepoReader
    from importer.repo.values import Commit, Message
    from importer.repo.writer import Repo
    from layers.release.release import Release

# So many images that a branch loses are named.
_NAMED = 5
_IMAGE = "image"


def head_of(repo: RepoReader, branch: str) -> Commit | None:
    repo.check_place(branch)
    return repo.find_head(branch)


def empty_branch(
    target: Target, repo: Repo, name: str, base: Base | None, release: Release | None = None
) -> PlannedBranch:
    """Return a planned branch without images. A release's commit gets the last one as parent.

    Raise ImporterError if the images would replace what no import can make again: another
    program's commit, an operating system, or a release's history.
    """
    head, is_parent = head_of(repo, name), release is not None
    why = _why_not(target, head, base, is_parent) if head is not None else ""
    if why and not target.replace_branch and target.form is not Form.LAYERS:
        raise ImporterError(f"branch {name} {why}", hint=_hint(target, name, base))
    kind = chosen_kind(target, repo, name, base, head, head if is_parent else None)
    return PlannedBranch(name, (), head, base, kind, release)


def _why_not(target: Target, head: Commit, base: Base | None, is_parent: bool) -> str:
    form = head.metadata.get(FORM)
    if form is None:
        return f"has a commit that no import of images made: {head.checksum}"
    if form != target.form.recorded:
        return f"is of --form={form}, and would become one of --form={target.form.recorded}"
    if BASE in head.metadata and base is None:
        return "has an operating system with images (--onto), and would have the images alone"
    if not is_parent and any(key.startswith(OF_A_RELEASE) for key in head.metadata):
        return "has the history of import-release, which would end"
    return ""


def _hint(target: Target, branch: str, base: Base | None) -> str:
    onto = f"--onto={branch} with another --branch puts the images into it"
    other = onto if base is None and target.form is Form.STORE else "another --branch leaves it"
    return f"{other}; --replace-branch replaces it"


def move(branch: str, head: Commit | None, message: Message) -> str:
    """Return what a commit of this message changes on a branch, as one line for people."""
    before, after = _stated(head.message if head else None), _stated(message)
    counts = [several(len(after[noun]), noun) for noun in after if after[noun] or noun == _IMAGE]
    if head is None:
        return f"branch {branch}: first import, {', '.join(counts)}"
    texts: list[str] = []
    for noun in after:
        texts += _changes(before[noun], after[noun], noun)
    same = f"a new commit of the same {', '.join(counts)}"
    gone = sorted(name for noun in after for name in before[noun].keys() - after[noun].keys())
    return f"branch {branch}: {', '.join(texts) or same}{_named(gone)}"


def _changes(before: Mapping[str, str], after: Mapping[str, str], noun: str) -> Iterator[str]:
    changed = sum(before.get(name, digest) != digest for name, digest in after.items())
    new, gone = after.keys() - before.keys(), before.keys() - after.keys()
    signed = [f"+{len(new)}"] * bool(new) + [f"−{len(gone)}"] * bool(gone)  # noqa: RUF001 - minus
    if signed:
        yield f"{' '.join(signed)} {noun}{'' if len(new | gone) == 1 else 's'}"
    if changed:
        yield f"{several(changed, noun)} changed"


def _named(gone: Sequence[str]) -> str:
    more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
    return f"; no longer there: {', '.join(gone[:_NAMED])}{more}" if gone else ""


def _stated(message: Message | None) -> dict[str, dict[str, str]]:
    """Return the digests of images, and those of artifacts, by reference."""
    lines = message.body.splitlines() if message is not None else []
    images = {image.reference: str(image.digest) for image in stated_images(lines, {})}
    return {_IMAGE: images, "artifact": stated_artifacts(lines)}
