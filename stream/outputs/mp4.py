"""An MP4 file with sound, pictures at their own times, whole whatever happens.

The file is written in fragments (a crash loses the last second or two) and becomes a plain MP4 when it is closed
(FFmpeg's ``hybrid_fragmented``). Picture and sound share one time base, the sound's sample count.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.video.stream import VideoStream
from speakerlight.core.media import Image
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from speakerlight.outputs.audio_tape import AudioTape
from speakerlight.scaling import even, fitted

TIME_BASE = Fraction(1, SAMPLE_RATE)
"""1/16000 s. The fallback encoder allows no finer than 1/65535."""

CONTAINER_OPTIONS = {"movflags": "+hybrid_fragmented+delay_moov", "flush_packets": "1"}
"""delay_moov: the header waits for the first packets, so that the delay of AAC (64 ms) is known and undone."""

KEYFRAME_INTERVAL = 50
"""A key picture, and with it a fragment, every 50 pictures: 2 s at 25 a second."""

H264_OPTIONS = {"preset": "superfast", "crf": "21", "tune": "zerolatency"}
"""superfast: half the work of veryfast for files a quarter larger, because a live run needs the
cores. zerolatency: no picture waits in the encoder, so closing is quick and a fragment is complete."""

MPEG4_OPTIONS = {"flags": "+qscale", "global_quality": str(3 * 118)}
"""Quantiser 3 of 31 (in FFmpeg's units of 1/118): about as good to look at, in a larger file."""

AUDIO_WAIT = SAMPLE_RATE
"""Sound that is not there 1 s after its picture is taken for missing."""

FRAME_WAIT = 10 * SAMPLE_RATE
"""Sound that has waited 10 s for a picture (a stalled camera) goes out without."""


class Mp4Writer:
    """Pictures of one size with the sound of ``tape`` beside them; the file's time 0 is the session's ``start``.

    The first picture also stands for the time from 0 to its own. Pictures of another size are fitted in.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], tape: AudioTape | None, start: float = 0.0, threads: int = 0
    ) -> None:
        """``size``: width and height in pixels. ``threads`` of the picture's encoder, 0: as many as there are cores."""
        self._size = even(size)
        self._tape = tape
        self._start = round(start * SAMPLE_RATE)
        self._last_pts = -1
        self._container = av.open(str(path), "w", format="mp4", options=CONTAINER_OPTIONS)
        self._video = self._add_video(threads)
        self._heard = self._start
        self._audio = self._container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if tape else None

    def _add_video(self, threads: int) -> VideoStream:
        encoder, options = _encoder()
        stream = cast(VideoStream, self._container.add_stream(encoder, rate=TICK_RATE, options=options))
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        stream.codec_context.gop_size = KEYFRAME_INTERVAL
        stream.codec_context.thread_count = threads
        return stream

    def picture(self, time: float, image: Image) -> None:
        """Add a picture: uint8, height × width × 3, BGR. One that is not later than the last is left out."""
        pts = round(time * SAMPLE_RATE) - self._start if self._last_pts >= 0 else 0
        if pts <= self._last_pts:
            return
        frame = av.VideoFrame.from_ndarray(fitted(image, self._size), format="bgr24")
        frame.pts, frame.time_base = pts, TIME_BASE
        self._container.mux(self._video.encode(frame))
        self._last_pts = pts
        if self._tape is not None:
            now = self._start + pts
            self._write_audio(max(min(now, self._tape.end), now - AUDIO_WAIT))

    def audio_waits(self) -> None:
        """Call after sound was put on the tape: writes what has waited too long for a picture."""
        if self._tape is not None:
            self._write_audio(self._tape.end - FRAME_WAIT)

    def close(self, until: float | None = None) -> None:
        """Write the sound up to ``until`` (session seconds; None: all there is) and finish the file."""
        try:
            if self._tape is not None:
                self._write_audio(self._tape.end if until is None else round(until * SAMPLE_RATE))
            self._container.mux(self._video.encode(None))
            if self._audio is not None:
                self._container.mux(self._audio.encode(None))
        finally:
            self._container.close()

    def _write_audio(self, stop: int) -> None:
        if self._audio is None or self._tape is None or stop <= self._heard:
            return
        samples = self._tape.take(self._heard, stop)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._heard - self._start, TIME_BASE
        self._container.mux(self._audio.encode(frame))
        self._heard = stop


def _encoder() -> tuple[str, dict[str, str]]:
    try:
        av.codec.Codec("libx264", "w")
        return "libx264", H264_OPTIONS
    except ValueError:  # an FFmpeg without x264: MPEG-4 part 2 is part of every one
        return "mpeg4", MPEG4_OPTIONS
