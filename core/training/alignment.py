"""Alignment: clips whose picture and sound are apart, found by a model that was trained before, and put right.

Collected clips are not all in sync: of those used here one in ten is a frame or more off, and in a few nobody seen is
heard. A contrastive loss takes their right moment for a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.dataset import Example, speech_of
from speakerlight.core.training.evaluation import EmbeddedClip, embed_clip

MOST_LAG_TICKS = 10
LEAST_RISE = 0.06
"""A peak that stands less than this above the median over lags (cosines) is none: nobody's sound."""

_LEAST_TICKS = 40
"""A shorter clip's curve is too rough to go by; it stays as it is."""


def aligned(examples: Iterable[Example], network: CompactSyncNet) -> Iterator[Example]:
    """Each example with its sound moved to where ``network`` (in evaluation mode) finds it; those without are left out.

    Only for training: what is measured on stays as it was found.
    """
    for example in examples:
        if example.ticks < _LEAST_TICKS:
            yield example
            continue
        rises = lag_curve(embed_clip(network, example.face.crops, example.face.samples))
        rises -= np.median(rises)
        if rises.max() >= LEAST_RISE:
            yield moved(example, peak(rises) - MOST_LAG_TICKS)


def lag_curve(clip: EmbeddedClip) -> npt.NDArray[np.float64]:
    """Mean cosine of a clip's face with its sound at each lag from −10 to 10 ticks; positive: the sound comes later."""
    ticks = len(clip.faces)
    products = clip.faces @ clip.sounds.T
    lags = range(-MOST_LAG_TICKS, MOST_LAG_TICKS + 1)
    return np.array([np.diagonal(products, lag).mean() for lag in lags if abs(lag) < ticks], np.float64)


def peak(curve: npt.NDArray[np.float64]) -> float:
    """Where the highest point is, in parts of a step: the top of the parabola through it and its neighbours."""
    top = int(np.argmax(curve))
    if not 0 < top < len(curve) - 1:
        return float(top)
    before, at, after = curve[top - 1 : top + 2].tolist()
    return float(top + 0.5 * (before - after) / (before - 2 * at + after))


def moved(example: Example, lag_ticks: float) -> Example:
    """The example with sound that came ``lag_ticks`` late on time, and silence where there is none."""
    late = round(lag_ticks * SAMPLES_PER_TICK)
    samples = np.zeros_like(example.face.samples)
    if late >= 0:
        samples[: len(samples) - late] = example.face.samples[late:]
    else:
        samples[-late:] = example.face.samples[:late]
    return replace(example, face=replace(example.face, samples=samples), speech=speech_of(samples))
