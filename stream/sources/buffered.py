"""Buffered source: a capture thread that fills rings with decoded frames and audio."""

from __future__ import annotations

from speakerlight.core.media import AudioChunk, Samples
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.rings import AudioRing, FrameRing
from speakerlight.sources.gapless_audio import LiveGaplessAudio
from speakerlight.sources.source import ThreadedSource


class BufferedSource(ThreadedSource):
    """A threaded source of mono 16 kHz audio that is kept in a ring of ``audio_seconds`` until it is read.

    ``frames``: as in ``LiveSource``. Subclasses write ``_ring`` with session times as stamps.
    """

    def __init__(self, name: str, frames: FrameRing | None, has_audio: bool, audio_seconds: int) -> None:
        super().__init__(name, frames, has_audio)
        self._ring = AudioRing(audio_seconds * SAMPLE_RATE)
        self._line = LiveGaplessAudio()

    @property
    def audio_overflows(self) -> int:
        return self._ring.overflows

    def take_audio(self) -> list[AudioChunk]:
        # The time comes first: audio that arrives between the two lines is then early, not missing.
        if (now := self._audio_due()) is None or not self.has_audio:
            return []
        chunks = [(block.stamp, block.samples[:, 0]) for block in self._ring.take()]
        self._taken(chunks)
        return self._line.place(chunks, now)

    def _audio_due(self) -> float | None:
        """Session time up to which audio is due, missing audio as silence; None before ``start``."""
        return self._clock.now() if self._clock is not None else None

    def _taken(self, chunks: list[tuple[float, Samples]]) -> None:
        """Called with the audio that ``take_audio`` is about to return, before gaps are filled."""
