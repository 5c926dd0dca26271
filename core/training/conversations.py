"""Synthetic conversations: embedded training people, composed to scenes with known speakers.

Each clip's face is embedded once, in the ways it can look (talking, at six frames a second, listening, chewing,
frozen). A conversation is then composed of slices of these arrays, and of audio that is mixed and embedded as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from speakerlight.core.decision.lag import LAGS
from speakerlight.core.errors import InputError
from speakerlight.core.media import Samples
from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.models.speech_head import MEAN_TICKS, SpeechHead
from speakerlight.core.timebase import SAMPLES_PER_TICK, TICK_RATE
from speakerlight.core.training.alignment import aligned
from speakerlight.core.training.dataset import DRAWN, UNCONFIRMED, Example, speech_of
from speakerlight.core.training.evaluation import embed_audio, embed_face
from speakerlight.core.training.idle import chewing, listening

Floats = npt.NDArray[np.float32]

TICKS = 500
"""Length of a conversation: 20 s."""

_MARGIN_TICKS = 12
"""Number of frames before its tick that a face embedding is made from; fewer after it."""

_IDLE_TICKS = 80
_HELD_RATE = 6
"""Frame rate of slow cameras."""

_TURN_RMS = 2500 / 32768
_ROOM_RMS = 12 / 32768

SOURCE_WEIGHTS = {"people": 0.72, "single": 0.2, UNCONFIRMED: 0.08}
"""Share of each source among the people of a conversation: ordinary people count most. Clips of the others of the
network's training are too short for turns, or of few people."""

TRUSTED = "people"
"""The source whose clips are used even where they show no lag: a flat curve there is a face that is hard to read."""

_ROUGHNESS, _ROUGHNESS_SPREAD = 0.6, 0.3
"""How much a speaker's embeddings err, relative to their length, and by how much people differ in it (log-normal).
Drawn people have no errors: in use they match as well as in training."""

_ROUGH_TICKS = 8
"""Time constant of these errors: a syllable or two."""

NO_SPEECH, NOBODY = -1, 0
"""Labels of a tick without a decision, and of a tick with no active speaker in view."""


