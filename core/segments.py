"""Speaking segments: who spoke from when to when, from successive snapshots."""

from __future__ import annotations

from dataclasses import dataclass

from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import TICK_RATE

LONGEST_HOLD_SECONDS = 0.5
"""A snapshot stands until the next, but no longer than this: after a stall it is unknown who went on speaking. The
coarsest load level scores every 4th tick, which is 0.16 s."""


@dataclass(frozen=True)
class Segment:
    """Person ``id`` was speaking from ``start`` to ``end``, seconds of the session."""

    id: int
    start: float
    end: float


class SpeakingSegments:
    """Converts snapshots, in order, to segments; a segment is given when it has ended."""

    def __init__(self) -> None:
        self._started: dict[int, float] = {}
        self._last: float | None = None

    def push(self, snapshot: Snapshot) -> list[Segment]:
        """The segments that this snapshot ends, by start."""
        for merge in snapshot.merges:
            if merge.id in self._started:
                start = self._started.pop(merge.id)
                self._started[merge.into] = min(start, self._started.get(merge.into, start))
        speaking = {face.id for face in snapshot.faces if face.speaking}
        stalled = self._last is not None and snapshot.time > self._last + LONGEST_HOLD_SECONDS
        ended = set(self._started) if stalled else set(self._started) - speaking
        segments = self._end(ended, snapshot.time)
        for person in speaking:
            self._started.setdefault(person, snapshot.time)
        self._last = snapshot.time
        return segments

    def finish(self) -> list[Segment]:
        """The segments still open at the end of the run; the last snapshot counts for one tick."""
        return self._end(set(self._started), (self._last or 0.0) + 1 / TICK_RATE)

    def _end(self, people: set[int], time: float) -> list[Segment]:
        end = time if self._last is None else min(time, self._last + LONGEST_HOLD_SECONDS)
        segments = [Segment(person, self._started.pop(person), end) for person in people]
        return sorted(segments, key=lambda segment: (segment.start, segment.id))
