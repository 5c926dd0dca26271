"""The stages that both drivers run: pictures to sightings, sightings and sound to snapshots."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from core.errors import InputError
from core.grid import TickGrid
from core.media import Frame, Image, Sound
from core.snapshot import Snapshot
from core.timebase import TICK_RATE
from core.vision import Sighting


class Seer(Protocol):
    """What finds people in a picture (:class:`core.vision.Vision`)."""

    def process(self, tick: int, time: float, image: Image, stride: int = 1) -> Sighting: ...


class Listener(Protocol):
    """What says who speaks (:class:`core.scorer.Scorer`)."""

    def see(self, sightings: Sequence[Sighting]) -> None: ...
    def hear(self, sounds: Sequence[Sound]) -> None: ...
    def advance(self, stride: int = 1) -> list[Snapshot]: ...
    def finish(self) -> list[Snapshot]: ...


class Watch:
    """Frames of any rate in, one sighting a tick out. A picture that stands for several ticks is looked at once."""

    def __init__(self, vision: Seer) -> None:
        self._vision = vision
        self._grid = TickGrid()
        self._frame: Frame | None = None
        self._sighting: Sighting | None = None

    def see(self, frame: Frame, stride: int = 1) -> Iterator[Sighting]:
        """The sightings of the ticks that ``frame`` decides; ``stride`` as for ``Vision.process``."""
        for tick, chosen in self._grid.push(frame):
            if self._sighting is not None and chosen is self._frame:
                self._sighting = replace(self._sighting, tick=tick)
            else:
                self._sighting = self._vision.process(tick, chosen.time, chosen.image, stride)
            self._frame = chosen
            yield self._sighting


class Blank:
    """The ticks of a run without pictures: nobody in view, as fast as its sound goes on."""

    def __init__(self) -> None:
        self._next_tick = 0

    def until(self, time: float) -> Iterator[Sighting]:
        """The ticks that have not come yet, up to ``time`` (seconds)."""
        while self._next_tick / TICK_RATE <= time:
            tick = self._next_tick
            self._next_tick += 1
            yield Sighting(tick, tick / TICK_RATE, (), ())


@dataclass(frozen=True, eq=False)
class Engine:
    """One run's stages. Each belongs to one thread at a time."""

    vision: Seer
    scorer: Listener


class StageError(Exception):
    """A stage failed in a way that nobody foresaw. The message is one line that names the stage and the place."""


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
