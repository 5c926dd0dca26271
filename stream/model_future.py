"""Model loading in the background: a thread of its own fetches and loads models while the devices open."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from speakerlight.threads import join_within

logger = logging.getLogger(__name__)

LOADING = "loading"
"""Name of the loading thread."""

LOADING_SECONDS = 5.0
"""How long the end of a run waits for models that still load; a download is not waited for."""

Result = TypeVar("Result")


class LoadFuture(Generic[Result]):
    """The result of ``work``, which runs in a thread of its own from ``begin``, or from ``result`` at the latest."""

    def __init__(self, work: Callable[[], Result], what: str = "models") -> None:
        """``what`` it loads, for the log."""
        self._what = what
        self._future: Future[Result] = Future()
        self._thread = threading.Thread(target=self._run, args=(work,), name=LOADING, daemon=True)
        self._beginning = threading.Lock()

    def begin(self) -> None:
        """Start the thread, unless it was started already. From any thread."""
        with self._beginning:
            if self._thread.ident is None:
                self._thread.start()

    def result(self) -> Result:
        """Wait for ``work`` and return its result; raise what it raised."""
        self.begin()
        return self._future.result()

    def wait(self) -> None:
        """Let a started thread end: Python must not exit while a library is being imported."""
        join_within(self._thread, LOADING_SECONDS)

    def _run(self, work: Callable[[], Result]) -> None:
        try:
            begun = time.monotonic()
            result = work()
            logger.info("%s loaded in %.2f s", self._what, time.monotonic() - begun)
            self._future.set_result(result)
        except BaseException as error:
            self._future.set_exception(error)
