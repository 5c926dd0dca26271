"""Evaluation on whole clips: matching of voice and mouth, lag error, results by group of people, frozen faces."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from speakerlight.core.audio.logmel import COMPACT_MEL
from speakerlight.core.errors import InputError
from speakerlight.core.models.compact import (
    COLUMNS_PER_TICK,
    FRAME_LOOKAHEAD,
    FRAME_STACK,
    FRAME_WINDOW,
    MEL_AHEAD,
    MEL_WINDOW,
)
from speakerlight.core.models.compact_network import CompactSyncNet, standardised
from speakerlight.core.timebase import SAMPLES_PER_TICK, TICK_RATE
from speakerlight.core.training.augmentation import batch_log_mel, plain_crops
from speakerlight.core.training.dataset import Example
from speakerlight.core.training.idle import listening

_LAGS = 10

_MOUTHS = 4
_OWN_LAGS = 5
"""Largest lag of a clip that evaluation by group corrects, in ticks. All clips of ``dev`` are within this range."""

_FREE_LAGS = 3
"""Range of lags searched for each mouth when its own lag is unknown, in ticks, plus and minus."""

_WINDOWS_PER_CLIP = 60

_SPEECH = 0.5
"""Voice activity from which a tick counts as speech."""

_TICKS_BEFORE, _TICKS_AHEAD = -(-(MEL_WINDOW - MEL_AHEAD) // COLUMNS_PER_TICK), -(-MEL_AHEAD // COLUMNS_PER_TICK)
"""Ticks of audio before and after a tick that its embedding sees, rounded up."""


@dataclass(frozen=True, eq=False)
class EmbeddedClip:
    """Unit vectors [ticks, D] of a clip's face and audio, and the visual voice activity [ticks]."""

    faces: npt.NDArray[np.float32]
    audio: npt.NDArray[np.float32]
    visual_vad: npt.NDArray[np.float32]

    def part(self, ticks: slice) -> EmbeddedClip:
        return EmbeddedClip(self.faces[ticks], self.audio[ticks], self.visual_vad[ticks])


@dataclass(frozen=True)
class ClipLabel:
    """Who a clip shows, and the groups that the clip belongs to (``beard``, ``low-light``, …)."""

    person: str
    groups: tuple[str, ...]


def stacked(crops: torch.Tensor) -> torch.Tensor:
    """[B, T, 48, 48] to [B, T, 3, 48, 48]: each frame with the two before it. The first frame also precedes itself."""
    before = crops[:, :1].expand(-1, FRAME_STACK - 1, -1, -1)
    return torch.cat([before, crops], 1).unfold(1, FRAME_STACK, 1).permute(0, 1, 4, 2, 3)


def padded_features(features: torch.Tensor) -> torch.Tensor:
    """[B, T, F] to [B, F, T + 12]: zero features before the start and after the end."""
    return functional.pad(features.transpose(1, 2), (FRAME_WINDOW - 1 - FRAME_LOOKAHEAD, FRAME_LOOKAHEAD))


def clip_mel(samples: torch.Tensor, ticks: int) -> torch.Tensor:
    """[B, N] samples to the log-mel [B, columns, mels] of ``ticks`` ticks; columns before the start are silent."""
    before = MEL_WINDOW - MEL_AHEAD
    mel = batch_log_mel(samples, 0, COLUMNS_PER_TICK * (ticks - 1) + MEL_WINDOW - before)
    return functional.pad(mel, (0, 0, before, 0), value=COMPACT_MEL.silence)


@torch.inference_mode()
def embed_clip(network: CompactSyncNet, crops: npt.NDArray[np.uint8], samples: npt.NDArray[np.float32]) -> EmbeddedClip:
    """Embed a whole clip at once. crops uint8 [T, 96, 96], samples [T × 640]."""
    vectors, logits = embed_face(network, crops)
    return EmbeddedClip(vectors, embed_audio(network, samples, len(crops)), torch.sigmoid(logits).numpy())


