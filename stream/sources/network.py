"""Network streams: rtsp, rtmp, srt, udp and tcp as they arrive, http(s) at the pace of its own timestamps.

Picture and sound of a stream stay on one timeline: its timestamps, laid on the session clock by their arrival. A lost
connection is tried again with growing pauses.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from speakerlight.clock import DeviceClock, SessionClock
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.rings import AudioRing, FrameRing
from speakerlight.sources.audio_choice import audio_stream, video_stream
from speakerlight.sources.decode import AudioConverter, reason
from speakerlight.sources.display import FrameConverter
from speakerlight.sources.gapless_audio import LiveGaplessAudio
from speakerlight.sources.source import SourceOptions, ThreadedSource

OPEN_SECONDS = 8.0
READ_SECONDS = 3.0
"""Longest wait for a connection and for the next packet. A stream that is mute for longer is connected anew."""

FRAMES_WAITING = 16
AUDIO_SECONDS = 10

CAUGHT_UP_SECONDS = 0.005
"""Opening a stream looks at its first second or so, and that backlog is then read at once. The first packet that had to
be waited for this long is live; what came before it is left out."""

JUMP_SECONDS = 1.0
"""Timestamps that step further than this have begun anew."""

STALE_SECONDS = 5.0
"""A picture or sound further than this from now has a damaged timestamp and is left out."""

STALL_SECONDS = 1.0
"""A pulled stream (http) that comes this late has stalled; it goes on from now."""

OPTIONS = {"analyzeduration": "2000000", "rtsp_flags": "prefer_tcp", "overrun_nonfatal": "1"}

PULLED = ("http:", "https:")
UNTIMED_FORMATS = ("mjpeg", "mpjpeg")
"""FFmpeg makes up the timestamps of these; arrival is all there is."""

Result = TypeVar("Result")


class NetworkSource(ThreadedSource):
    """A stream by URL. Connects when made (InputError when that fails); ``start`` begins to deliver.

    A stream of stated length (a file behind http) ends with its end; any other is connected anew.
    """

    def __init__(
        self, url: str, *, video: bool = True, audio: bool = True, options: SourceOptions | None = None
    ) -> None:
        self._container: InputContainer | None = interruptible(lambda: connected(url))
        has_video = video and video_stream(self._container, live=True) is not None
        has_audio = audio and audio_stream(self._container) is not None
        if not (has_video or has_audio):
            self._container.close()
            missing = "picture and no sound" if video and audio else "picture" if video else "sound"
            raise InputError(f"{url}: the stream has no {missing}")
        super().__init__(url, FrameRing(FRAMES_WAITING) if has_video else None, has_audio)
        self._ring = AudioRing(AUDIO_SECONDS * SAMPLE_RATE)
        self._sound = LiveGaplessAudio()
        self._video = FrameConverter()
        self._clock: SessionClock | None = None

    @property
    def audio_overflows(self) -> int:
        return self._ring.overflows

    def start(self, clock: SessionClock) -> None:
        self._clock = clock
        super().start(clock)

    def take_audio(self) -> list[AudioChunk]:
        if self._clock is None or not self.has_audio:
            return []
        chunks = ((block.stamp, block.samples[:, 0]) for block in self._ring.take())
        return self._sound.place(chunks, self._clock.now())

    def stop(self) -> None:
        super().stop()
        if self._thread is None and self._container is not None:
            self._container.close()

    def _capture(self, clock: SessionClock) -> None:
        while self._container is not None:
            try:
                lost = self._play(self._container, clock)
            finally:
                self._container.close()
            if lost is None or self._stopping.is_set():
                return
            self._container = self._reopened(lambda: connected(self.name), f"{self.name}: {lost}")

    def _play(self, container: InputContainer, clock: SessionClock) -> str | None:
        """Deliver until the connection is lost (says why) or over for good (None)."""
        pulled = self.name.startswith(PULLED)
        timing: Timing = Untimed() if container.format.name in UNTIMED_FORMATS else Pulled() if pulled else Pushed()
        converter = AudioConverter()
        try:
            for packet in self._packets(container, backlog=not pulled):
                for frame in _decoded(packet):
                    if isinstance(frame, VideoFrame):
                        self._see(frame, timing, clock)
                    elif isinstance(frame, AudioFrame):
                        self._push_audio(frame, timing, converter, clock)
        except av.error.FFmpegError as error:
            return f"the connection is lost ({reason(error)})"
        return None if pulled and container.duration else "the stream ended"

    def _packets(self, container: InputContainer, *, backlog: bool) -> Iterator[Packet[Any]]:
        streams = [stream for stream in (self._picture_stream(container), self._sound_stream(container)) if stream]
        packets = container.demux(*streams)
        while not self._stopping.is_set():
            asked = time.monotonic()
            packet = next(packets, None)
            if packet is None:
                return
            backlog = backlog and time.monotonic() - asked < CAUGHT_UP_SECONDS
            if backlog:
                _decoded(packet)
            else:
                yield packet

    def _picture_stream(self, container: InputContainer) -> VideoStream | None:
        return video_stream(container, live=True) if self.has_video else None

    def _sound_stream(self, container: InputContainer) -> AudioStream | None:
        return audio_stream(container) if self.has_audio else None

    def _see(self, frame: VideoFrame, timing: Timing, clock: SessionClock) -> None:
        if self.frames is None or frame.pts is None or frame.time_base is None:
            return
        stamp, now = float(frame.pts * frame.time_base), clock.now()
        timing.arrived("picture", stamp, now)
        moment = timing.session_time(stamp)
        newest = self.frames.newest()
        ahead = newest is None or moment > newest.time
        if ahead and abs(moment - now) < STALE_SECONDS and clock.wait_until(moment, self._stopping):
            self.frames.push(Frame(moment, self._video.make(frame)))

    def _push_audio(self, frame: AudioFrame, timing: Timing, converter: AudioConverter, clock: SessionClock) -> None:
        if frame.pts is None or frame.time_base is None:
            return
        stamp, now = float(frame.pts * frame.time_base), clock.now()
        timing.arrived("sound", stamp, now)
        for first, samples in converter.make(frame):
            moment = timing.session_time(first)
            if abs(moment - now) < STALE_SECONDS and (self.has_video or clock.wait_until(moment, self._stopping)):
                self._ring.write(samples[:, None], moment)


class Timing(Protocol):
    """How a stream's timestamps become session time. All in seconds; ``kind`` tells picture from sound."""

    def arrived(self, kind: str, stamp: float, now: float) -> None: ...
    def session_time(self, stamp: float) -> float: ...


