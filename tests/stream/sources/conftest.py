"""Small clips with known frames and known audio, made on the spot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

TICKS = 90_000
CLICK_SECONDS = 0.5
"""The audio clicks at 0.25, 0.75, 1.25 ... seconds of its own time."""


@dataclass(frozen=True)
class Clip:
    """``times``: seconds of the frames; ``sound_start``: seconds of the first sample; None leaves that half out."""

    times: Sequence[float] | None = tuple(np.arange(50) / 25)
    size: tuple[int, int] = (160, 120)
    video_codec: str = "libx264"
    sound_seconds: float | None = 2.0
    sound_start: float = 0.0
    sound_rate: int = 48_000
    layout: str = "stereo"
    sound_codec: str = "pcm_s16le"
    sound_hole: tuple[float, float] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the container."""

    def write(self, path: Path) -> Path:
        with av.open(f"file:{path}", "w", options=dict(self.options)) as container:
            streams = self._streams(container)
            packets = [packet for stream, frames in streams for packet in _encoded(stream, frames)]
            for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
                container.mux(packet)
        return path

    def _streams(self, container: OutputContainer) -> list[tuple[Any, list[Any]]]:
        streams: list[tuple[Any, list[Any]]] = []
        if self.times is not None:
            video: Any = container.add_stream(self.video_codec, rate=25)
            video.width, video.height = self.size
            video.pix_fmt = "yuvj420p" if self.video_codec == "mjpeg" else "yuv420p"
            video.codec_context.time_base = Fraction(1, TICKS)
            if self.video_codec == "libx264":
                video.options = {"preset": "ultrafast", "g": "10"}
            streams.append((video, [self._frame(number, time) for number, time in enumerate(self.times)]))
        if self.sound_seconds is not None:
            audio: Any = container.add_stream(self.sound_codec, rate=self.sound_rate, layout=self.layout)
            streams.append((audio, list(self._sound(audio.format.name))))
        return streams

    def _frame(self, number: int, time: float) -> av.VideoFrame:
        """Grey that rises by 4 a frame, with a white upper left quarter."""
        width, height = self.size
        image = np.full((height, width, 3), (number * 4) % 200, np.uint8)
        image[: height // 2, : width // 2] = 255
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
        return frame

    def _sound(self, sample_format: str) -> Iterator[av.AudioFrame]:
        samples = np.zeros(round((self.sound_seconds or 0.0) * self.sound_rate), np.float32)
        period = round(CLICK_SECONDS * self.sound_rate)
        for first in range(period // 2, len(samples), period):
            samples[first : first + self.sound_rate // 1000] = 0.5
        first_count = round(self.sound_start * self.sound_rate)
        resampler = av.AudioResampler(sample_format, self.layout, self.sound_rate)
        for first in range(0, len(samples), 1024):
            time = self.sound_start + first / self.sound_rate
            if self.sound_hole is not None and self.sound_hole[0] <= time < self.sound_hole[1]:
                continue
            piece = samples[None, first : first + 1024]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="flt", layout="mono")
            frame.sample_rate, frame.time_base = self.sound_rate, Fraction(1, self.sound_rate)
            frame.pts = first_count + first
            yield from resampler.resample(frame)


def _encoded(stream: Any, frames: list[Any]) -> Iterator[Any]:
    for frame in [*frames, None]:
        yield from stream.encode(frame)


def click_times(start: float, samples: np.ndarray, loud_from: float = 0.15) -> list[float]:
    """Seconds of the rising edges, of mono 16 kHz audio whose first sample is at ``start``."""
    loud = np.abs(samples) > loud_from
    edges = np.flatnonzero(loud & ~np.concatenate([[False], loud[:-1]]))
    kept = [edge for number, edge in enumerate(edges) if number == 0 or edge - edges[number - 1] > 800]
    return [start + edge / 16_000 for edge in kept]
