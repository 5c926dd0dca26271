"""The tick grid: video of any rate, by timestamp, onto 25 ticks a second."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from speakerlight.core.media import Frame
from speakerlight.core.timebase import TICK_RATE

_JITTER_SECONDS = 1e-3
"""Containers round timestamps to a millisecond or so: a frame this little early still counts as on its tick."""

_STEADY_FRAMES = 8
"""The next frame is expected no sooner than any of this many came after the one before it."""

_LONGEST_GAP_SECONDS = 3600.0
"""A longer gap between frames leaves ticks out, so that damaged timestamps cost neither time nor memory."""


class TickGrid:
    """Gives each tick the frame that is nearest to it in time, or None where there is none.

    Tick ``k`` stands for the time ``k / 25``. A tick is decided as soon as no nearer frame is to be expected, at the
    latest with a frame at or after it. So the grid adds half a source frame of delay, where frames come evenly, and one
    at most; and no drift: slow video repeats frames, fast video skips some. No frame stands for a tick more than
    ``max_repeat_seconds`` from it, nor for one before the first frame: such ticks have none. While no frame comes,
    ``pass_time`` decides the ticks.
    """

    def __init__(self, max_repeat_seconds: float = 1.0) -> None:
        self._max_repeat = max_repeat_seconds
        self._distances: deque[float] = deque(maxlen=_STEADY_FRAMES)
        self._last: Frame | None = None
        self._next_tick = 0

    def begin(self, time: float) -> None:
        """Leave out the ticks before ``time`` (seconds): the session begins there."""
        self._next_tick = max(0, round(time * TICK_RATE))

    def push(self, frame: Frame) -> Iterator[tuple[int, Frame | None]]:
        """The ticks that ``frame`` decides, in order, each with its frame. Frames that come late are ignored."""
        last = self._last
        if last is not None and frame.time <= last.time:
            return
        self._last = frame
        if last is not None:
            self._distances.append(frame.time - last.time)
        if frame.time - self._next_tick / TICK_RATE > _LONGEST_GAP_SECONDS:
            self._next_tick = round(frame.time * TICK_RATE)
        reach = frame.time + (self._ahead() if last is not None else 0.5 / TICK_RATE)
        while (time := self._next_tick / TICK_RATE) <= reach:
            tick = self._next_tick
            self._next_tick += 1
            yield tick, self._nearest(last, frame, time)

    def pass_time(self, until: float) -> Iterator[tuple[int, Frame | None]]:
        """The ticks that are decided because no more frames come before ``until`` (seconds)."""
        last = self._last
        while (time := self._next_tick / TICK_RATE) < until - 0.5 / TICK_RATE:
            since = math.inf if last is None else time - last.time
            is_last_nearest = since <= self._max_repeat
            if until - time < (since if is_last_nearest else self._max_repeat) and last is not None:
                return
            tick = self._next_tick
            self._next_tick += 1
            yield tick, last if is_last_nearest else None

    def finish(self, end: float) -> Iterator[tuple[int, Frame | None]]:
        """The ticks that are left when no more frames come and the media ends at ``end`` (seconds)."""
        while (self._next_tick + 1) / TICK_RATE <= end + _JITTER_SECONDS:
            tick = self._next_tick
            self._next_tick += 1
            yield tick, self._nearest(self._last, None, tick / TICK_RATE)

    def _nearest(self, last: Frame | None, frame: Frame | None, time: float) -> Frame | None:
        """The nearer of two frames, none that is too far away. The first frame of all stands for none before it."""
        if last is None:
            is_first = frame is not None and frame.time - time <= 0.5 / TICK_RATE + _JITTER_SECONDS
            return frame if is_first else None
        nearest = frame if frame is not None and frame.time - time <= time - last.time else last
        return nearest if abs(nearest.time - time) <= self._max_repeat else None

    def _ahead(self) -> float:
        """How long after the newest frame no other is expected to be nearer."""
        if len(self._distances) < _STEADY_FRAMES:
            return _JITTER_SECONDS
        return max(_JITTER_SECONDS, min(self._distances) / 2)
