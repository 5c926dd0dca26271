"""Joining threads with a time limit: one that hangs in a driver, a library or a socket is abandoned, and goes on."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

SLICE_SECONDS = 0.25
"""A limit is waited for in parts of this length: a time in which the process is stopped (Ctrl-Z) counts as one part."""

logger = logging.getLogger(__name__)


def join_within(thread: threading.Thread | None, seconds: float) -> bool:
    """Wait up to ``seconds`` for ``thread`` to end; False when it still runs.

    A thread that was never started (or is None) counts as ended. ``thread`` must be a daemon: one that hangs is logged
    and abandoned, and does not keep the process alive.
    """
    if thread is None or thread.ident is None:
        return True
    parts = max(math.ceil(seconds / SLICE_SECONDS), 1)
    for _ in range(parts):
        thread.join(seconds / parts)
        if not thread.is_alive():
            break
    else:
        logger.warning("thread %s has not ended within %.1f s and is abandoned", thread.name, seconds)
        return False
    return True


def call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    """Call ``function`` in ``loop`` from another thread. Nothing happens where the loop was closed meanwhile: an
    abandoned thread may go on for longer."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function)
