"""Audio-video alignment of training clips: earlier weights find each clip's lag, the audio is shifted by it.

Collected clips are not all in sync: of those used here one in ten is a frame or more off, and in a few the voice is not
the face's. A contrastive loss would use their true moment as a negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.dataset import UNCONFIRMED, Example, speech_of
from speakerlight.core.training.evaluation import EmbeddedClip, embed_clip, lag_curve

MAX_LAG_TICKS = 10
MIN_RISE = 0.06
"""Least height of a peak above the median over lags (cosines). A clip without such a peak has another's voice, or its
lag is out of range."""

_CONFIRMED_RISE = 0.1
"""The same for each half of an unconfirmed clip."""

_MIN_TICKS = 40
"""Length below which a clip's curve is too noisy to use; such a clip stays as it is."""


def aligned(examples: Iterable[Example], network: CompactSyncNet) -> Iterator[Example]:
    """Each example with its audio shifted by the lag that ``network`` (in evaluation mode) finds.

    Examples without a clear lag are dropped. Only for training: evaluation uses the clips as collected.
    """
    for example in examples:
        if example.ticks < _MIN_TICKS:
            yield example
            continue
        clip = embed_clip(network, example.face.crops, example.face.samples)
        rises = lag_curve(clip, MAX_LAG_TICKS)
        rises -= np.median(rises)
        inside = 0 < np.argmax(rises) < len(rises) - 1
        if inside and rises.max() >= MIN_RISE and (example.source != UNCONFIRMED or _halves_agree(clip)):
            yield shifted(example, peak(rises) - MAX_LAG_TICKS)


def peak(curve: npt.NDArray[np.float64]) -> float:
    """Position of the maximum in steps, with fractions: the vertex of the parabola through it and its neighbours."""
    top = int(np.argmax(curve))
    if not 0 < top < len(curve) - 1:
        return float(top)
    before, at, after = curve[top - 1 : top + 2].tolist()
    return float(top + 0.5 * (before - after) / (before - 2 * at + after))


def shifted(example: Example, lag_ticks: float) -> Example:
    """The example with its audio ``lag_ticks`` earlier, and silence where no audio is left."""
    late = round(lag_ticks * SAMPLES_PER_TICK)
    samples = np.zeros_like(example.face.samples)
    if late >= 0:
        samples[: len(samples) - late] = example.face.samples[late:]
    else:
        samples[-late:] = example.face.samples[:late]
    return replace(example, face=replace(example.face, samples=samples), speech=speech_of(samples))


def _halves_agree(clip: EmbeddedClip) -> bool:
    """Whether both halves of the clip have a clear peak within one tick of each other: the face speaks throughout."""
    middle = len(clip.faces) // 2
    curves = [lag_curve(clip.part(half), MAX_LAG_TICKS) for half in (slice(middle), slice(middle, None))]
    lags = [int(np.argmax(curve)) for curve in curves]
    return abs(lags[0] - lags[1]) <= 1 and all(c.max() - np.median(c) >= _CONFIRMED_RISE for c in curves)