@torch.inference_mode()
def embed_face(network: CompactSyncNet, crops: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], torch.Tensor]:
    """Unit vectors [T, D] of a whole clip's face, uint8 [T, 96, 96], and the log-odds of visual speech [T]."""
    stacks = stacked(plain_crops(torch.from_numpy(crops)[None]))[0]
    features = torch.cat([network.frames(standardised(part)) for part in torch.split(stacks, 256)])
    vectors, logits = network.embed_windows(padded_features(features[None]))
    return vectors[0].T.numpy(), logits[0]


@torch.inference_mode()
def embed_audio(network: CompactSyncNet, samples: npt.NDArray[np.float32], ticks: int) -> npt.NDArray[np.float32]:
    """Unit vectors [ticks, D] of a whole clip's audio."""
    audio: npt.NDArray[np.float32] = network.sound(clip_mel(torch.from_numpy(samples)[None], ticks))[0].T.numpy()
    return audio


def embed_all(network: CompactSyncNet, examples: Sequence[Example]) -> list[EmbeddedClip]:
    network.eval()
    return [embed_clip(network, e.face.crops, e.face.samples) for e in examples]


def lag_curve(clip: EmbeddedClip, max_lag: int) -> npt.NDArray[np.float64]:
    """Mean cosine of a clip's face with its audio at each lag from −max_lag to max_lag ticks.

    At a positive lag the audio is later. Lags that the clip is too short for are missing at both ends.
    """
    products = clip.faces @ clip.audio.T
    lags = range(-max_lag, max_lag + 1)
    return np.array([np.diagonal(products, lag).mean() for lag in lags if abs(lag) < len(clip.faces)], np.float64)


def whose_voice(
    clips: Sequence[EmbeddedClip],
    seconds: float,
    windows: int = 500,
    mouths: int = _MOUTHS,
    seed: int = 0,
    lags: int = 0,
    apart: int = 0,
) -> tuple[float, int]:
    """Share of windows in which the right one of ``mouths`` moving mouths matches the voice best, and their number.

    Each mouth may be up to ``lags`` ticks out of sync, as collected clips are. The voice is shifted by up to ``apart``
    ticks at random. NaN and 0 when fewer clips than ``mouths`` are long enough.
    """
    rng = np.random.default_rng(seed)
    span = int(seconds * TICK_RATE)
    margin = lags + apart
    usable = [i for i, c in enumerate(clips) if len(c.faces) >= span + 2 * margin]
    if len(usable) < mouths:
        return math.nan, 0
    right = 0
    for n in range(windows):
        speaker = usable[n % len(usable)]
        others = rng.choice([i for i in usable if i != speaker], mouths - 1, replace=False)
        start = int(rng.integers(margin, len(clips[speaker].faces) - span - margin + 1))
        at = start + (int(rng.integers(-apart, apart + 1)) if apart else 0)
        audio = clips[speaker].audio[at - lags : at + span + lags]
        own = _fit(clips[speaker].faces[start : start + span], audio)
        right += own > _best_rival([clips[i] for i in others], span, audio, rng)
    return right / windows, windows


def _best_rival(
    others: Sequence[EmbeddedClip], span: int, audio: npt.NDArray[np.float32], rng: np.random.Generator
) -> float:
    """The best fit with ``audio`` of a random segment of ``span`` ticks of each of the other clips."""
    places = [int(rng.integers(len(clip.faces) - span + 1)) for clip in others]
    return max(_fit(clip.faces[at : at + span], audio) for clip, at in zip(others, places, strict=True))


def _fit(faces: npt.NDArray[np.float32], audio: npt.NDArray[np.float32]) -> float:
    """Highest mean cosine of faces [T, D] with any segment of T ticks of audio [T + 2 × lags, D]."""
    shifts = range(len(audio) - len(faces) + 1)
    return max(float((faces * audio[shift : shift + len(faces)]).sum(1).mean()) for shift in shifts)


