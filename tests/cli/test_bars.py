"""The bars of a terminal, as rich has them."""

from importer.cli.progress_display import TerminalBars


def test_a_blob_that_starts_again_counts_once() -> None:
    bars = TerminalBars()
    bars.layer("a", 100, "waiting")
    bars.layer("b", 50, "waiting")
    for read in (60, 100):  # broken off, then whole
        with bars.blob("a", 100) as advance:
            advance(read)
    first, _, _ = bars._rich.tasks
    assert (first.completed, first.total) == (100, 150)
    bars.layer("a", 100, "done")
    assert first.description == "layers 1/2"
    bars.layer("b", 50, "failed")


def test_components_stand_in_the_first_line() -> None:
    bars = TerminalBars()
    bars.layer("a", 100, "waiting")
    bars.components(3, 4)
    assert bars._rich.tasks[0].description == "components 3/4, layers 0/1"
    bars.layer("a", 100, "done")
    assert bars._rich.tasks[0].description == "components 3/4, layers 1/1"
