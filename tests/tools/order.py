"""The order in which xdist hands out the test files: a long one at the end would run alone."""

import pytest

#: The files that take longest, the longest first, by the figures of `pytest --durations=0`.
LONGEST = (
    "tests/fixtures/test_bench.py",
    "tests/semantics/test_other_tools.py",
    "tests/docs/test_pages_run.py",
    "tests/import_images/test_bad_input.py",
    "tests/semantics/test_drivers.py",
    "tests/import_images/test_kill.py",
    "tests/import_images/test_silence.py",
    "tests/import_images/test_import.py",
    "tests/device/test_readable_by_podman.py",
    "tests/cluster/test_failures.py",
    "tests/repo/test_power_cuts.py",
    "tests/device/test_upgrade.py",
    "tests/imagestore/test_check_upgrade.py",
    "tests/device/test_deployed.py",
    "tests/cache/test_flatten.py",
    "tests/fixtures/test_manual.py",
    "tests/cluster/test_same_commits.py",
    "tests/commit/test_onto.py",
)
_RANKS = {name: rank for rank, name in enumerate(LONGEST)}


def keep(config: pytest.Config) -> None:
    """Have xdist keep the order of the files. By itself it begins with those of many tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def longest_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests of an xdist worker; a file's own tests stay in their order."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _RANKS.get(item.location[0], len(LONGEST)))
