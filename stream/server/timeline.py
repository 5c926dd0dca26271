"""One timeline for a connection's picture and sound.

RTP stamps each of them with a clock of its own. RTCP sender reports tell what the sender's wall clock was at a stamp of
each; from the moment that both have been reported they lie on that one clock, and its line to the session clock is the
lower envelope of all arrivals. Until then, and where reports are nonsense, each is laid by its own arrivals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from speakerlight.clock import DeviceClock

BELIEVED_SECONDS = 1.0
"""Reports that move a stream further than this from where its arrivals lay it are nonsense: buffers and encoders
account for a tenth of it."""


class Kind(StrEnum):
    """Of a stream."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(eq=False)
class _Stream:
    """A stream's own time on the session clock, by its arrivals, and on the sender's wall clock, by its reports.

    Both are sometimes late, never early: some senders date a report when it is sent.
    """

    arrivals: DeviceClock = field(default_factory=DeviceClock)
    reports: DeviceClock = field(default_factory=DeviceClock)


class Timeline:
    """All in seconds. ``stamp``: a stream's own time (RTP time ÷ clock rate, not wrapping around)."""

    def __init__(self) -> None:
        self._streams = {kind: _Stream() for kind in Kind}
        self._sender = DeviceClock()

    def arrived(self, kind: Kind, stamp: float, now: float) -> None:
        """A packet with ``stamp`` arrived at session time ``now``."""
        stream = self._streams[kind]
        stream.arrivals.observe(stamp, now)
        if stream.reports.running:
            self._sender.observe(stream.reports.session_time(stamp), now)

    def reported(self, kind: Kind, stamp: float, sender_time: float) -> None:
        """The sender says: its wall clock was ``sender_time`` at ``stamp``."""
        reports = self._streams[kind].reports
        if reports.running and abs(reports.session_time(stamp) - sender_time) > BELIEVED_SECONDS:
            reports.resync()
            self._sender.resync()
        reports.observe(stamp, sender_time)

    def session_time(self, kind: Kind, stamp: float) -> float | None:
        """When ``stamp`` was captured; None before anything has arrived."""
        stream = self._streams[kind]
        if not stream.arrivals.running:
            return None
        alone = stream.arrivals.session_time(stamp)
        if not self._is_common:
            return alone
        common = self._sender.session_time(stream.reports.session_time(stamp))
        return common if abs(common - alone) < BELIEVED_SECONDS else alone

    @property
    def _is_common(self) -> bool:
        return self._sender.running and all(
            stream.reports.running for stream in self._streams.values() if stream.arrivals.running
        )
