"""Speaking segments: successive snapshots become segments of one person each, in view or out of it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from speakerlight.core.identities import voice_label
from speakerlight.core.snapshot import Snapshot, SpeakingState
from speakerlight.core.timebase import TICK_RATE

LONGEST_HOLD_SECONDS = 0.5
"""Longest time for which a snapshot stands: after a stall it is unknown who went on speaking. The coarsest load level
scores every fourth tick, which is 0.16 s."""


LONGEST_UNDECIDED_SECONDS = 2.0
"""Longest speech without a known speaker that counts as the beginning of the segment after it."""


@dataclass(frozen=True)
class Segment:
    """Person ``id`` spoke from ``start`` to ``end``, seconds of the session."""

    id: int
    start: float
    end: float


class SpeakingSegments:
    """Accepts snapshots in order and returns each segment when it has ended.

    A speaker is decided some tenths of a second after a turn's beginning: speech before that, without a known
    speaker, is part of the segment.
    """

    def __init__(self) -> None:
        self._started: dict[int, float] = {}
        self._undecided_since: float | None = None
        self._last: float | None = None

    def push(self, snapshot: Snapshot) -> list[Segment]:
        """The segments that this snapshot ends, by start."""
        for merge in snapshot.merges:
            if merge.id in self._started:
                start = self._started.pop(merge.id)
                self._started[merge.into] = min(start, self._started.get(merge.into, start))
        speaking = speakers(snapshot)
        stalled = self._last is not None and snapshot.time > self._last + LONGEST_HOLD_SECONDS
        ended = set(self._started) if stalled else set(self._started) - speaking
        segments = self._end(ended, snapshot.time)
        began = snapshot.time if stalled or self._undecided_since is None else self._undecided_since
        for person in speaking:
            self._started.setdefault(person, max(began, snapshot.time - LONGEST_UNDECIDED_SECONDS))
        if speaking or snapshot.state is SpeakingState.SILENCE:
            self._undecided_since = None
        else:
            self._undecided_since = began
        self._last = snapshot.time
        return segments

    def finish(self) -> list[Segment]:
        """The segments still open at the end of the run; the last snapshot counts for one tick."""
        return self._end(set(self._started), (self._last or 0.0) + 1 / TICK_RATE)

    def _end(self, people: set[int], time: float) -> list[Segment]:
        end = time if self._last is None else min(time, self._last + LONGEST_HOLD_SECONDS)
        segments = [Segment(person, self._started.pop(person), end) for person in people]
        return sorted(segments, key=lambda segment: (segment.start, segment.id))


def speakers(snapshot: Snapshot) -> set[int]:
    """Ids of everybody who speaks: faces in view, and a known person out of view."""
    speaking = {face.id for face in snapshot.faces if face.speaking}
    if snapshot.state is SpeakingState.OFFSCREEN and snapshot.offscreen is not None:
        speaking.add(snapshot.offscreen)
    return speaking


class Identities:
    """Merges of ids and names of people, as they become known in the course of a run."""

    def __init__(self) -> None:
        self._into: dict[int, int] = {}
        self.names: dict[int, str] = {}
        """Names by final id, of persons who have one."""

    def update(self, snapshot: Snapshot) -> None:
        """Apply the merges and names of a tick."""
        for merge in snapshot.merges:
            self._into[merge.id] = merge.into
            name = self.names.pop(merge.id, None)
            if name is not None and name != voice_label(-merge.id):
                self.names.setdefault(merge.into, name)
        self.names.update(snapshot.names)

    def final(self, person: int) -> int:
        """The id of ``person`` after all merges so far."""
        seen = set()
        while person in self._into and person not in seen:
            seen.add(person)
            person = self._into[person]
        return person


class SessionRecord:
    """Who spoke when in a whole run, with the names and merges that became known later. 24 bytes a segment."""

    def __init__(self) -> None:
        self._open = SpeakingSegments()
        self._identities = Identities()
        self._people, self._starts, self._ends = array("q"), array("d"), array("d")

    @property
    def names(self) -> dict[int, str]:
        """Names by id, of persons who have one."""
        return self._identities.names

    def push(self, snapshot: Snapshot) -> None:
        """Add a tick."""
        self._identities.update(snapshot)
        self._keep(self._open.push(snapshot))

    def finish(self) -> None:
        """End the record, and with it the segments that are open."""
        self._keep(self._open.finish())

    def segments(self) -> list[Segment]:
        """Every ended segment under the person's final id, by start; those of one person do not overlap."""
        by_person: dict[int, list[Segment]] = {}
        for start, end, given in sorted(zip(self._starts, self._ends, self._people, strict=True)):
            person = self._identities.final(given)
            own = by_person.setdefault(person, [])
            if own and start <= own[-1].end:
                own[-1] = Segment(person, own[-1].start, max(own[-1].end, end))
            else:
                own.append(Segment(person, start, end))
        every = [segment for own in by_person.values() for segment in own]
        return sorted(every, key=lambda segment: (segment.start, segment.id))

    def _keep(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._people.append(segment.id)
            self._starts.append(segment.start)
            self._ends.append(segment.end)
