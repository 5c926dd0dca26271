"""A small network with the expert's shapes, quick on any CPU."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from speakerlight.core.models.expert import Expert
from speakerlight.core.models.features import Features
from speakerlight.core.models.lipsync import FaceEmbeddings

SLOW_LEVEL = 255
"""A batch with a face of this level alone takes ``SLOW_SECONDS``."""

SLOW_SECONDS = 0.8


class SmallExpert(Expert):
    """Linear maps of means."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._faces = random.normal(size=(Expert.frame_window * 3, Expert.dimensions))
        self._sounds = random.normal(size=(Expert.mel.mels, Expert.dimensions))

    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> Any:
        return stacks[:, 0]

    def embed_faces(self, windows: Features) -> FaceEmbeddings:
        crops = np.asarray(windows)
        if (crops.reshape(len(crops), -1).min(axis=1) >= SLOW_LEVEL).any():
            time.sleep(SLOW_SECONDS)
        return FaceEmbeddings(_unit(crops.mean(axis=(2, 3)).reshape(len(crops), -1) @ self._faces), None)

    def embed_audio(self, mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return _unit(mel.mean(axis=1) @ self._sounds)


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
