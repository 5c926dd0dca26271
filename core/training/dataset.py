"""Training set: talking faces by source, split by person, sampled by person rather than by clip."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch

from speakerlight.core.audio.vad import VoiceActivity
from speakerlight.core.demo.clip import talking_clip
from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.media import Frame, Samples
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK, TICK_RATE
from speakerlight.core.training.augmentation import as_turn, augmented_audio, degraded_video, shown_moments
from speakerlight.core.training.clips import TalkingFace, cached_face, face_in, read_samples
from speakerlight.core.training.idle import idle_crops

UNCONFIRMED = "unconfirmed"
"""Source of clips whose face may not be the speaker's. Alignment keeps only the clips that it confirms."""

DRAWN = "demo"
"""Source of the demo's drawn people."""

SOURCE_WEIGHTS = {
    "people": 0.44,
    UNCONFIRMED: 0.06,
    "single": 0.26,
    "generated": 0.08,
    "arabic": 0.10,
    "grid": 0.01,
    DRAWN: 0.05,
}
"""Share of each source in a batch. ``people`` are ordinary people on camera, for whom the product is made; ``single``
has the next widest variety of people; ``grid`` is one man."""

CLIP_LIST = "clips.csv"
"""List beside a folder's clips: column ``file`` and, where it is known, ``person``."""

_LEAST_SECONDS = 1.0
"""A clip with less audio is not used for its voice."""

HELD_OUT = "choijeongsoo__lip2speech-unit"
"""Repository of the validation clips: every second one is never trained on. ``dev`` clips are never used for this."""

_SECOND_CUTS = 0.2
"""Share of a batch's talking clips that are a second segment of another clip in the batch. Face and voice are the
same, so only the movement distinguishes the two."""

_SECOND_CUT_LENGTH = 3
"""Minimum length of a clip from which two segments are cut, in lengths of a segment."""

_SPEAKING, _SILENT = 0.5, 0.2
"""Voice activity above which a mouth is labelled speaking, and below which silent; in between it has no label."""

_FIRST_DEMO_SEED, _DEMO_PEOPLE, _DEMO_SECONDS = 10_000, 40, 6.0


@dataclass(frozen=True, eq=False)
class Example:
    """A talking face with the voice activity of each tick, in [0, 1]."""

    face: TalkingFace
    source: str
    speech: npt.NDArray[np.float32]
    person: str = ""
    """Name of the person in the folder's list; empty where it has none."""

    @property
    def ticks(self) -> int:
        return len(self.face.crops)

    @property
    def group(self) -> str:
        """The repository that the clip is from: the first two parts of its name."""
        return "__".join(self.face.name.split("__")[:2])


@dataclass(frozen=True, eq=False)
class Batch:
    """B talking clips and S idle faces of T ticks.

    ``crops`` uint8 [B + S, T, 96, 96]; ``samples`` float32 [B, T × 640]; ``speech`` float32 [B + S, T]: 1 where the
    mouth speaks, 0 where it does not, NaN where that is unknown; ``spoken`` float32 [B, T]: 1 where the audio holds
    the speech of the clip's own mouth; ``foreign`` float32 [B, T]: 1 where the audio is not that of the mouth's moment.
    """

    crops: torch.Tensor
    samples: torch.Tensor
    speech: torch.Tensor
    spoken: torch.Tensor
    foreign: torch.Tensor


def speech_of(samples: Samples) -> npt.NDArray[np.float32]:
    """Voice activity of each whole tick of a clip."""
    ticks = len(samples) // SAMPLES_PER_TICK
    judged = VoiceActivity().push(np.concatenate([samples, np.zeros(2 * SAMPLES_PER_TICK, np.float32)]))
    return np.array(judged[:ticks], np.float32)


