"""The scorer: sightings and sound in, one immutable Snapshot a tick out.

For each tick every face's embedding is compared with the sound at lags −15…+15. What counts is how far the similarity
at the room lag stands above the median over lags, beside how much the mouth looks like speaking. A tick is decided a
fixed look-ahead after its frame (plus the room lag, when the sound comes later than the picture).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.facing import Faces
from core.hearing import Hearing
from core.lag import LAGS, MAX_LAG_TICKS, RoomLag
from core.lipsync import LipSyncModel
from core.media import Sound
from core.settings import EvidenceSettings, Settings
from core.snapshot import FaceScore, Snapshot
from core.timebase import TICK_RATE
from core.turns import Turns
from core.vision import Sighting

_MEMORY_TICKS = 128
"""Kept of every face and of the sound: the slow average, all lags on both sides, and slack for uneven arrival."""

_SPAN = 2 * TICK_RATE
"""Averages reach two seconds back."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What speaks for each of F faces at one tick; every array has F entries.

    ``sync_fast`` and ``sync_slow``: similarity at the room lag above the median over lags, averaged over a short and a
    longer time (cosines, about −0.2 to 1). ``activity_fast`` and ``activity_slow``: the visual speech probability in
    [0, 1], averaged likewise. ``speech``: the probability that anybody is heard.
    """

    sync_fast: npt.NDArray[np.float64]
    sync_slow: npt.NDArray[np.float64]
    activity_fast: npt.NDArray[np.float64]
    activity_slow: npt.NDArray[np.float64]
    speech: float


def probability(evidence: Evidence, settings: EvidenceSettings) -> npt.NDArray[np.float64]:
    """The probability in [0, 1] that each face is heard speaking: logistic in the evidence."""
    z = (
        settings.bias
        + settings.sync_fast * evidence.sync_fast
        + settings.sync_slow * evidence.sync_slow
        + settings.activity_fast * evidence.activity_fast
        + settings.activity_slow * evidence.activity_slow
    )
    return np.asarray(1 / (1 + np.exp(-z)))


class Scorer:
    """Feed ``see`` and ``hear`` in any interleaving; ``advance`` gives the snapshots that became decidable."""

    def __init__(
        self, model: LipSyncModel, lag_ms: float | None = None, has_sound: bool = True, settings: Settings | None = None
    ) -> None:
        self._settings = settings or Settings()
        self._faces = Faces(model, _MEMORY_TICKS)
        self._hearing = Hearing(model, _MEMORY_TICKS)
        self._has_sound = has_sound
        self._lag = RoomLag(self._settings.lag, lag_ms)
        self._turns = Turns(self._settings.turns)
        self._next_tick = 0
        self._fast = _weights(self._settings.evidence.fast_seconds)
        self._slow = _weights(self._settings.evidence.slow_seconds)

    def see(self, sighting: Sighting) -> None:
        """Take the faces of the next tick (ticks increase; some may be missing)."""
        self._faces.see(sighting)

    def hear(self, sound: Sound) -> None:
        """Take the next stretch of sound: gapless, 16 kHz, from session time 0."""
        self._hearing.hear(sound.samples)

    def advance(self, stride: int = 1) -> list[Snapshot]:
        """Decide all ticks whose pictures and sound are there. ``stride``: only every 2nd or 4th tick, to shed load."""
        ready = self._faces.through
        if self._has_sound:
            ready = min(ready, self._hearing.through - max(0, self._lag.ticks))
        return self._decide(ready, stride)

    def finish(self) -> list[Snapshot]:
        """Decide what is left at the end, without the sound and pictures that would have come."""
        self._faces.finish()
        return self._decide(self._faces.through, 1)

    def _decide(self, ready: int, stride: int) -> list[Snapshot]:
        # After a hold-up, ticks that are no longer remembered are let go.
        self._next_tick = max(self._next_tick, ready - (_MEMORY_TICKS - 3 * MAX_LAG_TICKS - _SPAN))
        ticks = [t for t in range(self._next_tick, ready + 1) if t % stride == 0]
        self._next_tick = max(self._next_tick, ready + 1)
        return [self._score(tick) for tick in ticks]

    def _score(self, tick: int) -> Snapshot:
        present = self._faces.at(tick)
        evidence = self.evidence(tick, list(present))
        likely = dict(zip(present, probability(evidence, self._settings.evidence).tolist(), strict=True))
        turn = self._turns.update(tick / TICK_RATE, evidence.speech, likely)
        faces = tuple(FaceScore(i, box, likely[i], i in turn.speaking) for i, box in present.items())
        return Snapshot(tick, tick / TICK_RATE, evidence.speech, faces, turn.state, turn.primary, self._lag.value())

    def evidence(self, tick: int, ids: list[int]) -> Evidence:
        """What speaks for each face at ``tick``; also lets the room lag follow."""
        ticks = np.arange(tick - _SPAN + 1, tick + 1)
        sound_ticks = np.arange(ticks[0] - MAX_LAG_TICKS, tick + MAX_LAG_TICKS + 1)
        sounds = self._hearing.vectors(sound_ticks)
        heard = ~np.isnan(sounds[:, 0])
        lagged = np.arange(_SPAN)[:, None] + np.arange(len(LAGS))
        speech = self._hearing.sound(tick + self._lag.ticks).speech
        faces = [self._faces.known[i] for i in ids]
        slots = ticks % _MEMORY_TICKS
        if not faces:
            empty = np.zeros(0)
            return Evidence(empty, empty, empty, empty, speech)
        first = np.array([m.first_tick for m in faces])[:, None]
        seen = ticks >= np.maximum(first, 0)
        activity = np.stack([m.activity[slots] for m in faces])
        if heard.any() and sounds.shape[1] > 1:
            vectors = np.stack([m.vectors[slots] for m in faces])
            similarity = np.nan_to_num(vectors) @ np.nan_to_num(sounds).T  # [F, _SPAN, sound ticks]
            similarity = np.take_along_axis(similarity, lagged[None], axis=2)
        else:
            similarity = np.zeros((len(faces), _SPAN, len(LAGS)))
        known = (seen[:, :, None] & heard[lagged][None]).astype(float)
        slow = _mean(similarity, known * self._slow[:, None])
        fast = _mean(similarity, known * self._fast[:, None])
        self._lag.update(slow, speech)
        median = np.median(slow, axis=1, keepdims=True)
        shown = (seen & ~np.isnan(activity)).astype(float)
        activity = np.nan_to_num(activity)
        return Evidence(
            self._at_room_lag(fast - median),
            self._at_room_lag(slow - median),
            _mean(activity, shown * self._fast),
            _mean(activity, shown * self._slow),
            speech,
        )

    def _at_room_lag(self, rise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The value at the room lag; while that is not known well, the best value at the believable lags."""
        sharp = self._settings.evidence.lag_sharpness
        return np.asarray(np.log(np.exp(sharp * rise) @ self._lag.weights) / sharp)


def _weights(seconds: float) -> npt.NDArray[np.float64]:
    """Weights of the last ``_SPAN`` ticks, oldest first: exponential with a time constant of ``seconds``."""
    return np.asarray(np.exp(-np.arange(_SPAN)[::-1] / (seconds * TICK_RATE)))


def _mean(values: npt.NDArray[np.floating], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weighted mean over axis 1; 0 where no weight is."""
    return np.asarray((values * weights).sum(1) / np.maximum(weights.sum(1), 1e-9))
