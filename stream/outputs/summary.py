"""Summary of a run: the ``summary`` event, and the same as a few lines for people."""

from __future__ import annotations

from speakerlight.core.events import Percentiles, SummaryEvent
from speakerlight.core.segments import SessionRecord
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.talk import Talk, talk_of
from speakerlight.core.timebase import TICK_RATE


class Tally:
    """Counts a run as it goes. A captured frame counts, whether or not anything was drawn on it."""

    def __init__(self) -> None:
        self._frames = self._ticks = 0
        self._end = 0.0
        self._record = SessionRecord()

    def frame(self, time: float) -> None:
        self._frames += 1
        self._end = max(self._end, time)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._ticks += 1
        self._end = max(self._end, snapshot.time + 1 / TICK_RATE)
        self._record.push(snapshot)

    def finish(self, latency: Percentiles, captured_seconds: float = 0.0) -> SummaryEvent:
        """The summary of all counts. Ends the tally. ``captured_seconds``: as for ``OutputHub.close``."""
        self._record.finish()
        talk = talk_of(self._record.segments())
        speakers = tuple((person, each.seconds) for person, each in talk.items())
        names = {person: name for person, name in self._record.names.items() if person in talk}
        duration = max(self._end, captured_seconds)
        return SummaryEvent(duration, self._frames, self._ticks, speakers, latency, names, talk)


def _more(talk: Talk | None) -> str:
    """The number of turns, the longest one, and interruptions if there were any."""
    if talk is None or not talk.turns:
        return ""
    turns = "1 turn" if talk.turns == 1 else f"{talk.turns} turns, the longest {talk.longest_seconds:.1f} s"
    times = {0: "", 1: ", interrupted once"}.get(talk.interruptions, f", interrupted {talk.interruptions} times")
    return f" in {turns}{times}"


def summary_text(summary: SummaryEvent, dropped_frames: int = 0) -> str:
    """The summary for people: duration, talk time of each person, latency, dropped frames."""
    lines = [f"{summary.duration:.1f} s, {summary.frames} frames, {summary.ticks} ticks scored"]
    for person, seconds in summary.speakers:
        name = summary.names.get(person, f"person {person}")
        lines.append(f"  {name} spoke {seconds:.1f} s{_more(summary.talk.get(person))}")
    if not summary.speakers:
        lines.append("  no person in view spoke")
    latency = summary.latency_ms
    if latency.p50 is not None and latency.p95 is not None and latency.p99 is not None:
        lines.append(f"capture to overlay: {latency.p50:.0f} ms (p95 {latency.p95:.0f}, p99 {latency.p99:.0f})")
    if dropped_frames:
        lines.append(f"{dropped_frames} frames dropped")
    return "\n".join(lines)
