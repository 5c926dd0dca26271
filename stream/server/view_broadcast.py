"""View broadcast: sends a room's composed frames with their audio to its current viewers.

Without viewers nothing is composed and no frame is kept.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Protocol

import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from speakerlight.composer import ViewComposer
from speakerlight.control import Control
from speakerlight.core.framing import View
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.outputs.output import Output
from speakerlight.outputs.pairing import Pairing
from speakerlight.overlay import OverlayInfo
from speakerlight.rings import FrameRing
from speakerlight.threads import join_within

logger = logging.getLogger(__name__)

VIDEO_CLOCK, AUDIO_CLOCK = 90_000, SAMPLE_RATE
"""Clock rate of pts in hertz."""

HELD_BYTES = 64 << 20
"""Frames that wait for their snapshot: 24 of 1280×720, a second."""

AUDIO_SECONDS = 2.0
"""Audio waits until the frames of its time are sent, so that players have both together."""

POLL_SECONDS = 0.04
JOIN_SECONDS = 2.0


class Track(Protocol):
    """A viewer's media track; safe to call from any thread."""

    def feed(self, frame: VideoFrame | AudioFrame, /) -> None: ...

    def finish(self) -> None: ...


class ViewBroadcast(Output):
    """An output of a run. ``frames``: the source's ring. ``info``: what is drawn beside the snapshot.

    ``subscribe`` and ``unsubscribe`` belong to the server's loop.
    """

    option = "--serve"

    def __init__(
        self, view: View, frames: FrameRing | None, info: Callable[[], OverlayInfo], *, has_audio: bool
    ) -> None:
        self.has_audio, self.has_video = has_audio, frames is not None
        self._view, self._frames, self._info = view, frames, info
        self._lock = threading.Lock()
        self._viewers: dict[Track, Track | None] = {}
        self._snapshots: deque[Snapshot] = deque(maxlen=100)
        self._chunks: deque[AudioChunk] = deque()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def subscribe(self, video: Track, audio: Track | None) -> None:
        """Start feeding these tracks."""
        with self._lock:
            if self._is_closed or self._frames is None:
                video.finish()
                return
            self._viewers[video] = audio
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._compose_while_watched, args=(self._frames,), name="view", daemon=True
                )
                self._thread.start()

    def unsubscribe(self, video: Track) -> None:
        """Stop feeding a viewer's tracks."""
        with self._lock:
            self._viewers.pop(video, None)

    def snapshot(self, snapshot: Snapshot) -> None:
        if self._viewers:
            self._snapshots.append(snapshot)

    def audio(self, chunk: AudioChunk) -> None:
        if self._viewers:
            with self._lock:
                self._chunks.append(chunk)
                while self._chunks[-1].time - self._chunks[0].time > AUDIO_SECONDS:
                    self._chunks.popleft()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            for video, audio in self._viewers.items():
                video.finish()
                if audio is not None:
                    audio.finish()
            self._viewers.clear()
            thread = self._thread
        join_within(thread, JOIN_SECONDS)

    def _compose_while_watched(self, frames: FrameRing) -> None:
        pairing, composer, voice = Pairing(HELD_BYTES), ViewComposer(self._view), _AudioFrames()
        newest: Frame | None = None
        while self._is_watched():
            frame = frames.wait_newer(newest, POLL_SECONDS)
            if frame is not None:
                newest = frame
                self._send(pairing.hold(frame), composer, voice)
            while self._snapshots:
                self._send(pairing.pair(self._snapshots.popleft()), composer, voice)

    def _is_watched(self) -> bool:
        with self._lock:
            if self._viewers:
                return True
            self._thread = None
            self._snapshots.clear()
            self._chunks.clear()
            return False

    def _send(
        self, pairs: Iterable[tuple[Frame, Snapshot | None]], composer: ViewComposer, voice: _AudioFrames
    ) -> None:
        for frame, snapshot in pairs:
            image = _even(composer.compose(frame, snapshot, self._info()))
            video_frame = VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
            video_frame.pts, video_frame.time_base = round(frame.time * VIDEO_CLOCK), Fraction(1, VIDEO_CLOCK)
            with self._lock:
                viewers = list(self._viewers.items())
                due = [self._chunks.popleft() for _ in range(sum(each.time <= frame.time for each in self._chunks))]
            audio_frames = [made for chunk in due for made in voice.push(chunk)]
            for video, audio in viewers:
                video.feed(video_frame)
                for audio_frame in audio_frames if audio is not None else ():
                    audio.feed(audio_frame)  # type: ignore[union-attr]


def overlay_info(control: Control) -> OverlayInfo:
    """The view and the pin that commands have set."""
    return OverlayInfo(pinned=control.state.pinned, view=control.state.view)


class _AudioFrames:
    """Cuts chunks of any size into frames of 20 ms."""

    SIZE = AUDIO_CLOCK // 50

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def push(self, chunk: AudioChunk) -> Iterable[AudioFrame]:
        samples = np.concatenate([self._rest, chunk.samples])
        first = round(chunk.time * AUDIO_CLOCK) - len(self._rest)
        whole = len(samples) - len(samples) % self.SIZE
        self._rest = samples[whole:]
        for start in range(0, whole, self.SIZE):
            pcm = (np.clip(samples[start : start + self.SIZE], -1, 1) * 32767).astype(np.int16)
            # The encoder needs two channels; its own conversion from one would lose 3 dB.
            frame = AudioFrame.from_ndarray(np.repeat(pcm, 2)[None], format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = AUDIO_CLOCK, first + start, Fraction(1, AUDIO_CLOCK)
            yield frame


def _even(image: Image) -> Image:
    """Crop an odd last row or column: encoders need even sizes."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])
