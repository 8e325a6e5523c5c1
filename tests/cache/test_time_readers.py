"""Programs that look at the times of files are told when their layer comes into the repo."""

import py_compile
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from tests.tools.entry import Entry
from tests.tools.image import build_oci
from tests.tools.importimage import run_import

SAID = "ostree stores no times of files, and "
PYTHON = "Python, for its .pyc files,"
PACKAGES = (b"usr/lib/python3/dist-packages", b"usr/local/lib/python3.13/site-packages/own/deeper")


def told(repo: Path, layout: Path, *layers: list[Entry]) -> list[str]:
    """The programs that an import of an image named."""
    build_oci(layout, "t", layers)
    outcome = run_import(repo, "--branch=t", f"oci:{layout}:t")
    assert outcome.status == 0, outcome.stderr
    lines = [line.partition(SAID)[2] for line in outcome.stderr.splitlines() if SAID in line]
    assert all(line.endswith(f" looks at them: oci:{layout}:t") for line in lines)
    return [line.partition(" looks at them")[0] for line in lines]


def pyc(where: Path, mode: PycInvalidationMode) -> bytes:
    """A .pyc file as Python itself writes one."""
    (where / "a.py").write_text("A = 1\n")
    made = py_compile.compile(str(where / "a.py"), str(where / "a.pyc"), invalidation_mode=mode)
    assert made is not None
    return Path(made).read_bytes()


def test_each_program_is_told_once(repo: Path, layout: Path) -> None:
    names = (b"usr/sbin/cron", b"usr/sbin/nginx", b"usr/bin/make")
    layers = [[Entry(b"a")], [Entry(name, mode=0o755) for name in names]]
    assert told(repo, layout, *layers) == ["cron", "make", "nginx"]
    assert told(repo, layout, *layers) == []
    assert told(repo, layout, *layers, [Entry(b"etc/pam.d/crond")]) == ["cron"]


def test_what_does_not_look_is_not_told(repo: Path, layout: Path) -> None:
    entries = [
        Entry(b"usr/sbin/crond", "symlink", link=b"/bin/busybox"),
        Entry(b"etc/cron.daily/apt"),
        Entry(b"usr/lib/python3.13/__pycache__/a.pyc", "symlink", link=b"elsewhere"),
    ]
    assert told(repo, layout, entries) == []


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (PycInvalidationMode.TIMESTAMP, [PYTHON]),
        (PycInvalidationMode.CHECKED_HASH, []),
        (PycInvalidationMode.UNCHECKED_HASH, []),
    ],
)
def test_bytecode_that_has_its_sources_time(
    repo: Path, layout: Path, tmp_path: Path, mode: PycInvalidationMode, expected: list[str]
) -> None:
    content = pyc(tmp_path, mode)
    for package in PACKAGES:
        entry = Entry(package + b"/__pycache__/a.cpython-313.pyc", content=content)
        assert told(repo, layout, [entry]) == expected
