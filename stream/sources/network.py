"""Network cameras, streams and pipes: reading and reconnecting. Live (rtsp, udp, …) as it arrives, http(s) paced.

Video and audio of a stream stay on one timeline: its timestamps, mapped to the session clock by their arrival. A lost
live connection is reopened with growing pauses (``ThreadedSource._reopened``); a recording that breaks off is resumed
at the same position, or ends.
"""

from __future__ import annotations

import errno
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, BinaryIO, Protocol, TypeVar

import av.error
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from speakerlight.clock import DeviceClock, SessionClock
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame, Samples
from speakerlight.redaction import redacted
from speakerlight.rings import FrameRing
from speakerlight.sources.addresses import is_pipe, scheme
from speakerlight.sources.audio_choice import audio_stream, undecodable, video_stream
from speakerlight.sources.buffered import BufferedSource
from speakerlight.sources.containers import open_address, open_content, open_pipe, open_stored
from speakerlight.sources.decode import AudioConverter, reason
from speakerlight.sources.display import FrameConverter
from speakerlight.sources.http_requests import http_advice
from speakerlight.sources.not_media import HEAD_BYTES, advice_for
from speakerlight.sources.notices import Notices, SilenceNotice
from speakerlight.sources.one_pass import OnePass
from speakerlight.sources.packets import demuxed
from speakerlight.sources.pipe_input import PipeInput
from speakerlight.sources.source import SourceOptions, SourceState, due

OPEN_SECONDS = 8.0
READ_SECONDS = 3.0
"""Longest wait for a connection and for the next packet. A stream that is mute for longer is connected anew."""

PIPE_SECONDS = 30.0
"""Longest wait for the first media of a pipe: its writer may still be starting."""

FRAMES_WAITING = 16
AUDIO_SECONDS = 10

CAUGHT_UP_SECONDS = 0.005
"""Opening a stream looks at its first second or so, and that backlog is then read at once. The first packet that had to
be waited for this long is live; what came before it is dropped."""

JUMP_SECONDS = 1.0
"""Timestamps that step further than this have begun anew."""

STALE_SECONDS = 5.0
"""A frame or audio further than this from now has a damaged timestamp and is dropped."""

STALL_SECONDS = 1.0
"""A pulled stream (http) that comes this late has stalled; it goes on from now."""

BROKEN_OFF_SECONDS = 2.0
"""A recording that ends this much before its stated end was broken off."""

RESUMES = 3
"""A recording that breaks off so often without any progress cannot be read any further."""

OPTIONS = {"analyzeduration": "2000000", "rtsp_flags": "prefer_tcp", "overrun_nonfatal": "1"}

HTTP_OPTIONS = {
    "reconnect": "1",
    "reconnect_on_network_error": "1",
    "reconnect_on_http_error": "429,5xx",
    "reconnect_delay_max": "2",
    "seg_max_retry": "3",
    "extension_picky": "0",
    "allowed_extensions": "ALL",
    "allowed_segment_extensions": "ALL",
}
"""FFmpeg asks an http server that breaks off for the rest itself, where the server gives ranges, and asks again for a
segment of a playlist that it was refused, and what a busy server refused within 2 s. It uses a connection that the
server has closed once more, unless errors of the network make it connect anew. Segments may have any name: they can
only be read by http."""

REFUSALS = (
    (
        av.error.HTTPUnauthorizedError,
        "write a user and password that it knows into the address, USER:PASSWORD@HOST, with %40 for @ and %2F for /",
    ),
    (av.error.HTTPForbiddenError, "a token or key in the address may be missing or no longer valid"),
    (av.error.HTTPNotFoundError, "check the address"),
    (av.error.HTTPTooManyRequestsError, "try again later"),
    (av.error.HTTPServerError, "try again later"),
)
"""What to do about each answer of a server that gives no media."""

