"""The tick grid: video of any rate, by timestamp, onto 25 ticks a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from speakerlight.core.media import Frame
from speakerlight.core.timebase import TICK_RATE

_JITTER_SECONDS = 1e-3
"""Containers round timestamps to a millisecond or so: a frame this little early still counts as on its tick."""


_STEADY_FRAMES = 8
"""So many frames tell how soon the next one may come: no sooner than any of them did."""


class TickGrid:
    """Gives each tick the frame that is nearest to it in time.

    Tick ``k`` stands for the time ``k / 25``. A tick is decided as soon as no nearer frame is to be expected, at the
    latest with a frame at or after it. So the grid adds half a source frame of delay, where frames come evenly, and one
    at most; and no drift: slow video repeats frames, fast video skips some. No frame stands for a tick more than
    ``max_repeat_seconds`` from it: a longer gap leaves ticks out.
    """

    def __init__(self, max_repeat_seconds: float = 1.0) -> None:
        self._max_repeat = max_repeat_seconds
        self._distances: deque[float] = deque(maxlen=_STEADY_FRAMES)
        self._last: Frame | None = None
        self._next_tick = 0

    def push(self, frame: Frame) -> Iterator[tuple[int, Frame]]:
        """The ticks that ``frame`` decides, in order, each with its frame. Frames that come late are ignored."""
        last = self._last
        if last is not None and frame.time <= last.time:
            return
        self._last = frame
        if last is None:
            self._next_tick = max(0, round(frame.time * TICK_RATE))
        else:
            self._distances.append(frame.time - last.time)
        reach = frame.time + (self._ahead() if last is not None else 0.5 / TICK_RATE)
        while (time := self._next_tick / TICK_RATE) <= reach:
            tick = self._next_tick
            self._next_tick += 1
            nearest = frame if last is None or frame.time - time <= time - last.time else last
            if abs(nearest.time - time) <= self._max_repeat:
                yield tick, nearest

    def _ahead(self) -> float:
        """How long after the newest frame no other is expected to be nearer."""
        if len(self._distances) < _STEADY_FRAMES:
            return _JITTER_SECONDS
        return max(_JITTER_SECONDS, min(self._distances) / 2)
