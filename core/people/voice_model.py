"""Voice model: how embeddings of one voice differ, and those of different voices (probabilistic linear discriminant
analysis, PLDA)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speakerlight.core.errors import InputError
from speakerlight.core.models.checkpoint import load_safetensors

Floats = npt.NDArray[np.float64]

VOICE_MODEL = Path(__file__).parent / "weights" / "voices.safetensors"
"""Made by ``python -m speakerlight.core.training voices``; its header names the data."""


@dataclass(frozen=True, eq=False)
class VoiceModel:
    """Coordinates in which the numbers of a voice are independent of each other, D of them."""

    mean: Floats
    """Mean embedding of all voices by length of the window, 0.2 to 1.6 s: [8, 256]."""
    projection: Floats
    """From embeddings to coordinates, [256, D]."""
    between: Floats
    """Variance of the voices' means, [D]."""
    gain: Floats
    """How much of a voice's mean an embedding shows, by length of the window: [8, D]."""
    within: Floats
    """Variance of the coordinates of one voice's embeddings by length of the window: [8, D]."""
    length: float
    """Usual length of the mean of a voice's embeddings, each of which has the length 1."""

    def coordinates(self, embedding: npt.NDArray[np.floating], hops: int) -> Floats:
        """An embedding [256] of a window of 1 to 8 ``hops`` to coordinates [D]."""
        centred = np.asarray(embedding, float) - self.mean[hops - 1]
        return np.asarray(centred @ self.projection / self.gain[hops - 1])


def load_voice_model(path: Path) -> VoiceModel:
    """The model in ``path``. Raises InputError when the file is missing, broken or holds something else."""
    arrays, _ = load_safetensors(path)
    try:
        mean, projection, between, gain, within, length = (
            arrays[name].astype(np.float64) for name in ("mean", "projection", "between", "gain", "within", "length")
        )
    except KeyError as error:
        raise InputError(f"{path} holds no voice model: {error} is missing") from error
    return VoiceModel(mean, projection, between, gain, within, float(length[0]))


@lru_cache(maxsize=1)
def shipped_voice_model() -> VoiceModel:
    return load_voice_model(VOICE_MODEL)
