"""The blocks of code of a page of the documentation, and what its HTML comments say of them.

A comment stands before the block it is about:

- `<!-- not run: REASON -->`: the commands cannot run in a test.
- `<!-- file: PATH -->`: the block is this file's content, which later commands find.
- `<!-- output -->`: the commands before print these lines, in this order and among others.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

#: The languages of fences whose blocks are commands; indented blocks are commands as well.
SHELL = ("", "bash", "console")
_MARK = re.compile(r"<!-- (not run|file|output)(?:: (.+))? -->")
_FENCE = re.compile(r"( *)```(\w*)$")
_LIST = re.compile(r"(?:-|\d+\.) ")


class Mark(NamedTuple):
    """What a comment says of the block after it."""

    kind: str = ""
    word: str = ""


@dataclass(frozen=True)
class Block:
    """A block of code; `line` is the number of its first line in the page."""

    line: int
    language: str
    text: str
    mark: Mark

    @property
    def is_shell(self) -> bool:
        """Whether the block is commands to type."""
        return self.language in SHELL and self.mark.kind not in ("file", "output")


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order."""
    return list(_Reader(page.read_text().splitlines()).read())


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        self._mark = Mark()
        self._plain = ""
        """The last line of text that is not indented."""

    def read(self) -> Iterator[Block]:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if fence := _FENCE.match(line):
                self._at += 1
                yield self._block(fence[2], self._fenced(len(fence[1])))
            elif line.startswith("    ") and self._follows_text():
                yield self._block("", self._indented())
            else:
                self._note(line)
                self._at += 1

    def _note(self, line: str) -> None:
        if mark := _MARK.fullmatch(line.strip()):
            self._mark = Mark(mark[1], mark[2] or "")
        elif line.strip():
            self._mark = Mark()
            self._plain = self._plain if line.startswith(" ") else line

    def _follows_text(self) -> bool:
        before = self._lines[self._at - 1] if self._at else ""
        return not before.strip() and not _LIST.match(self._plain)

    def _fenced(self, indent: int) -> tuple[int, list[str]]:
        start = self._at
        while self._lines[self._at].strip() != "```":
            self._at += 1
        self._at += 1
        return start, [line[indent:] for line in self._lines[start : self._at - 1]]

    def _indented(self) -> tuple[int, list[str]]:
        start = self._at
        rest = self._lines[start:]
        ended = (n for n, line in enumerate(rest) if line.strip() and not line.startswith("    "))
        self._at = start + next(ended, len(rest))
        return start, [line[4:] for line in self._lines[start : self._at]]

    def _block(self, language: str, found: tuple[int, list[str]]) -> Block:
        start, lines = found
        mark, self._mark = self._mark, Mark()
        return Block(start + 1, language, "\n".join(lines).rstrip() + "\n", mark)
