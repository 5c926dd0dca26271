"""A browser's camera and microphone as a live source: the newest picture only, and sound without gaps."""

from __future__ import annotations

import threading
from collections import deque

from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from speakerlight.clock import SessionClock
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.rings import AudioRing, FrameRing
from speakerlight.server.scaled_frames import LONG_SIDE, ScaledFrames
from speakerlight.server.timeline import Kind, Timeline
from speakerlight.sources.decode import AudioConverter
from speakerlight.sources.gapless_audio import LiveGaplessAudio
from speakerlight.sources.source import ThreadedSource

FRAMES_WAITING = 2
"""A face must not be watched with delay."""

AUDIO_SECONDS = 2
AUDIO_CHUNKS_WAITING = 100
"""Two seconds of the 20 ms that Opus packets have: a machine that stood still for longer hears a gap, not the past."""

STALE_SECONDS = 5.0
"""A picture or sound further than this from now has a nonsense stamp and is left out."""


class BrowserSource(ThreadedSource):
    """Fed by ``show`` and ``play`` with what is decoded, by ``arrived`` and ``reported`` with what dates it.

    All four are called on one thread, and never wait. What comes before ``start`` is left out. ``long_side``: of what
    the browser's camera gives, in pixels, which may be more than what comes of it.
    """

    def __init__(self, *, has_audio: bool, long_side: int = LONG_SIDE) -> None:
        super().__init__("browser", FrameRing(FRAMES_WAITING), has_audio)
        self._clock: SessionClock | None = None
        self._timeline = Timeline()
        self._changed = threading.Condition()
        self._picture: tuple[float, VideoFrame] | None = None
        self._audio: deque[tuple[float, AudioFrame]] = deque(maxlen=AUDIO_CHUNKS_WAITING)
        self._skipped = 0
        self._video = ScaledFrames(long_side)
        self._ring = AudioRing(AUDIO_SECONDS * SAMPLE_RATE)
        self._sound = LiveGaplessAudio()

    @property
    def now(self) -> float | None:
        """Session time in seconds; None before ``start``."""
        return self._clock.now() if self._clock else None

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Width and height of the pictures in ``frames``, in pixels; None before the first."""
        return self._video.size

    @property
    def dropped(self) -> int:
        """Pictures left out because newer ones were there before they could be prepared or looked at."""
        assert self.frames is not None
        return self._skipped + self.frames.dropped

    @property
    def audio_overflows(self) -> int:
        return self._ring.overflows

    def start(self, clock: SessionClock) -> None:
        self._clock = clock
        super().start(clock)

    def arrived(self, kind: Kind, stamp: float) -> None:
        """As for ``Timeline``: a packet came right now."""
        if self._clock is not None:
            self._timeline.arrived(kind, stamp, self._clock.now())

    def reported(self, kind: Kind, stamp: float, sender_time: float) -> None:
        """As for ``Timeline``."""
        self._timeline.reported(kind, stamp, sender_time)

    def show(self, picture: VideoFrame) -> None:
        """A decoded picture, in order."""
        if (moment := self._moment(Kind.VIDEO, picture)) is not None:
            with self._changed:
                self._skipped += self._picture is not None
                self._picture = moment, picture
                self._changed.notify()

    def play(self, audio: AudioFrame) -> None:
        """Decoded sound, in order."""
        if self.has_audio and (moment := self._moment(Kind.AUDIO, audio)) is not None:
            with self._changed:
                self._audio.append((moment, audio))
                self._changed.notify()

    def take_audio(self) -> list[AudioChunk]:
        if self._clock is None or not self.has_audio:
            return []
        chunks = ((block.stamp, block.samples[:, 0]) for block in self._ring.take())
        return self._sound.place(chunks, self._clock.now())

    def stop(self) -> None:
        with self._changed:
            self._stopping.set()
            self._changed.notify()
        super().stop()

    def _moment(self, kind: Kind, frame: VideoFrame | AudioFrame) -> float | None:
        """When it was captured, in session time; None for what has no believable time."""
        if self._clock is None or frame.pts is None or frame.time_base is None:
            return None
        moment = self._timeline.session_time(kind, float(frame.pts * frame.time_base))
        return moment if moment is not None and abs(moment - self._clock.now()) < STALE_SECONDS else None

    def _capture(self, clock: SessionClock) -> None:
        converter = AudioConverter()
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._picture or self._audio or self._stopping.is_set())
                heard, self._audio = self._audio, deque(maxlen=AUDIO_CHUNKS_WAITING)
                seen, self._picture = self._picture, None
            for moment, chunk in heard:
                self._push_audio(moment, chunk, converter)
            if seen:
                self._see(*seen)

    def _see(self, moment: float, picture: VideoFrame) -> None:
        assert self.frames is not None
        newest = self.frames.newest()
        # The first sender reports may move the line back: time stands still then, it never runs backwards.
        if newest is None or moment > newest.time:
            self.frames.push(Frame(moment, self._video.make(picture)))

    def _push_audio(self, moment: float, chunk: AudioFrame, converter: AudioConverter) -> None:
        stamp = float(chunk.pts * chunk.time_base) if chunk.pts is not None and chunk.time_base is not None else 0.0
        for first, samples in converter.make(chunk):
            self._ring.write(samples[:, None], moment + first - stamp)