def load_examples(folders: list[Path], detector: FaceDetector, cache: Path) -> list[Example]:
    """Every clip of ``folders`` that shows a face, in the order of their names. The folder's name is the source."""
    people = {folder: people_of(folder) for folder in folders}
    return [
        Example(face, folder.name, speech_of(face.samples), people[folder].get(path.name, ""))
        for folder in folders
        for path in _clip_files(folder)
        if (face := cached_face(path, detector, cache)) is not None
    ]


def voiced_clips(folder: Path) -> Iterator[tuple[Path, Samples]]:
    """The clips of ``folder`` that have a second of audio or more, in the order of their names, with their samples."""
    for path in _clip_files(folder):
        try:
            samples = read_samples(path)
        except (av.error.FFmpegError, IndexError, ValueError):
            continue  # a clip without audio
        if len(samples) >= _LEAST_SECONDS * SAMPLE_RATE:
            yield path, samples


def _clip_files(folder: Path) -> list[Path]:
    """The files of ``folder`` in the order of their names, without its list of clips."""
    return sorted(path for path in folder.iterdir() if path.name != CLIP_LIST)


def people_of(folder: Path) -> dict[str, str]:
    """Person of each file of ``folder``, by file name; empty where the folder has no list of people."""
    clip_list = folder / CLIP_LIST
    if not clip_list.is_file():
        return {}
    with clip_list.open(newline="") as rows:
        return {row["file"]: row["person"] for row in csv.DictReader(rows) if row.get("person")}


def demo_examples(detector: FaceDetector) -> list[Example]:
    """People drawn and voiced by the demo, so that the demo represents the model. Its default seed's people are not
    among them."""
    examples = []
    for seed in range(_FIRST_DEMO_SEED, _FIRST_DEMO_SEED + _DEMO_PEOPLE):
        images, samples = talking_clip(seed, _DEMO_SECONDS)
        frames = (Frame(tick / TICK_RATE, image) for tick, image in enumerate(images))
        if (face := face_in(f"demo {seed}", frames, samples, detector)) is not None:
            examples.append(Example(face, DRAWN, speech_of(samples)))
    return examples


