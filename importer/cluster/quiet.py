"""Keep Dask's messages off the terminal."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)
# Dask prints the messages of these loggers and of those below them. Its errors are raised as well.
_LOGGERS = ("distributed", "tornado", "asyncio", "bokeh")


class _Quietly(logging.Handler):
    """Pass Dask's messages on to our own log, which --verbose shows."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.debug("%s: %s", record.name, record.getMessage())


def quieten() -> None:
    """Send the messages of all of Dask's loggers to our own log, and print none."""
    for name in [*_LOGGERS, *logging.root.manager.loggerDict]:
        if name.partition(".")[0] in _LOGGERS:
            logger = logging.getLogger(name)
            logger.handlers = [_Quietly()] if name in _LOGGERS else []
            logger.propagate = name not in _LOGGERS
