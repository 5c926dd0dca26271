"""Codec changes: packets of a stream that changes its codec in the middle, as joined MPEG-TS recordings do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import av.error
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

CODECS = {
    "audio": dict.fromkeys(("aac", "mp2", "ac3", "eac3", "aac_latm"), b""),
    "video": {
        "h264": b"\0\0\1\x09",
        "hevc": b"\0\0\1\x40\1",
        "mpeg2video": b"\0\0\1\xb3",
        "mpeg4": b"\0\0\1\xb0",
    },
}
"""What MPEG-TS carries that needs nothing but its packets to be decoded; for video with what a sequence, or an access
unit of H.264, begins with."""

FAULTS = 3
"""Packets in a row that cannot be decoded before other codecs are tried: fewer are damage."""

BARREN = 24
"""Packets in a row that give no frame, without an error, before others are tried: more than any decoder holds back."""


class CodecChange:
    """Decodes the packets of one stream; after some that fail, with whichever of CODECS takes them.

    ``report`` receives a line about the change.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._decoder: AudioCodecContext | VideoCodecContext | None = None
        self._barren: list[Packet[Any]] = []
        self._recent: deque[Packet[Any]] = deque(maxlen=BARREN)
        self._has_faults = False
        self._trials: list[_Trial] = []

    def decode(self, packet: Packet[Any]) -> list[Any]:
        """The frames of ``packet``. Raises FFmpeg's errors, ValueError."""
        try:
            frames = list(self._decoder_of(packet).decode(packet if packet.size else None))
        except (av.error.FFmpegError, ValueError):
            self._has_faults = True
            if found := self._tried(packet):
                return found
            raise
        if frames:
            self._begin_anew()
            if packet.stream.type == "video":
                self._recent.append(packet)
        return frames or (self._tried(packet) if packet.size else [])

    def _decoder_of(self, packet: Packet[Any]) -> Any:
        return packet.stream.codec_context if self._decoder is None else self._decoder

    def _tried(self, packet: Packet[Any]) -> list[Any]:
        """The frames by the first codec that takes the packets since the last frame, ``packet`` the last of them; empty
        where none does so far."""
        if self._trials:
            packets = [packet]
        else:
            self._barren.append(packet)
            if len(self._barren) < (FAULTS if self._has_faults else BARREN):
                return []
            self._trials = self._candidates(packet)
            packets, self._barren = [*self._recent, *self._barren], []
        for trial in self._trials:
            if trial.takes(packets):
                rest = self._drained(packet)
                if trial.decoder.name != self._decoder_of(packet).name:
                    self._report(f"its {packet.stream.type} goes on in another codec ({trial.decoder.name})")
                self._decoder = trial.decoder
                self._begin_anew()
                return rest + trial.frames
        return []

    def _candidates(self, packet: Packet[Any]) -> list[_Trial]:
        """Decoders of the other codecs, for audio also of the same one.

        Those for video are given the last packets that gave frames as well, from the first start of their codec on:
        decoders hold frames back, and FFmpeg divides a stream as its first codec is divided.
        """
        kind = packet.stream.type
        current = self._decoder_of(packet).name if kind == "video" else None
        return [_Trial(name, start) for name, start in CODECS[kind].items() if name != current]

    def _begin_anew(self) -> None:
        self._barren, self._trials, self._has_faults = [], [], False

    def _drained(self, packet: Packet[Any]) -> list[Any]:
        """The frames that the decoder so far still holds."""
        with suppress(av.error.FFmpegError, ValueError):
            return list(self._decoder_of(packet).decode(None))
        return []


class _Trial:
    """A decoder that is given packets, from the first ``start`` in them on, to see whether it takes them."""

    def __init__(self, name: str, start: bytes) -> None:
        decoder = CodecContext.create(name, "r")
        assert isinstance(decoder, AudioCodecContext | VideoCodecContext)
        self.decoder = decoder
        self.frames: list[Any] = []
        self._start: bytes = start
        self._taken = 0

    def takes(self, packets: list[Packet[Any]]) -> bool:
        """Decode ``packets``; whether the last FAULTS or more gave frames and no error."""
        for packet in packets:
            if self._start:
                place = bytes(packet).find(self._start)
                if place < 0:
                    continue
                packet, self._start = _rest(packet, place), b""
            try:
                self.frames += self.decoder.decode(packet)
                self._taken += 1
            except (av.error.FFmpegError, ValueError):
                self.frames, self._taken = [], 0
        return self._taken >= FAULTS and bool(self.frames)


def _rest(packet: Packet[Any], place: int) -> Packet[Any]:
    rest: Packet[Any] = Packet(bytes(packet)[place:])
    rest.pts, rest.dts, rest.time_base = packet.pts, packet.dts, packet.time_base
    return rest