PULLED = ("http", "https")
PLAYLIST_FORMATS = ("hls", "dash")
"""Their size is that of the playlist. One without a length is live: it ends only when it cannot be read again."""
UNTIMED_FORMATS = ("mjpeg", "mpjpeg")
"""FFmpeg makes up the timestamps of these; arrival is all there is."""

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class NetworkSource(BufferedSource):
    """A stream by its address, or a pipe by its name. Connects when made (InputError when that fails); ``start`` begins
    to deliver.

    A recording (a file behind http, a pipe) ends with its end; a live stream is connected anew. ``name`` holds no
    secret of the address.
    """

    def __init__(
        self, url: str, *, video: bool = True, audio: bool = True, options: SourceOptions | None = None
    ) -> None:
        self._url, self._is_pipe = url, is_pipe(url)
        self._options = options or SourceOptions()
        self._notices = Notices(redacted(url), self._options.notify)
        self._container: InputContainer | None = interruptible(self._connected)
        has_video = video and video_stream(self._container, live=True) is not None
        has_audio = audio and audio_stream(self._container, self._options.choice) is not None
        if missing := undecodable(self._connected, self._container) if not self._is_pipe else []:
            self._notices.report("undecodable", f"{' and '.join(missing)} cannot be decoded and is not used")
        if not (has_video or has_audio):
            self._container.close()
            what = "video and no audio" if video and audio else "video" if video else "audio"
            raise InputError(f"{redacted(url)}: {_advice(url) or f'the stream has no {what}'}")
        frames = FrameRing(FRAMES_WAITING) if has_video else None
        super().__init__(redacted(url), frames, has_audio, AUDIO_SECONDS)
        self._size = _coded_size(self._container) if has_video else None
        self._silence = SilenceNotice(self._notices)
        self._end_seconds: float | None = None
        self._pulled = (
            self._pulled_from(self._container)
            if self._is_pipe or (scheme(url) in PULLED and self._container.format.name not in UNTIMED_FORMATS)
            else None
        )
        if self._pulled is not None:
            self._pulled = self._readable(self._pulled)

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return self._size

    @property
    def end_seconds(self) -> float | None:
        return self._end_seconds if self.state is SourceState.ENDED else None

    def _taken(self, chunks: list[tuple[float, Samples]]) -> None:
        for _, samples in chunks:
            self._silence.push(samples)

    def stop(self) -> None:
        super().stop()
        if self._thread is None:
            self._close()

    def _close(self) -> None:
        if self._pulled is not None:
            self._pulled.close()
        elif self._container is not None:
            self._container.close()

    def _connected(self) -> InputContainer:
        return opened_pipe(self._url, self._notices)[0] if self._is_pipe else connected(self._url)

    def _capture(self, clock: SessionClock) -> None:
        if self._pulled is not None:
            self._capture_pulled(clock)
            return
        while self._container is not None:
            try:
                lost = self._play(self._container, clock)
            finally:
                self._container.close()
            if self._stopping.is_set():
                return
            logger.warning("%s: %s", self.name, lost)
            self._container = self._reopened(self._connected, f"{self.name}: {lost}")

    # Pulled: we set the pace

    def _pulled_from(self, container: InputContainer) -> OnePass:
        return OnePass(
            container,
            video=self.has_video,
            audio=self.has_audio,
            choice=self._options.choice,
            notices=self._notices,
            live=True,
            stop=self._stopping,
        )

    def _readable(self, media: OnePass) -> OnePass:
        """``media``, or the same read once from its start where the server gives no ranges, or wrong ones; stored on
        disk where its index is at its end. Raises InputError when not even the first packet can be read."""
        if interruptible(lambda: media.wait(PIPE_SECONDS if self._is_pipe else OPEN_SECONDS)):
            return media
        error = media.error
        media.close()
        if error is None and (self._is_pipe or not media.is_over):
            raise InputError(f"{self.name}: no media comes; check that it is sending")
        if not self._is_pipe:
            with suppress(av.error.FFmpegError, OSError, ValueError, HTTPException):
                self._container = interruptible(lambda: open_stored(self._url, READ_SECONDS, self._report_stored))
                stored = self._pulled_from(self._container)
                if stored.wait(OPEN_SECONDS):
                    return stored
                stored.close()
        why = "it ends at once" if error is None else reason(error)
        raise InputError(
            f"{self.name}: cannot be read ({why}); if the file has its index at its end, the server must "
            "give ranges: download it first"
        )

    def _report_stored(self, line: str) -> None:
        self._notices.report("spool", line)

    def _capture_pulled(self, clock: SessionClock) -> None:
        media, container, timing = self._pulled, self._container, PulledTiming()
        reached, failures, is_recording = _Reached(), 0, self._is_pipe
        while media is not None and container is not None:
            duration = None if container.duration is None else container.duration / av.time_base
            is_playlist = container.format.name in PLAYLIST_FORMATS
            is_recording = is_recording or duration is not None or (not is_playlist and (container.size or 0) > 0)
            before = reached.latest
            self._play_pulled(media, clock, timing, reached)
            identity, error = media.identity, media.error
            if not is_playlist and _is_close_of_unsized(container, error):
                error = None
            media.close()
            is_whole = error is None and (duration is None or reached.latest >= duration - BROKEN_OFF_SECONDS)
            if self._stopping.is_set() or (is_recording and is_whole) or self._is_pipe:
                self._trouble = f"{self.name}: broken off ({reason(error)})" if error is not None else None
                return
            failures = 0 if reached.latest > before else failures + 1
            lost = f"{self.name}: the connection is lost" + (f" ({reason(error)})" if error is not None else "")
            logger.warning("%s at %.1f s", lost, reached.latest)
            if is_recording and failures >= RESUMES:
                self._trouble = f"{lost} at {reached.latest:.0f} s and cannot be resumed; the rest is missing"
                return
            container = self._reopened(self._connected, lost)
            media = self._pulled = None if container is None else self._pulled_from(container)
            if media is None or not media.wait(OPEN_SECONDS):
                continue
            begins_again = not is_recording and _is_same(media.identity, identity)
            if begins_again and is_playlist and error is None and failures >= RESUMES:
                media.close()  # a playlist of unknown length that has ended
                return
            if begins_again and not is_playlist:
                is_recording = True  # so it is no live stream
                if error is None:
                    media.close()
                    return
            if not (is_recording or begins_again):
                reached = _Reached()
            timing.restart()

    def _play_pulled(self, media: OnePass, clock: SessionClock, timing: PulledTiming, reached: _Reached) -> None:
        """Deliver what lies after what was ``reached``, to the end or until stopped."""
        for item in media:
            if reached.includes(item):
                continue
            moment = timing.session_time(due(item), clock.now())
            if not clock.wait_until(moment, self._stopping):
                break
            reached.add(item)
            shift = moment - due(item)
            if isinstance(item, Frame):
                self._push_frame(Frame(item.time + shift, item.image))
            else:
                self._ring.write(item.samples[:, None], item.time + shift)
            self._end_seconds = moment

    def _push_frame(self, frame: Frame) -> None:
        newest = self.frames.newest() if self.frames is not None else None
        if self.frames is not None and (newest is None or frame.time > newest.time):
            self.frames.push(frame)

    # Pushed: the sender sets the pace

    def _play(self, container: InputContainer, clock: SessionClock) -> str:
        """Deliver until the connection is lost; gives the reason."""
        timing: Timing = Untimed() if container.format.name in UNTIMED_FORMATS else Pushed()
        audio = AudioConverter(self._options.choice.channel_index, self._notices.of("scale"))
        video = FrameConverter(self._video_of(container))
        try:
            for packet in self._packets(container):
                for frame in _decoded(packet):
                    if isinstance(frame, VideoFrame):
                        self._push_video(frame, timing, video, clock)
                    elif isinstance(frame, AudioFrame):
                        self._push_audio(frame, timing, audio, clock)
        except av.error.FFmpegError as error:
            return f"the connection is lost ({reason(error)})"
        return "the stream ended"

    def _video_of(self, container: InputContainer) -> Any:
        return video_stream(container, live=True) if self.has_video else None

    def _packets(self, container: InputContainer) -> Iterator[Packet[Any]]:
        audio = audio_stream(container, self._options.choice, video_stream(container, live=True))
        chosen = (self._video_of(container), audio if self.has_audio else None)
        streams: list[Stream] = [stream for stream in chosen if stream]
        packets, is_backlog = demuxed(container, streams), True
        while not self._stopping.is_set():
            asked = time.monotonic()
            packet = next(packets, None)
            if packet is None:
                return
            is_backlog = is_backlog and time.monotonic() - asked < CAUGHT_UP_SECONDS
            if is_backlog:
                _decoded(packet)
            else:
                yield packet

    def _push_video(self, frame: VideoFrame, timing: Timing, converter: FrameConverter, clock: SessionClock) -> None:
        if self.frames is None or frame.pts is None or frame.time_base is None:
            return
        stamp, now = float(frame.pts * frame.time_base), clock.now()
        timing.arrived("video", stamp, now)
        moment = timing.session_time(stamp)
        if abs(moment - now) < STALE_SECONDS and clock.wait_until(moment, self._stopping):
            self._push_frame(Frame(moment, converter.make(frame)))

    def _push_audio(self, frame: AudioFrame, timing: Timing, converter: AudioConverter, clock: SessionClock) -> None:
        if frame.pts is None or frame.time_base is None:
            return
        stamp, now = float(frame.pts * frame.time_base), clock.now()
        timing.arrived("audio", stamp, now)
        for first, samples in converter.make(frame):
            moment = timing.session_time(first)
            if abs(moment - now) < STALE_SECONDS and (self.has_video or clock.wait_until(moment, self._stopping)):
                self._ring.write(samples[:, None], moment)


