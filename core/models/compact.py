"""The compact SyncNet: the project's own lip-sync model, small enough for a laptop, embedded as the default.

This module is its interface to the engine. Its layers are in ``compact_network`` (PyTorch) and in ``compact_graphs``
(OpenVINO on the CPU); ``compact_loading`` chooses between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speakerlight.core.audio.logmel import COMPACT_MEL, MelSettings
from speakerlight.core.faces.crops import MouthCrop, mouth_crop
from speakerlight.core.faces.detection import Keypoints
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from speakerlight.core.models.features import Features
from speakerlight.core.models.lipsync import Crop, FaceEmbeddings

CROP = MouthCrop(side_pixels=48, field=1.4)
"""Lips, chin and the cheeks beside them. 48 pixels: most faces in calls are no sharper."""

FRAME_STACK = 3
"""A frame is encoded with the two before it, so that movement is visible before anything is pooled."""

HEAD_KERNEL, HEAD_LAYERS = 5, 3
FRAME_WINDOW = 1 + HEAD_LAYERS * (HEAD_KERNEL - 1)
FRAME_LOOKAHEAD = 4
"""Frames after the tick that its embedding sees: 160 ms."""

COLUMNS_PER_TICK = 4
MEL_WINDOW = 44
"""Log-mel columns (10 ms each) of one audio embedding."""

MEL_AHEAD = 15
"""Columns at or after the tick's time: 150 ms, so that audio waits no longer than video."""

WIDTH = 160
"""Length of a frame's feature."""

DIMENSIONS = 128

WEIGHTS_FILE = Path(__file__).parent / "weights" / "compact.safetensors"
"""Trained by ``speakerlight.core.training``; its header and the model card describe data and accuracy."""


@dataclass(frozen=True)
class Functions:
    """The network's functions on one device. Rows of a batch do not influence each other."""

    features: Callable[[npt.NDArray[np.uint8]], Features]
    """Frame features [B, WIDTH] of grey stacks [B, FRAME_STACK, 48, 48]."""

    faces: Callable[[Any], npt.NDArray[np.float32]]
    """Face embeddings of feature windows [B, FRAME_WINDOW, WIDTH]: unit vectors, each followed by the
    probability that the mouth speaks, [B, DIMENSIONS + 1]."""

    audio: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
    """Audio embeddings, unit vectors [B, DIMENSIONS], of log-mel [B, MEL_WINDOW, 40]."""


class Compact:
    """The trained network behind the engine's interface (``speakerlight.core.models.lipsync.LipSyncModel``)."""

    name = "compact"
    dimensions = DIMENSIONS
    mel: MelSettings = COMPACT_MEL
    frame_stack = FRAME_STACK
    frame_window = FRAME_WINDOW
    frame_lookahead = FRAME_LOOKAHEAD
    mel_window = MEL_WINDOW

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def mel_start(self, tick: int) -> int:
        return COLUMNS_PER_TICK * tick + MEL_AHEAD - MEL_WINDOW

    def crop(self, image: Image, box: Box, keypoints: Keypoints) -> Crop:
        return mouth_crop(image, keypoints, CROP)

    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> Features:
        return self._functions.features(stacks)

    def embed_faces(self, windows: Features) -> FaceEmbeddings:
        out = self._functions.faces(windows)
        return FaceEmbeddings(out[:, :DIMENSIONS], out[:, DIMENSIONS])

    def embed_audio(self, mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self._functions.audio(mel)
