"""`make bench` on images of a few files: that it runs, and fills its tables. No times here."""

import json
import re
import sys
from pathlib import Path
from xml.dom.minidom import parse

import pytest

from fixtures import contenders
from fixtures.series import SCALES
from fixtures.stopwatch import MeasuredError, measure
from tests.tools.process import run

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
PART = re.compile(r"<!-- make bench: (\w+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)
HERE = {"PATH": "/usr/bin:/bin"}
PARENT = """
import os, subprocess, sys
held = bytearray(50_000_000)
subprocess.run([sys.executable, "-c", sys.argv[1], str(os.getppid())], check=True)
"""
#: Until the meter has looked, ten times at least: it sleeps before each look.
GRANDCHILD = """
import pathlib, re, sys, time
def sleeps():
    status = pathlib.Path("/proc", sys.argv[1], "status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\\s*(\\d+)", status, re.MULTILINE)[1])
held, before = bytearray(200_000_000), sleeps()
while sleeps() < before + 11:
    time.sleep(0.1)
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A copy of ours whose tables are empty."""
    copy = tmp_path / "performance.md"
    copy.write_text(PART.sub(r"<!-- make bench: \1 -->\n<!-- /\1 -->", DOCUMENT.read_text()))
    return copy


def parts(document: Path) -> dict[str, list[list[str]]]:
    """The cells of each table's lines, the head and the rule left out."""
    found = {}
    for name, text in PART.findall(document.read_text()):
        lines = [line for line in text.splitlines() if line.startswith("|")]
        found[name] = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    return found


def make(program: str, tmp_path: Path, document: Path) -> None:
    """As a process, since it goes into a mount namespace."""
    flags = ["--size=tiny", "--rounds=1", f"--work={tmp_path}/work", f"--document={document}"]
    run([sys.executable, "-m", f"fixtures.{program}", *flags])


@pytest.mark.root
def test_bench_fills_its_tables(tmp_path: Path, document: Path) -> None:
    make("bench", tmp_path, document)
    tables = parts(document)
    gzip, zstd = ({row[0] for row in tables[name]} for name in ("gzip", "zstd"))
    everything = {value for name, value in vars(contenders).items() if _is_row(name, value)}
    assert gzip == everything
    assert {contenders.COLD, contenders.STORAGE, contenders.TAR} <= zstd < gzip
    assert len(tables["targets"]) == 8
    assert {row[3] for row in tables["targets"]} <= {"met", "missed"}
    assert re.search("Processor: .*, [0-9]+ cores", document.read_text())
    samples = json.loads((tmp_path / "work" / "results-tiny.json").read_text())
    assert samples["gzip"].keys() == everything
    assert all(one["usage"]["wall"] > 0 for runs in samples["gzip"].values() for one in runs)


def _is_row(name: str, value: object) -> bool:
    return name.isupper() and isinstance(value, str)


@pytest.mark.root
def test_growth_fills_its_tables(tmp_path: Path, document: Path) -> None:
    make("growth", tmp_path, document)
    tables, scale = parts(document), SCALES["tiny"]
    assert [row[0] for row in tables["entries"]] == [f"{count:,}" for count in scale.entries]
    assert [row[0] for row in tables["bytes"]] == [f"{size:,}" for size in scale.megabytes]
    assert len(tables["memory"]) == 2
    assert len(tables["crowded"]) == 9
    plot = parse(str(document.with_name("performance-growth.svg")))  # noqa: S318 - our own file
    assert len(plot.getElementsByTagName("polyline")) == 8


@pytest.mark.root
def test_floor_fills_its_table(tmp_path: Path, document: Path) -> None:
    make("floor", tmp_path, document)
    rows = parts(document)["floor"]
    took = [float(row[2]) for row in rows]
    assert len(rows) == 8
    assert rows[-1][4] == "1.00"
    assert took[-3] == pytest.approx(sum(took[:-3]), abs=0.05)
    assert took[-1] > took[-3]
    amounts = [row[1] for row in rows if row[0] != "all of these"][:-1]
    assert all(re.fullmatch("[1-9][0-9,]* (MB|files|entries)", amount) for amount in amounts)


def test_a_command_is_measured_with_its_children(tmp_path: Path) -> None:
    """200 MB held by a grandchild, beside 50 MB in its parent, while nobody computes."""
    found = measure(["python3", "-c", PARENT, GRANDCHILD], HERE, tmp_path).usage
    assert 200e6 < found.largest < 250e6 < found.memory < 320e6
    assert found.wall > 0.5
    assert 0 < found.cpu < found.wall - 0.5


def test_what_we_hold_is_not_counted(tmp_path: Path) -> None:
    held = bytearray(b"x") * 300_000_000
    assert measure(["true"], HERE, tmp_path).usage.largest < 30e6
    assert held


def test_a_command_that_fails(tmp_path: Path) -> None:
    with pytest.raises(MeasuredError, match=r"exit status 3: sh -c .*\nwhy\n"):
        measure(["sh", "-c", "echo why >&2; exit 3"], HERE, tmp_path)
