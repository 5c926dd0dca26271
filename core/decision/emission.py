"""Emission: log-odds that a face at a lag explains the audio of a tick, against a speaker out of view.

A small network, the same for every face and lag. Its input: cosines of face and audio embeddings (the tick's own,
running means, differences to the face's other lags, to its usual level and to the other faces) and the visual voice
activity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from speakerlight.core.decision.lag import LAGS

Floats = npt.NDArray[np.float32]

FEATURES = 18
"""Number of features per face and lag: see ``features``."""

FAST_TICKS, SLOW_TICKS, SIMILARITY_TICKS = 3.0, 12.0, 100.0
VISUAL_VAD_TICKS, USUAL_VISUAL_VAD_TICKS, FRESH_TICKS = 4.0, 150.0, 25.0
"""Time constants of the running means."""

BEST_TICKS, BEST_MIN_WEIGHT = 750.0, 6.0
"""Time constant with which a face's best match fades, and the least weight of a slow mean that counts as one."""

MIN_SPEECH_WEIGHT = 0.02
"""Weight of a tick without speech in a running mean; ticks with speech count by their probability."""

MAX_VISUAL_VAD = 6.0
"""Log-odds of visual speech are clipped to plus and minus this."""

MAX_GAIN = 3.0
"""Limit of the log-odds of one tick."""

MIN_COSINE = -0.2
"""Least cosine among the other faces: of a face that is not found, and what a face alone is compared with."""

_LEAST = np.array([MIN_COSINE] * (len(LAGS) + 1) + [-MAX_VISUAL_VAD], np.float32)
"""The same for each lag, the best lag, and the visual VAD."""

_AROUND = (-3, -2, 2, 3)
"""Ticks from a lag to those that its peak is measured against: the peak of a true lag is about three ticks wide."""


def _sharpness() -> Floats:
    """Matrix [31, 31] from the values of all lags to the difference of each to the mean of those around it; at the ends
    the last lag stands for those beyond."""
    lags = np.arange(len(LAGS))
    out = np.eye(len(LAGS))
    for offset in _AROUND:
        out[np.clip(lags + offset, 0, len(LAGS) - 1), lags] -= 1 / len(_AROUND)
    return out.astype(np.float32)


_SHARPNESS = _sharpness()


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
        """Log-odds of one tick against no active speaker in view, [F, 31] of [F, 31, FEATURES]."""
        # No copy of what ``features`` returns.
        columns = features.transpose(-1, *range(features.ndim - 1)).reshape(FEATURES, -1)
        hidden = np.tanh(self.hidden.T @ columns + self.hidden_bias[:, None])
        gains = self.linear @ columns + self.output @ hidden + np.float32(self.bias)
        return np.asarray(gains.clip(-MAX_GAIN, MAX_GAIN), np.float32).reshape(features.shape[:-1])


@dataclass(frozen=True, eq=False)
class LagMeans:
    """Fast and slow running means of the cosines at each lag, ``values`` [2, ..., F, 31]; over the lags, their greatest
    ``peaks`` and mean ``levels`` [2, ..., F, 1]."""

    values: Floats
    peaks: Floats
    levels: Floats

    @classmethod
    def of(cls, values: Floats) -> LagMeans:
        # ``ndarray.mean`` takes three times as long for so few.
        levels = values.sum(axis=-1, keepdims=True) * np.float32(1 / len(LAGS))
        return cls(values, values.max(axis=-1, keepdims=True), levels)


class EmissionFeatures:
    """Updates the running means of the faces in view and makes features of them."""

    def __init__(self, scale: float, centre: float) -> None:
        self._scale, self._centre = np.float32(scale), np.float32(centre)
        self._ids: list[int] = []
        self._lags: Floats = np.zeros((2, 2, 0, len(LAGS)), np.float32)  # fast and slow, sum and weight
        # Lag-independent similarity, visual VAD, usual visual VAD and freshness: sum and weight.
        self._faces: Floats = np.zeros((4, 2, 0), np.float32)
        self._best: Floats = np.zeros(0, np.float32)

    def update(
        self,
        ids: Sequence[int],
        cosines: Floats,
        known: npt.NDArray[np.bool_],
        visual_vad: Floats,
        fresh: Floats,
        speech: Floats,
        steps: int = 1,
    ) -> Floats:
        """Features of the faces ``ids`` at the next tick, [F, 31, FEATURES].

        ``cosines`` [F, 31]; ``known`` [F, 31] where there is one; ``visual_vad`` [F] log-odds of visual speech, 0 where
        unknown; ``fresh`` [F]: 1 where the tick has a frame of its own, 0 where the one before is repeated; ``speech``
        [31]: probability of speech in the audio at each lag; ``steps``: ticks since the last update.
        """
        self._keep(ids)
        lag_decay, face_decay, best_decay = _decays(steps)
        weight = known * np.maximum(speech, np.float32(MIN_SPEECH_WEIGHT))
        total = weight.sum(axis=1)
        self._lags *= lag_decay
        self._lags[:, 0] += cosines * weight
        self._lags[:, 1] += weight
        values, weights = np.empty((2, 4, len(ids)), np.float32)
        values[0] = (cosines * weight).sum(axis=1) / np.maximum(total, 1e-6)
        values[1:3] = visual_vad.clip(-MAX_VISUAL_VAD, MAX_VISUAL_VAD)
        values[3] = fresh
        weights[:] = total > 0
        weights[0] = total / len(LAGS)
        self._faces *= face_decay
        self._faces[:, 0] += values * weights
        self._faces[:, 1] += weights
        lag_means = LagMeans.of(np.asarray(self._lags[:, 0] / np.maximum(self._lags[:, 1], 1e-6), np.float32))
        self._best = np.maximum(self._best * best_decay, match(lag_means, self._lags[1, 1]))
        means = np.asarray(self._faces[:, 0] / np.maximum(self._faces[:, 1], 1e-6), np.float32)
        return features(
            cosines, known, lag_means, means, self._faces[0, 1], self._best, speech, self._scale, self._centre
        )

    def _keep(self, ids: Sequence[int]) -> None:
        if list(ids) == self._ids:
            return
        places = {i: k for k, i in enumerate(self._ids)}
        picks = np.array([places.get(i, len(self._ids)) for i in ids], int)
        # The entry past the end is the empty state of a new face.
        self._lags = np.concatenate([self._lags, np.zeros((2, 2, 1, len(LAGS)), np.float32)], axis=2)[:, :, picks]
        self._faces = np.concatenate([self._faces, np.zeros((4, 2, 1), np.float32)], axis=2)[:, :, picks]
        self._best = np.append(self._best, np.float32(0))[picks]
        self._ids = list(ids)


