"""Summary of a run: the ``summary`` event, and the same as a few lines for people."""

from __future__ import annotations

from speakerlight.core.events import Percentiles, SummaryEvent
from speakerlight.core.segments import Identities, Segment, SpeakingSegments
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import TICK_RATE


class Tally:
    """Counts a run as it goes. A captured frame counts, whether or not anything was drawn on it."""

    def __init__(self) -> None:
        self._frames = self._ticks = 0
        self._end = 0.0
        self._segments = SpeakingSegments()
        self._seconds: dict[int, float] = {}
        self._identities = Identities()

    def frame(self, time: float) -> None:
        self._frames += 1
        self._end = max(self._end, time)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._ticks += 1
        self._end = max(self._end, snapshot.time + 1 / TICK_RATE)
        self._identities.update(snapshot)
        for merge in snapshot.merges:
            if merge.id in self._seconds:
                self._seconds[merge.into] = self._seconds.get(merge.into, 0.0) + self._seconds.pop(merge.id)
        self._add(self._segments.push(snapshot))

    def finish(self, latency: Percentiles) -> SummaryEvent:
        """The summary of everything counted. Ends the tally."""
        self._add(self._segments.finish())
        speakers = sorted(self._seconds.items(), key=lambda item: (-item[1], item[0]))
        names = {person: name for person, name in self._identities.names.items() if person in self._seconds}
        return SummaryEvent(self._end, self._frames, self._ticks, tuple(speakers), latency, names)

    def _add(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._seconds[segment.id] = self._seconds.get(segment.id, 0.0) + segment.end - segment.start


def summary_text(summary: SummaryEvent, dropped_frames: int = 0) -> str:
    """The summary for people: duration, talk time of each person, latency, dropped frames."""
    lines = [f"{summary.duration:.1f} s, {summary.frames} frames, {summary.ticks} ticks scored"]
    for person, seconds in summary.speakers:
        name = summary.names.get(person, f"person {person}")
        lines.append(f"  {name} spoke {seconds:.1f} s")
    if not summary.speakers:
        lines.append("  no person in view spoke")
    latency = summary.latency_ms
    if latency.p50 is not None and latency.p95 is not None and latency.p99 is not None:
        lines.append(f"capture to overlay: {latency.p50:.0f} ms (p95 {latency.p95:.0f}, p99 {latency.p99:.0f})")
    if dropped_frames:
        lines.append(f"{dropped_frames} frames dropped")
    return "\n".join(lines)
