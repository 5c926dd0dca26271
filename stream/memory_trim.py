"""Memory trimming: returns memory to the system that a stall caused the allocator to keep.

During a stall, frames fill the rings. Afterwards they are freed, but glibc keeps most of their pages as long as the run
lasts: 8 MB in 20 quiet minutes, 35 MB beside a busy program (measured).
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_SECONDS = 10.0
"""Interval of trimming. A trim takes a millisecond, and pages needed again are faulted in again: rare enough."""


@contextmanager
def memory_trimmed(every_seconds: float = TRIM_SECONDS) -> Iterator[None]:
    """Return freed memory to the system regularly inside the block. Does nothing where the C library is not glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        yield
        return
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_seconds):
            trim(0)

    thread = threading.Thread(target=work, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
