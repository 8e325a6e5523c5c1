"""A tar-split record of a foreign commit promises more than there is: it is not read to its end."""

import gzip
from pathlib import Path

from importer.repo.writer import Repo
from importer.verify.rebuilt_tar import RebuiltTar
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.tarbuild import Entry


def read(repo: Path, layout: Path, lines: bytes) -> RebuiltTar:
    """The tar of ten bytes that a record with these lines describes."""
    build_oci(layout, "t", [[Entry(b"a")]])
    commit = imported(repo, "--branch=os/images", f"oci:{layout}:t")["commit"]
    opened = Repo.open(repo)
    tar = RebuiltTar(opened, opened.root(opened.commit(commit)))
    tar.read(iter([gzip.compress(lines)]), 10)
    return tar


def test_a_file_of_a_petabyte_that_is_missing(repo: Path, layout: Path) -> None:
    """Zeros stand for it, but not so many."""
    tar = read(repo, layout, b'{"type":1,"name":"gone","size":%d}\n' % (1 << 50))
    assert tar.broken
    assert "much longer than the 10 bytes" in tar.problems[-1].text
    assert tar.size < 1 << 20


def test_lines_without_end(repo: Path, layout: Path) -> None:
    tar = read(repo, layout, b'{"type":1,"name":"%s","size":0}\n' % (b"f" * 400_000) * 8)
    assert tar.broken
    assert "too long for a tar of 10 bytes" in tar.problems[-1].text
    tar = read(repo, layout, b"\n" * 40_000)
    assert tar.broken
    assert "more lines than its tar has headers" in tar.problems[-1].text
