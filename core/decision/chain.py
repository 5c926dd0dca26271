"""The chain: an exact, causal hidden Markov model of who speaks and at which lag.

Its states are: no active speaker in view, each face alone at each lag, each pair of faces. A tick is one forward step:
people take over, join and stop at learnt rates, then each state is weighed by how well it explains the tick's audio.
Normalised, the states are the posterior; nothing is averaged over a window, so that a turn is named as soon as the
evidence is strong, and weak evidence adds up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from speakerlight.core.decision.calibration import UNCALIBRATED, Calibration
from speakerlight.core.decision.lag import LAGS, RoomLag

Floats = npt.NDArray[np.float64]

_Speech = TypeVar("_Speech", float, npt.NDArray[np.float32])

PAUSE_BELOW = 0.35
"""Speech probability below which a tick is a pause (silero-vad's own recommendation): the posterior fades then."""

AWAY_TICKS = 125
"""A face out of view keeps its state for 5 s: it may go on speaking unseen, and be in view again."""

MAX_PRIOR = 0.25
"""Maximum prior of a face, below the threshold of a name: a single person in view is not necessarily the speaker. With
four faces or more the share is smaller anyway."""

_REMEMBERED_FACES = 64
"""Number of faces, the latest ones, whose lag is remembered after that."""

MAX_STEPS = 4
"""Maximum number of ticks that the evidence of one tick counts for: under load at least every fourth is scored."""


@dataclass(frozen=True)
class ChainConstants:
    """Learnt together with the emission; rates are probabilities a tick."""

    nobody: float
    """Prior weight of the state without an active speaker in view, relative to 1 for a face."""
    pair: float
    """Prior probability that two people speak at once."""
    change: float
    """Rate of a new speaker drawn from the prior while there is speech …"""
    fade: float
    """… and in a pause."""
    join: float
    """Rate of a second speaker joining."""
    leave: float
    """Rate of one of two speakers stopping."""
    pair_gain: float
    """Share of both faces' evidence that counts for a pair …"""
    pair_bias: float
    """… and the bias of a pair, log-odds per tick."""

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[np.float32]]) -> ChainConstants:
        """From a weights file's arrays. Raises KeyError where one is missing."""
        return cls(*(arrays[f.name].item() for f in fields(cls)))


@dataclass(frozen=True)
class VoiceCue:
    """Evidence of the voice alone about who speaks at a tick.

    ``changed``: probability that another voice has begun since the tick before. ``prior``: relative weight of each face
    among those that a new speaker is drawn from, 1 for a face of which nothing is known; absent faces count 1.
    ``prior_nobody``: the same for people out of view. ``gains``: log-odds of one tick that the voice is a face's own,
    in view or not, 0 where nothing is known; ``nobody_gain``: the same for people out of view.
    """

    changed: float = 0.0
    prior: Mapping[int, float] = field(default_factory=dict)
    prior_nobody: float = 1.0
    gains: Mapping[int, float] = field(default_factory=dict)
    nobody_gain: float = 0.0


NO_VOICE = VoiceCue()


