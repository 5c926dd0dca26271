"""Speech probability of a tick from voice activity and the audio embedding of a lip-sync model.

The voice activity network misses speech over strong noise, as on many phones. The audio embedding is trained in such
noise, and a small network of both finds more of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speakerlight.core.errors import InputError
from speakerlight.core.models.checkpoint import load_safetensors
from speakerlight.core.overlapping import overlapping

Floats = npt.NDArray[np.float32]

FOLDER = Path(__file__).parent / "weights"

MEAN_TICKS = 5
"""Number of the last ticks over which means are taken."""

_LEAST = 1e-4
"""Limit of a probability whose log-odds are taken."""

_ODDS_SCALE = 4.0
"""Divisor that brings log-odds to about unit size."""


@dataclass(frozen=True, eq=False)
class SpeechHead:
    """One hidden layer: ``hidden`` [INPUTS, H], ``hidden_bias`` [H], ``output`` [H] and ``bias``.

    Its INPUTS = 2 + 2 × D: the tick's log-odds of voice activity and their mean over the last MEAN_TICKS ticks, then
    the tick's audio embedding and the mean of these.
    """

    hidden: Floats
    hidden_bias: Floats
    output: Floats
    bias: float

    def probabilities(self, voice_activity: Floats, vectors: Floats) -> Floats:
        """Speech probability of all ticks from the MEAN_TICKSth on, [T − MEAN_TICKS + 1], from voice activity [T] in
        [0, 1] and the audio embeddings [T, D]."""
        hidden = np.tanh(head_inputs(voice_activity, vectors) @ self.hidden + self.hidden_bias)
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * (hidden @ self.output + self.bias)), np.float32)


def head_inputs(voice_activity: Floats, vectors: Floats) -> Floats:
    """Inputs of the ticks from the MEAN_TICKSth on, [T − MEAN_TICKS + 1, INPUTS] of [T] and [T, D]."""
    odds = np.log((voice_activity + _LEAST) / (1 + _LEAST - voice_activity)) / _ODDS_SCALE
    count, size = len(odds) - MEAN_TICKS + 1, vectors.shape[1]
    inputs = np.empty((count, 2 + 2 * size), np.float32)
    inputs[:, 1] = overlapping(odds, (count, MEAN_TICKS), (1, 1)).mean(axis=1)
    inputs[:, 2 + size :] = overlapping(vectors, (count, MEAN_TICKS, size), (size, size, 1)).mean(axis=1)
    inputs[:, 0] = odds[MEAN_TICKS - 1 :]
    inputs[:, 2 : 2 + size] = vectors[MEAN_TICKS - 1 :]
    return inputs


def load_speech_head(path: Path) -> SpeechHead:
    """The weights in ``path``. Raises InputError when the file is missing, broken or holds something else."""
    arrays, _ = load_safetensors(path)
    try:
        return SpeechHead(arrays["hidden"], arrays["hidden_bias"], arrays["output"], arrays["bias"].item())
    except KeyError as error:
        raise InputError(f"{path} holds no speech head: {error} is missing") from error


def speech_head_file(model_name: str) -> Path:
    """Where the weights for the lip-sync model of this name are; made by ``python -m … training speech``."""
    return FOLDER / f"{model_name}_speech.safetensors"


@lru_cache(maxsize=8)
def speech_head_for(model_name: str) -> SpeechHead | None:
    """The shipped weights for the lip-sync model of this name; None where it has none."""
    path = speech_head_file(model_name)
    return load_speech_head(path) if path.is_file() else None