def split_by_person(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    """Training examples and those of held-out people."""
    held = {e.face.name for e in sorted((e for e in examples if e.group == HELD_OUT), key=lambda e: e.face.name)[::2]}
    return [e for e in examples if e.face.name not in held], [e for e in examples if e.face.name in held]


def clip_weights(examples: list[Example]) -> npt.NDArray[np.float64]:
    """Sampling probability of each example: sources by SOURCE_WEIGHTS, all people of one source equal.

    Clips of one person share the person's probability by length. Where people are unknown, a repository counts by the
    square root of its number of clips: more clips mean more people, but not as many more.
    """
    ticks = np.array([min(e.ticks, 250) for e in examples], np.float64)
    shares: Counter[tuple[str, str]] = Counter()
    for example, length in zip(examples, ticks.tolist(), strict=True):
        shares[_sharing(example)] += length if example.person else 1
    weights = np.array(
        [
            length / shares[_sharing(e)] if e.person else (length / shares[_sharing(e)]) ** 0.5
            for e, length in zip(examples, ticks.tolist(), strict=True)
        ]
    )
    for source in {e.source for e in examples}:
        here = np.array([e.source == source for e in examples])
        weights[here] *= SOURCE_WEIGHTS[source] / weights[here].sum()
    return np.asarray(weights / weights.sum())


def _sharing(example: Example) -> tuple[str, str]:
    """The group that shares one sampling probability: the clips of one person or, where unknown, of one repository."""
    return example.source, example.person or example.group


_Cut = tuple[npt.NDArray[np.uint8], Samples, npt.NDArray[np.float32]]
"""Crops [T, 96, 96], samples [T × 640] and voice activity [T] of one segment of a clip."""


class Sampler:
    """Samples batches. A batch depends only on the seed and the step, so that a run can resume."""

    def __init__(self, examples: list[Example], talking: int, idle: int, ticks: int, seed: int) -> None:
        """Raises InputError when there are fewer examples than a batch has talking clips."""
        if len(examples) < talking:
            raise InputError(f"{len(examples)} clips with a face are too few to train on: give {talking} or more")
        self._examples, self._seed = examples, seed
        self._talking, self._idle, self._ticks = talking, idle, ticks
        self._weights = clip_weights(examples)
        self._second_cuts = round(_SECOND_CUTS * talking)

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self._seed, step))
        # Without replacement: two copies of one segment would be each other's negatives.
        picks = rng.choice(len(self._examples), self._talking, replace=False, p=self._weights)
        cuts = self._cuts(picks, rng)
        # Background voices come from the whole set: a voice whose face is in the batch would not be a negative.
        behind = rng.choice(len(self._examples), self._talking, p=self._weights)
        voices = [self._cut(self._examples[i], rng)[1] for i in behind]
        turns = [as_turn(cut[1], other, rng) for cut, other in zip(cuts, [*voices[1:], voices[0]], strict=True)]
        moments = np.stack([shown_moments(self._ticks, rng) for _ in cuts])
        audio = [augmented_audio(samples, voice, rng) for (samples, _), voice in zip(turns, voices, strict=True)]
        idle = rng.choice(picks, self._idle, replace=False)
        still = [idle_crops(self._examples[i].face, self._ticks, rng) for i in idle]
        crops = [cut[0][shown] for cut, shown in zip(cuts, moments, strict=True)]
        spoken = np.stack([cut[2][shown] for cut, shown in zip(cuts, moments, strict=True)])
        matching = np.stack([heard for _, heard in turns]) & (moments == np.arange(self._ticks))
        speech = np.concatenate([spoken, np.zeros((self._idle, self._ticks), np.float32)])
        known = np.where(speech > _SPEAKING, 1.0, np.where(speech < _SILENT, 0.0, np.nan))
        return Batch(
            torch.from_numpy(np.stack(crops + still)),
            torch.from_numpy(np.stack(audio)),
            torch.from_numpy(known.astype(np.float32)),
            torch.from_numpy((matching & (spoken > _SPEAKING)).astype(np.float32)),
            torch.from_numpy((~matching).astype(np.float32)),
        )

    def _cuts(self, picks: npt.NDArray[np.int64], rng: np.random.Generator) -> list[_Cut]:
        """One segment of each picked clip; the last ones are replaced by second segments of long clips."""
        kept = len(picks) - self._second_cuts
        least = _SECOND_CUT_LENGTH * self._ticks
        long = [k for k in range(kept) if self._examples[picks[k]].ticks >= least][: self._second_cuts]
        first = [
            self._cut(self._examples[i], rng, (0.0, 0.5) if k in long else (0.0, 1.0)) for k, i in enumerate(picks)
        ]
        second = [self._cut(self._examples[picks[k]], rng, (0.5, 1.0)) for k in long]
        return first[: len(picks) - len(second)] + second

    def _cut(self, example: Example, rng: np.random.Generator, part: tuple[float, float] = (0.0, 1.0)) -> _Cut:
        """A segment of ``ticks`` within ``part`` (shares of the clip), up to 15 % faster or slower: other speakers'
        rate and pitch."""
        speed = float(np.exp(rng.uniform(-0.15, 0.15))) if rng.random() < 0.6 else 1.0
        low, high = part[0] * example.ticks, part[1] * example.ticks
        span = min(self._ticks * speed, high - low)
        start = rng.uniform(low, high - span)
        places = np.clip(start + np.arange(self._ticks) * speed, 0, example.ticks - 1)
        nearest = np.rint(places).astype(int)
        crops = degraded_video(example.face.crops[nearest], rng)
        at = start * SAMPLES_PER_TICK + np.arange(self._ticks * SAMPLES_PER_TICK) * speed
        samples = np.interp(at, np.arange(len(example.face.samples)), example.face.samples, right=0.0)
        return crops, samples.astype(np.float32), example.speech[np.clip(nearest, 0, len(example.speech) - 1)]