def offset_found(clips: Sequence[EmbeddedClip], seconds: float, windows: int = 500, seed: int = 0) -> tuple[float, int]:
    """Share of windows whose best lag of ±10 frames is within one frame of zero; NaN when all clips are too short."""
    rng = np.random.default_rng(seed)
    span = int(seconds * TICK_RATE)
    usable = [c for c in clips if len(c.faces) >= span + 2 * _LAGS]
    if not usable:
        return math.nan, 0
    found = 0
    for n in range(windows):
        clip = usable[n % len(usable)]
        start = int(rng.integers(_LAGS, len(clip.faces) - span - _LAGS + 1))
        face = clip.faces[start : start + span]
        fits = [
            float((face * clip.audio[start + lag : start + lag + span]).sum(1).mean())
            for lag in range(-_LAGS, _LAGS + 1)
        ]
        found += abs(int(np.argmax(fits)) - _LAGS) <= 1
    return found / windows, windows


def turns_found(
    network: CompactSyncNet,
    examples: Sequence[Example],
    clips: Sequence[EmbeddedClip],
    seconds: float,
    turns: int = 500,
    seed: int = 0,
) -> float:
    """Share of turns whose first ``seconds`` match their speaker's mouth best, among those of three other clips.

    All mouths move all the time, and before the turn the audio is silent: what was heard then says nothing about it.
    ``clips``: the embedded ``examples``; each one's own lag is corrected. NaN when too few have speech that long.
    """
    rng = np.random.default_rng(seed)
    span = round(seconds * TICK_RATE)
    lags = [_own_lag(clip) for clip in clips]
    places = [_beginnings(example, lag, span) for example, lag in zip(examples, lags, strict=True)]
    usable = [i for i, starts in enumerate(places) if len(starts)]
    if len(usable) < _MOUTHS:
        return math.nan
    right = 0
    for n in range(turns):
        speaker = usable[n % len(usable)]
        start = int(rng.choice(places[speaker]))
        audio = _heard_from(network, examples[speaker].face.samples, start + lags[speaker], span)
        others = rng.choice([i for i in usable if i != speaker], _MOUTHS - 1, replace=False)
        own = _fit(clips[speaker].faces[start : start + span], audio)
        right += own > _best_rival([clips[i] for i in others], span, audio, rng)
    return right / turns


def _beginnings(example: Example, lag: int, span: int) -> npt.NDArray[np.int_]:
    """Ticks from which a clip's face and its audio last for ``span`` ticks, all of them speech."""
    speech = example.speech[: example.ticks] > _SPEECH
    starts = np.arange(_OWN_LAGS, example.ticks - span - _TICKS_AHEAD - _OWN_LAGS)
    return np.array([start for start in starts if speech[start + lag : start + lag + span].all()], int)


def _heard_from(
    network: CompactSyncNet, samples: npt.NDArray[np.float32], tick: int, span: int
) -> npt.NDArray[np.float32]:
    """Audio embeddings [span, D] from ``tick`` on, with silence before it."""
    before = _TICKS_BEFORE * SAMPLES_PER_TICK
    heard = samples[tick * SAMPLES_PER_TICK : (tick + span + _TICKS_AHEAD) * SAMPLES_PER_TICK]
    return embed_audio(network, np.pad(heard, (before, 0)), _TICKS_BEFORE + span)[_TICKS_BEFORE:]


def frozen_similarity(network: CompactSyncNet, examples: Sequence[Example]) -> tuple[float, float]:
    """Mean cosine of a frozen face with its own running voice, and the face's mean visual voice activity."""
    clips = [embed_clip(network, np.repeat(e.face.crops[:1], e.ticks, 0), e.face.samples) for e in examples]
    cosine = np.mean([(c.faces * c.audio).sum(1).mean() for c in clips])
    return float(cosine), float(np.mean([c.visual_vad.mean() for c in clips]))


