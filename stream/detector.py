"""Speaker detector: the engine as a Python object, for frames and audio that a program captures itself.

The third driver beside the live and the fast one, over the same objects: :class:`TickAdapter`, the scorer and
:class:`EventStream`. It has no thread, no clock and no device: the same input gives the same events.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

from speakerlight.core.events import Event, EventStream
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import TICK_RATE
from speakerlight.engine import EmptyFrames, ScorerStage, TickAdapter
from speakerlight.engine_factory import open_engine
from speakerlight.model_loading import load_models
from speakerlight.run_settings import RunSettings
from speakerlight.sources.decode import AudioConverter
from speakerlight.sources.gapless_audio import GaplessAudio
from speakerlight.sources.source import due

LEAD_SECONDS = 1.0
"""How far one stream may begin before the first thing that is pushed, and how far the scorer gets one stream ahead of
the other: well within the 5 seconds that it remembers."""

FRAMES_WAIT_SECONDS = 60.0
"""How long frames wait for their audio, as small crops of faces; audio still missing then counts as silence."""

AUDIO_WAITS_SECONDS = 600.0
"""How long audio waits for its frames: 38 MB."""

MOST_CHANNELS = 32
"""An array with more channels than this has them first: it was not transposed."""

TIME_BASE = Fraction(1, 10**9)
"""Resolution of audio times on their way through FFmpeg: far below a sample."""

_LOADING = threading.Lock()
"""Loading changes process-wide state for a moment (modules being imported, the terminal): one detector at a time."""


class SpeakerDetector:
    """Detects who is speaking in frames and audio that you push.

    Example::

        with SpeakerDetector() as detector:
            for time, bgr, samples in my_capture():
                events = detector.push_audio(time, samples, 48_000) + detector.push_frame(time, bgr)
            events = detector.finish()

    Times are seconds on one clock of yours (any origin; a capture clock, not the time of the call) and rise within each
    stream. Frames and audio may be pushed in any interleaving and in blocks of any size: the events do not depend on
    it, and are those of ``--fast`` on a file with the same content: ``scores`` (25 a second), ``speaker``, ``person``,
    ``merge`` and ``lag``. A time's events come about 0.2 s after its frame and audio, later if the audio is late.

    One stream waits for the other: frames up to a minute for audio, which then counts as silent, audio up to ten
    minutes for frames, which then count as empty. What begins more than a second before the first push is dropped.

    Threads: use a detector from one thread at a time. Several detectors may run in several threads; each has a model of
    its own. Loading one takes a second or so, and limits OpenCV, BLAS and PyTorch to one thread in this process.
    The face detector's model file is fetched when it is not cached yet (``SPEAKERLIGHT_CACHE`` names the folder).
    """

    def __init__(
        self,
        *,
        model: str = "compact",
        device: str = "auto",
        lag_ms: float | None = None,
        max_faces: int = RunSettings.max_faces,
        has_video: bool = True,
        has_audio: bool = True,
    ) -> None:
        """Load the models.

        ``model``: ``compact`` or the path of ``lipsync_expert.pth``. ``device``: ``auto``, ``cpu``, ``cuda`` or
        ``mps``. ``lag_ms``: how much later the audio comes than the video, −600 to 600; None: estimated.
        ``max_faces``: the largest so many faces are scored. ``has_video``, ``has_audio``: False when that stream will
        not be pushed at all; without audio the movement of the mouths decides alone.

        Raises InputError when a value is out of range or a model cannot be loaded or fetched.
        """
        if not (has_video or has_audio):
            raise ValueError("a detector needs video or audio")
        settings = RunSettings(model=model, device=device, lag_ms=lag_ms, max_faces=max_faces)
        self._cleanup = ExitStack()
        with _LOADING:
            engine = self._cleanup.enter_context(open_engine(settings, load_models(settings), has_audio=has_audio))
        self._has_video, self._has_audio = has_video, has_audio
        self._adapter = TickAdapter(engine.vision)
        self._queue = _Interleaver(engine.scorer, has_video=has_video, has_audio=has_audio)
        self._converter, self._gapless = AudioConverter(), GaplessAudio(start=0.0)
        self._events = EventStream()
        self._origin: float | None = None
        self._frame_time = self._audio_time = -math.inf
        self._is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def push_frame(self, time: float, bgr: npt.NDArray[np.uint8]) -> list[Event]:
        """Take the frame that was captured at ``time`` and return the events that became decidable, in order.

        ``bgr``: uint8, height × width × 3, blue first (OpenCV's order); copied, so the buffer may be reused. Any frame
        rate; 25 a second or more are best. The size may change. A second frame of the same time is ignored.

        Raises ValueError when the time goes back or is not finite, when the array is no such image, after ``finish``,
        and when the detector was made without video.
        """
        self._check(time, self._frame_time, self._has_video, "frame")
        image = np.asarray(bgr)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"a frame is uint8, height × width × 3, not {image.dtype} {image.shape}")
        session_time = self._session_time(time)
        if time == self._frame_time or session_time < 0:
            return []
        self._frame_time = time
        frame = Frame(session_time, np.array(image, order="C"))
        self._queue.push_tracks(session_time, self._adapter.push(frame))
        if self._has_audio:
            self._queue.push_audio(self._gapless.fill(session_time - FRAMES_WAIT_SECONDS))
        return self._reported(self._queue.advance())

    def push_audio(self, time: float, samples: npt.NDArray[Any], rate: int) -> list[Event]:
        """Take a block whose first sample was captured at ``time`` and return the events that became decidable.

        ``samples``: int16 or float (full scale ±1), one dimension or samples × channels (mixed down); any number of
        them, none included. NaN, infinity and values far beyond full scale count as 0. ``rate``: samples a second,
        above 0; it may change. Times may jitter by 20 ms; gaps between blocks are silence, overlaps are dropped.

        Raises ValueError when the time goes back or is not finite, when array or rate are not such, after ``finish``,
        and when the detector was made without audio.
        """
        self._check(time, self._audio_time, self._has_audio, "audio")
        if rate <= 0 or rate != int(rate):
            raise ValueError(f"the rate is a whole number of samples a second, not {rate}")
        block = _floats(np.asarray(samples))
        session_time = self._session_time(time)
        self._audio_time = time
        # A second at a time, which bounds the memory that converting a long block takes.
        for first in range(0, len(block), int(rate)):
            part = block[first : first + int(rate)]
            frame = _audio_frame(session_time + first / rate, part, int(rate))
            self._queue.push_audio(self._placed(self._converter.make(frame)))
        if self._has_video:
            until = self._queue.audio_through - AUDIO_WAITS_SECONDS
            self._queue.push_tracks(until, self._adapter.pass_time(until))
        return self._reported(self._queue.advance())

    def finish(self) -> list[Event]:
        """End both streams and return the events that are left. Nothing can be pushed afterwards."""
        if not self._is_open:
            raise ValueError("the detector is finished")
        self._is_open = False
        self._queue.push_audio(self._placed(self._converter.flush()))
        if self._has_audio and self._gapless.end and self._frame_time > -math.inf:
            self._queue.push_audio(self._gapless.fill(self._session_time(self._frame_time)))
        if self._has_video:
            end = self._queue.end
            self._queue.push_tracks(end, self._adapter.finish(end))
        return self._reported(self._queue.finish())

    def close(self) -> None:
        """Free the models, without events. Called by ``with``; may be called twice."""
        self._is_open = False
        self._cleanup.close()

    def _check(self, time: float, last: float, is_expected: bool, name: str) -> None:
        if not self._is_open:
            raise ValueError("the detector is finished")
        if not is_expected:
            raise ValueError(f"the detector was made without {'video' if name == 'frame' else 'audio'}")
        if not math.isfinite(time):
            raise ValueError(f"{name} time {time} is not finite")
        if time < last:
            raise ValueError(f"{name} time goes back from {last:.6f} to {time:.6f} s")

    def _session_time(self, time: float) -> float:
        """``time`` on the engine's clock, which starts near 0: a whole number of seconds before the caller's."""
        if self._origin is None:
            self._origin = math.floor(time - LEAD_SECONDS) if not 0 <= time < LEAD_SECONDS else 0.0
            self._adapter.begin(time - self._origin)
            self._queue.begin(time - self._origin)
        return time - self._origin

    def _placed(self, converted: Iterable[tuple[float, npt.NDArray[np.float32]]]) -> Iterator[AudioChunk]:
        for time, samples in converted:
            yield from self._gapless.place(time, samples)

    def _reported(self, snapshots: Iterable[Snapshot]) -> list[Event]:
        origin = self._origin or 0.0
        return [event for each in snapshots for event in self._events.events(replace(each, time=each.time + origin))]


class _Interleaver:
    """Hands frame tracks and audio to the scorer in order of time, whichever was pushed first.

    The scorer remembers some seconds only, so neither stream gets far ahead of the other. ``video_through``,
    ``audio_through``: how far each has been pushed, in seconds.
    """

    def __init__(self, scorer: ScorerStage, *, has_video: bool, has_audio: bool) -> None:
        self._scorer = scorer
        self._tracks: deque[FrameTracks] = deque()
        self._audio: deque[AudioChunk] = deque()
        self._has_video, self._has_audio = has_video, has_audio
        self._empty: EmptyFrames | None = None
        self.video_through = self.audio_through = -math.inf

    def begin(self, time: float) -> None:
        """The session begins at ``time`` (seconds)."""
        self._empty = None if self._has_video else EmptyFrames(time)

    @property
    def end(self) -> float:
        """How far either stream has got, in seconds; 0 before anything was pushed."""
        return max(self.video_through, self.audio_through, 0.0)

    def push_tracks(self, time: float, tracks: Iterable[FrameTracks]) -> None:
        """``tracks``: those that are decided because the video has got to ``time`` (seconds of the session)."""
        self.video_through = max(self.video_through, time)
        self._tracks.extend(tracks)

    def push_audio(self, chunks: Iterable[AudioChunk]) -> None:
        for chunk in chunks:
            self.audio_through = due(chunk)
            self._audio.append(chunk)

    def advance(self) -> Iterator[Snapshot]:
        """The snapshots that became decidable."""
        video_through = self.video_through if self._has_video else math.inf
        audio_through = self.audio_through if self._has_audio else math.inf
        yield from self._released(video_through + LEAD_SECONDS, audio_through + LEAD_SECONDS)
        yield from self._scorer.advance()

    def finish(self) -> Iterator[Snapshot]:
        """The snapshots of all that still waits."""
        yield from self._released(math.inf, math.inf)
        yield from self._scorer.finish()

    def _released(self, audio_until: float, tracks_until: float) -> Iterator[Snapshot]:
        """Hand on what lies before these times (seconds). Deciding each second bounds the scorer's memory."""
        decided = -math.inf
        while self._tracks or self._audio:
            tracks_time = self._tracks[0].tick / TICK_RATE if self._tracks else math.inf
            audio_time = due(self._audio[0]) if self._audio else math.inf
            if audio_time <= tracks_time:
                if audio_time > audio_until:
                    return
                self._scorer.push_audio([self._audio.popleft()])
                if self._empty is not None:
                    self._scorer.push_tracks(list(self._empty.until(audio_time)))
            else:
                if tracks_time > tracks_until:
                    return
                self._scorer.push_tracks([self._tracks.popleft()])
            time = min(audio_time, tracks_time)
            if time - decided >= LEAD_SECONDS:
                decided = time
                yield from self._scorer.advance()


def _floats(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Float32, samples × channels. Damaged samples stay: the converter cleans them as it does those of a file."""
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= MOST_CHANNELS):
        raise ValueError(f"audio is one-dimensional or samples × channels, not of shape {samples.shape}")
    block = samples.reshape(len(samples), -1) if samples.size else np.zeros((0, 1), samples.dtype)
    if samples.dtype == np.int16:
        block = block.astype(np.float32) / np.float32(2**15)
    elif np.issubdtype(samples.dtype, np.floating):
        block = block.astype(np.float32)
    else:
        raise ValueError(f"audio is int16 or float, not {samples.dtype}")
    return block


def _audio_frame(time: float, block: npt.NDArray[np.float32], rate: int) -> AudioFrame:
    """FFmpeg's frame of samples × channels at ``time`` (seconds)."""
    layout = f"{block.shape[1]}C"  # channels without positions: none of them is mixed down by its position
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(block.reshape(1, -1)), format="flt", layout=layout)
    frame.sample_rate, frame.time_base = rate, TIME_BASE
    frame.pts = round(time / TIME_BASE)
    return frame
