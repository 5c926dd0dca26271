"""Codec changes: audio packets of a stream that changes its codec in the middle, as joined MPEG-TS recordings do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av.error
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import CodecContext
from av.packet import Packet

CODECS = ("aac", "mp2", "ac3", "eac3", "aac_latm")
"""Audio of MPEG-TS that needs nothing but its packets to be decoded."""

FAULTS = 3
"""Packets in a row that cannot be decoded before other codecs are tried: fewer are damage."""


class CodecChange:
    """Decodes packets of one stream; after some that fail, with whichever of CODECS takes them. ``report`` receives a
    line about the change."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._decoder: AudioCodecContext | None = None
        self._failed: list[Packet[Any]] = []

    def decode(self, packet: Packet[Any]) -> list[Any]:
        """The frames of ``packet``. Raises FFmpeg's errors, ValueError."""
        try:
            frames = packet.decode() if self._decoder is None else list(self._decoder.decode(packet))
        except (av.error.FFmpegError, ValueError):
            self._failed.append(packet)
            if len(self._failed) < FAULTS:
                raise
            failed, self._failed = self._failed, []
            if frames := self._tried(failed):
                return frames
            raise
        self._failed = []
        return frames

    def _tried(self, packets: list[Packet[Any]]) -> list[Any]:
        """The frames of ``packets`` by the first other codec that takes all of them; empty where none does."""
        for name in CODECS:
            decoder = CodecContext.create(name, "r")
            assert isinstance(decoder, AudioCodecContext)
            try:
                frames = [frame for packet in packets for frame in decoder.decode(packet)]
            except (av.error.FFmpegError, ValueError):
                continue
            if frames:
                self._decoder = decoder
                self._report(f"its audio goes on in another codec ({name})")
                return frames
        return []