@lru_cache(maxsize=8)
def _decays(steps: int) -> tuple[Floats, Floats, np.float32]:
    """How much of the running means is left after ``steps`` ticks: by lag, by face, and of the best match."""
    lag_ticks = np.array([FAST_TICKS, SLOW_TICKS])
    face_ticks = np.array([SIMILARITY_TICKS, VISUAL_VAD_TICKS, USUAL_VISUAL_VAD_TICKS, FRESH_TICKS])
    return (
        np.exp(-steps / lag_ticks).astype(np.float32)[:, None, None, None],
        np.exp(-steps / face_ticks).astype(np.float32)[:, None, None],
        np.float32(np.exp(-steps / BEST_TICKS)),
    )


def features(
    cosines: Floats,
    known: npt.NDArray[np.bool_],
    lag_means: LagMeans,
    means: Floats,
    similarity_weight: Floats,
    best: Floats,
    speech: Floats,
    scale: np.float32,
    centre: np.float32,
) -> Floats:
    """The network's input, [..., F, 31, FEATURES].

    ``cosines``, ``known`` [..., F, 31]; ``means`` of similarity (with its weight), visual VAD, usual visual VAD and
    freshness, [4, ..., F]; ``best`` match so far [..., F]; ``speech`` [..., 31].
    """
    out = np.empty((FEATURES, *cosines.shape), np.float32)  # each in one piece, which is faster
    fast, slow = lag_means.values
    similarity, mouth, usual_mouth, fresh = means
    usual = similarity[..., None]
    out[0] = known * (cosines - usual)
    out[1] = fast - usual
    out[2:4] = lag_means.values - lag_means.levels
    out[4] = usual - centre
    out[5] = mouth[..., None]
    out[6] = np.tanh(similarity_weight / 25)[..., None]
    out[7] = speech[..., None, :]
    out[8] = (mouth - usual_mouth)[..., None]
    out[9] = 1 - fresh[..., None]
    out[10] = best[..., None]
    out[11:13] = lag_means.values - lag_means.peaks
    out[13] = fast @ _SHARPNESS
    found = np.asarray(known.any(axis=-1, keepdims=True))
    rivals = _greatest_other(np.concatenate([slow, lag_means.peaks[1], mouth[..., None]], axis=-1), found)
    out[14] = slow - rivals[..., : len(LAGS)]
    out[15] = slow - rivals[..., -2:-1]
    out[16] = mouth[..., None] - rivals[..., -1:]
    out[17] = np.log(np.maximum(found.sum(axis=-2, keepdims=True), 1)) - 1
    out *= _units(scale).reshape(-1, *[1] * cosines.ndim)
    return out.transpose(*range(1, out.ndim), 0)


@lru_cache(maxsize=8)
def _units(scale: np.float32) -> Floats:
    """Factor of each feature [FEATURES]: ``scale`` for cosines, a quarter for log-odds of visual speech, else 1."""
    units = np.ones(FEATURES, np.float32)
    units[[0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 15]] = scale
    units[[5, 8, 16]] = 0.25
    return units


def _greatest_other(values: Floats, found: npt.NDArray[np.bool_]) -> Floats:
    """For each face the greatest value of the other faces that are found, at least ``_LEAST``: [..., F, 33] of the
    same, with ``found`` [..., F, 1]."""
    values = np.where(found, np.maximum(values, _LEAST), _LEAST)
    ranked = np.sort(values, axis=-2)
    first, second = ranked[..., -1:, :], ranked[..., -2:-1, :] if values.shape[-2] > 1 else _LEAST
    return np.asarray(np.where(values == first, second, first))


def match(lag_means: LagMeans, weight: Floats) -> Floats:
    """Height of the best lag's slow mean above the mean of all lags, [..., F]; 0 where the slow means have too little
    ``weight`` [..., F, 31]. People differ in how well they match: for a person who has matched well before, a poor
    match is evidence against speaking."""
    _, rise = (lag_means.peaks - lag_means.levels)[..., 0]
    return np.asarray(rise * (weight.min(axis=-1) >= BEST_MIN_WEIGHT), np.float32)