@dataclass
class _Reached:
    """How far the frames and the audio of a pulled stream have come, seconds of its media: they break off apart."""

    frames: float = -1.0
    audio: float = -1.0

    @property
    def latest(self) -> float:
        return max(self.frames, self.audio)

    def includes(self, item: Frame | AudioChunk) -> bool:
        return due(item) <= (self.frames if isinstance(item, Frame) else self.audio)

    def add(self, item: Frame | AudioChunk) -> None:
        if isinstance(item, Frame):
            self.frames = due(item)
        else:
            self.audio = due(item)


class PulledTiming:
    """Session time of a pulled stream: its media time counts from the first item's arrival, and anew after a stall."""

    def __init__(self) -> None:
        self._shift: float | None = None

    def restart(self) -> None:
        """Count anew from the next item: the connection is another one."""
        self._shift = None

    def session_time(self, moment: float, now: float) -> float:
        """Session time at which the item that is due at ``moment`` of the media is delivered, asked at ``now``."""
        if self._shift is None or now - (moment + self._shift) > STALL_SECONDS:
            self._shift = now - moment
        return moment + self._shift


class Timing(Protocol):
    """How a stream's timestamps become session time, in seconds; ``kind``: video or audio."""

    def arrived(self, kind: str, stamp: float, now: float) -> None: ...
    def session_time(self, stamp: float) -> float: ...


