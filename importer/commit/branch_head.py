"""Begin the plan of a branch: its commit, whether an import may replace it, the kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.commit.plan import PlannedBranch
from importer.commit.target import Form
from importer.commit.whiteouts import chosen_kind
from importer.errors import ImporterError
from importer.repo.commit_keys import BASE, FORM, OF_A_RELEASE
from layers.storage.stated_image import stated_images
from layers.words import several

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.commit.target import Target
    from importer.repo.commit_metadata import Base
    from importer.repo.reader import RepoReader
    from importer.repo.values import Commit, Message
    from importer.repo.writer import Repo
    from layers.release.release import Release

# So many images that a branch loses are named.
_NAMED = 5


def head_of(repo: RepoReader, branch: str) -> Commit | None:
    """Return the branch's commit, None if there is none."""
    repo.check_place(branch)
    checksum = repo.resolve(branch)
    return repo.commit(checksum) if checksum is not None else None


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
    if form != target.form.value:
        return f"is of --form={form}, and would become one of --form={target.form.value}"
    if BASE in head.metadata and base is None:
        return "has an operating system with images (--onto), and would have the images alone"
    if not is_parent and any(key.startswith(OF_A_RELEASE) for key in head.metadata):
        return "has the history of import-release, which would end"
    return ""


def _hint(target: Target, branch: str, base: Base | None) -> str:
    onto = f"--onto={branch} with another --branch puts the images into it"
    other = onto if base is None and target.form is Form.STORE else "another --branch leaves it"
    return f"{other}; --replace-branch replaces it"


def losses(branch: str, head: Commit | None, message: Message) -> Iterator[str]:
    """Yield what to tell the user of a branch that loses images with a commit of this message."""
    gone = sorted((_stated(head.message) if head else set()) - _stated(message))
    if gone:
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        named = ", ".join(gone[:_NAMED])
        yield f"{branch} no longer has {several(len(gone), 'image')}: {named}{more}"


def _stated(message: Message) -> set[str]:
    return {image.reference for image in stated_images(message.body.splitlines(), {})}
