"""Emission: how far each face, at each lag, explains the audio of a tick better than somebody out of view does.

A small network, the same for every face and lag, looks at cosines of face and audio embeddings: the tick's own, running
means of them, how they differ from the other lags and from the face's usual ones, and beside them at visual speech.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from speakerlight.core.decision.lag import LAGS

Floats = npt.NDArray[np.float32]

FEATURES = 8
"""Numbers of each face and lag: see ``features``."""

FAST_TICKS, SLOW_TICKS, LEVEL_TICKS, ACTIVITY_TICKS = 3.0, 12.0, 100.0, 4.0
"""Time constants of the running means."""

MIN_SPEECH_WEIGHT = 0.02
"""Weight of a tick without speech in a running mean; ticks with speech count by their probability."""

MAX_ACTIVITY = 6.0
"""Log-odds of visual speech are clipped to plus and minus this."""

MAX_GAIN = 3.0
"""Limit of the log-odds of one tick."""


@dataclass(frozen=True, eq=False)
class EmissionWeights:
    """The network: ``linear`` [FEATURES] and ``bias`` beside one hidden layer of ``hidden`` [FEATURES, H] (bias [H])
    and ``output`` [H]. ``scale`` brings the model's cosines to about unit size; ``centre`` is their usual level."""

    linear: Floats
    bias: float
    hidden: Floats
    hidden_bias: Floats
    output: Floats
    scale: float
    centre: float

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[np.float32]]) -> EmissionWeights:
        """From a weights file's arrays. Raises KeyError where one is missing."""
        return cls(
            arrays["linear"],
            arrays["bias"].item(),
            arrays["hidden"],
            arrays["hidden_bias"],
            arrays["output"],
            arrays["scale"].item(),
            arrays["centre"].item(),
        )

    def gains(self, features: Floats) -> Floats:
        """Log-odds of one tick against nobody in view, [F, 31] of [F, 31, FEATURES]."""
        hidden = np.tanh(features @ self.hidden + self.hidden_bias)
        gains = features @ self.linear + hidden @ self.output + np.float32(self.bias)
        return np.asarray(gains.clip(-MAX_GAIN, MAX_GAIN), np.float32)


@dataclass(eq=False)
class FaceMeans:
    """Running means of one face: sums and their weights. ``fast``, ``slow`` [2, 31] (sum, weight); ``level``,
    ``activity`` [2]."""

    fast: Floats
    slow: Floats
    level: Floats
    activity: Floats


class EmissionFeatures:
    """Keeps the running means of the faces in view and makes features of them."""

    def __init__(self, scale: float, centre: float) -> None:
        self._scale, self._centre = np.float32(scale), np.float32(centre)
        self._ids: list[int] = []
        self._lags = np.zeros((2, 2, 0, len(LAGS)), np.float32)  # fast and slow, sum and weight
        self._faces = np.zeros((2, 2, 0), np.float32)  # level and activity, sum and weight
        self._lag_decay = np.exp(-1 / np.array([FAST_TICKS, SLOW_TICKS]))[:, None, None, None]
        self._face_decay = np.exp(-1 / np.array([LEVEL_TICKS, ACTIVITY_TICKS]))[:, None, None]

    def update(
        self,
        ids: Sequence[int],
        cosines: Floats,
        known: npt.NDArray[np.bool_],
        activity: Floats,
        speech: float,
        steps: int = 1,
    ) -> Floats:
        """Features of the faces ``ids`` at the next tick, [F, 31, FEATURES].

        ``cosines`` [F, 31]; ``known`` [F, 31] where there is one; ``activity`` [F] log-odds of visual speech, 0 where
        unknown; ``steps``: ticks since the last update.
        """
        self._keep(ids)
        weight = known * np.float32(max(speech, MIN_SPEECH_WEIGHT))
        count = known.sum(axis=1, dtype=np.float32)
        mean = (cosines * known).sum(axis=1) / np.maximum(count, 1)
        seen = (count > 0) * np.float32(max(speech, MIN_SPEECH_WEIGHT))
        self._lags *= (self._lag_decay**steps).astype(np.float32)
        self._lags += np.stack([cosines * weight, weight])
        self._faces *= (self._face_decay**steps).astype(np.float32)
        self._faces[0] += np.stack([mean * seen, seen])
        self._faces[1] += np.stack([activity.clip(-MAX_ACTIVITY, MAX_ACTIVITY) * (count > 0), count > 0])
        (fast, slow), (level, mouth) = _ratios(self._lags), _ratios(self._faces)
        level_weight = self._faces[0, 1]
        return features(cosines, known, fast, slow, level, level_weight, mouth, speech, self._scale, self._centre)

    def _keep(self, ids: Sequence[int]) -> None:
        if list(ids) == self._ids:
            return
        places = {i: k for k, i in enumerate(self._ids)}
        picks = np.array([places.get(i, len(self._ids)) for i in ids], int)
        # Past the end stands the empty state of a new face.
        self._lags = np.concatenate([self._lags, np.zeros((2, 2, 1, len(LAGS)), np.float32)], axis=2)[:, :, picks]
        self._faces = np.concatenate([self._faces, np.zeros((2, 2, 1), np.float32)], axis=2)[:, :, picks]
        self._ids = list(ids)


def _ratios(sums: Floats) -> tuple[Floats, Floats]:
    means = sums[:, 0] / np.maximum(sums[:, 1], 1e-6)
    return means[0], means[1]


def features(
    cosines: Floats,
    known: npt.NDArray[np.bool_],
    fast: Floats,
    slow: Floats,
    level: Floats,
    level_weight: Floats,
    mouth: Floats,
    speech: float | Floats,
    scale: np.float32,
    centre: np.float32,
) -> Floats:
    """What the network sees, [..., F, 31, FEATURES].

    ``cosines``, ``known``, ``fast`` and ``slow`` means [..., F, 31]; ``level`` (with its weight) and ``mouth``, the
    means of similarity and visual speech, [..., F]; ``speech`` [...].
    """
    out = np.empty((*cosines.shape, FEATURES), np.float32)
    usual = level[..., None]
    out[..., 0] = scale * known * (cosines - usual)
    out[..., 1] = scale * (fast - usual)
    out[..., 2] = scale * (fast - fast.mean(axis=-1, keepdims=True))
    out[..., 3] = scale * (slow - slow.mean(axis=-1, keepdims=True))
    out[..., 4] = scale * (usual - centre)
    out[..., 5] = mouth[..., None] / 4
    out[..., 6] = np.tanh(level_weight / 25)[..., None]
    out[..., 7] = np.asarray(speech, np.float32)[..., None, None]
    return out
