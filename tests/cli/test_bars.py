"""The rows of a terminal, as rich shows them."""

import io

import pytest
from rich.console import Console

from importer.cli.progress_display import TerminalBars


def shown(bars: TerminalBars, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows on a terminal of this width, without the bars themselves."""
    monkeypatch.setattr(bars, "_console", Console(width=columns, file=io.StringIO()))
    console = Console(width=columns, file=io.StringIO())
    with console.capture() as capture:
        console.print(bars.table())
    lines = capture.get().replace("━", "").replace("╸", "").replace("╺", "").splitlines()
    return [" ".join(line.split()) for line in lines]


def begun() -> TerminalBars:
    """Two images that share a layer, and a third one of which nothing has come."""
    bars = TerminalBars()
    bars.image("nginx", ["base", "a", "b"], 2)
    bars.image("a-component-with-a-long-name", ["base"], 0)
    bars.image("redis", ["c"], 11)
    for name, size in (("base", 1_000_000), ("a", 500_000), ("b", 500_000), ("c", 10_000)):
        bars.layer(name, size, "waiting")
    return bars


@pytest.mark.parametrize("columns", [60, 80])
def test_a_row_an_image(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = begun()
    bars.layer("base", 1_000_000, "downloading")
    for read in (400_000, 900_000, 1_000_000):  # broken off twice, then whole
        with bars.blob("base", 1_000_000) as advance:
            advance(read)
    bars.layer("base", 1_000_000, "unpacking")
    bars.layer("a", 500_000, "downloading")
    total, *rows = shown(bars, columns, monkeypatch)
    assert total.startswith("0 of 3 images, 0 of 4 layers ")
    assert total.endswith("B/s 49%")
    name = "a-component-w…" if columns == 60 else "a-component-with-a-long-name"
    assert rows == [
        "nginx: 2 of 5 layers downloading 50%",
        f"{name}: 0 of 1 layer unpacking 100%",
        "redis: 11 of 12 layers waiting 0%",
    ]


def test_the_counters_move_when_a_layer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take a while until it is durable."""
    bars = begun()
    bars.layer("base", 1_000_000, "closing")
    total, nginx, other, _ = shown(bars, 100, monkeypatch)
    assert total.startswith("0 of 3 images, 1 of 4 layers")
    assert nginx.startswith("nginx: 3 of 5 layers unpacking 0 B of 2 MB")
    assert other.startswith("a-component-with-a-long-name: 1 of 1 layer unpacking")


def test_an_image_that_is_done_has_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = begun()
    for layer in ("base", "c"):
        bars.layer(layer, 1, "done")
    said = capsys.readouterr().err
    assert "a-component-with-a-long-name: done" in said
    assert "redis: done" in said
    total, *rows = shown(bars, 100, monkeypatch)
    assert total.startswith("2 of 3 images, 2 of 4 layers")
    assert [row.partition(":")[0] for row in rows] == ["nginx"]
    for layer in ("a", "b"):
        bars.layer(layer, 1, "failed")
    assert "nginx" not in capsys.readouterr().err


def test_images_at_work_come_first_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = TerminalBars()
    for number in range(40):
        bars.image(f"image-{number}", [f"layer-{number}"], 0)
    bars.layer("layer-39", 10, "unpacking")
    rows = shown(bars, 60, monkeypatch)[1:]
    assert len(rows) < 40
    assert rows[0].startswith("image-39")
    for number in range(40):
        bars.layer(f"layer-{number}", 10, "failed")
