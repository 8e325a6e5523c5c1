"""Read pickles that another machine has sent, without running any of its code.

Dask's client unpickles what the scheduler sends, in many places: whole messages, errors, types. To
unpickle is to call what the pickle names. Here each class and function that a pickle names becomes
a class without behaviour.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterable, Iterator

# How many values of an error are looked at for its text.
_MOST = 100


class Told(Exception):
    """An object of another process: the name of its class is the type's name; `args` are what it
    was made from, `state` its attributes. An exception, since Dask raises the errors of tasks."""

    state: object = None

    def __init__(self, *args: object, **_: object) -> None:
        super().__init__(*args)

    def __setstate__(self, state: object) -> None:
        """Keep the attributes as data."""
        self.state = state

    @property
    def name(self) -> str:
        """Return the name of the class; of the error's where tblib, which adds tracebacks for Dask,
        has pickled it: its function takes the class first."""
        first = self.args[0] if self.args else None
        return first.__name__ if isinstance(first, type) else type(self).__name__

    def __str__(self) -> str:
        """Return the first text that the object was made from."""
        return next(_texts(self.args), self.name)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in a value, as far as it is made of tuples and dicts that are not deep."""
    waiting = [value]
    for _ in range(_MOST):
        match waiting.pop(0) if waiting else None:
            case str() as text:
                yield text
            case tuple() as found:
                waiting += found
            case dict() as found:
                waiting += found.values()


class _Unpickler(pickle.Unpickler):
    def find_class(self, _module: str, name: str) -> type[Told]:
        """Return a class that only has the name."""
        return type(name, (Told,), {})


def loads(data: Buffer, *, buffers: Iterable[Buffer] = ()) -> object:
    """Return the pickled object with `Told` in place of all but numbers, texts, lists and dicts.

    Raise as pickle.loads does.
    """
    return _Unpickler(io.BytesIO(data), buffers=buffers).load()