def listening_activity(network: CompactSyncNet, examples: Sequence[Example], ticks: int = 4 * TICK_RATE) -> float:
    """Mean visual voice activity of the examples' people while they listen."""
    faces = (listening(e.face, ticks, np.random.default_rng(k)) for k, e in enumerate(examples))
    return float(np.mean([torch.sigmoid(embed_face(network, crops)[1]).mean().item() for crops in faces]))


def with_second_voices(examples: Sequence[Example]) -> list[Example]:
    """Mix the next example's voice into each example, equally loud. None of the compared mouths match that voice."""
    mixed = []
    for example, other in zip(examples, [*examples[1:], *examples[:1]], strict=True):
        samples = example.face.samples
        second = np.resize(other.face.samples, len(samples))
        second = second * (np.sqrt(np.mean(samples**2)) / (np.sqrt(np.mean(second**2)) + 1e-9))
        mixed.append(replace(example, face=replace(example.face, samples=(samples + second).astype(np.float32))))
    return mixed


def report(network: CompactSyncNet, examples: Sequence[Example]) -> dict[str, float]:
    """The measures of a set of examples (at least one), by name."""
    clips = embed_all(network, examples)
    mixed = [
        replace(clip, audio=embed_audio(network, example.face.samples, example.ticks))
        for clip, example in zip(clips, with_second_voices(examples), strict=True)
    ]
    frozen, frozen_visual_vad = frozen_similarity(network, examples)
    return {
        "whose voice of 4, 1 s": whose_voice(clips, 1.0)[0],
        "whose voice of 4, 2 s": whose_voice(clips, 2.0)[0],
        "whose voice of 4, 1 s, in sync within 3 frames": whose_voice(clips, 1.0, lags=3)[0],
        "whose voice of 4, 2 s, in sync within 3 frames": whose_voice(clips, 2.0, lags=3)[0],
        "whose voice of 4, 1 s, up to 2 frames off": whose_voice(clips, 1.0, apart=2)[0],
        "whose voice of 4, 1 s, beside another as loud": whose_voice(mixed, 1.0)[0],
        "whose voice of 4, 2 s, beside another as loud": whose_voice(mixed, 2.0)[0],
        "whose turn of 4, first 0.25 s, after silence": turns_found(network, examples, clips, 0.25),
        "whose turn of 4, first 0.5 s, after silence": turns_found(network, examples, clips, 0.5),
        "offset within a frame, 2 s": offset_found(clips, 2.0)[0],
        "true cosine": float(np.mean([(c.faces * c.audio).sum(1).mean() for c in clips])),
        "frozen cosine": frozen,
        "activity, talking": float(np.mean([c.visual_vad.mean() for c in clips])),
        "activity, listening": listening_activity(network, examples),
        "activity, frozen": frozen_visual_vad,
    }


