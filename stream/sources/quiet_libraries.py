"""Quiet libraries: hides what C libraries print while they look for devices; our own message names the fault."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_TAKING_TURNS = threading.RLock()
"""Two threads at once would each restore what the other had put there."""


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Send file descriptor 2 to nowhere for a moment. The whole process is mute meanwhile, so keep it short."""
    with _TAKING_TURNS:
        with suppress(OSError):  # a terminal that was closed
            sys.stderr.flush()
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(nowhere)
            os.close(kept)
