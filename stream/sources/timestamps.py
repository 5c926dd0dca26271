"""Timestamp repair: maps packets whose container clock restarts, jumps or glitches to one continuous timeline.

Recordings that were joined, cut or made over hours carry clocks that begin anew, jump by hours or are damaged for one
packet. Audio and video of a source share the repair, so they stay in step: the media between two discontinuities is a
segment, and a whole segment is shifted to where the one before it ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

BACK_SECONDS = 0.2
"""Decoding times of a stream increase; a step back by more than this is another clock. Less is jitter."""

JUMP_SECONDS = 10.0
"""A gap in all streams is kept as it is up to this; a longer one is a jump of the clock. A recorder that lost its
connection leaves gaps of some seconds, joined files of minutes to hours."""

GAP_SECONDS = 1.0
"""A gap in audio and video that is longer than this is reported; it is kept, as a player keeps it."""

LONE_JUMP_SECONDS = 600.0
"""The same for video without audio: a screen recording has no frame while nothing changes. Also for a stream that
begins after the others have ended: its first timestamp is no jump."""

CONFIRMING_PACKETS = 2
"""A new clock is one when the next packets of its stream follow it; when they return to the old one, a packet was
damaged."""

WAIT_PACKETS = 400
WAIT_SECONDS = 2.0
"""The start of a segment is known when all streams have begun it, or after this many packets or seconds of it. MPEG-TS
keeps audio up to 0.7 s from its video."""

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Stamped(Generic[Item]):
    """One packet. ``stream``: the stream's number. Times: seconds on the container's clock.

    ``stamp``: decoding time, which increases within a stream, else presentation time; None where there is neither.
    ``start``, ``end``: when it is presented.
    """

    stream: int
    stamp: float | None
    start: float
    end: float
    item: Item


@dataclass(frozen=True, eq=False)
class Repaired(Generic[Item]):
    """A packet and the seconds to add to its timestamps; ``offset`` None: it has none, or damaged ones."""

    item: Item
    offset: float | None


@dataclass
class _Segment:
    """Media between two discontinuities, times as in the container: newest stamp and end by stream."""

    offset: float
    start: float
    last: dict[int, float] = field(default_factory=dict)
    ends: dict[int, float] = field(default_factory=dict)

    @property
    def end(self) -> float:
        return max(self.ends.values(), default=self.start)

    def follow(self, stream: int, stamp: float, end: float) -> None:
        self.last[stream] = stamp
        self.ends[stream] = max(end, self.ends.get(stream, end))


class TimestampRepair(Generic[Item]):
    """Feed packets in the order in which they were read; they come out in that order, each with its shift.

    The shifts depend on the packets alone: two readers of one file get the same. ``report`` receives one line for each
    discontinuity, ``report_gap`` one for each gap in all streams that is kept. ``longest_gap``: seconds of such a gap.
    Holds some packets where a discontinuity is suspected, WAIT_PACKETS at most, and none otherwise.
    """

    def __init__(
        self,
        report: Callable[[str], None] = lambda line: None,
        longest_gap: float = JUMP_SECONDS,
        report_gap: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._report = report
        self._longest_gap = longest_gap
        self._report_gap = report_gap
        self._newest: _Segment | None = None
        self._current: dict[int, _Segment] = {}
        self._held: deque[Stamped[Item]] = deque()

    def push(self, packet: Stamped[Item]) -> Iterator[Repaired[Item]]:
        """Take one packet; gives those whose place is known by now."""
        self._held.append(packet)
        yield from self._settle(finished=False)

    def flush(self) -> Iterator[Repaired[Item]]:
        """What is held at the end of the media."""
        yield from self._settle(finished=True)

    def _settle(self, *, finished: bool) -> Iterator[Repaired[Item]]:
        while self._held:
            packet = self._held[0]
            if packet.stamp is None:
                yield Repaired(self._held.popleft().item, None)
                continue
            segment = self._segment_of(packet.stream, packet.stamp)
            if segment is None:
                followers = self._followers(packet)
                if not (finished or self._is_decidable(packet, followers)):
                    return
                if self._is_damaged(packet):
                    yield Repaired(self._held.popleft().item, None)
                    continue
                segment = self._late_start(packet) or self._begin(packet, followers)
            self._current[packet.stream] = segment
            gap = packet.start - segment.end
            if segment.ends and gap > GAP_SECONDS:
                self._report_gap(f"there is no media for {_span(gap)}; the time counts as a pause")
            segment.follow(packet.stream, packet.stamp, packet.end)
            yield Repaired(self._held.popleft().item, segment.offset)

    def _segment_of(self, stream: int, stamp: float) -> _Segment | None:
        """The segment that ``stamp`` continues or joins; None when it needs a new one."""
        own, newest = self._current.get(stream), self._newest
        if own is not None and newest is not None and self._goes_on(own, stream, stamp):
            # Demuxers give out the last packet of a segment late, when the other stream has begun the next one.
            is_nearer = abs(stamp - own.last[stream]) <= abs(stamp - newest.end)
            if own is newest or is_nearer:
                return own
        if newest is None or newest is own or stamp > newest.end + self._longest_gap:
            return None
        is_first = newest.offset == 0.0 and own is None
        return newest if is_first or stamp >= newest.start - WAIT_SECONDS else None

    def _goes_on(self, own: _Segment, stream: int, stamp: float) -> bool:
        return own.last[stream] - BACK_SECONDS <= stamp <= own.end + self._longest_gap

    def _followers(self, packet: Stamped[Item]) -> list[Stamped[Item]]:
        """The held packets that are on the clock of ``packet`` rather than on their stream's own."""
        found = []
        for other in self._held:
            distance = abs((other.stamp or 0.0) - (packet.stamp or 0.0))
            if other.stamp is not None and distance <= WAIT_SECONDS + BACK_SECONDS:
                own = self._current.get(other.stream)
                if own is None or distance <= abs(other.stamp - own.last[other.stream]):
                    found.append(other)
        return found

    def _is_decidable(self, packet: Stamped[Item], followers: list[Stamped[Item]]) -> bool:
        if self._newest is None or len(self._held) >= WAIT_PACKETS:
            return True
        if sum(other.stream == packet.stream for other in self._held) <= CONFIRMING_PACKETS:
            return False
        stamps = [other.stamp for other in followers if other.stamp is not None]
        return self._is_damaged(packet) or self._is_joint(followers) or max(stamps) - min(stamps) >= WAIT_SECONDS

    def _is_joint(self, followers: list[Stamped[Item]]) -> bool:
        """Whether all streams are on the new clock."""
        return {other.stream for other in followers} >= self._current.keys()

    def _is_damaged(self, packet: Stamped[Item]) -> bool:
        """Whether the next packets of the stream go on with the clock before ``packet``."""
        own = self._current.get(packet.stream)
        later = [other.stamp for other in self._held if other.stream == packet.stream and other.stamp is not None][1:]
        if own is None or len(later) < CONFIRMING_PACKETS:
            return False
        return all(self._goes_on(own, packet.stream, stamp) for stamp in later[:CONFIRMING_PACKETS])

    def _late_start(self, packet: Stamped[Item]) -> _Segment | None:
        """The newest segment, where ``packet`` begins a stream on its clock after all other streams have ended."""
        newest = self._newest
        if newest is None or any(other.stream in self._current for other in self._held):
            return None
        return newest if 0 <= packet.start - newest.end <= LONE_JUMP_SECONDS else None

    def _begin(self, packet: Stamped[Item], followers: list[Stamped[Item]]) -> _Segment:
        start = min(follower.start for follower in followers)
        if self._newest is None:
            self._newest = _Segment(0.0, start)
            return self._newest
        own = self._current.get(packet.stream)
        if self._is_joint(followers):
            place = self._end_of_all()
        elif own is not None:
            place = own.ends[packet.stream] + own.offset
        else:  # a stream with a clock of its own, beside others that go on
            place = max(self._settled_ends())
        self._report_jump(start - (own or self._newest).end)
        self._newest = _Segment(place - start, start)
        return self._newest

    def _end_of_all(self) -> float:
        """Where the media of the segments before a new one ends, that which is still held included."""
        ends = self._settled_ends()
        for other in self._held:
            own = self._current.get(other.stream)
            if own is not None and other.stamp is not None and abs(other.stamp - own.last[other.stream]) < WAIT_SECONDS:
                ends.append(other.end + own.offset)
        return max(ends)

    def _settled_ends(self) -> list[float]:
        return [segment.ends[stream] + segment.offset for stream, segment in self._current.items()]

    def _report_jump(self, seconds: float) -> None:
        way = "ahead" if seconds > 0 else "back"
        self._report(
            f"its clock jumps {_span(abs(seconds))} {way}; what follows is placed right after what came before"
        )


def _span(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
