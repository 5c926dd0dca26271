"""From FFmpeg's frames to ours: opening with clear errors, upright BGR pictures, mono 16 kHz sound."""

from __future__ import annotations

from collections.abc import Iterator

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from speakerlight.core.media import Image, Samples
from speakerlight.core.timebase import SAMPLE_RATE

JUMP_SECONDS = 0.02
"""Sound timestamps this far from the sample count are a hole or a jump, not rounding."""


def video_stream(container: InputContainer, *, live: bool = False) -> VideoStream | None:
    """The moving picture; cover art of a music file is none.

    Decodes in as many threads as the codec likes; ``live`` only in such as delay no picture.
    """
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not moving:
        return None
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in moving else moving[0]
    stream.thread_type = "SLICE" if live else "AUTO"
    return stream


def audio_stream(container: InputContainer) -> AudioStream | None:
    best = container.streams.best("audio")
    return best if isinstance(best, AudioStream) else None


class FrameConverter:
    """Decoded frames as upright BGR images of one size: that of the first, whatever a stream changes to later."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None

    def make(self, frame: VideoFrame) -> Image:
        """Height × width × 3, turned as the stream's display matrix says."""
        if self._size is None:
            self._size = frame.width, frame.height
        width, height = self._size
        # With as many threads as FFmpeg likes, handing over costs more than the conversion (measured on two cores).
        image = frame.reformat(width=width, height=height, format="bgr24", threads=1).to_ndarray()
        quarter_turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, quarter_turns), np.uint8)


class AudioConverter:
    """Decoded sound of any rate, format and layout as mono 16 kHz chunks with the time of their first sample.

    Times follow the sample count while the stream's timestamps agree with it; where they jump, or the format changes,
    what is still in the resampler is given out and a new count begins.
    """

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None
        self._anchor = 0.0
        self._consumed = 0
        self._produced = 0

    def make(self, frame: AudioFrame) -> Iterator[tuple[float, Samples]]:
        form = frame.format.name, frame.layout.name, frame.sample_rate
        expected = self._anchor + self._consumed / frame.sample_rate
        time = expected if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        if form != self._format or abs(time - expected) > JUMP_SECONDS:
            yield from self.flush()
            self._begin(form, time)
        assert self._resampler is not None
        self._consumed += frame.samples
        frame.pts = None
        yield from self._given(self._resampler.resample(frame))

    def flush(self) -> Iterator[tuple[float, Samples]]:
        """What the resampler still holds. More frames may follow."""
        if self._resampler is not None:
            yield from self._given(self._resampler.resample(None))
        self._resampler = None
        self._format = None

    def _begin(self, form: tuple[str, str, int], time: float) -> None:
        # By default FFmpeg adds the channels of float sound at up to full loudness each, which overdrives; this keeps
        # ±1.
        self._resampler = AudioResampler("flt", "mono", SAMPLE_RATE, options={"rematrix_maxval": "1.0"})
        self._format, self._anchor = form, time
        self._consumed = self._produced = 0

    def _given(self, frames: list[AudioFrame]) -> Iterator[tuple[float, Samples]]:
        for frame in frames:
            time = self._anchor + self._produced / SAMPLE_RATE
            self._produced += frame.samples
            yield time, frame.to_ndarray()[0].astype(np.float32, copy=False)


def reason(error: BaseException) -> str:
    """FFmpeg's or the system's own words, short."""
    text = error.strerror if isinstance(error, av.error.FFmpegError | OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]
