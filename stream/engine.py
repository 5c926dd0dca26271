"""The stages that both drivers run: frames to tracked frames, tracked frames and audio to snapshots."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from speakerlight.control import Control
from speakerlight.core.errors import InputError
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.grid import TickGrid
from speakerlight.core.identities import Identities
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.people.enrolment import Enrolled
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import TICK_RATE


class VisionStage(Protocol):
    """What finds people in a frame (:class:`speakerlight.core.faces.vision.Vision`)."""

    def process(self, tick: int, time: float, image: Image, stride: int = 1) -> FrameTracks: ...


class ScorerStage(Protocol):
    """What decides who speaks (:class:`speakerlight.core.decision.scorer.Scorer`)."""

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None: ...
    def push_audio(self, chunks: Sequence[AudioChunk]) -> None: ...
    def advance(self, stride: int = 1) -> list[Snapshot]: ...
    def finish(self) -> list[Snapshot]: ...


class TickAdapter:
    """Frames of any rate in, one :class:`FrameTracks` a tick out. A frame that stands for several ticks is processed
    once; a tick without a frame has no faces."""

    def __init__(self, vision: VisionStage) -> None:
        self._vision = vision
        self._grid = TickGrid()
        self._frame: Frame | None = None
        self._tracks: FrameTracks | None = None

    def begin(self, time: float) -> None:
        """Leave out the ticks before ``time`` (seconds): the session begins there."""
        self._grid.begin(time)

    def push(self, frame: Frame, stride: int = 1) -> Iterator[FrameTracks]:
        """The tracked frames of the ticks that ``frame`` decides; ``stride`` as for ``Vision.process``."""
        return self._tracked(self._grid.push(frame), stride)

    def pass_time(self, until: float) -> Iterator[FrameTracks]:
        """The ticks that are decided because no more frames come before ``until`` (seconds)."""
        return self._tracked(self._grid.pass_time(until), stride=1)

    def finish(self, end: float) -> Iterator[FrameTracks]:
        """The ticks that are left when the media ends at ``end`` (seconds)."""
        return self._tracked(self._grid.finish(end), stride=1)

    def _tracked(self, ticks: Iterator[tuple[int, Frame | None]], stride: int) -> Iterator[FrameTracks]:
        for tick, frame in ticks:
            if frame is None:
                self._tracks = FrameTracks(tick, tick / TICK_RATE, (), ())
            elif self._tracks is not None and frame is self._frame:
                identities = replace(self._tracks.identities, merges=())
                self._tracks = replace(self._tracks, tick=tick, is_cut=False, identities=identities)
            else:
                self._tracks = self._vision.process(tick, frame.time, frame.image, stride)
            self._frame = frame
            yield self._tracks


class EmptyFrames:
    """The ticks of a run without video: no faces, as fast as its audio goes on."""

    def __init__(self, start: float = 0.0, resets: Callable[[], int] = lambda: 0) -> None:
        """``start``: when the session begins, in seconds. ``resets``: how often people were to be forgotten so far."""
        self._next_tick = max(0, round(start * TICK_RATE))
        self._resets = resets

    def until(self, time: float) -> Iterator[FrameTracks]:
        """The ticks that have not come yet, up to ``time`` (seconds)."""
        while self._next_tick / TICK_RATE <= time:
            tick = self._next_tick
            self._next_tick += 1
            yield FrameTracks(tick, tick / TICK_RATE, (), (), identities=Identities(resets=self._resets()))


class PeopleMemory(Protocol):
    """Whom an engine knows, for another engine. Any thread may save; restore before the run."""

    def save(self) -> list[Enrolled]: ...
    def restore(self, people: Sequence[Enrolled]) -> None: ...


@dataclass(frozen=True, eq=False)
class Engine:
    """One run's stages. Each belongs to one thread at a time."""

    vision: VisionStage
    scorer: ScorerStage
    control: Control = field(default_factory=Control)
    """The commands that steer ``scorer``. Unlike the stages it may be used from any thread."""
    memory: PeopleMemory | None = None
    """None: recognition is off."""


class StageError(Exception):
    """A stage failed in an unforeseen way. The message is one line that names the stage and the place."""


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Whatever fails inside becomes one line: an InputError as it is, all else a StageError."""
    try:
        yield
    except (InputError, StageError):
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = str(error).partition("\n")[0] or "no reason given"
        where = f"{Path(place.filename).name}:{place.lineno}"
        raise StageError(f"{name} failed: {type(error).__name__}: {what} ({where})") from error