@dataclass(frozen=True, eq=False)
class Looks:
    """One look of a face (talking, listening, …): unit vectors [T, D] and log-odds of visual speech [T]."""

    vectors: Floats
    visual_vad: Floats


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip of a person, in sync. ``talking`` and ``held`` (at a low frame rate) follow ``samples``, the idle looks
    follow nothing."""

    talking: Looks
    held: Looks
    idle: tuple[Looks, ...]
    """Listening, chewing, frozen."""
    samples: Samples


@dataclass(frozen=True, eq=False)
class Person:
    """A person who can take part, and the source of their clips."""

    name: str
    source: str
    clips: tuple[Clip, ...]


@dataclass(frozen=True, eq=False)
class Conversation:
    """n faces over TICKS ticks.

    ``cosines`` [n, 31, T]: at each lag of LAGS the newest pair that is known when a tick is decided; ``known``
    [n, 31, T]: where there is one. ``visual_vad`` [n, T] log-odds. ``heard`` [31, T]: speech probability of the audio
    at each lag; ``speech`` [T]: at the room lag. ``in_view`` [n, T].
    ``label`` [T]: NO_SPEECH, NOBODY, 1 + i for face i alone, 1 + n + k for the k-th pair of ``pairs(n)``.
    """

    cosines: npt.NDArray[np.float16]
    known: npt.NDArray[np.bool_]
    visual_vad: Floats
    heard: npt.NDArray[np.float16]
    speech: Floats
    in_view: npt.NDArray[np.bool_]
    label: npt.NDArray[np.int_]
    fresh: float = 1.0
    """Share of ticks that have a frame of their own."""


def pairs(n: int) -> list[tuple[int, int]]:
    """All pairs i < j of n faces, in the order of their states."""
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


class AudioEncoder(Protocol):
    """Audio of a whole scene to unit vectors, one a tick: [ticks, D]."""

    def __call__(self, samples: Samples, ticks: int) -> Floats: ...


def audio_encoder(network: CompactSyncNet) -> AudioEncoder:
    return lambda samples, ticks: embed_audio(network, samples, ticks)


def embedded_people(examples: Sequence[Example], network: CompactSyncNet, rng: np.random.Generator) -> Iterator[Person]:
    """The people of ``examples``, their clips in sync. Clips of under two seconds are dropped, and those without a lag,
    except of TRUSTED."""
    network.eval()
    groups: dict[tuple[str, str], list[Clip]] = {}
    for example in examples:
        if example.ticks < 2 * TICK_RATE:
            continue
        in_sync = next(aligned([example], network), example if example.source == TRUSTED else None)
        if in_sync is None:
            continue
        name = example.person or example.face.name
        groups.setdefault((example.source, name), []).append(_embedded(in_sync, network, rng))
    for (source, name), clips in groups.items():
        yield Person(name, source, tuple(clips))


def _embedded(example: Example, network: CompactSyncNet, rng: np.random.Generator) -> Clip:
    crops, ticks = example.face.crops, example.ticks

    def looks(chosen: npt.NDArray[np.uint8]) -> Looks:
        """Embed the clip in a loop, so that no embedding sees its edges."""
        around = np.concatenate([chosen[-_MARGIN_TICKS:], chosen, chosen[:_MARGIN_TICKS]])
        vectors, logits = embed_face(network, around)
        part = slice(_MARGIN_TICKS, -_MARGIN_TICKS)
        return Looks(vectors[part], logits[part].numpy())

    every = TICK_RATE / _HELD_RATE
    held = (np.floor(np.arange(ticks) / every) * every).astype(int)
    frozen = np.repeat(crops[int(rng.integers(ticks))][None], _IDLE_TICKS, 0)
    idle = (looks(listening(example.face, _IDLE_TICKS, rng)), looks(chewing(frozen, rng)), looks(frozen))
    return Clip(looks(crops), looks(crops[held]), idle, example.face.samples[: ticks * SAMPLES_PER_TICK])


@dataclass(frozen=True)
class Scene:
    """Kind of conversation: drawn at random first, then filled with people."""

    seen: int
    away: int
    """Number of people who talk without a face in view."""
    regime: str
    """What listeners do: ``moving`` (all lips move), ``still`` or ``mixed``."""
    held: bool
    """All faces at a low frame rate."""
    tiles: bool
    """Each face has a lag of its own, as in a video call."""
    slips: bool
    overlaps: bool
    comes_and_goes: bool
    is_lost: bool
    """Faces are not found for moments."""
    noisy: bool


_DRAWN_SHARE = 0.2
"""Share of conversations of the demo's people: their lips match more voices than those of real people do."""

MOST_PEOPLE = 10
"""Maximum number of people in one conversation: 8 in view, 2 away."""


def drawn_scene(rng: np.random.Generator) -> Scene:
    seen = int(rng.choice([1, 2, 3, 4, 5, 6, 8], p=[0.13, 0.15, 0.15, 0.33, 0.1, 0.08, 0.06]))
    away = int(rng.choice([0, 1, 2], p=[0.25, 0.45, 0.3] if seen == 1 else [0.5, 0.4, 0.1]))
    flags = [bool(rng.random() < share) for share in (0.1, 0.25, 0.1, 0.25, 0.2, 0.2, 0.2)]
    return Scene(seen, away, str(rng.choice(["moving", "still", "mixed"], p=[0.5, 0.2, 0.3])), *flags)


class ConversationMaker:
    """Makes conversations of ``people``; the n-th one depends on the seed and n alone."""

    def __init__(
        self, people: Sequence[Person], encode: AudioEncoder, seed: int, head: SpeechHead | None = None
    ) -> None:
        """``head``: finds speech where voice activity alone misses it, as in use. Raises InputError when there are too
        few people for a conversation."""
        self._people, self._encode, self._seed, self._head = people, encode, seed, head
        self._sources = [(s, w) for s, w in SOURCE_WEIGHTS.items() if any(p.source == s for p in people)]
        if sum(p.source in SOURCE_WEIGHTS for p in people) < MOST_PEOPLE:
            raise InputError(f"{len(people)} people are too few for conversations: give clips of {MOST_PEOPLE} or more")
        self._drawn = [p for p in people if p.source == DRAWN]

    def conversation(self, number: int) -> Conversation:
        rng = np.random.default_rng((self._seed, number))
        scene = drawn_scene(rng)
        return _Stage(scene, self._cast(scene.seen + scene.away, rng), rng).play(self._encode, self._head)

    def _cast(self, count: int, rng: np.random.Generator) -> list[Person]:
        """Choose the people. The demo's people are never mixed with others, because the demo shows only them."""
        if len(self._drawn) >= count and rng.random() < _DRAWN_SHARE:
            return [self._drawn[i] for i in rng.choice(len(self._drawn), count, replace=False)]
        names, shares = zip(*self._sources, strict=True)
        cast: list[Person] = []
        while len(cast) < count:
            source = rng.choice(names, p=np.array(shares) / sum(shares))
            those = [p for p in self._people if p.source == source]
            person = those[int(rng.integers(len(those)))]
            if person not in cast:
                cast.append(person)
        return cast


