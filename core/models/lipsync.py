"""Lip-sync model interface: what a SyncNet offers to the engine.

Two encoders map a face's recent frames and a segment of audio to unit vectors; their dot product is high where lips and
audio match. Frames are encoded once each and kept by the caller; audio is embedded once a tick for all faces.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from speakerlight.core.audio.logmel import MelSettings
from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import Keypoints
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from speakerlight.core.models.features import Features
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK, TICK_RATE

Crop = npt.NDArray[np.uint8]
"""A model's input from one frame: uint8, of the model's own fixed shape."""


@dataclass(frozen=True, eq=False)
class FaceEmbeddings:
    """A batch of embedded faces, float32.

    ``vectors``: [B, D], unit length. ``visual_vad``: [B], visual voice activity: the probability in [0, 1] that the
    mouth speaks, from the frames alone; None from a model without it.
    """

    vectors: npt.NDArray[np.float32]
    visual_vad: npt.NDArray[np.float32] | None

    def __getitem__(self, rows: slice) -> FaceEmbeddings:
        """The embeddings of some rows, as a view."""
        return FaceEmbeddings(self.vectors[rows], None if self.visual_vad is None else self.visual_vad[rows])


class LipSyncModel(Protocol):
    """A SyncNet. Tick ``k`` is the video frame at ``k / 25`` seconds and the audio around that time.

    Methods are pure and batched (B ≥ 1), may be called from any one thread at a time, and track no gradients.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int:
        """D: the length of an embedding."""
        ...

    @property
    def mel(self) -> MelSettings:
        """The log-mel input of the audio encoder."""
        ...

    @property
    def frame_stack(self) -> int:
        """S: how many successive crops, the newest being the frame's own, one frame's feature is made from."""
        ...

    @property
    def frame_window(self) -> int:
        """W: how many successive frames' features one face embedding is made from."""
        ...

    @property
    def frame_lookahead(self) -> int:
        """How many of the W frames come after the embedded tick: tick k sees k − W + 1 + lookahead to k + lookahead."""
        ...

    @property
    def mel_window(self) -> int:
        """Number of mel columns in one audio embedding."""
        ...

    def mel_start(self, tick: int) -> int:
        """First mel column of the tick's audio; columns before 0 are ``mel.silence``."""
        ...

    def crop(self, image: Image, box: Box, keypoints: Keypoints) -> Crop:
        """The model's input from one face: uint8, of one fixed shape whatever the face's size and place."""
        ...

    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> Features:
        """Features [B, *feature], on the model's device, of crops [B, S, *crop], oldest first.

        Computed once a frame, then kept with the track.
        """
        ...

    def embed_faces(self, windows: Features) -> FaceEmbeddings:
        """Embed B faces from W successive frames' features each, [B, W, *feature], oldest first."""
        ...

    def embed_audio(self, mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Embed B segments of audio, [B, mel_window, mels]: unit vectors [B, D]."""
        ...


def audio_lookahead_seconds(model: LipSyncModel) -> float:
    """Seconds of audio after a tick's time that the tick's audio embedding needs."""
    # Mel columns fall differently on the ticks of a second, then repeat.
    ends = (
        (model.mel_start(tick) + model.mel_window - 1) * model.mel.hop - tick * SAMPLES_PER_TICK
        for tick in range(TICK_RATE, 2 * TICK_RATE)
    )
    return (max(ends) + model.mel.window // 2) / SAMPLE_RATE


def choose_device(name: str) -> str:
    """The device for ``--device``: auto (CUDA, then Apple's MPS, then the CPU), cpu, cuda or mps.

    Raises InputError when the machine has no such device.
    """
    if name == "cpu" or (name == "auto" and not _has_gpu_driver()):
        return "cpu"
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, there in available.items() if there)
    if not available.get(name, False):
        usable = ", ".join(device for device, there in available.items() if there)
        raise InputError(f"device {name} is not available here: use one of auto, {usable}")
    return name


def _has_gpu_driver() -> bool:
    """Whether the machine may have an accelerator; asking PyTorch itself costs a second of import."""
    if sys.platform == "darwin":
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
