"""The scorer: tracked faces and audio in, one immutable Snapshot a tick out.

For each tick every face's embedding is compared with the audio at lags −15…+15. The emission makes log-odds of the
cosines, the chain accumulates them to a posterior over who speaks at which lag, and turns follow from it. A tick is
decided a fixed look-ahead after its frame (plus the room lag, when the audio is later than the video).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from speakerlight.core.decision.chain import PAUSE_BELOW, Chain, Posterior, speech_weight
from speakerlight.core.decision.emission import EmissionFeatures
from speakerlight.core.decision.lag import LAGS, MAX_LAG_TICKS, RoomLag
from speakerlight.core.decision.lag_search import SEARCH_TICKS, LagSearch
from speakerlight.core.decision.settings import Settings
from speakerlight.core.decision.turns import Turns
from speakerlight.core.decision.weights import DecisionWeights, decision_for
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import AudioChunk, Samples
from speakerlight.core.models.audio_stream import AudioEncoderStream
from speakerlight.core.models.face_stream import FaceEncoderStream
from speakerlight.core.models.lipsync import LipSyncModel
from speakerlight.core.people.who import WhoIsWho
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.timebase import TICK_RATE

logger = logging.getLogger(__name__)

_SLACK_TICKS = 32
"""Extra ticks of memory, because ticks arrive unevenly."""

_MEMORY_TICKS = SEARCH_TICKS + _SLACK_TICKS
"""Number of ticks whose embeddings are kept, of every face and of the audio."""

_CATCH_UP_TICKS = 64
"""After a stall, ticks further back than this are dropped."""

_FIRST_TICKS = 4
"""The first embeddings of a face in view are made from too few frames and do not count."""


class Scorer:
    """Feed ``push_tracks`` and ``push_audio`` in any interleaving; ``advance`` gives the snapshots that are decidable.

    Input is buffered until it completes a tick: all at once costs least. ``lag_ms`` sets the lag by hand, to any
    value; ``notify`` takes a line for the user when the audio turns out to be further off than the lags compared.
    """

    def __init__(
        self,
        model: LipSyncModel,
        lag_ms: float | None = None,
        has_audio: bool = True,
        settings: Settings | None = None,
        weights: DecisionWeights | None = None,
        notify: Callable[[str], None] = logger.warning,
        who: WhoIsWho | None = None,
    ) -> None:
        self._weights = weights or decision_for(model.name)
        lag_ticks = None if lag_ms is None else lag_ms * TICK_RATE / 1000
        # Lags are compared around this one: 0 unless a greater lag was set by hand.
        self._middle = 0 if lag_ticks is None or abs(lag_ticks) <= MAX_LAG_TICKS else round(lag_ticks)
        self._memory = _MEMORY_TICKS + abs(self._middle)
        self._faces = FaceEncoderStream(model, self._memory)
        self._audio = AudioEncoderStream(model, self._memory)
        self._has_audio = has_audio
        self._lag = RoomLag(None if lag_ticks is None else lag_ticks - self._middle)
        settings = settings or Settings()
        self._chain = Chain(self._weights.chain, self._lag, settings.calibration)
        self._features = EmissionFeatures(self._weights.emission.scale, self._weights.emission.centre)
        self._turns = Turns(settings)
        self._search = LagSearch(notify) if lag_ms is None else None
        self._pending_tracks: list[FrameTracks] = []
        self._pending_audio: list[Samples] = []
        self._next_tick = 0
        self._last_scored = -1
        self._who = who or WhoIsWho()

    def set_lag(self, lag_ms: float | None) -> None:
        """Set the lag by hand from the next decided tick on, or estimate it, beginning anew (None).

        Lags within ±600 ms are compared, around 0 or a greater lag that was set at first; one outside is clipped.
        """
        if lag_ms is None:
            self._lag.set(None)
            self._chain.forget_lags()
        else:
            ticks = lag_ms * TICK_RATE / 1000 - self._middle
            self._lag.set(min(max(ticks, float(LAGS[0])), float(LAGS[-1])))

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        """Consume the faces of the next ticks (ticks increase; some may be missing)."""
        self._pending_tracks.extend(frame_tracks)
        self._who.push_tracks(frame_tracks)

    def push_audio(self, chunks: Sequence[AudioChunk]) -> None:
        """Consume the next chunks of audio: gapless, 16 kHz, from session time 0."""
        for chunk in chunks:
            self._pending_audio.append(chunk.samples)
            self._who.push_audio(chunk.samples)

    def advance(self, stride: int = 1) -> list[Snapshot]:
        """Decide all ticks whose frames and audio are there. ``stride``: only every 2nd or 4th tick, to shed load."""
        self.embed(stride)
        return self._decide(stride, self._audio.through if self._has_audio else None)

    def embed(self, stride: int = 1) -> None:
        """Embed buffered input, as far as it completes a tick that is to be scored: the greater part of ``advance``."""
        self._embed_faces(stride)
        if self._has_audio:
            self._embed_audio(stride)

    def face_vectors(self, ids: Sequence[int], tick: int) -> npt.NDArray[np.float32]:
        """Unit vectors of faces in view at a tick that is still in memory, [F, D]; zero where a face has none."""
        return self._faces.vectors(ids, np.array([tick]))[:, 0]

    def finish(self) -> list[Snapshot]:
        """Decide the remaining ticks at the end, without the audio and frames that would follow."""
        self._faces.push(self._pending_tracks)
        self._faces.finish()
        self._audio.push_audio(_joined(self._pending_audio))
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
        """Audio does not wait for its frames: it would delay them later."""
        later = self._later
        decidable = self._audio.through - later
        if self._audio.lacks(decidable + stride - decidable % stride + later) <= sum(map(len, self._pending_audio)):
            self._audio.push_audio(_joined(self._pending_audio))
            self._pending_audio = []

    @property
    def _later(self) -> int:
        """Number of ticks of audio after a tick that it waits for."""
        return max(0, self._middle + self._lag.ticks)

    def _compared(self, stride: int) -> tuple[_Ticks, _Ticks, _Ticks]:
        return _compared_ticks(self._middle, self._later, stride)

    def _decide(self, stride: int, audio_through: int | None) -> list[Snapshot]:
        self._next_tick = max(self._next_tick, self._faces.through - _CATCH_UP_TICKS - abs(self._middle))
        snapshots = []
        # The lag may move with every scored tick, and with it the ticks that are decidable.
        while self._next_tick <= self._faces.through and (
            audio_through is None or self._next_tick + self._later <= audio_through
        ):
            if self._next_tick % stride == 0:
                snapshots.append(self._score(self._next_tick, stride))
            self._next_tick += 1
        return snapshots

    def _score(self, tick: int, stride: int) -> Snapshot:
        identities = self._who.identities(tick)
        for merge in identities.merges:
            self._chain.merge(merge.id, merge.into)
            self._turns.merge(merge.id, merge.into)
        present = self._faces.at(tick)
        tracks = {identities.persons.get(track, track): track for track in present}
        heard = self._audio.speech(tick + self._compared(stride)[0])
        speech = heard[self._lag.ticks + MAX_LAG_TICKS].item()
        posterior = self._posterior(tick, tracks, speech, heard, stride)
        turn = self._turns.update(tick / TICK_RATE, speech, posterior)
        faces = tuple(FaceScore(p, present[i], turn.scores[p], p in turn.speaking) for p, i in tracks.items())
        is_away = turn.state is SpeakingState.OFFSCREEN
        return Snapshot(
            tick,
            tick / TICK_RATE,
            speech,
            faces,
            turn.state,
            turn.primary,
            self._lag_value(),
            self._who.offscreen(list(tracks)) if is_away else None,
            identities.merges,
            identities.names,
        )

    def _lag_value(self) -> Lag:
        lag = self._lag.value()
        return replace(lag, milliseconds=lag.milliseconds + self._middle * 1000 / TICK_RATE) if self._middle else lag

    def _posterior(
        self, tick: int, tracks: Mapping[int, int], speech: float, heard: npt.NDArray[np.float32], stride: int
    ) -> Posterior:
        """Who speaks at ``tick``; ``tracks``: of each person in view; ``heard`` [31]: speech at each lag."""
        steps = tick - self._last_scored if self._last_scored >= 0 else 1
        self._last_scored = tick
        persons, ids = list(tracks), list(tracks.values())
        voice = self._who.cue(tick + self._middle + self._lag.ticks, persons, self._audio.voice_activity)
        if not ids:
            nothing = np.zeros(0, np.float32)
            self._features.update([], _NO_FACES, _NO_FACES > 0, nothing, nothing, heard, steps)
            return self._chain.update([], _NO_FACES, speech, steps, voice)
        cosines, known = self._cosines(tick, ids, stride)
        visual_vad = self._faces.visual_vad(ids, np.array([tick]))[0]
        mouth = visual_vad[:, 0] if visual_vad is not None else np.zeros(len(ids), np.float32)
        fresh = self._faces.fresh(ids, tick)
        inputs = self._features.update(ids, cosines, known, mouth * known.any(axis=1), fresh, heard, steps)
        gains = self._weights.emission.gains(inputs) * known * speech_weight(heard)
        posterior = self._chain.update(persons, gains, speech, steps, voice)
        if speech >= PAUSE_BELOW:
            self._who.learn(posterior.evidence, max(posterior.pairs.values(), default=0.0))
        if self._search is not None:
            self._search.update(tick, ids, speech, posterior.nobody, steps, self._faces, self._audio)
        return posterior

    def _cosines(self, tick: int, ids: list[int], stride: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Cosines of each face with the audio at every lag, and where they are known: [F, 31] each.

        Audio that arrived early is not used: a tick has the same result however fast its audio arrives. At lags for
        which the audio is not there yet, an earlier frame meets the newest audio.
        """
        newest = tick + self._later if self._has_audio else -1
        heard, first, where = self._compared(stride)
        audio, has_audio = self._audio.vectors(tick + heard, newest)
        there = self._faces.embedded(ids, tick - first, _FIRST_TICKS)
        vectors = self._faces.vectors(ids, tick - first)
        # All faces in one product: one for each would take twice as long.
        cosines = (vectors.reshape(-1, vectors.shape[-1]) @ audio.T).reshape(*vectors.shape[:2], len(LAGS))
        return cosines[:, where, _ALL_LAGS], there[:, where] & has_audio


_NO_FACES = np.zeros((0, len(LAGS)), np.float32)

_ALL_LAGS = np.arange(len(LAGS))

_Ticks = npt.NDArray[np.int_]


@lru_cache(maxsize=64)
def _compared_ticks(middle: int, later: int, stride: int) -> tuple[_Ticks, _Ticks, _Ticks]:
    """Ticks from the decided tick to each lag's audio, [31]; the distinct numbers of ticks from the lags' frames to the
    decided tick, and the index of each lag's among them, [31]."""
    lags = middle + LAGS
    back = -(-np.maximum(0, lags - later) // stride) * stride
    first, where = np.unique(back, return_inverse=True)
    return lags - back, first, where


def _joined(parts: Sequence[Samples]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *parts])
