"""Input check: whether the microphone is silent or the camera black, for a note on the screen."""

from __future__ import annotations

import numpy as np

from speakerlight.core.media import AudioChunk, Frame

SILENT_SECONDS, BLACK_SECONDS = 5.0, 3.0
"""So long without any signal is no pause: even a quiet room is above SILENT_PEAK."""

SILENT_PEAK = 1e-4
"""Largest sample of a muted or unplugged microphone: −80 dB of full scale. A quiet room's noise is −65 dB and more."""

BLACK_LEVEL = 20
"""Largest value of a pixel, of 255, in the frame of a covered camera. Video black is 16."""

_STEP = 16
"""Every so many pixels of a row and rows are looked at."""


class InputCheck:
    """Feed audio from one thread, frames and ``notices`` from another. Times are seconds of the session."""

    def __init__(self) -> None:
        self._heard_at: float | None = None
        self._audio_until = 0.0
        self._seen_at: float | None = None
        self._video_until = 0.0

    def audio(self, chunk: AudioChunk) -> None:
        """Take the next audio."""
        is_silent = float(np.abs(chunk.samples).max(initial=0.0)) < SILENT_PEAK
        if self._heard_at is None or not is_silent:
            self._heard_at = chunk.time
        self._audio_until = chunk.time

    def frame(self, frame: Frame) -> None:
        """Take the next frame."""
        is_black = int(frame.image[::_STEP, ::_STEP].max(initial=0)) <= BLACK_LEVEL
        if self._seen_at is None or not is_black:
            self._seen_at = frame.time
        self._video_until = frame.time

    def notices(self) -> tuple[str, ...]:
        """What is wrong now, in words."""
        is_silent = self._heard_at is not None and self._audio_until - self._heard_at >= SILENT_SECONDS
        is_black = self._seen_at is not None and self._video_until - self._seen_at >= BLACK_SECONDS
        found = {"microphone is silent": is_silent, "camera is black": is_black}
        return tuple(text for text, is_so in found.items() if is_so)
