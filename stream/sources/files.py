"""Recordings on disk: any container, rate, shape and audio layout, on one timeline from 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.input_files import missing_files
from speakerlight.mp4_boxes import boxes_of
from speakerlight.printable import printable
from speakerlight.sources.audio_choice import (
    ProbedAudio,
    audio_stream,
    probe_audio,
    undecodable,
    video_stream,
)
from speakerlight.sources.codec_change import CodecChange
from speakerlight.sources.containers import open_file
from speakerlight.sources.decode import UNTIMED, AudioConverter, reason
from speakerlight.sources.display import FrameConverter
from speakerlight.sources.empty_edits import EmptyEdits
from speakerlight.sources.frame_order import FrameOrder
from speakerlight.sources.gapless_audio import GaplessAudio
from speakerlight.sources.joined import in_time_order
from speakerlight.sources.not_media import HEAD_BYTES, advice_for
from speakerlight.sources.notices import Notices, SilenceNotice
from speakerlight.sources.packets import demuxed, shifted, stamped, without_bursts
from speakerlight.sources.pieces import OTHER_CODECS, next_piece
from speakerlight.sources.source import AudioChoice
from speakerlight.sources.timestamps import JUMP_SECONDS, LONE_JUMP_SECONDS, TimestampRepair
from speakerlight.sources.wav_length import understates_length

FAULTS_IN_A_ROW = 1000
"""Packets that may fail one after another before a file counts as over."""

DEFAULT_RATE = 25.0


class FileReader:
    """Frames and audio of a file (see :class:`MediaReader`).

    Video and audio are read through separate handles, so a badly interleaved file needs no buffer; both repair the
    timestamps in the same way. Time 0 is the start of whichever begins first. Damaged parts are skipped. Raises
    InputError when there is neither video nor audio.
    """

    def __init__(
        self,
        path: Path,
        *,
        video: bool = True,
        audio: bool = True,
        choice: AudioChoice | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        """``video`` and ``audio``: which of the two is wanted; the other is then not decoded, but time 0 is the same.

        ``choice``: of the audio track and channel. ``notify`` receives a line about what was repaired or chosen.
        """
        self.name = path.name
        _check(path)
        self._notices = Notices(path.name, notify)
        probed = _chosen_audio(path, audio, choice or AudioChoice())
        self._channel = probed.channel if probed else None
        track = probed.index if probed else None
        self._video = _Half(path, "video", track, self._notices)
        try:
            self._audio = _Half(path, "audio", track, self._notices)
        except BaseException:
            self._video.close()
            raise
        starts = [half.start for half in (self._video, self._audio) if half.start is not None]
        self.has_video = video and self._video.start is not None
        self.has_audio = audio and self._audio.start is not None
        if not (self.has_video or self.has_audio):
            self.close()
            raise InputError(_nothing(path, video, audio))
        self._origin = min(starts)
        if probed and probed.why:
            self._notices.report("choice", f"{probed.why}: it is used (--audio-track, --audio-channel choose another)")
        if absent := missing_files(path):
            line = f"{len(absent)} of the files that it names are missing, {absent[0]} first, and are left out"
            self._notices.report("missing", printable(line))
        if self.has_audio and understates_length(path):
            self._notices.report("length", "its header states less audio than there is; all of it is read")
        self._converter = FrameConverter(self._video.video_stream)
        missing = undecodable(lambda: open_file(path), self._video.container)
        if missing and not (self.has_video and self.has_audio):
            self._notices.report("undecodable", f"{' and '.join(missing)} cannot be decoded and is not used")

    @property
    def duration_seconds(self) -> float | None:
        """As the container states it, from time 0; it may be wrong. None where it states none."""
        ends = [half.end for half in (self._video, self._audio) if half.end is not None]
        return max(ends) - self._origin if ends else None

    @property
    def frame_size(self) -> tuple[int, int] | None:
        first = self._video.first
        return self._converter.measure(first) if self.has_video and isinstance(first, VideoFrame) else None

    @property
    def frame_rate(self) -> float | None:
        return self._video.rate if self.has_video else None

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        return in_time_order(
            self._frames() if self.has_video else iter(()), self._chunks() if self.has_audio else iter(())
        )

    def close(self) -> None:
        self._video.close()
        self._audio.close()

    def _frames(self) -> Iterator[Frame]:
        step = 1 / (self.frame_rate or DEFAULT_RATE)
        last = -step
        frames = (frame for frame in self._video.decoded() if isinstance(frame, VideoFrame))
        for stamp, frame in FrameOrder(self._notices.of("rate")).push(frames, is_end=True):
            time = last + step if stamp is None else stamp - self._origin
            if last < time:
                last = time
                yield Frame(time, self._converter.make(frame))

    def _chunks(self) -> Iterator[AudioChunk]:
        has_times = self._audio.container.format.name not in UNTIMED
        converter = AudioConverter(self._channel, self._notices.of("scale"), has_times=has_times)
        line = GaplessAudio(start=0.0)
        silence = SilenceNotice(self._notices)
        frames = (frame for frame in self._audio.decoded() if isinstance(frame, AudioFrame))
        for time, samples in chain(chain.from_iterable(map(converter.make, frames)), converter.flush()):
            silence.push(samples)
            yield from line.place(time - self._origin, samples)


class _Half:
    """One stream of a file through a handle of its own. The first frame is decoded at once: it gives the true start.

    Of recordings that were joined to one file all are read, each through a handle of its own.
    """

    def __init__(self, path: Path, kind: Literal["video", "audio"], audio_index: int | None, notices: Notices) -> None:
        self._path, self._kind, self._audio_index, self._notices = path, kind, audio_index, notices
        self._size = _size(path)
        self.container = _opened(path)
        self._containers = [self.container]
        streams = _chosen(self.container, audio_index)
        self.video_stream = streams.video
        self._stream = streams.video if kind == "video" else streams.audio
        self._repair: TimestampRepair[Packet[Any]] = TimestampRepair(
            lambda line: notices.report("clock", line),
            longest_gap=JUMP_SECONDS if streams.audio is not None else LONE_JUMP_SECONDS,
            report_gap=lambda line: notices.report("gap", line) if streams.audio is not None else None,
        )
        self._frames = self._decode() if self._stream is not None else iter(())
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
        if self.container.duration is not None:
            return (self.container.duration + (self.container.start_time or 0)) / av.time_base
        return None

    @property
    def rate(self) -> float | None:
        """Nominal frames a second. A stream without timestamps has its rate in the codec, or nowhere."""
        if self.video_stream is None:
            return None
        coded = self.video_stream.codec_context.framerate if self.first is None or self.first.pts is None else None
        rate = coded or self.video_stream.average_rate
        return float(rate) if rate else None

    @property
    def _container_rate(self) -> float:
        rate = self.video_stream.average_rate if self.video_stream is not None else None
        return float(rate) if rate else DEFAULT_RATE

    def decoded(self) -> Iterator[VideoFrame | AudioFrame]:
        return chain(() if self.first is None else (self.first,), self._frames)

    def close(self) -> None:
        for container in self._containers:
            container.close()

    def _decode(self) -> Iterator[VideoFrame | AudioFrame]:
        faults = 0
        is_joinable = self.container.format.name == "mpegts"
        decode = CodecChange(self._notices.of("codec")).decode if is_joinable else _frames_of
        own = (packet for packet in self._repaired() if packet.stream.type == self._kind)
        for packet in without_bursts(own, self._container_rate) if self._kind == "video" else own:
            try:
                frames = decode(packet)
            except (av.error.FFmpegError, ValueError):
                faults += 1
                if faults == FAULTS_IN_A_ROW:
                    return
                continue
            faults = 0
            yield from frames

    def _repaired(self) -> Iterator[Packet[Any]]:
        """The packets of both streams on one continuous timeline, with those that flush the decoders."""
        for packet in self._packets():
            yield from map(shifted, self._repair.push(stamped(packet, _KINDS.index(packet.stream.type))))
        yield from map(shifted, self._repair.flush())

    def _packets(self) -> Iterator[Packet[Any]]:
        """The packets of both streams of each recording in the file, one recording after the other."""
        container: InputContainer | None = self.container
        empty = EmptyEdits(self._path)
        start = 0
        while container is not None:
            reached = start
            for packet in _demuxed(container, _chosen(container, self._audio_index).both):
                reached = max(reached, start + (packet.pos or 0) + packet.size)
                if not (start == 0 and empty.hold(packet)):
                    yield packet
            start = next_piece(self._path, start, reached) or 0
            container = self._container_at(start) if start else None
        if _size(self._path) > self._size:
            self._notices.report("grown", "it grew while it was read; what came after its end was reached is missing")

    def _container_at(self, start: int) -> InputContainer | None:
        try:
            container = open_file(self._path, start, next_piece(self._path, start))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            line = f"a second recording in it, from byte {start}, cannot be read ({reason(error)}) and is left out"
            self._notices.report("rest", line)
            return None
        self._containers.append(container)
        return container


def _size(path: Path) -> int:
    """Bytes so far; 0 where it was deleted."""
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _frames_of(packet: Packet[Any]) -> list[Any]:
    return list(packet.decode())


@dataclass(frozen=True)
class _Streams:
    """The streams of a container that are read; all others are discarded."""

    video: VideoStream | None
    audio: AudioStream | None

    @property
    def both(self) -> list[Stream]:
        return [stream for stream in (self.video, self.audio) if stream is not None]


def _chosen(container: InputContainer, audio_index: int | None) -> _Streams:
    """``audio_index``: of the audio in the first recording; None: none is wanted. A later one may have it elsewhere."""
    video = video_stream(container)
    audio = None if audio_index is None else _audio_at(container, audio_index) or audio_stream(container, video=video)
    for other in container.streams:
        if other not in (video, audio):
            other.discard = Discard.all
    return _Streams(video, audio)


_KINDS = ("video", "audio")


def _audio_at(container: InputContainer, index: int) -> AudioStream | None:
    return next((stream for stream in container.streams.audio if stream.index == index), None)


def _demuxed(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Any]]:
    for _ in range(FAULTS_IN_A_ROW):
        try:
            yield from demuxed(container, streams)
            return
        except (av.error.FFmpegError, ValueError) as error:
            if container.format.name == "ogg" and isinstance(error, OTHER_CODECS):
                return  # read on from here, FFmpeg would skip the recording and find the next one of the first codec


def _chosen_audio(path: Path, wanted: bool, choice: AudioChoice) -> ProbedAudio | None:
    """The audio of the file; where it is not wanted, that which time 0 goes by."""
    with _opened(path) as container:
        if wanted:
            return probe_audio(container, choice)
        stream = audio_stream(container, video=video_stream(container))
        return None if stream is None else ProbedAudio(stream.index)


def _opened(path: Path) -> InputContainer:
    try:
        return open_file(path, end=next_piece(path, 0))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        advice = (
            advice_for(_head(path))
            or _without_index(path)
            or f"not a video or audio file that can be read ({reason(error)})"
        )
        raise InputError(f"{path}: {advice}") from None


def _without_index(path: Path) -> str | None:
    with suppress(OSError), path.open("rb") as file:
        kinds = {box.kind for box in boxes_of(file)}
        if file.seek(4) and file.read(4) == b"ftyp" and b"moov" not in kinds:
            return (
                "an MP4 file without its index, as a recording that was broken off: repair it first, "
                "in the camera or with a tool such as untrunc"
            )
    return None


def _head(path: Path) -> bytes:
    with suppress(OSError, ValueError), path.open("rb") as file:
        return file.read(HEAD_BYTES)
    return b""


def _check(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory; name a file in it")
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from None


def _nothing(path: Path, video: bool, audio: bool) -> str:
    with _opened(path) as container:
        missing = undecodable(lambda: open_file(path), container)
    if missing:
        return f"{path}: {' and '.join(missing)} cannot be decoded; convert the file first"
    if advice := advice_for(_head(path)):
        return f"{path}: {advice}"
    what = "no video and no audio" if video and audio else "no video" if video else "no audio"
    return f"{path}: {what} that can be decoded; play it elsewhere to check it"


def _seconds(frame: VideoFrame | AudioFrame) -> float:
    return 0.0 if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
