"""Runs a slow output in a thread of its own, so that encoding and a slow disk never hold up the live path."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from speakerlight.core.events import Event
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.output import Output
from speakerlight.threads import join_within

FRAME_LIMIT = 16
"""About half a second of video: what an encoder may fall behind, and what ``close`` may still have to encode."""

SHOWN_LIMIT = 1
"""What is on show is worth nothing once there is something newer."""

OTHER_LIMIT = 4096
"""Sounds, snapshots and events that may wait: minutes of them, and small."""

LIMITS = {"frame": FRAME_LIMIT, "shown": SHOWN_LIMIT}

CLOSE_SECONDS = 10.0
"""An output that has not ended by then is stuck (a dead network disk, a pipe that nobody reads) and is left behind."""


@dataclass(frozen=True)
class _Call:
    kind: str
    run: Callable[[], None]


class Background(Output):
    """Hands every call on to ``output`` in another thread. If that falls behind, the oldest of the kind is dropped.

    A failure of ``output`` is raised from the next call here.
    """

    def __init__(self, output: Output) -> None:
        self.option = output.option  # type: ignore[misc]
        self.takes_frames = output.takes_frames  # type: ignore[misc]
        self.takes_shown = output.takes_shown  # type: ignore[misc]
        self.dropped_frames = 0
        self._output = output
        self._calls: deque[_Call] = deque()
        self._waiting: dict[str, int] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"output {output.option}", daemon=True)
        self._thread.start()

    def event(self, event: Event) -> None:
        self._hand_on("event", lambda: self._output.event(event))

    def snapshot(self, snapshot: Snapshot) -> None:
        self._hand_on("snapshot", lambda: self._output.snapshot(snapshot))

    def audio(self, chunk: AudioChunk) -> None:
        self._hand_on("audio", lambda: self._output.audio(chunk))

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        self._hand_on("frame", lambda: self._output.frame(frame, snapshot))

    def shown(self, image: Image) -> None:
        self._hand_on("shown", lambda: self._output.shown(image))

    def close(self) -> None:
        """Let the waiting calls through, close the output and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if not join_within(self._thread, CLOSE_SECONDS):
            raise TimeoutError(f"did not finish in {CLOSE_SECONDS:.0f} s")
        if self._error is not None:
            raise self._error

    def _hand_on(self, kind: str, run: Callable[[], None]) -> None:
        with self._changed:
            if self._error is not None:
                raise self._error
            if self._waiting.get(kind, 0) >= LIMITS.get(kind, OTHER_LIMIT):
                self._drop_oldest(kind)
            self._calls.append(_Call(kind, run))
            self._waiting[kind] = self._waiting.get(kind, 0) + 1
            self._changed.notify()

    def _drop_oldest(self, kind: str) -> None:
        self._calls.remove(next(call for call in self._calls if call.kind == kind))
        self._waiting[kind] -= 1
        self.dropped_frames += kind in LIMITS

    def _next(self) -> _Call | None:
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._closing)
            if not self._calls:
                return None
            call = self._calls.popleft()
            self._waiting[call.kind] -= 1
            return call

    def _work(self) -> None:
        try:
            while call := self._next():
                call.run()
        except Exception as error:  # whatever it is, it belongs to the thread that feeds
            self._fail(error)
        try:
            self._output.close()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = self._error or error
            self._calls.clear()
            self._waiting.clear()
