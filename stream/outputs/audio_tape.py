"""Audio tape: the newest audio on the session's sample grid, gaps filled with silence, for writers of video."""

from __future__ import annotations

import numpy as np

from speakerlight.core.media import AudioChunk, Samples, cleaned
from speakerlight.core.timebase import SAMPLE_RATE

TAPE_SECONDS = 30.0
"""Frames arrive less than 1 s after their audio (look-ahead and room lag); a camera may stall for longer."""

LARGEST_CHANGE = 0.005
"""Largest relative change of a chunk's length that keeps it in step with its times. Clocks drift by 0.0002; a change of
0.005 is inaudible."""

JUMP_SECONDS = 0.04
"""A chunk further than this from the end of the last is a gap (or a repeat), not drift."""


class AudioTape:
    """Buffer written by time and read by sample index; index 0 is the session's time 0.

    Audio that drifts against the session's clock is resampled by at most 0.5 %, so that it stays within a few
    milliseconds of its time however long the run.
    """

    def __init__(self) -> None:
        self._ring = np.zeros(round(TAPE_SECONDS * SAMPLE_RATE), np.float32)
        self.end = 0
        """The sample index after the newest audio."""

    def put(self, chunk: AudioChunk) -> None:
        """Add audio; what overlaps with audio on the tape is dropped."""
        start = round(chunk.time * SAMPLE_RATE)
        samples = np.clip(cleaned(chunk.samples), -1.0, 1.0)
        drift = start - self.end
        if self.end and abs(drift) <= JUMP_SECONDS * SAMPLE_RATE:
            samples = _resampled(samples, drift)
            start = self.end
        skipped = min(max(self.end - start, 0), len(samples))
        self._write(start + skipped, samples[skipped:])

    def take(self, start: int, stop: int) -> Samples:
        """The samples from start to stop; silence where there was no audio or it is no longer kept."""
        samples = np.zeros(max(stop - start, 0), np.float32)
        first = max(start, self.end - len(self._ring), 0)
        last = min(stop, self.end)
        if first < last:
            samples[first - start : last - start] = self._ring[np.arange(first, last) % len(self._ring)]
        return samples

    def _write(self, start: int, samples: Samples) -> None:
        if not len(samples):
            return
        gap = min(start - self.end, len(self._ring))
        self._ring[np.arange(start - gap, start) % len(self._ring)] = 0.0
        kept = samples[-len(self._ring) :]
        self.end = start + len(samples)
        self._ring[np.arange(self.end - len(kept), self.end) % len(self._ring)] = kept


def _resampled(samples: Samples, by: int) -> Samples:
    most = int(len(samples) * LARGEST_CHANGE)
    by = min(max(by, -most), most)
    if not by:
        return samples
    places = np.linspace(0, len(samples) - 1, len(samples) + by)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
