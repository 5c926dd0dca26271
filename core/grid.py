"""The tick grid: video of any rate, by timestamp, onto 25 ticks a second."""

from __future__ import annotations

from collections.abc import Iterator

from core.media import Frame
from core.timebase import TICK_RATE

_JITTER_SECONDS = 1e-3
"""Containers round timestamps to a millisecond or so: a frame this little early still counts as on its tick."""


class TickGrid:
    """Gives each tick the frame that is nearest to it in time.

    Tick ``k`` stands for the time ``k / 25``. A tick is decided as soon as a frame at or after it is known, so the grid
    adds at most one source frame of delay and no drift: slow video repeats frames, fast video skips some. No frame
    stands for a tick more than ``max_repeat_seconds`` from it: a longer gap leaves ticks out.
    """

    def __init__(self, max_repeat_seconds: float = 1.0) -> None:
        self._max_repeat = max_repeat_seconds
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
        reach = frame.time + (_JITTER_SECONDS if last is not None else 0.5 / TICK_RATE)
        while (time := self._next_tick / TICK_RATE) <= reach:
            tick = self._next_tick
            self._next_tick += 1
            nearest = frame if last is None or frame.time - time <= time - last.time else last
            if abs(nearest.time - time) <= self._max_repeat:
                yield tick, nearest
