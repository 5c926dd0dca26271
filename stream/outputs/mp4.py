"""MP4 writer: video frames at their own times with audio, playable after a crash, in constant memory.

The file is written in fragments (a crash loses the last second or two) and becomes a plain MP4 when it is closed. Video
and audio share one time base, the audio's sample count.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from speakerlight.core.media import Image
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from speakerlight.outputs.audio_tape import AudioTape
from speakerlight.outputs.files import Report, open_output
from speakerlight.outputs.mp4_index import make_plain
from speakerlight.scaling import even, fitted

logger = logging.getLogger(__name__)

TIME_BASE = Fraction(1, SAMPLE_RATE)
"""1/16000 s. The fallback encoder allows no finer than 1/65535."""

CONTAINER_OPTIONS = {"movflags": "+frag_keyframe+delay_moov+default_base_moof+skip_trailer", "flush_packets": "1"}
"""delay_moov: the header waits for the first packets, so that the delay of AAC (64 ms) is known and undone.
skip_trailer: FFmpeg then keeps no list of fragments. (hybrid_fragmented keeps 72 bytes a packet, 10 MiB an hour.)"""

KEYFRAME_INTERVAL = 50
"""A key frame, and with it a fragment, every 50 frames: 2 s at 25 a second."""

H264_OPTIONS = {"preset": "superfast", "crf": "21", "tune": "zerolatency"}
"""superfast: half the work of veryfast for files a quarter larger, because a live run needs the
cores. zerolatency: no frame waits in the encoder, so closing is quick and a fragment is complete."""

MPEG4_OPTIONS = {"flags": "+qscale", "global_quality": str(3 * 118)}
"""Quantiser 3 of 31 (in FFmpeg's units of 1/118): about the same quality, in a larger file."""

AUDIO_WAIT = SAMPLE_RATE
"""Audio that has not come 1 s after its frame counts as missing."""

FRAME_WAIT = 10 * SAMPLE_RATE
"""Audio that has waited 10 s for a frame (a stalled camera) is written without a frame."""


class Mp4Writer:
    """Frames of one size with the audio of ``tape`` beside them; the file's time 0 is the session's ``start``.

    The first frame also stands for the time from 0 to its own. Frames of another size are fitted in.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        tape: AudioTape | None,
        start: float = 0.0,
        threads: int = 0,
        stop: threading.Event | None = None,
        report: Report = logger.warning,
    ) -> None:
        """``size``: width and height in pixels. ``threads`` of the video encoder, 0: as many as there are cores.

        ``path`` may be a named pipe; a wait for its reader is reported and ends when ``stop`` is set. Raises OSError.
        """
        self._size = even(size)
        self._tape = tape
        self._start = round(start * SAMPLE_RATE)
        self._last_pts = -1
        self._last_image: Image | None = None
        self._path = path
        # Not by name: FFmpeg reads text before a colon as a protocol.
        self._sink = _Sink(open_output(path, stop, report))
        self._container = av.open(self._sink, "w", format="mp4", options=CONTAINER_OPTIONS)
        self._video = self._add_video(threads)
        self._written = self._start
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

    def frame(self, time: float, image: Image) -> None:
        """Add a frame: uint8, height × width × 3, BGR. One that is not later than the last is dropped."""
        pts = round(time * SAMPLE_RATE) - self._start if self._last_pts >= 0 else 0
        if pts <= self._last_pts:
            return
        frame = av.VideoFrame.from_ndarray(fitted(image, self._size), format="bgr24")
        frame.pts, frame.time_base = pts, TIME_BASE
        self._mux(self._video, frame)
        self._last_pts, self._last_image = pts, image
        if self._tape is not None:
            now = self._start + pts
            self._write_audio(max(min(now, self._tape.end), now - AUDIO_WAIT))

    def audio_waits(self) -> None:
        """Call after audio was put on the tape: writes what has waited too long for a frame.

        The last frame is repeated now and then, because the muxer holds the audio of a fragment until a frame ends it.
        """
        if self._tape is None:
            return
        due = self._tape.end - FRAME_WAIT
        self._write_audio(due)
        if self._last_image is not None and due - self._start - self._last_pts > FRAME_WAIT:
            self.frame(due / SAMPLE_RATE, self._last_image)

    def close(self, until: float | None = None) -> None:
        """Write the audio up to ``until`` (session seconds; None: all there is) and finish the file.

        Raises OSError when the disk is full; the file then plays up to where it got.
        """
        try:
            if self._tape is not None:
                self._write_audio(self._tape.end if until is None else round(until * SAMPLE_RATE))
            self._mux(self._video, None)
            if self._audio is not None:
                self._mux(self._audio, None)
        finally:
            self._finish()

    def _finish(self) -> None:
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise self._sink.error or error from None
        finally:
            is_file = self._sink.file.seekable()
            if is_file:
                self._make_plain()
            self._sink.file.close()
            if is_file and self._path.stat().st_size == 0:  # the disk was full from the start
                self._path.unlink()

    def _mux(self, stream: VideoStream | AudioStream, frame: av.VideoFrame | av.AudioFrame | None) -> None:
        try:
            self._container.mux(stream.encode(frame))  # type: ignore[arg-type]
        except av.FFmpegError as error:
            raise self._sink.error or error from None

    def _make_plain(self) -> None:
        try:
            make_plain(self._path)
        except (ValueError, KeyError, struct.error) as error:
            logger.warning("%s stays fragmented: %s", self._path, error)

    def _write_audio(self, stop: int) -> None:
        if self._audio is None or self._tape is None or stop <= self._written:
            return
        samples = self._tape.take(self._written, stop)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._written - self._start, TIME_BASE
        self._mux(self._audio, frame)
        self._written = stop


class _Sink:
    """The file object that FFmpeg writes to, from front to back. After an error nothing more is written.

    ``error``: the first one; PyAV's own exception does not carry its reason.
    """

    def __init__(self, file: io.RawIOBase) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        written = 0
        try:
            while written < len(data):
                written += self.file.write(data[written:]) or 0
        except OSError as error:
            self.error = error
            raise
        return written


def _encoder() -> tuple[str, dict[str, str]]:
    try:
        av.codec.Codec("libx264", "w")
        return "libx264", H264_OPTIONS
    except ValueError:  # an FFmpeg without x264; every build has MPEG-4 part 2
        return "mpeg4", MPEG4_OPTIONS
