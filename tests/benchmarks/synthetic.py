"""Synthetic source for long runs: drawn scenes that restart, drop out, drift and lose people, with their ground truth.

Scenes are rendered once and kept as JPEG; an endless script plays them in random order. The script at any time is a
pure function of the seed, so memory does not grow with the time played.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, pairwise

import cv2
import numpy as np

from speakerlight.core.demo import Demo, DemoSettings, ScriptedTurn
from speakerlight.core.demo.gallery import TABLE
from speakerlight.core.media import AudioChunk, Frame, Image, Samples
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK, TICK_RATE
from speakerlight.sources.source import due

PEOPLE = 2
SIZE = (384, 216)
"""Faces of 65 pixels: large enough to be recognised, and a day of frames costs half of what 480×270 does."""

RATES = (25.0, 12.5)
"""Frames a second of the scenes, in turns: a camera in low light gives half as many."""

SCENES = 6
SCENE_SECONDS = 60.0
JPEG_QUALITY = 90

PAUSE_SECONDS = (0.5, 40.0)
"""The source is gone between two scenes: a restart. No frames; the audio is silent."""

SUSPEND_EVERY, SUSPEND_SECONDS = 20, 60.0
"""Every so many scenes the pause is that of a suspended machine."""

ABSENCE_SECONDS = (10.0, 40.0)
"""A person leaves the frame once a scene for this long."""

FRAME_DROPOUT_SECONDS = (0.2, 3.0)
AUDIO_DROPOUT_SECONDS = (0.1, 1.0)
DROPOUTS = 3
"""Of frames and of audio each, in every scene."""

DRIFT_SECONDS, DRIFT_PERIOD_SECONDS = 0.12, 1800.0
"""The audio clock drifts to and fro against the video: at most 420 parts per million, ±120 ms in all."""


@dataclass(frozen=True)
class Gap:
    """From ``start`` to ``end`` seconds of a scene something is missing."""

    start: float
    end: float

    def holds(self, time: float) -> bool:
        return self.start <= time < self.end


@dataclass(frozen=True)
class Episode:
    """A scene in the script, from ``start`` seconds: what is missing in it, and the person of ``absent_tile`` when."""

    start: float
    scene: int
    absent_tile: int
    absence: Gap
    frame_dropouts: tuple[Gap, ...]
    audio_dropouts: tuple[Gap, ...]

    @property
    def end(self) -> float:
        return self.start + SCENE_SECONDS


class Scene:
    """A rendered minute of the demo: JPEG frames, ``rate`` a second, audio and turns."""

    def __init__(self, seed: int, rate: float) -> None:
        width, height = SIZE
        demo = Demo(
            DemoSettings(people=PEOPLE, seed=seed, seconds=SCENE_SECONDS, width=width, height=height, rate=rate)
        )
        self.rate = rate
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        images = (demo.frame(index) for index in range(int(SCENE_SECONDS * rate)))
        self.frames = [cv2.imencode(".jpg", image, options)[1] for image in images]
        self.audio = demo.audio(0, int(SCENE_SECONDS * SAMPLE_RATE))
        self.turns = demo.turns(0, SCENE_SECONDS)
        self.tiles = demo.tiles


class SyntheticReader:
    """The script as a ``MediaReader`` without end. ``appearances`` counts people who came into view so far."""

    name = "synthetic"
    has_video = has_audio = True
    duration_seconds = None
    frame_size = SIZE
    frame_rate = float(TICK_RATE)

    def __init__(self, seed: int, scenes: int = SCENES) -> None:
        self._seed = seed
        self._scenes = [Scene(1000 * seed + number, rate) for number, rate in zip(range(scenes), cycle(RATES))]
        self._episode = lru_cache(maxsize=16)(self._write_episode)
        self.tiles = self._scenes[0].tiles

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        return heapq.merge(self._frames(), self._audio(), key=due)

    def close(self) -> None:
        """Nothing is held open."""

    def turns(self, start: float, end: float) -> tuple[ScriptedTurn, ...]:
        """True turns that overlap ``start`` to ``end``. Who is out of view speaks off-screen."""
        found = []
        for episode in self._episodes(start, end):
            for turn in self._scenes[episode.scene].turns:
                first, after = episode.start + turn.start, episode.start + turn.end
                if first < end and after > start:
                    found += [ScriptedTurn(*part) for part in _split(turn, episode)]
        return tuple(turn for turn in found if turn.start < end and turn.end > start)

    def appearances(self, start: float, end: float) -> int:
        """How often a person comes into view between two times: all at a scene's start, one again after an absence."""
        count = 0
        for episode in self._episodes(start, end):
            count += PEOPLE * (start <= episode.start < end)
            count += start <= episode.start + episode.absence.end < end
        return count

    def _frames(self) -> Iterator[Frame]:
        number = 0
        while True:
            episode = self._episode(number)
            scene = self._scenes[episode.scene]
            for index, encoded in enumerate(scene.frames):
                time = index / scene.rate
                if not any(gap.holds(time) for gap in episode.frame_dropouts):
                    yield Frame(episode.start + time, self._shown(encoded, episode, time))
            number += 1

    def _shown(self, encoded: Image, episode: Episode, time: float) -> Image:
        image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
        if episode.absence.holds(time):
            tile = self.tiles[episode.absent_tile]
            left, top = int(tile.x), int(tile.y)
            image[top : top + int(tile.height), left : left + int(tile.width)] = TABLE
        return image

    def _audio(self) -> Iterator[AudioChunk]:
        block = 0
        while True:
            start = block * SAMPLES_PER_TICK
            yield AudioChunk(start / SAMPLE_RATE, self._samples(start / SAMPLE_RATE))
            block += 1

    def _samples(self, time: float) -> Samples:
        """One tick of audio, read where the drifting clock is; silence where nothing plays."""
        played = time - DRIFT_SECONDS * math.sin(2 * math.pi * time / DRIFT_PERIOD_SECONDS)
        out = np.zeros(SAMPLES_PER_TICK, np.float32)
        for episode in self._episodes(played, played + 1 / TICK_RATE):
            inside = played - episode.start
            if not any(gap.holds(inside) for gap in episode.audio_dropouts):
                audio, first = self._scenes[episode.scene].audio, round(inside * SAMPLE_RATE)
                part = audio[max(first, 0) : first + SAMPLES_PER_TICK]
                at = max(-first, 0)
                out[at : at + len(part)] = part[: SAMPLES_PER_TICK - at]
        return out

    def _episodes(self, start: float, end: float) -> Sequence[Episode]:
        """The episodes that overlap a time span."""
        mean_length = SCENE_SECONDS + sum(PAUSE_SECONDS) / 2 + SUSPEND_SECONDS / SUSPEND_EVERY
        number = max(int(start / mean_length) - 2, 0)
        found = []
        while (episode := self._episode(number)).start < end:
            if episode.end > start:
                found.append(episode)
            number += 1
        return found

    def _write_episode(self, number: int) -> Episode:
        rng = np.random.default_rng([self._seed, 9, number])
        absent_from = rng.uniform(5, SCENE_SECONDS - ABSENCE_SECONDS[1])
        return Episode(
            start=self._start(number),
            scene=int(rng.integers(len(self._scenes))),
            absent_tile=int(rng.integers(PEOPLE)),
            absence=Gap(absent_from, absent_from + rng.uniform(*ABSENCE_SECONDS)),
            frame_dropouts=_gaps(FRAME_DROPOUT_SECONDS, rng),
            audio_dropouts=_gaps(AUDIO_DROPOUT_SECONDS, rng),
        )

    def _start(self, number: int) -> float:
        """Start of an episode: pauses alternate so that no sum over all earlier ones is needed."""
        short, long = PAUSE_SECONDS
        pauses = number * (short + long) / 2 + (number % 2) * (long - short) / 2
        return number * SCENE_SECONDS + pauses + number // SUSPEND_EVERY * SUSPEND_SECONDS


def _gaps(seconds: tuple[float, float], rng: np.random.Generator) -> tuple[Gap, ...]:
    starts = rng.uniform(1, SCENE_SECONDS - seconds[1], DROPOUTS)
    return tuple(Gap(float(start), float(start + rng.uniform(*seconds))) for start in starts)


def _split(turn: ScriptedTurn, episode: Episode) -> list[tuple[int | None, float, float]]:
    """A turn in the script's time, cut where its speaker leaves and returns."""
    cuts = [turn.start, turn.end]
    if turn.tile == episode.absent_tile:
        cuts += [t for t in (episode.absence.start, episode.absence.end) if turn.start < t < turn.end]
    cuts.sort()
    parts = []
    for first, after in pairwise(cuts):
        gone = turn.tile == episode.absent_tile and episode.absence.holds((first + after) / 2)
        parts.append((None if gone else turn.tile, episode.start + first, episode.start + after))
    return parts
