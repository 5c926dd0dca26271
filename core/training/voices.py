"""Fit of the voice model: how embeddings of one voice differ by length of the window, and those of different voices.

Each clip is embedded as it is and from other simulated rooms and microphones, so that neither is taken for the voice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from speakerlight.core.media import Samples
from speakerlight.core.people.voice_encoder import DIMENSIONS, WINDOWS, VoiceEncoder, VoiceStream
from speakerlight.core.people.voice_model import Floats, VoiceModel
from speakerlight.core.people.voices import HOP_TICKS
from speakerlight.core.training.augmentation import in_room, with_response
from speakerlight.core.training.dataset import UNCONFIRMED, people_of, speech_of, voiced_clips
from speakerlight.core.training.weights_file import save_weights

SOURCES = ("people", "single", UNCONFIRMED)
"""Folders of clips. The others hold synthetic or very few voices."""

COORDINATES = 64

_ROOMS = 2
"""Simulated rooms and microphones for each clip, beside the clip as it is."""

_SEGMENT_HOPS = 5
"""Length of the windows by which the coordinates are chosen: 1 s, that of a segment."""

_LEAST_WINDOWS = 8
"""Windows of 1 s from which the mean of a voice is known."""

_SPEECH = 0.6
"""Share of speech in each hop of a window that is used."""

_SHRINKAGE = 1.0
"""Multiple of the mean variance within a voice that is added to each number's: voices are few, and numbers many."""

_GAINS = (0.2, 1.5)
"""Range of the gain: where it is small, its estimate is mostly noise."""

_RESPONSE_HERTZ = (50, 150, 400, 1000, 2500, 5000, 8000)
_RESPONSE_DB = 4.0


@dataclass(frozen=True, eq=False)
class VoiceClip:
    """The embeddings of a clip [hops, 8, 256], and the share of each hop that is speech [hops]."""

    person: str
    embeddings: npt.NDArray[np.float32]
    speech: npt.NDArray[np.float32]

    def windows(self, hops: int) -> npt.NDArray[np.float32]:
        """Embeddings of all windows of this length that are speech throughout, [N, 256]."""
        spoken = self.speech >= _SPEECH
        ends = [end for end in range(hops - 1, len(spoken)) if spoken[end - hops + 1 : end + 1].all()]
        return self.embeddings[ends, hops - 1]


def embedded_voices(folders: Sequence[Path], encoder: VoiceEncoder, seed: int = 0) -> Iterator[VoiceClip]:
    """Each clip of ``folders`` that has audio, as it is and from other rooms. Without a list of people, each clip is a
    person of its own."""
    rng = np.random.default_rng(seed)
    for folder in folders:
        people = people_of(folder)
        for path, samples in voiced_clips(folder):
            person = f"{folder.name}/{people.get(path.name, path.name)}"
            for room in range(1 + _ROOMS):
                yield embedded(person, recorded(samples, rng) if room else samples, encoder)


def embedded(person: str, samples: Samples, encoder: VoiceEncoder) -> VoiceClip:
    hops = VoiceStream(encoder).push(samples)
    speech = speech_of(samples)[: len(hops) * HOP_TICKS]
    shares = [float(np.mean(speech[k * HOP_TICKS : (k + 1) * HOP_TICKS] >= 0.5)) for k in range(len(hops))]
    return VoiceClip(person, np.array(hops, np.float32).reshape(-1, WINDOWS, DIMENSIONS), np.array(shares, np.float32))


def recorded(samples: Samples, rng: np.random.Generator) -> Samples:
    """The samples in another room, through another microphone, with noise."""
    response = rng.normal(0, _RESPONSE_DB, len(_RESPONSE_HERTZ))
    response[[0, -1]] -= rng.uniform(0, 12, 2)  # microphones lose the ends
    out = in_room(with_response(samples, _RESPONSE_HERTZ, response), rng)
    out = out + rng.standard_normal(len(out)) * out.std() * 10 ** (-rng.uniform(15, 40) / 20)
    return np.asarray(0.5 * out / max(float(np.abs(out).max()), 1e-9), np.float32)


def fitted(clips: Sequence[VoiceClip], coordinates: int = COORDINATES) -> VoiceModel:
    """The model of these voices; people count alike, however much of them there is."""
    voices = _by_person(clips, _SEGMENT_HOPS, _LEAST_WINDOWS)
    means = np.array([windows.mean(axis=0) for windows in voices.values()])
    spread = np.mean([np.cov(windows.T, bias=True) for windows in voices.values()], axis=0)
    spread = spread + _SHRINKAGE * np.trace(spread) / DIMENSIONS * np.eye(DIMENSIONS)
    between, axes = eigh(np.cov(means.T), spread)
    projection = axes[:, ::-1][:, :coordinates]
    known = dict(zip(voices, (means - means.mean(axis=0)) @ projection, strict=True))
    lengths = [_of_length(_by_person(clips, hops, 3, known), projection, known) for hops in range(1, WINDOWS + 1)]
    mean, gain, within = (np.array(each) for each in zip(*lengths, strict=True))
    length = float(np.linalg.norm(means, axis=1).mean())
    return VoiceModel(mean, projection, between[::-1][:coordinates].copy(), gain, within, length)


def _by_person(
    clips: Sequence[VoiceClip], hops: int, least: int, among: Container[str] | None = None
) -> dict[str, Floats]:
    """Windows of each person who has at least ``least`` of this length, [N, 256]."""
    found: dict[str, list[npt.NDArray[np.float32]]] = defaultdict(list)
    for clip in clips:
        if among is None or clip.person in among:
            found[clip.person].append(clip.windows(hops))
    joined = {person: np.concatenate(windows).astype(np.float64) for person, windows in found.items()}
    return {person: windows for person, windows in joined.items() if len(windows) >= least}


def _of_length(
    voices: Mapping[str, Floats], projection: Floats, known: Mapping[str, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Mean embedding, gain and variance within a voice of windows of one length."""
    mean = np.mean([windows.mean(axis=0) for windows in voices.values()], axis=0)
    true = np.array([known[person] for person in voices])
    true -= true.mean(axis=0)
    shown = np.array([(windows.mean(axis=0) - mean) @ projection for windows in voices.values()])
    gain = np.clip((true * shown).sum(axis=0) / (true**2).sum(axis=0), *_GAINS)
    rest = [
        (((windows - mean) @ projection - gain * own) ** 2).mean(axis=0)
        for windows, own in zip(voices.values(), true, strict=True)
    ]
    return mean, gain, np.mean(rest, axis=0) / gain**2


def save_voice_model(model: VoiceModel, path: Path, card: dict[str, str]) -> None:
    """Write the model, with ``card`` as its header."""
    arrays: dict[str, npt.NDArray[np.floating]] = {
        "mean": model.mean.astype(np.float32),
        "projection": model.projection.astype(np.float16),
        "between": model.between.astype(np.float32),
        "gain": model.gain.astype(np.float32),
        "within": model.within.astype(np.float32),
        "length": np.array([model.length], np.float32),
    }
    save_weights(arrays, path, card)
