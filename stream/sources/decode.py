"""Decoding of audio: frames of any rate, format and layout as mono 16 kHz samples; FFmpeg's errors in short words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import av.error
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from speakerlight.core.media import Samples
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.sources.channels import ChannelMixer

JUMP_SECONDS = 0.02
"""Audio timestamps this far from the sample count are a hole or a jump, not rounding."""


BURST_SECONDS = 1.0
"""Audio whose timestamps stand still follows the sample count for as long as it is not further ahead of them: the
sender's or the recorder's clock is that of arrival in bursts. While it is one and the same timestamp it
follows the count however long: there is no clock."""


UNTIMED = ("aac", "ac3", "eac3", "dts", "mp3")
"""Containers of bare audio frames, whose timestamps FFmpeg makes up from the rate of the first one."""

logger = logging.getLogger(__name__)


class AudioConverter:
    """Decoded audio as mono 16 kHz chunks with the time of their first sample.

    Times follow the sample count while the stream's timestamps agree with it; where they jump, or the format changes,
    what is still in the resampler is given out and a new count begins. ``channel``: the index of the only one to use;
    None: all that carry something. ``has_times``: whether timestamps after the first mean anything. ``report`` receives
    a line where samples are in other units than full scale.
    """

    def __init__(
        self, channel: int | None = None, report: Callable[[str], None] = logger.info, *, has_times: bool = True
    ) -> None:
        self._has_times = has_times
        self._mixer = ChannelMixer(channel, report=report)
        self._resampler: AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None
        self._anchor = 0.0
        self._consumed_seconds = 0.0
        self._produced = 0
        self._last_time = self._last_seconds = 0.0
        self._is_burst = False

    def make(self, frame: AudioFrame) -> Iterator[tuple[float, Samples]]:
        form = frame.format.name, frame.layout.name, frame.sample_rate
        expected = self._anchor + self._consumed_seconds
        is_timed = self._has_times or self._resampler is None
        if is_timed and frame.pts is not None and frame.time_base is not None:
            time = float(frame.pts * frame.time_base)
        else:
            time = expected
        if form != self._format or self._jumps(time, time - expected):
            yield from self.flush()
            self._begin(form, time)
        self._last_time, self._last_seconds = time, frame.samples / frame.sample_rate
        assert self._resampler is not None
        self._consumed_seconds += frame.samples / frame.sample_rate
        frame.pts = None
        yield from self._given(self._resampler.resample(frame))

    def flush(self) -> Iterator[tuple[float, Samples]]:
        """What the resampler still holds. More frames may follow."""
        if self._resampler is not None:
            yield from self._given(self._resampler.resample(None))
        self._resampler = None
        self._format = None

    def _jumps(self, time: float, late: float) -> bool:
        """Whether a frame with the timestamp ``time``, ``late`` seconds after the sample count, begins a new count."""
        was_burst, since = self._is_burst, time - self._last_time
        self._is_burst = late < -JUMP_SECONDS and 0 <= since < self._last_seconds / 2
        is_early = late < 0 and (was_burst or self._is_burst) and (late >= -BURST_SECONDS or since == 0)
        return abs(late) > JUMP_SECONDS and not is_early

    def _begin(self, form: tuple[str, str, int], time: float) -> None:
        self._resampler = AudioResampler("flt", None, SAMPLE_RATE)
        self._format, self._anchor = form, time
        self._consumed_seconds = 0.0
        self._produced = 0

    def _given(self, frames: list[AudioFrame]) -> Iterator[tuple[float, Samples]]:
        for frame in frames:
            time = self._anchor + self._produced / SAMPLE_RATE
            self._produced += frame.samples
            yield time, self._mixer.mix(channels_of(frame))


def channels_of(frame: AudioFrame) -> npt.NDArray[np.float32]:
    """Packed float samples as [channels, n]. (PyAV crashes on planar frames of many channels.)"""
    return np.asarray(frame.to_ndarray()[0].reshape(-1, frame.layout.nb_channels).T, np.float32)


def reason(error: BaseException) -> str:
    """FFmpeg's or the system's own words, short."""
    if isinstance(error, av.error.ExitError):
        return "nothing came in time"  # FFmpeg calls its own timeout an exit that was requested
    text = error.strerror if isinstance(error, av.error.FFmpegError | OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]
