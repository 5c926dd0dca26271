"""Evaluation on whole clips: whose voice is it, when is it, and does a frozen face stay unnamed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from speakerlight.core.audio.logmel import COMPACT_MEL
from speakerlight.core.models.compact import (
    COLUMNS_PER_TICK,
    FRAME_LOOKAHEAD,
    FRAME_STACK,
    FRAME_WINDOW,
    MEL_AHEAD,
    MEL_WINDOW,
)
from speakerlight.core.models.compact_network import CompactSyncNet, standardised
from speakerlight.core.timebase import TICK_RATE
from speakerlight.core.training.augmentation import batch_log_mel, plain_crops
from speakerlight.core.training.dataset import Example
from torch.nn import functional

_LAGS = 10


@dataclass(frozen=True, eq=False)
class EmbeddedClip:
    """Unit vectors [ticks, D] of a clip's face and sound, and the visual speech probability [ticks]."""

    faces: npt.NDArray[np.float32]
    sounds: npt.NDArray[np.float32]
    activity: npt.NDArray[np.float32]


def stacked(crops: torch.Tensor) -> torch.Tensor:
    """[B, T, 48, 48] to [B, T, 3, 48, 48]: each frame with the two before it; before the start stands the first."""
    before = crops[:, :1].expand(-1, FRAME_STACK - 1, -1, -1)
    return torch.cat([before, crops], 1).unfold(1, FRAME_STACK, 1).permute(0, 1, 4, 2, 3)


def padded_features(features: torch.Tensor) -> torch.Tensor:
    """[B, T, F] to [B, F, T + 12]: zero features before the start and after the end."""
    return functional.pad(features.transpose(1, 2), (FRAME_WINDOW - 1 - FRAME_LOOKAHEAD, FRAME_LOOKAHEAD))


def clip_mel(samples: torch.Tensor, ticks: int) -> torch.Tensor:
    """[B, N] sound to the log-mel [B, columns, mels] of ``ticks`` ticks; columns before the start are silent."""
    before = MEL_WINDOW - MEL_AHEAD
    mel = batch_log_mel(samples, 0, COLUMNS_PER_TICK * (ticks - 1) + MEL_WINDOW - before)
    return functional.pad(mel, (0, 0, before, 0), value=COMPACT_MEL.silence)


@torch.inference_mode()
def embed_clip(network: CompactSyncNet, crops: npt.NDArray[np.uint8], samples: npt.NDArray[np.float32]) -> EmbeddedClip:
    """A whole clip at once. crops uint8 [T, 96, 96], samples [T × 640]."""
    stacks = stacked(plain_crops(torch.from_numpy(crops)[None]))[0]
    features = torch.cat([network.frames(standardised(part)) for part in torch.split(stacks, 256)])
    vectors, logits = network.embed_windows(padded_features(features[None]))
    return EmbeddedClip(
        vectors[0].T.numpy(), embed_sound(network, samples, len(crops)), torch.sigmoid(logits[0]).numpy()
    )


@torch.inference_mode()
def embed_sound(network: CompactSyncNet, samples: npt.NDArray[np.float32], ticks: int) -> npt.NDArray[np.float32]:
    """Unit vectors [ticks, D] of a whole clip's sound."""
    sounds: npt.NDArray[np.float32] = network.sound(clip_mel(torch.from_numpy(samples)[None], ticks))[0].T.numpy()
    return sounds


def embed_all(network: CompactSyncNet, examples: Sequence[Example]) -> list[EmbeddedClip]:
    network.eval()
    return [embed_clip(network, e.face.crops, e.face.samples) for e in examples]


