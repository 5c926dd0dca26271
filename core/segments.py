"""Speaking segments: successive snapshots become the speaking turns of each person, in view or out of it.

A segment is a turn: summary, ``--export`` and ``--rttm`` take theirs from a :class:`SessionRecord`, and the page counts
by the same rules (``server/page/turns.js``).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace

from speakerlight.core.identities import Merge, voice_label
from speakerlight.core.snapshot import Snapshot, SpeakingState
from speakerlight.core.timebase import TICK_RATE

LONGEST_HOLD_SECONDS = 0.5
"""Longest time for which a snapshot stands: after a stall it is unknown who went on speaking. The coarsest load level
scores every fourth tick, which is 0.16 s."""

LONGEST_UNDECIDED_SECONDS = 2.02
"""Longest speech without a known speaker that counts as the beginning of the segment after it. Half a tick more than
2 s: no tick lies on the limit, where rounded times would decide."""


@dataclass(frozen=True)
class Segment:
    """A turn: person ``id`` spoke from ``start`` to ``end``, seconds of the session."""

    id: int
    start: float
    end: float


class SpeakingSegments:
    """Accepts snapshots in order and returns each segment when nothing can continue it any more.

    A speaker is decided some tenths of a second after a turn's beginning: speech before that, without a known
    speaker, is part of the segment. When such speech follows a person's segment and turns out to be the same
    person's, both are one segment: one that ended is therefore kept until the speech after it has a speaker.
    """

    def __init__(self) -> None:
        self._started: dict[int, float] = {}
        self._ended: list[Segment] = []
        self._undecided_since: float | None = None
        self._last: float | None = None

    def push(self, snapshot: Snapshot) -> list[Segment]:
        """The segments that are known to be complete since this snapshot, by start."""
        for merge in snapshot.merges:
            self._merge(merge)
        speaking = speakers(snapshot)
        stalled = self._last is not None and snapshot.time > self._last + LONGEST_HOLD_SECONDS
        self._end(set(self._started) if stalled else set(self._started) - speaking, snapshot.time)
        began = snapshot.time if stalled or self._undecided_since is None else self._undecided_since
        began = max(began, snapshot.time - LONGEST_UNDECIDED_SECONDS)
        for person in speaking - set(self._started):
            self._begin(person, began)
        is_decided = speaking or snapshot.state is SpeakingState.SILENCE
        self._undecided_since = None if is_decided else began
        self._last = snapshot.time
        return self._complete(self._undecided_since)

    def finish(self) -> list[Segment]:
        """The remaining segments, at the end of the run; the last snapshot counts for one tick."""
        self._end(set(self._started), (self._last or 0.0) + 1 / TICK_RATE)
        return self._complete(None)

    def _begin(self, person: int, start: float) -> None:
        """Begin a segment, or continue the person's segments that reach to its start."""
        continued = [each for each in self._ended if each.id == person and each.end >= start]
        self._started[person] = min([start, *(each.start for each in continued)])
        self._ended = [each for each in self._ended if each not in continued]

    def _end(self, people: set[int], time: float) -> None:
        end = time if self._last is None else min(time, self._last + LONGEST_HOLD_SECONDS)
        self._ended += [Segment(person, self._started.pop(person), end) for person in people]

    def _merge(self, merge: Merge) -> None:
        self._ended = [replace(each, id=merge.into) if each.id == merge.id else each for each in self._ended]
        starts = [self._started.pop(person) for person in (merge.id, merge.into) if person in self._started]
        if starts:
            self._begin(merge.into, min(starts))

    def _complete(self, undecided_since: float | None) -> list[Segment]:
        """Remove and return what no later segment can reach: all but what ends in speech that is not decided yet."""
        complete = [each for each in self._ended if undecided_since is None or each.end < undecided_since]
        self._ended = [each for each in self._ended if each not in complete]
        return sorted(complete, key=lambda segment: (segment.start, segment.id))


def speakers(snapshot: Snapshot) -> set[int]:
    """Ids of everybody who speaks: faces in view, and a known person out of view."""
    speaking = {face.id for face in snapshot.faces if face.speaking}
    if snapshot.state is SpeakingState.OFFSCREEN and snapshot.offscreen is not None:
        speaking.add(snapshot.offscreen)
    return speaking


class FinalIdentities:
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
        self._identities = FinalIdentities()
        self._people, self._starts, self._ends = array("q"), array("d"), array("d")

    @property
    def names(self) -> dict[int, str]:
        """Names by id, of persons who have one."""
        return self._identities.names

    def push(self, snapshot: Snapshot) -> list[Segment]:
        """Add a tick. Returns the segments that are complete since; a later merge may still join them with others."""
        self._identities.update(snapshot)
        return self._kept(self._open.push(snapshot))

    def finish(self) -> list[Segment]:
        """End the record. Returns the segments that were still open."""
        return self._kept(self._open.finish())

    def segments(self) -> list[Segment]:
        """Every complete segment under the person's final id, by start; those of one person do not touch."""
        given = zip(self._people, self._starts, self._ends, strict=True)
        return joined(Segment(self._identities.final(person), start, end) for person, start, end in given)

    def _kept(self, segments: list[Segment]) -> list[Segment]:
        for segment in segments:
            self._people.append(segment.id)
            self._starts.append(segment.start)
            self._ends.append(segment.end)
        return segments


def joined(segments: Iterable[Segment]) -> list[Segment]:
    """``segments`` by start, those of one person that touch or overlap as one."""
    by_person: dict[int, list[Segment]] = {}
    for segment in sorted(segments, key=lambda segment: segment.start):
        own = by_person.setdefault(segment.id, [])
        if own and segment.start <= own[-1].end:
            own[-1] = replace(own[-1], end=max(own[-1].end, segment.end))
        else:
            own.append(segment)
    every = [segment for own in by_person.values() for segment in own]
    return sorted(every, key=lambda segment: (segment.start, segment.id))
