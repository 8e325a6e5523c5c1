"""Guard this process from Dask's client: it unpickles messages of other machines, and it prints.

To unpickle is to call the functions that a pickle names. The client does so in many places: whole
messages, errors, types. Here each class and function that a pickle names becomes a class without
behaviour.
"""

from __future__ import annotations

import io
import logging
import pickle
from types import SimpleNamespace
from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterable, Iterator

_log = logging.getLogger(__name__)
# Dask prints the messages of these loggers and of those below them. Its errors are raised as well.
_LOGGERS = ("distributed", "tornado", "asyncio", "bokeh")
# How many values of an error are looked at for its text.
_MOST = 100
LONGEST = 200  # characters of an error that a worker or a scheduler sends


class ForeignObject(Exception):
    """An object that another process has pickled: the name of its class is the type's name; `args`
    are the arguments that it was made from, `state` its attributes. An exception, since Dask raises
    the errors of tasks."""

    state: object = None

    def __init__(self, *args: object, **_: object) -> None:
        super().__init__(*args)

    def __setstate__(self, state: object) -> None:
        """Keep the attributes as data."""
        self.state = state

    @property
    def name(self) -> str:
        """Return the name of the class. For an error that tblib has pickled, to add a traceback for
        Dask, return the name of the error's class: the first argument of tblib's function."""
        first = self.args[0] if self.args else None
        return first.__name__ if isinstance(first, type) else type(self).__name__

    def __str__(self) -> str:
        """Return the first text that the object was made from."""
        return next(_texts(self.args), self.name)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in a value that is made of tuples and dicts; look at few values."""
    waiting = [value]
    for _ in range(_MOST):
        match waiting.pop(0) if waiting else None:
            case str() as text:
                yield text
            case tuple() as values:
                waiting += values
            case dict() as values:
                waiting += values.values()


class _Unpickler(pickle.Unpickler):
    def find_class(self, _module: str, name: str) -> type[ForeignObject]:
        """Return a class that only has the name."""
        return type(name, (ForeignObject,), {})


def loads(data: Buffer, *, buffers: Iterable[Buffer] = ()) -> object:
    """Return the pickled object with a `ForeignObject` in place of all but numbers, texts, lists
    and dicts.

    Raise as pickle.loads does.
    """
    return _Unpickler(io.BytesIO(data), buffers=buffers).load()


def plain_pickle() -> SimpleNamespace:
    """Return a stand-in for the module pickle, with our `loads`."""
    return SimpleNamespace(**{**vars(pickle), "loads": loads})


def task_failure(error: BaseException) -> ImporterError:
    """Return the error of a task as one of ours."""
    name = error.name if isinstance(error, ForeignObject) else type(error).__name__
    text = str(error)[:LONGEST]
    if name == "KilledWorker":
        message = f"several workers died while they read the layer; the last was {_last(error)}"
        return ImporterError(message, hint="see the workers' logs; often memory is short")
    if name == "ImportError" or "ModuleNotFoundError" in (name, text.partition("(")[0]):
        message = f"a worker cannot load import-image: {text}"
        return ImporterError(message, hint="install the same version of it there")
    return ImporterError(f"a worker cannot read the layer: {name}: {text}")


def _last(error: BaseException) -> str:
    """Return the address in a KilledWorker's second argument, a WorkerState."""
    match error.args:
        case (_, ForeignObject(state=(_, {"address": address})), *_):
            return str(address)[:LONGEST]
        case (_, worker, *_):
            return str(getattr(worker, "address", "unknown"))
    return "unknown"


class _OwnLog(logging.Handler):
    """Pass Dask's messages on to our own log, which --verbose shows."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.debug("%s: %s", record.name, record.getMessage())


def quieten() -> None:
    """Send the messages of all of Dask's loggers to our own log, and print none."""
    for name in [*_LOGGERS, *logging.root.manager.loggerDict]:
        if name.partition(".")[0] in _LOGGERS:
            logger = logging.getLogger(name)
            logger.handlers = [_OwnLog()] if name in _LOGGERS else []
            logger.propagate = name not in _LOGGERS
