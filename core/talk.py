"""Talk statistics of a session: time, turns, longest turn and interruptions of each person."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from speakerlight.core.segments import Segment

LEAST_OVERLAP_SECONDS = 0.3
"""Minimum overlap of an interruption. A mark outlasts its speaker by 0.25 s in the median, so most shorter overlaps are
changes of turn."""

_RECENT_SEGMENTS = 64
"""Number of segments, by end, that a later one may have interrupted."""


@dataclass(frozen=True)
class Talk:
    """Statistics of one person: total talk time, number of segments, the longest of them.

    ``interruptions``: turns that began while another person spoke, and continued after that person stopped.
    """

    seconds: float = 0.0
    turns: int = 0
    longest_seconds: float = 0.0
    interruptions: int = 0

    def __add__(self, other: Talk) -> Talk:
        return Talk(
            self.seconds + other.seconds,
            self.turns + other.turns,
            max(self.longest_seconds, other.longest_seconds),
            self.interruptions + other.interruptions,
        )


def talk_of(segments: Iterable[Segment]) -> dict[int, Talk]:
    """The statistics of a session by person, longest talk time first. ``segments``: in any order, one a turn."""
    by_person: dict[int, Talk] = {}
    ended: deque[Segment] = deque(maxlen=_RECENT_SEGMENTS)
    for segment in sorted(segments, key=lambda segment: (segment.end, segment.start)):
        seconds = segment.end - segment.start
        is_interruption = any(_interrupts(segment, other) for other in ended)
        own = Talk(seconds, 1, seconds, int(is_interruption))
        by_person[segment.id] = by_person.get(segment.id, Talk()) + own
        ended.append(segment)
    return dict(sorted(by_person.items(), key=lambda item: (-item[1].seconds, item[0])))


def _interrupts(segment: Segment, other: Segment) -> bool:
    """Whether ``segment`` began during ``other``, which ended no later, and continued after it."""
    overlap, goes_on = other.end - segment.start, segment.end > other.end
    return other.id != segment.id and other.start < segment.start and goes_on and overlap >= LEAST_OVERLAP_SECONDS
