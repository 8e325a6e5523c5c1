"""Property tests for as long as one likes."""

import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings

_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
#: Only `make fuzz` says it, and only it looks for what nobody has seen yet.
_FUZZING = "FUZZ_SECONDS" in os.environ
SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))


def examples(count: int, *, shrink: bool = True) -> settings:
    """So many examples in `make test`, the same ones each time: nothing may fail by bad luck.

    A slow machine is no failure, so nothing is timed. Where an example takes a second,
    shrinking one that failed would take many minutes.
    """
    return settings(
        max_examples=count,
        derandomize=not _FUZZING,
        deadline=None,
        print_blob=True,
        phases=[*_PHASES, Phase.shrink] if shrink else _PHASES,
        suppress_health_check=list(HealthCheck),
    )


def again_and_again(test: Callable[..., Any], *arguments: Any) -> None:
    """Run a property test with ever new examples until FUZZ_SECONDS have passed."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        test(*arguments)
