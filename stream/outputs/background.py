"""Background output: runs a slow output in a thread of its own, so that encoding and a slow disk never delay the run.

The frames and events of an output that falls behind are dropped, counted and logged here.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from speakerlight.core.events import Event
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.output import Output
from speakerlight.threads import join_within

logger = logging.getLogger(__name__)

FRAME_LIMIT = 16
"""Maximum number of waiting frames, about half a second of video: ``close`` may still have to encode them."""

SHOWN_LIMIT = 1
"""Displayed frames that may wait: only the newest one matters."""

OTHER_LIMIT = 4096
"""Maximum number of waiting audio chunks, snapshots and events, each: two and a half minutes, 30 MB with 25 faces."""

LIMITS = {"frame": FRAME_LIMIT, "shown": SHOWN_LIMIT}

CLOSE_SECONDS = 10.0
"""Time for an output to end. After it, the output is stuck (a dead network disk) and is abandoned."""


@dataclass(frozen=True)
class _Call:
    kind: str
    run: Callable[[], None]


class Background(Output):
    """Passes every call on to ``output`` in another thread. If that falls behind, the oldest of the kind is dropped.

    Dropped frames make a recording jerky; a dropped event, snapshot or audio chunk counts in ``missed_events`` and
    makes the output incomplete. A failure of ``output`` is raised from the next call here.
    """

    def __init__(self, output: Output) -> None:
        self.option = output.option  # type: ignore[misc]
        self.takes_frames = output.takes_frames  # type: ignore[misc]
        self.takes_shown = output.takes_shown  # type: ignore[misc]
        self._output = output
        self._ignored = {kind for kind in _KINDS if getattr(type(output), kind) is getattr(Output, kind)}
        self._calls: deque[_Call] = deque()
        self._waiting: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._closing = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"output {output.option}", daemon=True)
        self._thread.start()

    @property
    def dropped_frames(self) -> int:
        return sum(self._dropped[kind] for kind in LIMITS)

    @property
    def missed_events(self) -> int:  # type: ignore[override]
        """Events dropped here, or missed by the output itself."""
        return self._dropped.total() - self.dropped_frames + self._output.missed_events

    def event(self, event: Event) -> None:
        self._pass_on("event", lambda: self._output.event(event))

    def snapshot(self, snapshot: Snapshot) -> None:
        self._pass_on("snapshot", lambda: self._output.snapshot(snapshot))

    def audio(self, chunk: AudioChunk) -> None:
        self._pass_on("audio", lambda: self._output.audio(chunk))

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        self._pass_on("frame", lambda: self._output.frame(frame, snapshot))

    def shown(self, image: Image) -> None:
        self._pass_on("shown", lambda: self._output.shown(image))

    def close(self) -> None:
        """Let the waiting calls through, close the output and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if not join_within(self._thread, CLOSE_SECONDS):
            raise TimeoutError(f"did not finish in {CLOSE_SECONDS:.0f} s")
        if self._error is not None:
            raise self._error

    def _pass_on(self, kind: str, run: Callable[[], None]) -> None:
        if kind in self._ignored:
            return
        with self._changed:
            if self._error is not None:
                raise self._error
            if self._waiting[kind] >= LIMITS.get(kind, OTHER_LIMIT):
                self._drop_oldest(kind)
            self._calls.append(_Call(kind, run))
            self._waiting[kind] += 1
            self._changed.notify()

    def _drop_oldest(self, kind: str) -> None:
        self._calls.remove(next(call for call in self._calls if call.kind == kind))
        self._waiting[kind] -= 1
        self._dropped[kind] += 1
        count = self._dropped[kind]
        if kind != "shown" and count & (count - 1) == 0:  # at 1, 2, 4, …: a few lines even when it lasts for hours
            logger.warning("%s is behind: %d of kind %s dropped so far", self.option, count, kind)

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
        except Exception as error:  # raised where the output is fed
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


_KINDS = ("event", "snapshot", "audio", "frame", "shown")
