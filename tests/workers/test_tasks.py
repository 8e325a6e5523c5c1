"""Tasks are done by as many processes as are worth their start, and give results and errors."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from importer.errors import ImporterError
from importer.workers.tasks import Tasks, processes
from layers.errors import LayerError

MB = 1 << 20


@dataclass(frozen=True)
class Number:
    """Returns a number, and the process that did so."""

    number: int

    def run(self) -> tuple[int, int]:
        return self.number, os.getpid()


@dataclass(frozen=True)
class Failing:
    error: Exception

    def run(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("jobs", "sizes", "count"),
    [
        (8, [], 1),
        (8, [MB] * 40, 1),  # all together are too little
        (8, [1000 * MB], 1),  # nothing to share
        (8, [40 * MB] * 2, 2),
        (8, [1000 * MB] * 3, 3),
        (2, [1000 * MB] * 3, 2),
        (1, [1000 * MB] * 3, 1),
    ],
)
def test_there_are_as_many_processes_as_are_worth_it(
    jobs: int, sizes: list[int], count: int
) -> None:
    assert processes(jobs, sizes) == count


@pytest.mark.parametrize("count", [1, 2])
def test_each_task_gives_its_own_result(count: int) -> None:
    with Tasks(count, __name__) as tasks:
        begun = [tasks.begin(Number(number)) for number in range(20)]
        found = [one.result() for one in begun]
    assert [number for number, _ in found] == list(range(20))
    workers = {process for _, process in found}
    assert (workers == {os.getpid()}) == (count == 1)
    assert len(workers) <= count


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("error", [LayerError("wrong", path=b"a"), ImporterError("full", hint="x")])
def test_an_error_is_that_of_the_task(count: int, error: LayerError | ImporterError) -> None:
    with Tasks(count, __name__) as tasks:
        failing, later = tasks.begin(Failing(error)), tasks.begin(Number(1))
        with pytest.raises(type(error)) as caught:
            failing.result()
        assert later.result()[0] == 1
    assert vars(caught.value) == vars(error)
