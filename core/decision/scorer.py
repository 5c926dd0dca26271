"""The scorer: sightings and sound in, one immutable Snapshot a tick out.

For each tick every face's embedding is compared with the sound at lags −15…+15. What counts is how far the similarity
at the room lag stands above the median over lags, beside how much the mouth looks like speaking. A tick is decided a
fixed look-ahead after its frame (plus the room lag, when the sound comes later than the picture).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from speakerlight.core.decision.lag import LAGS, MAX_LAG_TICKS, RoomLag
from speakerlight.core.decision.lag_curves import LagCurves
from speakerlight.core.decision.settings import EvidenceSettings, Settings
from speakerlight.core.decision.turns import Turns
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import AudioChunk, Samples
from speakerlight.core.models.audio_stream import AudioEncoderStream
from speakerlight.core.models.face_stream import FaceEncoderStream
from speakerlight.core.models.lipsync import LipSyncModel
from speakerlight.core.snapshot import FaceScore, Snapshot
from speakerlight.core.timebase import TICK_RATE

_MEMORY_TICKS = 128
"""Kept of every face and of the sound: the slow average, all lags on both sides, and slack for uneven arrival."""

_SPAN = 2 * TICK_RATE
"""Averages reach two seconds back."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What speaks for each of F faces at one tick; every array has F entries.

    ``sync``: similarity at the face's lag above its median over lags (cosines, about −0.2 to 0.8). ``level``: that
    median (a cosine: how much this mouth suits this voice at any lag). ``activity``: log-odds that the mouth speaks,
    judged by sight. ``trust`` in [0, 1]: how well face and lag are known yet.
    """

    sync: npt.NDArray[np.float64]
    level: npt.NDArray[np.float64]
    activity: npt.NDArray[np.float64]
    trust: npt.NDArray[np.float64]


def log_odds(evidence: Evidence, settings: EvidenceSettings) -> npt.NDArray[np.float64]:
    """How far what is seen speaks for each face being heard: natural log-odds a second."""
    s = settings
    fit = s.bias + s.sync * evidence.sync + s.level * evidence.level + s.activity * evidence.activity
    still = s.stillness * np.minimum(0.0, evidence.activity - s.still_below)
    return np.asarray(evidence.trust * (fit.clip(-s.most_against, s.most_for) + still))


class Scorer:
    """Feed ``push_tracks`` and ``push_audio`` in any interleaving; ``advance`` gives the snapshots that are decidable.

    What comes waits until a tick can be decided with it: all that waits at once costs least.
    """

    def __init__(
        self, model: LipSyncModel, lag_ms: float | None = None, has_audio: bool = True, settings: Settings | None = None
    ) -> None:
        self._settings = settings or Settings()
        self._faces = FaceEncoderStream(model, _MEMORY_TICKS)
        self._hearing = AudioEncoderStream(model, _MEMORY_TICKS)
        self._has_sound = has_audio
        self._lag = RoomLag(self._settings.lag, lag_ms)
        self._turns = Turns(self._settings.turns, self._settings.belief)
        self._pending_tracks: list[FrameTracks] = []
        self._pending_audio: list[Samples] = []
        self._next_tick = 0
        self._last_scored = -1
        self._stride = 1
        self._fast = _weights(self._settings.evidence.fast_seconds)
        self._curves = LagCurves(np.stack([_weights(self._settings.evidence.slow_seconds), self._fast]))

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        """Take the faces of the next ticks (ticks increase; some may be missing)."""
        self._pending_tracks.extend(frame_tracks)

    def push_audio(self, sounds: Sequence[AudioChunk]) -> None:
        """Take the next stretches of sound: gapless, 16 kHz, from session time 0."""
        self._pending_audio.extend(sound.samples for sound in sounds)

    def advance(self, stride: int = 1) -> list[Snapshot]:
        """Decide all ticks whose pictures and sound are there. ``stride``: only every 2nd or 4th tick, to shed load."""
        self._stride = stride
        self.embed(stride)
        return self._decide(stride, self._hearing.through if self._has_sound else None)

    def embed(self, stride: int = 1) -> None:
        """Embed what waits, as far as it completes a tick that is to be scored: the greater part of ``advance``."""
        self._embed_faces(stride)
        if self._has_sound:
            self._embed_audio(stride)

    def finish(self) -> list[Snapshot]:
        """Decide what is left at the end, without the sound and pictures that would have come."""
        self._faces.push(self._pending_tracks)
        self._faces.finish()
        self._hearing.push_audio(_joined(self._pending_audio))
        self._pending_tracks, self._pending_audio = [], []
        return self._decide(1, None)

    def _embed_faces(self, stride: int) -> None:
        through = self._faces.through
        if (
            self._pending_tracks
            and self._faces.through_with(self._pending_tracks[-1]) >= through + stride - through % stride
        ):
            self._faces.push(self._pending_tracks, stride)
            self._pending_tracks = []

    def _embed_audio(self, stride: int) -> None:
        """Sound is not held back for its pictures: once they come, it would be in their way."""
        later = max(0, self._lag.ticks)
        heard = self._hearing.through - later
        if self._hearing.lacks(heard + stride - heard % stride + later) <= sum(map(len, self._pending_audio)):
            self._hearing.push_audio(_joined(self._pending_audio))
            self._pending_audio = []

    def _decide(self, stride: int, heard_through: int | None) -> list[Snapshot]:
        # After a hold-up, ticks that are no longer remembered are let go.
        self._next_tick = max(self._next_tick, self._faces.through - (_MEMORY_TICKS - 3 * MAX_LAG_TICKS - _SPAN))
        snapshots = []
        # The lag may move with every tick that is scored, and with it what is ready.
        while self._next_tick <= self._faces.through and (
            heard_through is None or self._next_tick + max(0, self._lag.ticks) <= heard_through
        ):
            if self._next_tick % stride == 0:
                snapshots.append(self._score(self._next_tick))
            self._next_tick += 1
        return snapshots

    def _score(self, tick: int) -> Snapshot:
        present = self._faces.at(tick)
        speech = self._hearing.speech(tick + self._lag.ticks)
        support: dict[int, float] = {}
        if present:
            evidence = self._evidence(tick, list(present), speech)
            support = dict(zip(present, log_odds(evidence, self._settings.evidence).tolist(), strict=True))
        self._last_scored = tick
        turn = self._turns.update(tick / TICK_RATE, speech, support)
        faces = tuple(FaceScore(i, box, turn.likely[i], i in turn.speaking) for i, box in present.items())
        return Snapshot(tick, tick / TICK_RATE, speech, faces, turn.state, turn.primary, self._lag.value())

    def _evidence(self, tick: int, ids: list[int], speech: float) -> Evidence:
        """What speaks for each face at ``tick``; also lets the lags follow."""
        activity, seen = self._faces.activity(ids, np.arange(tick - _SPAN + 1, tick + 1))
        averages = self._similarity(tick, ids, seen)
        level = np.sort(averages[0], axis=1)[:, len(LAGS) // 2]  # their median, in an eighth of the time
        rises = averages - level[:, None]
        slow, fast = self._at_lag(rises, self._lag.weights(ids))
        # Before there are some ticks to average, every curve is rough and its peak means little.
        trust_ticks = self._settings.evidence.trust_seconds * TICK_RATE
        trust = np.minimum(1.0, self._stride * seen.sum(axis=1) / trust_ticks)
        evidence = Evidence(fast, level, self._activity(activity, seen), trust * self._lag.certainty)
        if speech >= self._settings.lag.min_speech:
            # Who speaks is where sound fits best, by the face's lag and at all.
            fit = trust * slow + self._settings.lag.level_share * level
            seconds = (tick - self._last_scored) / TICK_RATE
            self._lag.update(ids, rises[0], int(np.argmax(fit)), seconds)
        return evidence

    def _similarity(self, tick: int, ids: list[int], seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Cosines of each face with the sound at every lag, averaged over the slow and over the fast time: [2, F, 31].

        Sound that came early is not used: a tick has the same answer however fast its sound arrives.
        """
        lacks = self._curves.lacks(ids, tick)
        newest = tick + max(0, self._lag.ticks) if self._has_sound else -1
        sound_ticks = np.arange(tick + 1 - lacks - MAX_LAG_TICKS, tick + 1 + MAX_LAG_TICKS)
        sounds = self._hearing.vectors(sound_ticks, newest)
        vectors = self._faces.vectors(ids, np.arange(tick + 1 - lacks, tick + 1))
        return self._curves.update(ids, tick, vectors, sounds, seen)

    def _at_lag(self, rises: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The curves' value at each face's lag, [2, F] of [2, F, 31].

        While that is not known well, the best value at the believable lags.
        """
        sharp = self._settings.evidence.lag_sharpness
        return np.asarray(np.log((np.exp(sharp * rises) * weights).sum(axis=2)) / sharp)

    def _activity(
        self, log_odds: npt.NDArray[np.float32] | None, seen: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Log-odds of visual speech, averaged over the short time: F values from [F, T]."""
        s = self._settings.evidence
        if log_odds is None:
            return np.full(len(seen), s.unknown_activity)
        total = log_odds.clip(-s.most_activity, s.most_activity) @ self._fast
        return np.asarray(total / np.maximum(seen @ self._fast, 1e-9))


def _joined(parts: Sequence[Samples]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _weights(seconds: float) -> npt.NDArray[np.float64]:
    """Weights of the last ``_SPAN`` ticks, oldest first: exponential with a time constant of ``seconds``."""
    return np.asarray(np.exp(-np.arange(_SPAN)[::-1] / (seconds * TICK_RATE)))
