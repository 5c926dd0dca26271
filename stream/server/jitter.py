"""Buffers that put packets in order without waiting longer than they must.

aiortc's own ones are for playing: they hold back four packets of sound (80 ms, and another 300 ms for good after each
one that is lost), and a picture until the first packet of the next one. After a loss they give one picture a packet,
which for pictures of one packet each is never again in time, and wait for what does not come until they are full: 18 s
of small pictures.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_gt

VIDEO_PACKETS = 512
"""As aiortc has it: the largest picture, and what comes while a lost packet is asked for again."""

OVERDUE = 45_000
"""RTP time, half a second: a packet that has not come until then, though it was asked for again, will not."""

WRAP = 1 << 32


def elapsed(since: int, until: int) -> int:
    """RTP time from one stamp to another, of which both wrap around; negative where ``until`` is the earlier."""
    return (until - since + WRAP // 2) % WRAP - WRAP // 2


class PromptAudio(JitterBuffer):
    """Each packet of sound at once. One that comes too late is left out: silence stands in its place."""

    def __init__(self) -> None:
        super().__init__(capacity=1)
        self._newest: int | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Whether a whole picture should be asked for (never), and what can be decoded now."""
        if self._newest is not None and not uint16_gt(packet.sequence_number, self._newest):
            return False, None
        self._newest = packet.sequence_number
        return False, JitterFrame(packet._data, packet.timestamp)  # type: ignore[attr-defined]


class PromptVideo(JitterBuffer):
    """Each picture with its last packet, which RTP marks; what becomes whole with it is in ``rest``."""

    def __init__(self) -> None:
        super().__init__(VIDEO_PACKETS, is_video=True)
        self._given: int | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Whether a whole picture should be asked for, and what can be decoded now."""
        asks, frame = super().add(packet)
        if frame is None and self._is_overdue(packet):
            self.restart()
            return True, None
        return asks, frame

    def rest(self) -> Iterator[JitterFrame]:
        """All other pictures that can be decoded now, in order."""
        while self._origin is not None and (frame := self._remove_frame(0)):
            yield frame

    def restart(self) -> None:
        """Begin anew with the next packet."""
        self._packets = [None] * self.capacity
        self._origin = None

    def _is_overdue(self, packet: RtpPacket) -> bool:
        """Whether what is missing has been waited for too long."""
        assert self._origin is not None
        slots = ((self._origin + count) % self.capacity for count in range(self.capacity))
        oldest = next((held for slot in slots if (held := self._packets[slot]) is not None), packet)
        return elapsed(oldest.timestamp, packet.timestamp) > OVERDUE

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        while frame := super()._remove_frame(sequence_number) or self._marked():
            # After a new beginning a packet may still come from before it: time never runs backwards.
            if self._given is None or elapsed(self._given, frame.timestamp) > 0:
                self._given = frame.timestamp
                return frame
        return None

    def _marked(self) -> JitterFrame | None:
        """The only picture here, if all of it is."""
        assert self._origin is not None
        packets: list[RtpPacket] = []
        while len(packets) < self.capacity and (packet := self._packets[(self._origin + len(packets)) % self.capacity]):
            packets.append(packet)
            if packet.marker:
                self.remove(len(packets))
                data = b"".join(each._data for each in packets)  # type: ignore[attr-defined]
                return JitterFrame(data, packets[0].timestamp)
        return None