def read_labels(path: Path) -> dict[str, ClipLabel]:
    """Labels of clips by name without suffix, from a CSV file with the columns file, person and groups (separated by
    spaces). Raises InputError."""
    try:
        with path.open(newline="") as rows:
            return {
                Path(row["file"]).stem: ClipLabel(row["person"], tuple(row["groups"].split()))
                for row in csv.DictReader(rows)
            }
    except (OSError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no list of groups: give a CSV file with columns file, person, groups") from error


def report_by_group(
    network: CompactSyncNet, examples: Sequence[Example], labels: Mapping[str, ClipLabel]
) -> dict[str, dict[str, float]]:
    """Mean measures of each group's people, and of ``all``. Every person counts once in a group.

    Which windows are drawn depends only on the clips and labels, so that reports of two networks compare. Raises
    InputError when a clip has no label.
    """
    if bare := next((e.face.name for e in examples if e.face.name not in labels), None):
        raise InputError(f"clip {bare} has no label: add it to the list of groups")
    clips = embed_all(network, examples)
    of_clip = [labels[e.face.name] for e in examples]
    measures = clip_measures(clips, [label.person for label in of_clip])
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, label in enumerate(of_clip):
        for group in ("all", *label.groups):
            groups[group][label.person].append(i)
    return {
        group: {"people": len(people)}
        | {
            name: round(_mean([_mean(values[clips_of]) for clips_of in people.values()]), 4)
            for name, values in measures.items()
        }
        for group, people in sorted(groups.items())
    }


def _mean(values: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """Mean of the values that are not NaN; NaN when there is none."""
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def clip_measures(clips: Sequence[EmbeddedClip], people: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """Measures of each clip, by name; NaN where a clip is too short.

    A voice is compared with its speaker's mouth and those of three other people, once with every clip's own lag
    corrected and once with the best of ±3 ticks for each mouth. The rise is that of the own lag's cosine above the
    median over lags: people without a peak have a low one.
    """
    curves = [lag_curve(clip, _LAGS) for clip in clips]
    measures = {"rise of the peak": np.array([curve.max() - np.median(curve) for curve in curves])}
    corrected = [_corrected(clip) for clip in clips]
    for seconds in (1.0, 2.0):
        shares = np.array([_right_shares(corrected, people, i, seconds) for i in range(len(clips))])
        measures[f"whose voice of 4, {seconds:.0f} s, own lags"] = shares[:, 0]
        measures[f"whose voice of 4, {seconds:.0f} s, free lags"] = shares[:, 1]
    return measures


def _corrected(clip: EmbeddedClip) -> EmbeddedClip:
    """The clip with its audio shifted by its own lag, in whole ticks."""
    shifted = replace(clip, audio=np.roll(clip.audio, -_own_lag(clip), axis=0))
    return shifted.part(slice(_OWN_LAGS, -_OWN_LAGS))


def _own_lag(clip: EmbeddedClip) -> int:
    """The lag of the clip's audio within ±_OWN_LAGS, in whole ticks."""
    return int(np.argmax(lag_curve(clip, _OWN_LAGS))) - _OWN_LAGS


def _right_shares(
    clips: Sequence[EmbeddedClip], people: Sequence[str], speaker: int, seconds: float
) -> tuple[float, float]:
    """Shares of windows of clip ``speaker`` in which its mouth fits best: at the own lags, and at free lags."""
    rng = np.random.default_rng((speaker, int(seconds * TICK_RATE)))
    span = int(seconds * TICK_RATE)
    least = span + 2 * _FREE_LAGS
    others = [i for i, c in enumerate(clips) if people[i] != people[speaker] and len(c.faces) >= least]
    # All clips of one person together have one person's sampling probability.
    shares = np.array([1 / sum(people[i] == people[j] for j in others) for i in others])
    if len(clips[speaker].faces) < least or len({people[i] for i in others}) < _MOUTHS - 1:
        return math.nan, math.nan
    own_lags = free_lags = 0
    for _ in range(_WINDOWS_PER_CLIP):
        start = int(rng.integers(_FREE_LAGS, len(clips[speaker].faces) - span - _FREE_LAGS + 1))
        rivals = rng.choice(others, _MOUTHS - 1, replace=False, p=shares / shares.sum())
        places = [start, *(int(rng.integers(len(clips[i].faces) - span + 1)) for i in rivals)]
        faces = [clips[i].faces[at : at + span] for i, at in zip((speaker, *rivals), places, strict=True)]
        audio = clips[speaker].audio[start - _FREE_LAGS : start + span + _FREE_LAGS]
        fits = [_fit(face, audio[_FREE_LAGS:-_FREE_LAGS]) for face in faces]
        own_lags += fits[0] > max(fits[1:])
        fits = [_fit(face, audio) for face in faces]
        free_lags += fits[0] > max(fits[1:])
    return own_lags / _WINDOWS_PER_CLIP, free_lags / _WINDOWS_PER_CLIP
