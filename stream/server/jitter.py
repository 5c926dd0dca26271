"""Buffers that put packets in order without waiting longer than they must.

aiortc's own ones are for playing: they hold back four packets of sound (80 ms, and another 300 ms for good after each
one that is lost), and a picture until the first packet of the next one.
"""

from __future__ import annotations

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_gt

PICTURE_PACKETS = 512
"""As aiortc has it: the largest picture, and what comes while a lost packet is asked for again."""


class PromptSound(JitterBuffer):
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


class PromptPictures(JitterBuffer):
    """Each picture with its last packet, which RTP marks."""

    def __init__(self) -> None:
        super().__init__(PICTURE_PACKETS, is_video=True)

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        return super()._remove_frame(sequence_number) or self._marked()

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