@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior of who speaks. ``faces``: the probability of each face in view, alone or in a pair (sum 0 to 2).

    ``second``: for each face in view, the probability that it speaks beside ``first``, the most probable one.
    ``nobody``: probability of no active speaker in view. ``evidence``: log-odds of the tick alone for each face in
    view, at its most probable lag, against no active speaker.
    """

    faces: Mapping[int, float]
    pairs: Mapping[tuple[int, int], float]
    nobody: float
    evidence: Mapping[int, float] = field(default_factory=dict)


class Chain:
    """Updates the posterior tick by tick. Faces may come, leave and return."""

    def __init__(self, constants: ChainConstants, lag: RoomLag, calibration: Calibration = UNCALIBRATED) -> None:
        """``calibration`` of what ``update`` returns; the chain goes on from its own posterior."""
        self._c = constants
        self._lag = lag
        self._calibration = calibration
        self._ids: list[int] = []
        self._away = np.zeros(0, int)
        self._nobody = 1.0
        self._alone = np.zeros((0, len(LAGS)))
        self._pairs = np.zeros((0, 0))  # symmetric, each pair in both places
        self._counts = np.zeros((0, len(LAGS)))
        self._remembered: dict[int, Floats] = {}

    def update(
        self,
        ids: Sequence[int],
        gains: npt.NDArray[np.floating],
        speech: float,
        steps: int = 1,
        voice: VoiceCue = NO_VOICE,
    ) -> Posterior:
        """One forward step over ``steps`` ticks. ``gains`` [F, 31]: log-odds of each face in view at each lag against
        no active speaker, 0 where nothing is known or heard; ``speech``: probability in [0, 1] at the room's lag."""
        steps = min(steps, MAX_STEPS)
        self._keep(ids, steps)
        in_view = len(ids)
        lag_prior = self._lag.prior(self._counts)
        self._transition(in_view, lag_prior, speech, steps, voice)
        spoken = speech_weight(speech)
        weight = spoken * steps
        evidence = np.zeros(in_view)
        # Before the room's lag is known, there may be a pause at it while speech is heard at the true one.
        if weight or gains.any():
            if in_view:
                evidence = self._weigh(gains, weight, lag_prior, steps)
            if weight and (voice.gains or voice.nobody_gain):
                self._weigh_voice(weight, voice)
            self._normalise()
        singles, both = self._alone.sum(axis=1), self._pairs.sum(axis=1)
        self._learn_lags(singles, both, lag_prior, spoken, steps)
        alone, pairs, nobody = self._in_view(in_view, singles)
        each = alone + pairs.sum(axis=1)
        return Posterior(
            dict(zip(ids, each.tolist(), strict=True)),
            _by_pair(ids, pairs) if in_view > 1 else {},
            nobody,
            dict(zip(ids, evidence.tolist(), strict=True)),
        )

    def _in_view(self, in_view: int, singles: Floats) -> tuple[Floats, Floats, float]:
        """The calibrated posterior of those in view, who come first: each alone, each pair, nobody. Beside somebody who
        is away a face counts as alone."""
        seen, away = slice(in_view), slice(in_view, None)
        unseen = self._nobody + singles[away].sum() + self._pairs[away, away].sum() / 2
        alone = singles[seen] + self._pairs[seen, away].sum(axis=1)
        return self._calibration(alone, self._pairs[seen, seen], float(unseen))

    def merge(self, face: int, into: int) -> None:
        """Merge two faces of one person, which are not in view together: ``into`` receives the state of ``face``."""
        if face in self._ids and into not in self._ids:
            self._ids[self._ids.index(face)] = into

    def forget_lags(self) -> None:
        """Forget at which lags each face spoke."""
        self._counts = np.zeros_like(self._counts)
        self._remembered.clear()

    def _transition(self, in_view: int, lag_prior: Floats, speech: float, steps: int, voice: VoiceCue) -> None:
        c = self._c
        rate = c.fade if speech < PAUSE_BELOW else c.change
        change = 1 - (1 - rate) ** steps * (1 - voice.changed)
        count = len(self._ids)
        weights = np.zeros(count)
        weights[:in_view] = [voice.prior.get(i, 1.0) for i in self._ids[:in_view]] if voice.prior else 1.0
        nobody = c.nobody * voice.prior_nobody
        total = nobody + weights.sum()
        pair = c.pair if in_view > 1 else 0.0
        prior = np.minimum((1 - pair) * weights / total, MAX_PRIOR * np.maximum(weights, 1.0))
        singles = self._alone.sum(axis=1)
        own_lag = (self._alone + 1e-6 * lag_prior) / (singles + 1e-6)[:, None]
        # When the voice has certainly changed, nothing is left to join or leave; otherwise weights would be negative.
        moving = min(steps, (1 - change) / max(c.join, c.leave, 1e-9)) if speech >= PAUSE_BELOW and in_view > 1 else 0.0
        join, leave = c.join * moving, c.leave * moving
        back = (0.5 * leave * self._pairs.sum(axis=1))[:, None] * own_lag
        stays = np.full(count, 1 - change)
        stays[:in_view] -= join
        self._alone = stays[:, None] * self._alone + change * prior[:, None] * lag_prior + back
        if speech >= PAUSE_BELOW:
            self._slip(steps)
        self._pairs *= 1 - change - leave
        if in_view > 1:
            # Faces in view join each other; no face joins one that is alone out of view.
            begun = join * singles[:in_view] / (in_view - 1)
            drawn = change * pair / (in_view * (in_view - 1) / 2)
            self._pairs[:in_view, :in_view] += (begun[:, None] + begun + drawn) * _off_diagonal(in_view)
        self._nobody = (1 - change) * self._nobody + change * (1 - pair - prior.sum())

    def _slip(self, steps: int) -> None:
        """The lag of whoever speaks may have become any other since the last tick."""
        anywhere = self._alone.sum(axis=1, keepdims=True) / len(LAGS)
        self._alone += self._lag.slip_rate * steps * (anywhere - self._alone)

    def _weigh(self, gains: npt.NDArray[np.floating], weight: float, lag_prior: Floats, steps: int) -> Floats:
        """Weigh the states by the tick's evidence; return that of each face in view at its own lag, in log-odds."""
        in_view = len(gains)
        c = self._c
        singles = self._alone[:in_view].sum(axis=1)
        own_lag = (self._alone[:in_view] + 1e-6 * lag_prior[:in_view]) / (singles + 1e-6)[:, None]
        factors = np.exp(gains)
        evidence = steps * np.log((own_lag * factors).sum(axis=1))
        if len(self._ids) > 1:
            each = np.zeros(len(self._ids))
            each[:in_view] = c.pair_gain * evidence
            self._pairs *= np.exp(each[:, None] + each + weight * c.pair_bias)
        self._alone[:in_view] *= factors**steps
        return np.asarray(evidence)

    def _weigh_voice(self, weight: float, voice: VoiceCue) -> None:
        """Weigh the states by the owner of the voice; in a pair the voice may belong to either."""
        each = np.exp(weight * np.array([voice.gains.get(i, 0.0) for i in self._ids]))
        self._alone *= each[:, None]
        self._pairs *= (each[:, None] + each) / 2
        self._nobody *= math.exp(weight * voice.nobody_gain)

    def _normalise(self) -> None:
        total = self._nobody + self._alone.sum() + self._pairs.sum() / 2
        self._nobody /= total
        self._alone /= total
        self._pairs /= total

    def _learn_lags(self, singles: Floats, both: Floats, lag_prior: Floats, speech: float, steps: int) -> None:
        if speech:
            gained = self._alone + (both / (singles + 1e-6))[:, None] * (self._alone + 1e-6 * lag_prior)
            self._counts = self._lag.learnt(self._counts, gained * speech, speech, steps)

    def _keep(self, ids: Sequence[int], steps: int) -> None:
        """Sort the rows: faces in view first, then those away for a short time."""
        in_view = len(ids)
        if self._ids[:in_view] == list(ids) and not self._away[:in_view].any() and len(self._ids) == in_view:
            return
        away = {i: a + steps for i, a in zip(self._ids, self._away.tolist(), strict=True) if i not in ids}
        gone = [i for i, ticks in away.items() if ticks <= AWAY_TICKS]
        places = {i: k for k, i in enumerate(self._ids)}
        for i in self._ids:
            self._remembered.pop(i, None)
            self._remembered[i] = self._counts[places[i]]
        for i in list(self._remembered)[: max(0, len(self._remembered) - _REMEMBERED_FACES)]:
            del self._remembered[i]
        kept = [*ids, *gone]
        picks = np.array([places.get(i, len(self._ids)) for i in kept], int)
        none = np.zeros((1, len(LAGS)))
        alone = np.concatenate([self._alone, none])[picks]
        padded = np.pad(self._pairs, ((0, 1), (0, 1)))[np.ix_(picks, picks)]
        dropped = 1 - self._nobody - alone.sum() - padded.sum() / 2
        self._nobody += max(0.0, dropped)
        self._alone, self._pairs = alone, padded
        self._counts = np.array([self._remembered.get(i, none[0]) for i in kept]).reshape(-1, len(LAGS))
        self._ids, self._away = kept, np.array([0] * in_view + [away[i] for i in gone], int)

    @property
    def counts(self) -> Floats:
        """Ticks of speech explained by each face at each lag, faded: what the room lag is estimated from."""
        return self._counts


def _by_pair(ids: Sequence[int], pairs: Floats) -> dict[tuple[int, int], float]:
    rows, columns = _upper(len(ids))
    values = pairs[rows, columns].tolist()
    return {(ids[i], ids[j]): p for i, j, p in zip(rows.tolist(), columns.tolist(), values, strict=True)}


def speech_weight(speech: _Speech) -> _Speech:
    """Weight of a tick's evidence by its speech probability: 0 in a pause."""
    return speech * (speech >= PAUSE_BELOW)


@lru_cache(maxsize=32)
def _off_diagonal(n: int) -> Floats:
    return 1 - np.eye(n)


@lru_cache(maxsize=32)
def _upper(n: int) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    return np.triu_indices(n, 1)
