"""Stream synchronisation: one timeline for a connection's video and audio.

RTP stamps each stream with a clock of its own. RTCP sender reports give the sender's wall clock at a stamp of each
stream. Once both streams have a report they lie on that one clock, which is mapped to the session clock by the lower
envelope of all arrivals. Until then, and where reports are implausible, each stream is placed by its own arrivals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from speakerlight.clock import DeviceClock

MAX_CORRECTION_SECONDS = 1.0
"""A report that moves a stream further than this from its arrivals is implausible: buffers and encoders explain a tenth
of it at most."""


class Kind(StrEnum):
    """Kind of a stream."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(eq=False)
class _Stream:
    """Maps a stream's own time to the session clock, by arrivals, and to the sender's wall clock, by reports.

    Both are sometimes late, never early: some senders date a report by when it is sent.
    """

    arrivals: DeviceClock = field(default_factory=DeviceClock)
    reports: DeviceClock = field(default_factory=DeviceClock)


class Timeline:
    """All times in seconds. ``stamp``: a stream's own time (RTP time ÷ clock rate, unwrapped)."""

    def __init__(self) -> None:
        self._streams = {kind: _Stream() for kind in Kind}
        self._sender = DeviceClock()

    def packet_arrived(self, kind: Kind, stamp: float, now: float) -> None:
        """A packet with ``stamp`` arrived at session time ``now``."""
        stream = self._streams[kind]
        stream.arrivals.observe(stamp, now)
        if stream.reports.running:
            self._sender.observe(stream.reports.session_time(stamp), now)

    def sender_report(self, kind: Kind, stamp: float, sender_time: float) -> None:
        """The sender reported that its wall clock was ``sender_time`` at ``stamp``."""
        reports = self._streams[kind].reports
        if reports.running and abs(reports.session_time(stamp) - sender_time) > MAX_CORRECTION_SECONDS:
            reports.resync()
            self._sender.resync()
        reports.observe(stamp, sender_time)

    def session_time(self, kind: Kind, stamp: float) -> float | None:
        """Capture time of ``stamp``; None before the first arrival."""
        stream = self._streams[kind]
        if not stream.arrivals.running:
            return None
        alone = stream.arrivals.session_time(stamp)
        if not self._is_common:
            return alone
        common = self._sender.session_time(stream.reports.session_time(stamp))
        return common if abs(common - alone) < MAX_CORRECTION_SECONDS else alone

    @property
    def _is_common(self) -> bool:
        return self._sender.running and all(
            stream.reports.running for stream in self._streams.values() if stream.arrivals.running
        )
