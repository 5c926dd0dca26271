"""Browser source: a client's camera and microphone as a live source; newest frame only, audio without gaps."""

from __future__ import annotations

import threading
from collections import deque

from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from speakerlight.clock import SessionClock
from speakerlight.core.media import Frame
from speakerlight.rings import FrameRing
from speakerlight.server.scaled_frames import LONG_SIDE, ScaledFrames
from speakerlight.server.timeline import Kind, Timeline
from speakerlight.sources.buffered import BufferedSource
from speakerlight.sources.decode import AudioConverter

FRAMES_WAITING = 2
"""Frames in the ring: faces are tracked without delay."""

AUDIO_SECONDS = 2
AUDIO_CHUNKS_WAITING = 100
"""Two seconds of Opus packets of 20 ms: a longer stall leaves a gap instead of old audio."""

STALE_SECONDS = 5.0
"""A frame or chunk further than this from now has a nonsense timestamp and is dropped."""


class BrowserSource(BufferedSource):
    """Fed by ``push_video`` and ``push_audio`` with media, ``packet_arrived`` and ``sender_report`` with times.

    All four are called on one thread and never block. Input before ``start`` is dropped. ``long_side``: of the client's
    camera, in pixels; received frames may be smaller.
    """

    def __init__(self, *, has_audio: bool, long_side: int = LONG_SIDE) -> None:
        super().__init__("browser", FrameRing(FRAMES_WAITING), has_audio, AUDIO_SECONDS)
        self._timeline = Timeline()
        self._changed = threading.Condition()
        self._newest_video: tuple[float, VideoFrame] | None = None
        self._audio: deque[tuple[float, AudioFrame]] = deque(maxlen=AUDIO_CHUNKS_WAITING)
        self._skipped = 0
        self._video = ScaledFrames(long_side)

    @property
    def now(self) -> float | None:
        """Session time in seconds; None before ``start``."""
        return self._clock.now() if self._clock else None

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Width and height of the frames, in pixels; None before the first."""
        return self._video.size

    @property
    def dropped(self) -> int:
        """Frames dropped because newer ones arrived before they were converted or read."""
        assert self.frames is not None
        return self._skipped + self.frames.dropped

    def packet_arrived(self, kind: Kind, stamp: float) -> None:
        """As ``Timeline.packet_arrived``, for a packet that arrived now."""
        if self._clock is not None:
            self._timeline.packet_arrived(kind, stamp, self._clock.now())

    def sender_report(self, kind: Kind, stamp: float, sender_time: float) -> None:
        """As ``Timeline.sender_report``."""
        self._timeline.sender_report(kind, stamp, sender_time)

    def push_video(self, frame: VideoFrame) -> None:
        """A decoded frame, in order."""
        if (moment := self._moment(Kind.VIDEO, frame)) is not None:
            with self._changed:
                self._skipped += self._newest_video is not None
                self._newest_video = moment, frame
                self._changed.notify()

    def push_audio(self, audio: AudioFrame) -> None:
        """Decoded audio, in order."""
        if self.has_audio and (moment := self._moment(Kind.AUDIO, audio)) is not None:
            with self._changed:
                self._audio.append((moment, audio))
                self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopping.set()
            self._changed.notify()
        super().stop()

    def _moment(self, kind: Kind, frame: VideoFrame | AudioFrame) -> float | None:
        """Capture time of ``frame``, in session time; None without a plausible one."""
        if self._clock is None or frame.pts is None or frame.time_base is None:
            return None
        moment = self._timeline.session_time(kind, float(frame.pts * frame.time_base))
        return moment if moment is not None and abs(moment - self._clock.now()) < STALE_SECONDS else None

    def _capture(self, clock: SessionClock) -> None:
        converter = AudioConverter()
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._newest_video or self._audio or self._stopping.is_set())
                chunks, self._audio = self._audio, deque(maxlen=AUDIO_CHUNKS_WAITING)
                video, self._newest_video = self._newest_video, None
            for moment, chunk in chunks:
                self._push_audio(moment, chunk, converter)
            if video:
                self._push_frame(*video)

    def _push_frame(self, moment: float, frame: VideoFrame) -> None:
        assert self.frames is not None
        newest = self.frames.newest()
        # The first sender reports may move the clock back: frames are dropped until time advances again.
        if newest is None or moment > newest.time:
            self.frames.push(Frame(moment, self._video.make(frame)))

    def _push_audio(self, moment: float, chunk: AudioFrame, converter: AudioConverter) -> None:
        stamp = float(chunk.pts * chunk.time_base) if chunk.pts is not None and chunk.time_base is not None else 0.0
        for first, samples in converter.make(chunk):
            self._ring.write(samples[:, None], moment + first - stamp)
