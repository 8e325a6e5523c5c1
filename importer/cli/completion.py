"""Shell completion of the branches and images of the repo that the command line names.

The scripts for bash, zsh and fish are click's own; `make completion` writes them.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, add_completion_class

from layers.errors import Fault

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from importer.repo.writer import Repo

# bash(1), COMP_WORDBREAKS: those of its characters that references and options contain.
_BREAKS = frozenset(":@=")


class Bash(BashComplete):
    """click's completion for bash, for words that bash has cut at ":", "@" and "=".

    bash passes `a:b` as the three words `a`, `:`, `b`, and puts what is offered in the place of
    the last one. (`a : b`, which no command here takes, looks the same.)
    """

    _kept = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words before the cursor, and the one at the cursor."""
        words, last = super().get_completion_args()
        *before, incomplete = _rejoined([*words, last])
        self._kept = incomplete.removesuffix("" if _is_break(last) else last)
        return before, incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what click offers, without the beginning that bash keeps."""
        items = super().get_completions(args, incomplete)
        kept = self._kept
        if incomplete.startswith("--"):
            kept = kept.partition("=")[2]
        for item in items:
            item.value = item.value.removeprefix(kept)
        return items


def _rejoined(words: list[str]) -> list[str]:
    joined: list[str] = []
    cut = False
    for word in words:
        if joined and word and (cut or _is_break(word)):
            joined[-1] += word
        else:
            joined.append(word)
        cut = _is_break(word)
    return joined


def _is_break(word: str) -> bool:
    return bool(word) and _BREAKS.issuperset(word)


add_completion_class(Bash)


def branches_like(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the branches that begin so, without the cache's."""
    from importer.cache.branches import is_cache

    found: list[str] = []
    with suppress(Fault):  # an error has no place in a completion
        if (repo := _repo(ctx)) is not None:
            found = [ref for ref in repo.refs() if not is_cache(ref)]
    return [name for name in found if name.startswith(incomplete)]


def images_like(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of images and artifacts, or the ids of those without a name, that begin
    so."""
    from importer.store.find import find_stores, places_of

    found: set[str] = set()
    with suppress(Fault):
        if (repo := _repo(ctx)) is not None:
            for places in places_of(find_stores(repo, (), None)).values():
                for _, image in places:
                    found |= set(image.names or (image.id,))
    return sorted(name for name in found if name.startswith(incomplete))


def _repo(ctx: click.Context) -> Repo | None:
    from importer.repo.writer import Repo

    path = ctx.params.get("repo") or ctx.lookup_default("repo")
    return Repo.open(Path(path)) if path else None
