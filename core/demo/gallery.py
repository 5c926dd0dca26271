"""The demo: a video call of drawn people. One speaks at a time, in view or off-screen; other mouths move as well."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from speakerlight.core.demo.articulation import Curve, Speech, lips_at, talk
from speakerlight.core.demo.person import Person, cast
from speakerlight.core.demo.portrait import Portrait
from speakerlight.core.demo.script import (
    MINUTE,
    Activity,
    ActivitySpan,
    ScriptedTurn,
    Truth,
    cut,
    idle_lips,
    spans_of_minute,
    turns_of_minute,
)
from speakerlight.core.demo.voice import speak
from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Frame, Image, Samples
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK, TICK_RATE

MOST_PEOPLE = 25
HD_PEOPLE = 9
"""More people than this get frames of 1920×1080 instead of 1280×720."""

TABLE: tuple[int, int, int] = (40, 34, 32)
NARROWEST_TILE, WIDEST_TILE = 4 / 3, 16 / 9
SMALLEST_TILE = 48

ROOM_NOISE = 12 / 32768
"""Root mean square of the noise floor: a quiet room and its microphone."""

_FACE_OF_TILE = 0.45
"""Height of a face as a share of its tile's."""


@dataclass(frozen=True)
class DemoSettings:
    """Settings of a demo. Raises InputError for values that cannot be shown.

    ``seconds``: length, None for endless. ``rate``: frames a second. ``width``, ``height``: pixels, None for 1280×720,
    or 1920×1080 from ten people on.
    """

    people: int = 4
    seed: int = 0
    seconds: float | None = 30.0
    width: int | None = None
    height: int | None = None
    rate: float = TICK_RATE

    def __post_init__(self) -> None:
        if not 1 <= self.people <= MOST_PEOPLE:
            raise InputError(f"the demo has 1 to {MOST_PEOPLE} people, not {self.people}")
        if self.seed < 0:
            raise InputError(f"the demo's seed is 0 or more, not {self.seed}")
        if not 1 <= self.rate <= 120:
            raise InputError(f"the demo's rate is 1 to 120 frames a second, not {self.rate:g}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise InputError(f"the demo lasts more than 0 seconds, not {self.seconds:g}")
        tile = lay_out(self.people, *self.size)[0]
        if min(tile.width, tile.height) < SMALLEST_TILE:
            raise InputError(f"the demo's frame is too small: every person needs {SMALLEST_TILE} pixels of height")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame in pixels."""
        width, height = (1280, 720) if self.people <= HD_PEOPLE else (1920, 1080)
        return self.width or width, self.height or height


class Demo:
    """Frames, audio and ground truth of a demo. Any moment can be asked for; equal settings give equal results.

    Memory does not grow with the time shown. For one thread; only ``turns`` and ``truth`` may be called from others.
    """

    def __init__(self, settings: DemoSettings) -> None:
        self.settings = settings
        self.tiles = lay_out(settings.people, *settings.size)
        self._people = cast(settings.seed, settings.people + 1)
        self._portraits = [
            Portrait(person.look, int(tile.width), int(tile.height))
            for person, tile in zip(self._people, self.tiles, strict=False)
        ]
        self._stage = self._empty_stage()
        self._noise = np.random.default_rng(settings.seed).normal(0, ROOM_NOISE, 1 << 16).astype(np.float32)
        self._turns_of_minute = lru_cache(maxsize=4)(self._write_minute)
        self._spans_of_minute = lru_cache(maxsize=2 * settings.people)(self._write_spans)
        self._lips = lru_cache(maxsize=2 * settings.people)(self._move_lips)
        self._spoken = lru_cache(maxsize=2)(self._speak)

    def turns(self, start: float, end: float) -> tuple[ScriptedTurn, ...]:
        """The turns that overlap ``start`` to ``end`` seconds."""
        minutes = range(max(int(start / MINUTE), 0), int(end / MINUTE) + 1)
        everyone = (turn for minute in minutes for turn in self._turns_of_minute(minute))
        return tuple(turn for turn in everyone if turn.start < end and turn.end > start)

    def truth(self, seconds: float) -> Truth:
        """The ground truth of the first ``seconds``."""
        return Truth(self.settings.size, self.tiles, cut(self.turns(0, seconds), seconds))

    @property
    def faces(self) -> tuple[Box, ...]:
        """The people's faces, one a tile, roughly as a detector boxes them."""
        side = _FACE_OF_TILE * self.tiles[0].height
        return tuple(Box(tile.centre[0] - side / 2, tile.centre[1] - side / 2, side, side) for tile in self.tiles)

    def frame(self, index: int) -> Image:
        """Frame ``index``, shown ``index / rate`` seconds after the start: height × width × 3."""
        time = index / self.settings.rate
        image = self._stage.copy()
        for number, (portrait, tile) in enumerate(zip(self._portraits, self.tiles, strict=True)):
            span = self._span(number, time)
            lips = lips_at(self._lips(number, span), time - span.start)
            portrait.draw(_part(image, tile), self._people[number].habits.pose(time), lips)
        return image

    def audio(self, start: int, count: int) -> Samples:
        """``count`` samples from sample ``start`` on."""
        out = self._noise[(start + np.arange(count)) % len(self._noise)]
        for turn in self.turns(start / SAMPLE_RATE, (start + count) / SAMPLE_RATE):
            spoken, offset = self._spoken(turn), round(turn.start * SAMPLE_RATE) - start
            first, after = max(offset, 0), min(offset + len(spoken), count)
            out[first:after] += spoken[first - offset : after - offset]
        return out

    def play(self) -> Iterator[Frame | AudioChunk]:
        """All media in order of time: a frame at its time, a 40 ms audio block when its last sample is due."""
        return heapq.merge(self._frames(), self._audio(), key=_due)

    def _frames(self) -> Iterator[Frame]:
        index, end = 0, self.settings.seconds or math.inf
        while index / self.settings.rate < end:
            yield Frame(index / self.settings.rate, self.frame(index))
            index += 1

    def _audio(self) -> Iterator[AudioChunk]:
        start, end = 0, (self.settings.seconds or math.inf) * SAMPLE_RATE
        while start < end:
            count = math.ceil(min(SAMPLES_PER_TICK, end - start))
            yield AudioChunk(start / SAMPLE_RATE, self.audio(start, count))
            start += count

    def _empty_stage(self) -> Image:
        width, height = self.settings.size
        stage = np.full((height, width, 3), TABLE, np.uint8)
        for portrait, tile in zip(self._portraits, self.tiles, strict=True):
            _part(stage, tile)[:] = portrait.backdrop
        return stage

    def _span(self, number: int, time: float) -> ActivitySpan:
        spans = self._spans_of_minute(int(time / MINUTE), number)
        return next(span for span in spans if time < span.end)

    def _write_minute(self, minute: int) -> tuple[ScriptedTurn, ...]:
        return turns_of_minute(minute, self.settings.people, self.settings.seed, self.settings.seconds or math.inf)

    def _write_spans(self, minute: int, number: int) -> tuple[ActivitySpan, ...]:
        return spans_of_minute(minute, number, self._turns_of_minute(minute), self.settings.seed)

    def _move_lips(self, number: int, span: ActivitySpan) -> Curve:
        if span.activity is Activity.SPEAKING:
            return self._speech(ScriptedTurn(number, span.start, span.end)).lips
        rate = self._people[number].voice.syllable_rate
        return idle_lips(span, rate, self._random(6, span.start, number))

    def _speak(self, turn: ScriptedTurn) -> Samples:
        return speak(self._speech(turn), self._speaker(turn).voice, self._random(7, turn.start))

    def _speech(self, turn: ScriptedTurn) -> Speech:
        rate = self._speaker(turn).voice.syllable_rate
        return talk(turn.end - turn.start, rate, self._random(5, turn.start))

    def _speaker(self, turn: ScriptedTurn) -> Person:
        """The last of the cast is the stranger who is never in view."""
        return self._people[-1 if turn.tile is None else turn.tile]

    def _random(self, purpose: int, start: float, number: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, purpose, round(start * SAMPLE_RATE), number])


def lay_out(people: int, width: int, height: int) -> tuple[Box, ...]:
    """Tiles of a video call: of equal size, in rows, the last row centred, on whole pixels."""
    columns = math.ceil(math.sqrt(people))
    rows = math.ceil(people / columns)
    gap = max(2, height // 120)
    across, down = (width - gap) / columns - gap, (height - gap) / rows - gap
    tile_width, tile_height = int(min(across, WIDEST_TILE * down)), int(min(down, across / NARROWEST_TILE))
    top = (height - rows * (tile_height + gap) + gap) // 2
    tiles = []
    for number in range(people):
        row, column = divmod(number, columns)
        in_row = min(columns, people - row * columns)
        left = (width - in_row * (tile_width + gap) + gap) // 2
        tiles.append(Box(left + column * (tile_width + gap), top + row * (tile_height + gap), tile_width, tile_height))
    return tuple(tiles)


def _part(image: Image, tile: Box) -> Image:
    left, top = int(tile.x), int(tile.y)
    return image[top : top + int(tile.height), left : left + int(tile.width)]


def _due(media: Frame | AudioChunk) -> float:
    return media.time if isinstance(media, Frame) else media.time + len(media.samples) / SAMPLE_RATE
