"""Gapless audio: one 16 kHz stream on the session's sample grid, from chunks with times of their own.

Files have holes, late starts and imprecise timestamps; devices drift, overflow and are unplugged. Holes become silence,
overlaps are cut, drift is corrected sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from speakerlight.core.media import AudioChunk, Samples
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK

JOIN_SECONDS = 0.02
"""A chunk whose time is this near to the end of what came before follows it directly. Containers round times to a
millisecond and some senders jitter by a few; half a video frame is what synchrony can bear."""

SLIP_SECONDS = 0.001
"""A chunk more than this off its place is made one sample longer or shorter, which is inaudible: at 50 chunks a second
drift up to 3000 ppm is followed."""


class GaplessAudio:
    """Lays chunks on the sample grid. ``place`` and ``fill`` give pieces of at most 40 ms, each where the last
    ended."""

    def __init__(self, start: float | None = None) -> None:
        """``start``: the stream's first moment, in seconds; None: where the first chunk lies, but not before 0."""
        self._end = None if start is None else round(start * SAMPLE_RATE)

    @property
    def end(self) -> float | None:
        """Time just after the last sample; None before the first."""
        return None if self._end is None else self._end / SAMPLE_RATE

    def place(self, time: float, samples: Samples) -> Iterator[AudioChunk]:
        """The chunk whose first sample belongs at ``time``, after whatever silence is missing before it."""
        position = round(time * SAMPLE_RATE)
        if self._end is None:
            self._end = max(position, 0)
        offset = position - self._end
        if abs(offset) > JOIN_SECONDS * SAMPLE_RATE:
            yield from self.fill(time)
            yield from self._append(samples[max(-offset, 0) :])
        elif abs(offset) > SLIP_SECONDS * SAMPLE_RATE:
            yield from self._append(_slipped(samples, 1 if offset > 0 else -1))
        else:
            yield from self._append(samples)

    def fill(self, until: float) -> Iterator[AudioChunk]:
        """Silence up to ``until`` (seconds); nothing where audio is there already."""
        if self._end is None:
            self._end = 0
        target = round(until * SAMPLE_RATE)
        while self._end < target:
            yield from self._append(np.zeros(min(SAMPLES_PER_TICK, target - self._end), np.float32))

    def _append(self, samples: Samples) -> Iterator[AudioChunk]:
        assert self._end is not None
        for first in range(0, len(samples), SAMPLES_PER_TICK):
            piece = samples[first : first + SAMPLES_PER_TICK]
            time = self._end / SAMPLE_RATE
            self._end += len(piece)
            yield AudioChunk(time, piece)


STARVED_SECONDS = 1.0
"""A live source that has been mute for this long is filled with silence up to this long ago: the scorer goes on.
More than the usual distance between video and audio of a sender (MPEG-TS: up to 0.7 s)."""


class LiveGaplessAudio:
    """The reading side of live audio: continuous from session time 0, with silence while the device is gone."""

    def __init__(self) -> None:
        self._line = GaplessAudio(start=0.0)
        self._received = 0.0

    def place(self, chunks: Iterable[tuple[float, Samples]], now: float) -> list[AudioChunk]:
        """``chunks``: session time of the first sample, and samples; what came since the last call. ``now``:
        seconds."""
        placed: list[AudioChunk] = []
        for time, samples in chunks:
            self._received = now
            placed += self._line.place(time, samples)
        if now - self._received > STARVED_SECONDS:
            placed += self._line.fill(now - STARVED_SECONDS)
        return placed


def _slipped(samples: Samples, by: int) -> Samples:
    if len(samples) < SAMPLES_PER_TICK // 4:
        return samples
    places = np.linspace(0, len(samples) - 1, len(samples) + by)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