class Pushed:
    """The sender sets the pace: timestamps lie on the lower envelope of their arrival."""

    def __init__(self) -> None:
        self._line = DeviceClock()
        self._last: dict[str, float] = {}

    def arrived(self, kind: str, stamp: float, now: float) -> None:
        if abs(stamp - self._last.get(kind, stamp)) > JUMP_SECONDS:
            logger.info("timestamps of the %s jump from %.1f to %.1f s", kind, self._last[kind], stamp)
            self._line.resync()
        self._last[kind] = stamp
        self._line.observe(stamp, now)

    def session_time(self, stamp: float) -> float:
        return self._line.session_time(stamp)


class Untimed:
    """There are no timestamps: the time of a frame is its arrival."""

    def __init__(self) -> None:
        self._now = 0.0

    def arrived(self, kind: str, stamp: float, now: float) -> None:
        self._now = now

    def session_time(self, stamp: float) -> float:
        return self._now


def connected(url: str) -> InputContainer:
    """The opened stream; InputError with one clear line when that fails or takes longer than OPEN_SECONDS."""
    shown = redacted(url)
    options = OPTIONS | (HTTP_OPTIONS if scheme(url) in PULLED else {})
    try:
        return open_address(url, options, (OPEN_SECONDS, READ_SECONDS))
    except av.error.ProtocolNotFoundError:
        raise InputError(
            f"{shown}: the installed PyAV speaks no {scheme(url)}; send the stream as rtsp, udp or http"
        ) from None
    except av.error.ExitError:
        raise InputError(f"{shown}: nothing came in {OPEN_SECONDS:.0f} s; check that it is sending") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        todo = next((todo for kind, todo in REFUSALS if isinstance(error, kind)), None)
        advice = None if todo else _advice(url)
        todo = todo or "check the address and that it is sending"
        raise InputError(f"{shown}: {advice or f'cannot be opened ({reason(error)}); {todo}'}") from None