def whose_voice(
    clips: Sequence[EmbeddedClip],
    seconds: float,
    windows: int = 500,
    mouths: int = 4,
    seed: int = 0,
    lags: int = 0,
    apart: int = 0,
) -> tuple[float, int]:
    """Share of windows in which the right one of ``mouths`` moving mouths fits the voice best, and how many windows.

    Each mouth may be up to ``lags`` ticks out of sync: collected clips are. The voice is moved by up to ``apart`` ticks
    at random. NaN and none where fewer clips than ``mouths`` are long enough.
    """
    rng = np.random.default_rng(seed)
    span = int(seconds * TICK_RATE)
    margin = lags + apart
    usable = [i for i, c in enumerate(clips) if len(c.faces) >= span + 2 * margin]
    if len(usable) < mouths:
        return math.nan, 0
    right = 0
    for n in range(windows):
        who = usable[n % len(usable)]
        others = rng.choice([i for i in usable if i != who], mouths - 1, replace=False)
        start = int(rng.integers(margin, len(clips[who].faces) - span - margin + 1))
        heard = start + (int(rng.integers(-apart, apart + 1)) if apart else 0)
        sound = clips[who].sounds[heard - lags : heard + span + lags]
        own = _fit(clips[who].faces[start : start + span], sound)
        rivals = []
        for other in others:
            place = int(rng.integers(len(clips[other].faces) - span + 1))
            rivals.append(_fit(clips[other].faces[place : place + span], sound))
        right += own > max(rivals)
    return right / windows, windows


def _fit(face: npt.NDArray[np.float32], sound: npt.NDArray[np.float32]) -> float:
    """The best mean cosine of a face [T, D] with a stretch of T ticks in the sound [T + 2 × lags, D]."""
    shifts = range(len(sound) - len(face) + 1)
    return max(float((face * sound[shift : shift + len(face)]).sum(1).mean()) for shift in shifts)


def offset_found(clips: Sequence[EmbeddedClip], seconds: float, windows: int = 500, seed: int = 0) -> tuple[float, int]:
    """Share of windows whose best lag among ±10 frames is within one frame of none; NaN where all are too short."""
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
            float((face * clip.sounds[start + lag : start + lag + span]).sum(1).mean())
            for lag in range(-_LAGS, _LAGS + 1)
        ]
        found += abs(int(np.argmax(fits)) - _LAGS) <= 1
    return found / windows, windows


def frozen_similarity(network: CompactSyncNet, examples: Sequence[Example]) -> tuple[float, float]:
    """Mean cosine of a face held still with its own running voice, and mean visual speech probability of it."""
    clips = [embed_clip(network, np.repeat(e.face.crops[:1], e.ticks, 0), e.face.samples) for e in examples]
    cosine = np.mean([(c.faces * c.sounds).sum(1).mean() for c in clips])
    return float(cosine), float(np.mean([c.activity.mean() for c in clips]))


def with_second_voices(examples: Sequence[Example]) -> list[Example]:
    """Each example with the next one's voice as loud as its own: no mouth that is compared fits that at its moment."""
    mixed = []
    for example, other in zip(examples, [*examples[1:], *examples[:1]], strict=True):
        samples = example.face.samples
        second = np.resize(other.face.samples, len(samples))
        second = second * (np.sqrt(np.mean(samples**2)) / (np.sqrt(np.mean(second**2)) + 1e-9))
        mixed.append(replace(example, face=replace(example.face, samples=(samples + second).astype(np.float32))))
    return mixed


def report(network: CompactSyncNet, examples: Sequence[Example]) -> dict[str, float]:
    """The measures of a set of people (one at least), by name."""
    clips = embed_all(network, examples)
    mixed = [
        replace(clip, sounds=embed_sound(network, example.face.samples, example.ticks))
        for clip, example in zip(clips, with_second_voices(examples), strict=True)
    ]
    frozen, frozen_activity = frozen_similarity(network, examples)
    return {
        "whose voice of 4, 1 s": whose_voice(clips, 1.0)[0],
        "whose voice of 4, 2 s": whose_voice(clips, 2.0)[0],
        "whose voice of 4, 1 s, in sync within 3 frames": whose_voice(clips, 1.0, lags=3)[0],
        "whose voice of 4, 2 s, in sync within 3 frames": whose_voice(clips, 2.0, lags=3)[0],
        "whose voice of 4, 1 s, up to 2 frames off": whose_voice(clips, 1.0, apart=2)[0],
        "whose voice of 4, 1 s, beside another as loud": whose_voice(mixed, 1.0)[0],
        "whose voice of 4, 2 s, beside another as loud": whose_voice(mixed, 2.0)[0],
        "offset within a frame, 2 s": offset_found(clips, 2.0)[0],
        "true cosine": float(np.mean([(c.faces * c.sounds).sum(1).mean() for c in clips])),
        "frozen cosine": frozen,
        "activity, talking": float(np.mean([c.activity.mean() for c in clips])),
        "activity, frozen": frozen_activity,
    }
