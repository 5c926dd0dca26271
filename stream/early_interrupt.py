"""Ctrl-C while the program is still being imported: it ends at once, instead of in a traceback. Import this first."""

from __future__ import annotations

import os
import signal
import threading


def _end(*_: object) -> None:
    os._exit(0)


def install() -> None:
    """Let SIGINT end the process, unless the caller ignores it, until :func:`remove`."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def remove() -> None:
    """Let SIGINT raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
