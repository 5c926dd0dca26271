"""Joining threads with a time limit: one that hangs in a driver, a library or a socket is abandoned."""

from __future__ import annotations

import logging
import threading

logger = logging.getLogger(__name__)


def join_within(thread: threading.Thread | None, seconds: float) -> bool:
    """Wait up to ``seconds`` for ``thread`` to end; False when it still runs.

    A thread that was never started (or is None) counts as ended. ``thread`` must be a daemon: one that hangs is logged
    and abandoned, and does not keep the process alive.
    """
    if thread is None or thread.ident is None:
        return True
    thread.join(seconds)
    if thread.is_alive():
        logger.warning("thread %s has not ended within %.1f s and is abandoned", thread.name, seconds)
        return False
    return True
