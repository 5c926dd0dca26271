"""Models are fetched and loaded in a thread of their own, while the devices open."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

LOADING = "loading"
"""The name of the thread."""

LOADING_SECONDS = 5.0
"""How long the end of a run waits for models that still load; a download is not waited for."""

Result = TypeVar("Result")


class LoadFuture(Generic[Result]):
    """``work`` in a thread of its own, begun early by ``begin`` or else when its result is asked for."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._future: Future[Result] = Future()
        self._thread = threading.Thread(target=self._run, args=(work,), name=LOADING, daemon=True)

    def begin(self) -> None:
        """Unless it was begun already."""
        if self._thread.ident is None:
            self._thread.start()

    def result(self) -> Result:
        """What ``work`` gave; raises what it raised."""
        self.begin()
        return self._future.result()

    def wait(self) -> None:
        """Let the thread end, if it was begun: Python had better not exit while a library is being imported."""
        if self._thread.ident is not None:
            self._thread.join(LOADING_SECONDS)

    def _run(self, work: Callable[[], Result]) -> None:
        try:
            with _nothing_collected():
                result = work()
            self._future.set_result(result)
        except BaseException as error:
            self._future.set_exception(error)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """What is imported stays: looking for garbage in it is a tenth of the time that importing torch takes, and later on
    every full collection would hold up all threads for 76 ms (measured)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
