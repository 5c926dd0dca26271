"""Exit guard: ends a run with its outputs whole although a library ends the process.

Qt and Xlib call C's ``exit`` when the display goes away. The guard's function runs as the first exit handler, while
all other threads still work.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def exit_guarded(instead: Callable[[], int]) -> Iterator[None]:
    """While this lasts, C's ``exit`` becomes a call of ``instead``; the process ends with the status that it returns.

    Does nothing where the C library is not glibc.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(library, "__cxa_atexit"):
        yield
        return
    is_active = True

    def handle(_: int | None) -> None:
        if not is_active:
            return
        statuses = []
        try:
            # In a thread of its own: this one's C++ objects, such as OpenCV's fonts, are gone by now.
            thread = threading.Thread(target=lambda: statuses.append(instead()), name="exit guard", daemon=True)
            thread.start()
            thread.join()
        finally:
            os._exit(statuses[0] if statuses else 1)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(handle)
    owner = ctypes.c_char()  # its address identifies this registration
    getattr(library, "__cxa_atexit")(handler, None, ctypes.byref(owner))
    try:
        yield
    finally:
        is_active = False
        getattr(library, "__cxa_finalize")(ctypes.byref(owner))
