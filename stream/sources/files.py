"""Recordings on disk: any container, rate, rotation, size and sound layout, on one timeline from 0."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.decode import AudioConverter, FrameConverter, audio_stream, reason, video_stream
from speakerlight.sources.gapless_audio import GaplessAudio
from speakerlight.sources.merged import in_time_order

FAULTS_IN_A_ROW = 1000
"""Packets that may fail one after another before a file counts as over."""

OVERLONG_SECONDS = 10.0
"""A timestamp this far behind the file's stated end is damaged: its picture or sound is skipped."""


class FileReader:
    """A file's pictures and sound (see :class:`MediaReader`).

    Picture and sound are read through separate handles, so a badly interleaved file needs no buffer. Time 0 is the
    start of whichever begins first. Damaged stretches are skipped. Raises InputError when there is nothing to show or
    hear.
    """

    def __init__(self, path: Path, *, video: bool = True, audio: bool = True) -> None:
        """``video`` and ``audio``: whether that half is wanted; the other is then not decoded, but time 0 is the
        same."""
        self.name = path.name
        _check(path)
        self._video = _Half(path, "video")
        try:
            self._audio = _Half(path, "audio")
        except BaseException:
            self._video.close()
            raise
        starts = [half.start for half in (self._video, self._audio) if half.start is not None]
        self.has_video = video and self._video.start is not None
        self.has_audio = audio and self._audio.start is not None
        if not (self.has_video or self.has_audio):
            self.close()
            raise InputError(f"{path}: {_nothing(video, audio)} that can be decoded; play it elsewhere to check it")
        self._origin = min(starts)

    @property
    def duration_seconds(self) -> float | None:
        """As the container states it, from time 0; None where it does not."""
        ends = [half.end for half in (self._video, self._audio) if half.end is not None]
        return max(ends) - self._origin if ends else None

    @property
    def frame_size(self) -> tuple[int, int] | None:
        first = self._video.first
        if not (self.has_video and isinstance(first, VideoFrame)):
            return None
        upright = round(first.rotation / 90) % 2 == 0
        return (first.width, first.height) if upright else (first.height, first.width)

    @property
    def frame_rate(self) -> float | None:
        return self._video.rate if self.has_video else None

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        return in_time_order(
            self._frames() if self.has_video else iter(()), self._sound() if self.has_audio else iter(())
        )

    def close(self) -> None:
        self._video.close()
        self._audio.close()

    def _frames(self) -> Iterator[Frame]:
        maker, last = FrameConverter(), -1.0
        step = 1 / (self.frame_rate or 25.0)
        for frame in self._video.decoded():
            assert isinstance(frame, VideoFrame)
            time = last + step if frame.pts is None else _seconds(frame) - self._origin
            if last < time and self._plausible(time):
                last = time
                yield Frame(time, maker.make(frame))

    def _sound(self) -> Iterator[AudioChunk]:
        maker, line = AudioConverter(), GaplessAudio(start=0.0)
        frames = (frame for frame in self._audio.decoded() if isinstance(frame, AudioFrame))
        chunks = chain(chain.from_iterable(map(maker.make, frames)), maker.flush())
        for time, samples in chunks:
            if self._plausible(time - self._origin):
                yield from line.place(time - self._origin, samples)

    def _plausible(self, time: float) -> bool:
        duration = self.duration_seconds
        return duration is None or time < duration + OVERLONG_SECONDS


class _Half:
    """One stream of a file through a handle of its own. The first frame is decoded at once: it tells the true start."""

    def __init__(self, path: Path, kind: str) -> None:
        self._container = _opened(path)
        self._stream = video_stream(self._container) if kind == "video" else audio_stream(self._container)
        for other in self._container.streams:
            if other is not self._stream:
                other.discard = Discard.all
        self._frames = self._decode(self._stream) if self._stream is not None else iter(())
        self.first = next(self._frames, None)

    @property
    def start(self) -> float | None:
        """Time of the first frame on the container's timeline; None when there is none."""
        return None if self.first is None else _seconds(self.first)

    @property
    def end(self) -> float | None:
        """Stated end on the container's timeline."""
        if self._stream is None or self.start is None:
            return None
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float((self._stream.duration + (self._stream.start_time or 0)) * self._stream.time_base)
        if self._container.duration is not None:
            return (self._container.duration + (self._container.start_time or 0)) / av.time_base
        return None

    @property
    def rate(self) -> float | None:
        rate = self._stream.average_rate if self._stream is not None else None
        return float(rate) if rate else None

    def decoded(self) -> Iterator[VideoFrame | AudioFrame]:
        return chain(() if self.first is None else (self.first,), self._frames)

    def close(self) -> None:
        self._container.close()

    def _decode(self, stream: VideoStream | AudioStream) -> Iterator[VideoFrame | AudioFrame]:
        faults = 0
        for packet in _packets(self._container, stream):
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                faults += 1
                if faults == FAULTS_IN_A_ROW:
                    return
                continue
            faults = 0
            yield from frames


def _packets(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[Packet[Any]]:
    for _ in range(FAULTS_IN_A_ROW):
        try:
            yield from container.demux(stream)
            return
        except (av.error.FFmpegError, ValueError):
            continue


def _opened(path: Path) -> InputContainer:
    try:
        return av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a video or sound file that can be read ({reason(error)})") from None


def _check(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a directory; name a file in it")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")


def _nothing(video: bool, audio: bool) -> str:
    return "no picture and no sound" if video and audio else "no picture" if video else "no sound"


def _seconds(frame: VideoFrame | AudioFrame) -> float:
    return 0.0 if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
