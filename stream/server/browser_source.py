"""Browser source: a client's camera and microphone as a live source; newest frames only, audio without gaps.

Frames are converted in the thread that decoded them, and audio on the loop that decoded it: each hand-over to another
thread takes longer than a packet's conversion.
"""

from __future__ import annotations

import threading

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
"""Audio in the ring: a longer stall leaves a gap instead of old audio."""

STALE_SECONDS = 5.0
"""A frame or chunk further than this from now has a nonsense timestamp and is dropped."""


class BrowserSource(BufferedSource):
    """Fed by ``push_video`` and ``push_audio`` with media, ``packet_arrived`` and ``sender_report`` with times.

    None of them blocks; each is called by one thread at a time. Input before ``start`` and after ``stop`` is dropped.
    ``long_side``: of the client's camera, in pixels; received frames may be smaller.
    """

    def __init__(self, *, has_audio: bool, long_side: int = LONG_SIDE) -> None:
        super().__init__("browser", FrameRing(FRAMES_WAITING), has_audio, AUDIO_SECONDS)
        self._timeline = Timeline()
        self._using_timeline = threading.Lock()
        self._video, self._audio = ScaledFrames(long_side), AudioConverter()

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
        """Frames dropped because newer ones arrived before they were read."""
        assert self.frames is not None
        return self.frames.dropped

    def packet_arrived(self, kind: Kind, stamp: float) -> None:
        """As ``Timeline.packet_arrived``, for a packet that arrived now."""
        if self._clock is not None:
            with self._using_timeline:
                self._timeline.packet_arrived(kind, stamp, self._clock.now())

    def sender_report(self, kind: Kind, stamp: float, sender_time: float) -> None:
        """As ``Timeline.sender_report``."""
        with self._using_timeline:
            self._timeline.sender_report(kind, stamp, sender_time)

    def push_video(self, frame: VideoFrame) -> None:
        """A decoded frame, in order."""
        assert self.frames is not None
        moment, newest = self._moment(Kind.VIDEO, frame), self.frames.newest()
        # The first sender reports may move the clock back: frames are dropped until time advances again.
        if moment is not None and (newest is None or moment > newest.time):
            self.frames.push(Frame(moment, self._video.make(frame)))

    def push_audio(self, audio: AudioFrame) -> None:
        """Decoded audio, in order."""
        moment = self._moment(Kind.AUDIO, audio) if self.has_audio else None
        if moment is not None and audio.pts is not None and audio.time_base is not None:
            stamp = float(audio.pts * audio.time_base)
            for first, samples in self._audio.make(audio):
                self._ring.write(samples[:, None], moment + first - stamp)

    def _moment(self, kind: Kind, frame: VideoFrame | AudioFrame) -> float | None:
        """Capture time of ``frame``, in session time; None without a plausible one."""
        if self._clock is None or self._stopping.is_set() or frame.pts is None or frame.time_base is None:
            return None
        with self._using_timeline:
            moment = self._timeline.session_time(kind, float(frame.pts * frame.time_base))
        return moment if moment is not None and abs(moment - self._clock.now()) < STALE_SECONDS else None

    def _capture(self, clock: SessionClock) -> None:
        self._stopping.wait()