@dataclass(frozen=True)
class _Turn:
    who: int
    first: int
    ticks: int
    is_frozen: bool
    """The face freezes while its voice goes on."""


class _Stage:
    """One conversation while it is composed."""

    def __init__(self, scene: Scene, cast: list[Person], rng: np.random.Generator) -> None:
        self._scene, self._cast, self._rng = scene, cast, rng
        size = cast[0].clips[0].talking.vectors.shape[1]
        n = scene.seen
        self._vectors, self._visual_vad = np.zeros((n, TICKS, size), np.float32), np.zeros((n, TICKS), np.float32)
        self._samples = rng.normal(0, _ROOM_RMS * np.exp(rng.uniform(0, 2.5)), TICKS * SAMPLES_PER_TICK)
        room = int(np.clip(round(rng.normal(0, 3)), -10, 10))
        slip = int(rng.choice([-8, -6, -5, 5, 6, 8])) if scene.slips else 0
        slipped_from = int(rng.integers(150, 350))
        self._room = np.where(np.arange(TICKS) < slipped_from, room, np.clip(room + slip, -13, 13))
        deviation = 2.5 if scene.tiles else 0.6
        self._own = np.clip(np.round(rng.normal(0, deviation, n + scene.away)), -6, 6).astype(int)
        self._own[n:] = 0
        self._speaks = np.zeros((n + scene.away, TICKS), np.bool_)
        self._frozen_voice = np.zeros(TICKS, np.bool_)
        self._roughness = _ROUGHNESS * np.exp(rng.normal(0, _ROUGHNESS_SPREAD, len(cast)))

    def play(self, encode: AudioEncoder, head: SpeechHead | None) -> Conversation:
        for face in range(self._scene.seen):
            self._listen(face, 0)
        for turn in self._turns():
            self._speak(turn)
        if self._scene.noisy:
            self._add_noise()
        samples = self._samples.clip(-1, 1).astype(np.float32)
        in_view, found = self._presence()
        audio, speech = encode(samples, TICKS), speech_of(samples)
        if head is not None:
            speech[MEAN_TICKS - 1 :] = head.probabilities(speech, audio)
        return self._as_conversation(audio, speech, in_view, found)

    def _turns(self) -> Iterator[_Turn]:
        rng, count = self._rng, len(self._cast)
        tick, last, busy = int(rng.integers(3, 25)), -1, np.zeros(count, int)
        while tick < TICKS - 15:
            others = [i for i in range(count) if (i != last or count == 1 or rng.random() < 0.1) and busy[i] <= tick]
            if not others:
                tick += 5
                continue
            who = int(rng.choice(others))
            length = int(rng.uniform(0.5, 1.6) * TICK_RATE if rng.random() < 0.2 else rng.uniform(1.6, 6) * TICK_RATE)
            length = min(length, TICKS - tick)
            yield _Turn(who, tick, length, is_frozen=who < self._scene.seen and rng.random() < 0.05)
            busy[who], last = tick + length + 5, who
            if self._scene.overlaps and rng.random() < 0.4:
                tick += max(8, length - int(rng.uniform(0.4, 2.5) * TICK_RATE))
            else:
                tick += length + (int(rng.uniform(0.15, 1.5) * TICK_RATE) if rng.random() < 0.75 else 0)

    def _look(self, face: int, looks: Looks, start: int, first: int, end: int) -> None:
        picks = (start + np.arange(end - first)) % len(looks.vectors)
        self._vectors[face, first:end], self._visual_vad[face, first:end] = (
            looks.vectors[picks],
            looks.visual_vad[picks],
        )

    def _listen(self, face: int, first: int, go_on: tuple[Clip, int] | None = None) -> None:
        """Fill from ``first`` to the end with the face's looks while others speak."""
        rng, regime = self._rng, self._scene.regime
        clip, start = go_on or self._any_clip(face)
        is_moving = regime == "moving" or (regime == "mixed" and rng.random() < 0.5)
        if is_moving:
            self._look(face, clip.held if self._scene.held else clip.talking, start, first, TICKS)
        else:
            idle = clip.idle[int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
            self._look(face, idle, int(rng.integers(_IDLE_TICKS)), first, TICKS)

    def _any_clip(self, who: int) -> tuple[Clip, int]:
        clips = self._cast[who].clips
        weights = np.array([len(c.talking.vectors) for c in clips], float)
        clip = clips[int(self._rng.choice(len(clips), p=weights / weights.sum()))]
        return clip, int(self._rng.integers(len(clip.talking.vectors)))

    def _speak(self, turn: _Turn) -> None:
        """A turn, made of pieces of the person's clips; between two pieces the face jumps."""
        rng, who = self._rng, turn.who
        tick, end, gain = turn.first, turn.first + turn.ticks, 10 ** (rng.uniform(-9, 3) / 20)
        clip, start = self._any_clip(who)
        frozen = int(rng.integers(_IDLE_TICKS))
        while tick < end:
            known = len(clip.talking.vectors)
            start = 0 if start > known - 15 else start
            stop = min(end, tick + known - start)
            if who < self._scene.seen:
                looks = clip.held if self._scene.held else clip.talking
                if turn.is_frozen:
                    self._look(who, clip.idle[2], frozen, tick, stop)
                else:
                    self._look(who, looks, start, tick, stop)
            self._add_voice(clip, start, stop - tick, tick + self._room[tick] + self._own[who], gain)
            start, tick = start + stop - tick, stop
            if tick < end:
                clip, start = self._any_clip(who)
        if turn.is_frozen:
            self._frozen_voice[turn.first : end] = True
        elif who < self._scene.seen and self._cast[who].source != DRAWN:
            spoken = self._vectors[who, turn.first : end]
            self._vectors[who, turn.first : end] = roughened(spoken, self._roughness[who], rng)
        self._speaks[who, turn.first : end] = True
        if who < self._scene.seen and end < TICKS:
            self._listen(who, end, (clip, start))

    def _add_voice(self, clip: Clip, start: int, ticks: int, at: int, gain: float) -> None:
        piece = clip.samples[start * SAMPLES_PER_TICK : (start + ticks) * SAMPLES_PER_TICK].astype(float)
        piece *= gain * _TURN_RMS / max(piece.std(), 1e-4)
        first, skipped = max(at, 0) * SAMPLES_PER_TICK, max(-at, 0) * SAMPLES_PER_TICK
        piece = piece[skipped : skipped + max(0, len(self._samples) - first)]
        self._samples[first : first + len(piece)] += piece

    def _add_noise(self) -> None:
        """Add a segment of hiss, or of tones as of music."""
        rng = self._rng
        first, seconds = int(rng.integers(TICKS - 100)) * SAMPLES_PER_TICK, float(rng.uniform(1, 6))
        part = self._samples[first : first + int(seconds * TICK_RATE) * SAMPLES_PER_TICK]
        time = np.arange(len(part)) / (SAMPLES_PER_TICK * TICK_RATE)
        if rng.random() < 0.5:
            noise = rng.normal(0, 1, len(part))
        else:
            notes = 220 * 2 ** (rng.integers(0, 24, (3, 1 + int(seconds * 3))) / 12)
            beat = np.minimum((time * 3).astype(int), notes.shape[1] - 1)
            noise = np.sin(2 * np.pi * np.cumsum(notes[:, beat], 1) / (SAMPLES_PER_TICK * TICK_RATE)).sum(0)
        part += noise * _TURN_RMS * 10 ** (rng.uniform(-25, -8) / 20) / noise.std()

    def _presence(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Where each face is in view, and where the detector finds it: [n, T] each."""
        rng, n = self._rng, self._scene.seen
        in_view = np.ones((n, TICKS), np.bool_)
        if self._scene.comes_and_goes:
            for face in range(n):
                for _ in range(int(rng.integers(0, 3))):
                    first = int(rng.integers(-50, TICKS))
                    in_view[face, max(first, 0) : first + int(rng.uniform(1, 8) * TICK_RATE)] = False
        found = in_view.copy()
        if self._scene.is_lost:
            for face in range(n):
                for _ in range(int(rng.integers(0, 5))):
                    first = int(rng.integers(TICKS))
                    found[face, first : first + int(rng.integers(3, 25))] = False
        return in_view, found

    def _as_conversation(
        self, audio: Floats, speech: Floats, in_view: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]
    ) -> Conversation:
        room = int(np.median(self._room))
        later = max(0, room)
        cosines, known = lag_cosines(self._vectors, found, audio, later)
        ticks = np.minimum(LAGS, later)[:, None] + np.arange(TICKS)
        heard = np.where((ticks >= 0) & (ticks < TICKS), speech[ticks.clip(0, TICKS - 1)], 0).astype(np.float16)
        voiced = speech[(np.arange(TICKS) + room).clip(0, TICKS - 1)]
        label = np.array([self._label(tick, in_view[:, tick]) for tick in range(TICKS)])
        fresh = _HELD_RATE / TICK_RATE if self._scene.held else 1.0
        visual_vad = self._visual_vad * found
        return Conversation(cosines.astype(np.float16), known, visual_vad, heard, voiced, in_view, label, fresh)

    def _label(self, tick: int, in_view: npt.NDArray[np.bool_]) -> int:
        n = self._scene.seen
        speaking = np.flatnonzero(self._speaks[:, tick]).tolist()
        if not speaking:
            return NO_SPEECH
        seen = [i for i in speaking if i < n and in_view[i]]
        if self._frozen_voice[tick]:
            return NOBODY if len(speaking) == 1 else NO_SPEECH
        if len(seen) > 2:
            return NO_SPEECH
        if len(seen) == 2:
            return 1 + n + pairs(n).index((seen[0], seen[1]))
        return 1 + seen[0] if seen else NOBODY


def roughened(vectors: Floats, roughness: float, rng: np.random.Generator) -> Floats:
    """Unit vectors [T, D] of a speaker, with errors that come and go: as the network embeds people it was not trained
    on.

    It matches the lips of its training people better. Errors of 0.6 bring their cosines to those of ``dev/people``
    (own voice 0.49 → 0.43 and 0.43 there, its mean over lags 0.24 → 0.21 and 0.21, its deviation over time 0.18 → 0.17
    and 0.18). With other people's voices both match alike, so listeners keep their vectors.
    """
    size = roughness * np.abs(_fluctuation((len(vectors), 1), rng))
    rough = vectors + size * _fluctuation(vectors.shape, rng) / np.sqrt(vectors.shape[1])
    return np.asarray(rough / np.linalg.norm(rough, axis=1, keepdims=True), np.float32)


def _fluctuation(shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Normal deviates [T, n] that vary slowly over time."""
    kept, start = np.exp(-1 / _ROUGH_TICKS), 5 * _ROUGH_TICKS
    deviates = rng.normal(0, 1, (shape[0] + start, shape[1]))
    return np.asarray(lfilter([np.sqrt(1 - kept**2)], [1, -kept], deviates, axis=0)[start:])


def lag_cosines(
    vectors: Floats, found: npt.NDArray[np.bool_], audio: Floats, later: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Cosines of n faces [n, T, D] with audio [T, D] at each lag of LAGS, [n, 31, T], and where they are known.

    A tick is decided when audio is known up to ``later`` ticks after it. At greater lags an earlier frame of the face
    meets the newest audio.
    """
    n, ticks, _ = vectors.shape
    cosines, known = np.zeros((n, len(LAGS), ticks), np.float32), np.zeros((n, len(LAGS), ticks), np.bool_)
    for k, lag in enumerate(LAGS.tolist()):
        back = max(0, lag - later)
        first, end = max(back, back - lag), min(ticks, ticks + back - lag)
        # At tick t the face's frame t − back meets the audio of t − back + lag.
        frames, audio_ticks = slice(first - back, end - back), slice(first - back + lag, end - back + lag)
        cosines[:, k, first:end] = np.einsum("ntd,td->nt", vectors[:, frames], audio[audio_ticks])
        known[:, k, first:end] = found[:, frames]
    return cosines, known