def _advice(url: str) -> str | None:
    """As :func:`http_advice` gives it, where that is known soon."""
    if scheme(url) not in PULLED:
        return None
    try:
        return interruptible(lambda: http_advice(url, READ_SECONDS), READ_SECONDS)
    except queue.Empty:  # the server answers, a byte at a time
        return None


def opened_pipe(spec: str, notices: Notices) -> tuple[InputContainer, PipeInput | BinaryIO]:
    """The opened pipe and what is read; InputError with one clear line when it holds no media."""
    given: PipeInput | BinaryIO | None = None
    try:
        given = open_pipe(spec, notices.of("spool"))
        return open_content(given), given
    except (av.error.FFmpegError, OSError, ValueError) as error:
        name = "standard input" if spec == "-" else spec
        head = b"" if given is None else content_head(given)
        advice = advice_for(head) or f"no video or audio that can be read ({reason(error)})"
        if given is not None and not head:
            advice = "it ended before anything came; check the program that writes to it"
        raise InputError(f"{name}: {advice}") from None


def content_head(content: PipeInput | BinaryIO) -> bytes:
    """The first bytes of what is read as a pipe, at most HEAD_BYTES."""
    if isinstance(content, PipeInput):
        return content.head
    content.seek(0)
    return content.read(HEAD_BYTES)


def interruptible(work: Callable[[], Result], seconds: float | None = None) -> Result:
    """``work`` in a thread of its own, so that Ctrl-C is answered while a C library waits for the network.

    Raises ``queue.Empty`` when it takes longer than ``seconds``; the thread goes on.
    """
    done: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put(work())
        except BaseException as error:
            done.put(error)

    threading.Thread(target=run, name="connect", daemon=True).start()
    result = done.get(timeout=seconds)
    if isinstance(result, BaseException):
        raise result
    return result


def _is_close_of_unsized(container: InputContainer, error: Exception | None) -> bool:
    """Whether the server closed the connection of a response without a stated length: its regular end in HTTP.

    FFmpeg calls that an input/output error. A reset or a timeout is another error.
    """
    return isinstance(error, OSError) and error.errno == errno.EIO and (container.size or 0) <= 0


def _is_same(first: Sequence[object], second: Sequence[object]) -> bool:
    """Whether two beginnings of a stream, of which one may be shorter, are one."""
    count = min(len(first), len(second))
    return count > 0 and first[:count] == second[:count]


def _coded_size(container: InputContainer) -> tuple[int, int] | None:
    stream = video_stream(container, live=True)
    context = stream.codec_context if stream is not None else None
    return (context.width, context.height) if context is not None and context.width else None


def _decoded(packet: Packet[Any]) -> list[Any]:
    try:
        return list(packet.decode())
    except (av.error.FFmpegError, ValueError):
        return []
