"""What a shell offers at Tab: the branches and images of the repo that is meant.

The scripts for zsh and fish are click's own, and so is most of bash's; `make completion` writes
them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

from layers.errors import Fault

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from importer.repo.writer import Repo

_WORDS = 'COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD'
_LINE = 'COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS"'


class Bash(BashComplete):
    """click's, for words with colons, as images' names are.

    bash breaks words at colons (COMP_WORDBREAKS in bash(1)), so that click sees several words,
    and it puts what is offered in the place of what follows the last colon.
    """

    source_template = BashComplete.source_template.replace(_WORDS, _LINE)

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and that one."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        incomplete = words.pop() if words[1:] and not line[-1:].isspace() else ""
        return words[1:], incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Without what bash has before the last colon."""
        found = super().get_completions(args, incomplete)
        value = incomplete.partition("=")[2] if incomplete.startswith("--") else incomplete
        known = value.rpartition(":")[0]
        if known and ":" in os.environ.get("COMP_WORDBREAKS", ""):
            for item in found:
                item.value = item.value.removeprefix(f"{known}:")
        return found


add_completion_class(Bash)


def branches_like(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The branches, without those of single layers."""
    from importer.cache.branches import is_cache

    found: list[str] = []
    with suppress(Fault):  # whoever presses Tab wants no error
        if (repo := _repo(ctx)) is not None:
            found = [ref for ref in repo.refs() if not is_cache(ref)]
    return [name for name in found if name.startswith(incomplete)]


def images_like(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The names of the images, and of those without a name the ids."""
    from importer.store.reader import find_stores

    found: set[str] = set()
    with suppress(Fault):
        if (repo := _repo(ctx)) is not None:
            for store in find_stores(repo, (), None).found:
                for image in store.images:
                    found |= set(image.names or (image.id,))
    return sorted(name for name in found if name.startswith(incomplete))


def _repo(ctx: click.Context) -> Repo | None:
    from importer.repo.writer import Repo

    path = ctx.params.get("repo") or ctx.lookup_default("repo")
    return Repo.open(Path(path)) if path else None
