"""Log setup: where the program's log lines go, by ``-v`` or the environment variable ``SPEAKERLIGHT_LOG``."""

from __future__ import annotations

import logging
import os
import sys

from speakerlight.core.errors import InputError
from speakerlight.printable import printable_lines
from speakerlight.redaction import redacted

LOG_VARIABLE = "SPEAKERLIGHT_LOG"
"""Environment variable that names a level, for programs that start this one: ``warning``, ``info`` or ``debug``."""

LEVELS = {"warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}

LINE = "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s"

_root = logging.getLogger("speakerlight")


class _Formatter(logging.Formatter):
    """Log lines without the passwords of streams' addresses and without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(redacted(super().format(record)))


def set_up_logging(verbosity: int) -> None:
    """Send the package's log to stderr.

    ``verbosity`` 0: as ``SPEAKERLIGHT_LOG`` sets, by default nothing; 1: what happens (info); 2: everything, with
    tracebacks (debug). May be called again. Raises InputError for an unknown level.
    """
    name = os.environ.get(LOG_VARIABLE, "")
    if name and name.lower() not in LEVELS:
        raise InputError(f"{LOG_VARIABLE}={name}: use one of {', '.join(LEVELS)}")
    chosen = {0: LEVELS.get(name.lower()), 1: logging.INFO}.get(verbosity, logging.DEBUG)
    for handler in list(_root.handlers):
        _root.removeHandler(handler)
    # Without a handler Python itself would print warnings.
    handler = logging.NullHandler() if chosen is None else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(LINE, "%H:%M:%S"))
    _root.addHandler(handler)
    _root.setLevel(logging.NOTSET if chosen is None else chosen)
