"""Synthetic people for the tests of training: moving patterns with audio whose loudness follows them."""

from __future__ import annotations

import numpy as np

from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.clips import TalkingFace
from speakerlight.core.training.dataset import Example


def person(seed: int, ticks: int = 40, source: str = "single", group: str = "made__up", name: str = "") -> Example:
    rng = np.random.default_rng(seed)
    opening = np.abs(np.sin(np.cumsum(rng.uniform(0.2, 0.9, ticks))))
    face = rng.uniform(60, 200, (96, 96))
    rows = np.abs(np.arange(96) - 48)[:, None]
    crops = np.where(rows < 2 + 16 * opening[:, None, None], 20, face).astype(np.uint8)
    loudness = np.repeat(opening, SAMPLES_PER_TICK)
    samples = (0.1 * loudness * rng.standard_normal(len(loudness))).astype(np.float32)
    speech = np.where(rng.random(ticks) < 0.8, 0.9, 0.1).astype(np.float32)
    return Example(TalkingFace(f"{group}__{seed}", crops, samples), source, speech, name)


def people(count: int, ticks: int = 40) -> list[Example]:
    return [person(seed, ticks) for seed in range(count)]
