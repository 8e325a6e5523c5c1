"""Tell of programs in new layers that look at the times of files, which ostree does not keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cache.branches import layer_branch
from layers.tree.time_readers import PYTHON, find_pyc, has_time, time_readers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from importer.progress import Progress
    from importer.repo.writer import Repo

_NAMED = 3


def tell_time_readers(repo: Repo, images: Mapping[str, Iterable[str]], progress: Progress) -> None:
    """Report in one line each program that is in a layer. `images` has the names of the images
    by layer id."""
    found: dict[str, set[str]] = {}
    for layer_id, names in images.items():
        for program in _programs(repo, layer_id):
            found.setdefault(program, set()).update(names)
    for program, names in sorted(found.items()):
        named = sorted(names)
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        progress.message(
            f"ostree stores no times of files, and {program} looks at them:"
            f" {', '.join(named[:_NAMED])}{more}"
        )


def _programs(repo: Repo, layer_id: str) -> tuple[str, ...]:
    root = repo.root(repo.head(layer_branch(layer_id)))
    pyc = find_pyc(root)
    # A symlink's object has no content.
    if pyc is None or repo.file(pyc).target is not None:
        return time_readers(root)
    beginning = next(iter(repo.content(pyc)), b"")
    return (*time_readers(root), *([PYTHON] if has_time(beginning) else []))
