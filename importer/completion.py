"""What a shell offers at Tab: the branches and images of the repo that is meant.

The scripts for bash, zsh and fish are click's own; `make completion` writes them.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from importer.branches import is_cache
from importer.repo import Repo
from importer.storeview import find_stores
from layers.errors import Fault

if TYPE_CHECKING:
    import click


def branches_like(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The branches, without those of single layers."""
    found: list[str] = []
    with suppress(Fault):  # whoever presses Tab wants no error
        if (repo := _repo(ctx)) is not None:
            found = [ref for ref in repo.refs() if not is_cache(ref)]
    return [name for name in found if name.startswith(incomplete)]


def images_like(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The names of the images, and of those without a name the ids."""
    found: set[str] = set()
    with suppress(Fault):
        if (repo := _repo(ctx)) is not None:
            for store in find_stores(repo, (), None).found:
                for image in store.images:
                    found |= set(image.names or (image.id,))
    return sorted(name for name in found if name.startswith(incomplete))


def _repo(ctx: click.Context) -> Repo | None:
    path = ctx.params.get("repo") or ctx.lookup_default("repo")
    return Repo.open(Path(path)) if path else None