class Pushed:
    """The sender sets the pace: timestamps lie on the lower envelope of their arrival."""

    def __init__(self) -> None:
        self._line = DeviceClock()
        self._last: dict[str, float] = {}

    def arrived(self, kind: str, stamp: float, now: float) -> None:
        if abs(stamp - self._last.get(kind, stamp)) > JUMP_SECONDS:
            self._line.resync()
        self._last[kind] = stamp
        self._line.observe(stamp, now)

    def session_time(self, stamp: float) -> float:
        return self._line.session_time(stamp)


class Pulled:
    """We set the pace: timestamps count from the first one's arrival, and anew after a jump or a stall."""

    def __init__(self) -> None:
        self._line = DeviceClock()
        self._last: dict[str, float] = {}

    def arrived(self, kind: str, stamp: float, now: float) -> None:
        jumped = abs(stamp - self._last.get(kind, stamp)) > JUMP_SECONDS
        self._last[kind] = stamp
        if jumped or not self._line.running or now - self._line.session_time(stamp) > STALL_SECONDS:
            self._line.resync()
            self._line.observe(stamp, now)

    def session_time(self, stamp: float) -> float:
        return self._line.session_time(stamp)


class Untimed:
    """There are no timestamps: a picture's time is its arrival."""

    def __init__(self) -> None:
        self._now = 0.0

    def arrived(self, kind: str, stamp: float, now: float) -> None:
        self._now = now

    def session_time(self, stamp: float) -> float:
        return self._now


def connected(url: str) -> InputContainer:
    """The opened stream; InputError with one clear line when that fails or takes longer than OPEN_SECONDS."""
    try:
        return av.open(url, options=dict(OPTIONS), timeout=(OPEN_SECONDS, READ_SECONDS))
    except av.error.ProtocolNotFoundError:
        scheme = url.split(":")[0]
        raise InputError(
            f"{url}: the installed PyAV speaks no {scheme}; send the stream as rtsp, udp or http"
        ) from None
    except av.error.ExitError:
        raise InputError(f"{url}: nothing came in {OPEN_SECONDS:.0f} s; check that it is sending") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{url}: cannot be opened ({reason(error)}); check the address and that it is sending"
        ) from None


def interruptible(work: Callable[[], Result]) -> Result:
    """``work`` in a thread of its own, so that Ctrl-C is answered while a C library waits for the network."""
    done: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put(work())
        except BaseException as error:
            done.put(error)

    threading.Thread(target=run, name="connect", daemon=True).start()
    result = done.get()
    if isinstance(result, BaseException):
        raise result
    return result


def _decoded(packet: Packet[Any]) -> list[Any]:
    try:
        return list(packet.decode())
    except (av.error.FFmpegError, ValueError):
        return []
