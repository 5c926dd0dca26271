"""Environment of the caller: repairs settings and closed streams that would break libraries."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import resource

BACKEND = "MPLBACKEND"


@contextmanager
def without_matplotlib_backend() -> Iterator[None]:
    """Hide ``MPLBACKEND``: the name of a backend that does not exist makes ``import matplotlib`` fail.

    MediaPipe imports it, too. No backend is needed to draw into a file.
    """
    backend = os.environ.pop(BACKEND, None)
    try:
        yield
    finally:
        if backend is not None:
            os.environ[BACKEND] = backend


def has_temporary_files() -> bool:
    """Whether matplotlib keeps files that its exit handler removes: the caller has no home that can be written to."""
    cache_folder = getattr(sys.modules.get("matplotlib"), "get_cachedir", None)
    return cache_folder is not None and Path(cache_folder()).parent == Path(tempfile.gettempdir())


def memory_note() -> str:
    """For the line about an error: that the caller limits the memory (``ulimit -v``), if so. Empty otherwise.

    Libraries call a lack of memory all kinds of things: damaged weights, an unusable file.
    """
    if sys.platform == "win32":
        return ""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return ""
    return f" (memory is limited to {limit >> 20} MB, see ulimit -v, which may be why)"


def open_standard_streams() -> None:
    """Open standard streams that the caller closed (``2>&-``) to nowhere, so that no other file gets their numbers.

    ``sys.__stdout__`` stays None for a closed standard output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
