"""Jitter buffers that put packets in order without waiting longer than necessary.

aiortc's own are made for playback. They hold back four audio packets (80 ms, and 300 ms more for good after each lost
one), and a video frame until the first packet of the next. After a loss they return one frame a packet, so frames of
one packet each stay late for good, and they wait for a lost packet until they are full: 18 s of small frames.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_gt

VIDEO_PACKETS = 512
"""aiortc's own value: the largest frame, and what arrives while a lost packet is sent again."""

OVERDUE = 45_000
"""RTP time, half a second: a packet that is missing for longer, though requested again, is lost."""

WRAP = 1 << 32


def elapsed(since: int, until: int) -> int:
    """RTP time from one stamp to another; both wrap around. Negative when ``until`` is earlier."""
    return (until - since + WRAP // 2) % WRAP - WRAP // 2


class PromptAudio(JitterBuffer):
    """Returns each audio packet at once. One that arrives out of order is dropped and leaves silence."""

    def __init__(self) -> None:
        super().__init__(capacity=1)
        self._newest: int | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Whether to request a key frame (never), and what can be decoded now."""
        if self._newest is not None and not uint16_gt(packet.sequence_number, self._newest):
            return False, None
        self._newest = packet.sequence_number
        return False, JitterFrame(packet._data, packet.timestamp)  # type: ignore[attr-defined]


class PromptVideo(JitterBuffer):
    """Returns each frame with its last packet, which RTP marks; ``rest`` has the others completed by it."""

    def __init__(self) -> None:
        super().__init__(VIDEO_PACKETS, is_video=True)
        self._returned: int | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Whether to request a key frame, and what can be decoded now."""
        wants_key_frame, frame = super().add(packet)
        if frame is None and self._is_overdue(packet):
            self.restart()
            return True, None
        return wants_key_frame, frame

    def rest(self) -> Iterator[JitterFrame]:
        """All other frames that can be decoded now, in order."""
        while self._origin is not None and (frame := self._remove_frame(0)):
            yield frame

    def restart(self) -> None:
        """Start again with the next packet."""
        self._packets = [None] * self.capacity
        self._origin = None

    def _is_overdue(self, packet: RtpPacket) -> bool:
        """Whether a packet has been missing for too long."""
        assert self._origin is not None
        slots = ((self._origin + count) % self.capacity for count in range(self.capacity))
        oldest = next((held for slot in slots if (held := self._packets[slot]) is not None), packet)
        return elapsed(oldest.timestamp, packet.timestamp) > OVERDUE

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        while frame := super()._remove_frame(sequence_number) or self._marked():
            # After a restart a packet may still arrive from before it: frames never go back in time.
            if self._returned is None or elapsed(self._returned, frame.timestamp) > 0:
                self._returned = frame.timestamp
                return frame
        return None

    def _marked(self) -> JitterFrame | None:
        """The first frame, if all its packets are here."""
        assert self._origin is not None
        packets: list[RtpPacket] = []
        while len(packets) < self.capacity and (packet := self._packets[(self._origin + len(packets)) % self.capacity]):
            packets.append(packet)
            if packet.marker:
                self.remove(len(packets))
                data = b"".join(each._data for each in packets)  # type: ignore[attr-defined]
                return JitterFrame(data, packets[0].timestamp)
        return None
