"""The dataset: talking faces by source, split by person, drawn so that people count and clips do not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from speakerlight.core.audio.vad import VoiceActivity
from speakerlight.core.demo.clip import talking_clip
from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.media import Frame, Samples
from speakerlight.core.timebase import SAMPLES_PER_TICK, TICK_RATE
from speakerlight.core.training.augmentation import augmented_sound
from speakerlight.core.training.clips import TalkingFace, cached_face, face_in
from speakerlight.core.training.idle import idle_crops

SOURCE_WEIGHTS = {"single": 0.58, "generated": 0.18, "arabic": 0.18, "grid": 0.02, "demo": 0.04}
"""Share of each source in a batch. ``single`` holds the widest variety of people, ``grid`` one man."""

HELD_OUT = "choijeongsoo__lip2speech-unit"
"""Every second person of this set never trains: on them a run is judged while it goes on. Never on ``dev``."""

_SPOKEN, _SILENT = 0.5, 0.2
"""Speech probability above which a mouth is taken to speak, and under which it is taken not to."""

_FIRST_DEMO_SEED, _DEMO_PEOPLE, _DEMO_SECONDS = 10_000, 40, 6.0


@dataclass(frozen=True, eq=False)
class Example:
    """A talking face with its speech probability at each tick."""

    face: TalkingFace
    source: str
    speech: npt.NDArray[np.float32]

    @property
    def ticks(self) -> int:
        return len(self.face.crops)

    @property
    def group(self) -> str:
        """Where the clip is from: the first two parts of its name are its repository."""
        return "__".join(self.face.name.split("__")[:2])


@dataclass(frozen=True, eq=False)
class Batch:
    """B talking clips and S idle ones of T ticks.

    ``crops`` uint8 [B + S, T, 96, 96], ``samples`` float32 [B, T × 640], ``speech`` float32 [B + S, T] (what the mouth
    does; NaN where it is not known), ``spoken`` float32 [B, T] (1 where there is speech to match).
    """

    crops: torch.Tensor
    samples: torch.Tensor
    speech: torch.Tensor
    spoken: torch.Tensor


def speech_of(samples: Samples) -> npt.NDArray[np.float32]:
    """Speech probability of each whole tick of a clip."""
    ticks = len(samples) // SAMPLES_PER_TICK
    heard = VoiceActivity().push(np.concatenate([samples, np.zeros(2 * SAMPLES_PER_TICK, np.float32)]))
    return np.array([tick.speech for tick in heard[:ticks]], np.float32)


def load_examples(folders: list[Path], detector: FaceDetector, cache: Path) -> list[Example]:
    """Every clip of ``folders`` in which there is a face, in the order of their names. The folder names the source."""
    return [
        Example(face, folder.name, speech_of(face.samples))
        for folder in folders
        for path in sorted(folder.iterdir())
        if (face := cached_face(path, detector, cache)) is not None
    ]


def demo_examples(detector: FaceDetector) -> list[Example]:
    """People whom the demo draws and voices, so that it shows the model truly; never the people of its default seed."""
    examples = []
    for seed in range(_FIRST_DEMO_SEED, _FIRST_DEMO_SEED + _DEMO_PEOPLE):
        images, samples = talking_clip(seed, _DEMO_SECONDS)
        frames = (Frame(tick / TICK_RATE, image) for tick, image in enumerate(images))
        if (face := face_in(f"demo {seed}", frames, samples, detector)) is not None:
            examples.append(Example(face, "demo", speech_of(samples)))
    return examples


def split_by_person(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    """Training examples and those of held-out people."""
    held = {e.face.name for e in sorted((e for e in examples if e.group == HELD_OUT), key=lambda e: e.face.name)[::2]}
    return [e for e in examples if e.face.name not in held], [e for e in examples if e.face.name in held]


class Sampler:
    """Draws batches; the batch of a step depends on nothing but the seed and the step, so that a run can resume."""

    def __init__(self, examples: list[Example], talking: int, idle: int, ticks: int, seed: int) -> None:
        """Raises InputError when there are fewer examples than a batch has talking clips."""
        if len(examples) < talking:
            raise InputError(f"{len(examples)} clips with a face are too few to train on: give {talking} or more")
        self._examples, self._seed = examples, seed
        self._talking, self._idle, self._ticks = talking, idle, ticks
        sources = Counter(e.source for e in examples)
        groups = Counter((e.source, e.group) for e in examples)
        # The square root: a repository with many clips has more people, but not as many as clips.
        raw = np.array([groups[e.source, e.group] ** -0.5 * min(e.ticks, 250) ** 0.5 for e in examples])
        for source in sources:
            here = np.array([e.source == source for e in examples])
            raw[here] *= SOURCE_WEIGHTS[source] / raw[here].sum()
        self._weights = raw / raw.sum()

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self._seed, step))
        # Without replacement: two clips of one moment would be each other's negatives.
        picks = rng.choice(len(self._examples), self._talking, replace=False, p=self._weights)
        cuts = [self._cut(self._examples[i], rng) for i in picks]
        # Of the whole set, not of this batch: a face of the batch whose voice is heard as well would be no negative.
        behind = rng.choice(len(self._examples), self._talking, p=self._weights)
        voices = [self._cut(self._examples[i], rng)[1] for i in behind]
        sounds = [augmented_sound(cut[1], voice, rng) for cut, voice in zip(cuts, voices, strict=True)]
        idle = rng.choice(picks, self._idle, replace=False)
        still = [idle_crops(self._examples[i].face, self._ticks, rng) for i in idle]
        spoken = np.stack([c[2] for c in cuts])
        speech = np.concatenate([spoken, np.zeros((self._idle, self._ticks), np.float32)])
        known = np.where(speech > _SPOKEN, 1.0, np.where(speech < _SILENT, 0.0, np.nan))
        return Batch(
            torch.from_numpy(np.stack([c[0] for c in cuts] + still)),
            torch.from_numpy(np.stack(sounds)),
            torch.from_numpy(known.astype(np.float32)),
            torch.from_numpy((spoken > _SPOKEN).astype(np.float32)),
        )

    def _cut(
        self, example: Example, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], Samples, npt.NDArray[np.float32]]:
        """A stretch of ``ticks``, played up to 15 % faster or slower (another speaker's rate and pitch)."""
        speed = float(np.exp(rng.uniform(-0.15, 0.15))) if rng.random() < 0.6 else 1.0
        span = min(self._ticks * speed, example.ticks)
        start = rng.uniform(0, example.ticks - span)
        places = np.clip(start + np.arange(self._ticks) * speed, 0, example.ticks - 1)
        nearest = np.rint(places).astype(int)
        crops = example.face.crops[nearest]
        if rng.random() < 0.15:
            # A camera that repeats frames.
            crops = crops[np.maximum(0, np.arange(self._ticks) - (rng.random(self._ticks) < 0.3))]
        at = start * SAMPLES_PER_TICK + np.arange(self._ticks * SAMPLES_PER_TICK) * speed
        samples = np.interp(at, np.arange(len(example.face.samples)), example.face.samples, right=0.0)
        return crops, samples.astype(np.float32), example.speech[np.clip(nearest, 0, len(example.speech) - 1)]
