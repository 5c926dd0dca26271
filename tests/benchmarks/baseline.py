"""Baseline for timing, after the script this project grew from: one face a call, float32, nothing folded or shared.

Its audio is embedded again for every face. Its faults (order of channels, padding) are not repeated: they cost nothing.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch.nn import functional

from speakerlight.core.audio.logmel import EXPERT_MEL, Mel
from speakerlight.core.faces.crops import Crop
from speakerlight.core.models.expert import FRAMES, MEL_COLUMNS, SyncNetColor


class PlainExpert:
    """The expert, one face and one tick at a time."""

    def __init__(self, network: SyncNetColor, device: str) -> None:
        self._network, self._device = network.to(device), device

    @torch.inference_mode()
    def score(self, crops: list[Crop], mel: Mel) -> float:
        """Cosine of one face's five crops (48 × 96 × 3) and one window of log-mel [16, 80]."""
        stacked = np.concatenate(crops, axis=2).astype(np.float32) / 255
        face = torch.from_numpy(stacked).permute(2, 0, 1)[None].to(self._device)
        audio = torch.from_numpy(np.ascontiguousarray(mel.T))[None, None].to(self._device)
        a = functional.normalize(self._network.face_encoder(face).flatten(1))
        b = functional.normalize(self._network.audio_encoder(audio).flatten(1))
        return float((a * b).sum())


class PlainTick:
    """All faces of a tick, one after another."""

    def __init__(self, expert: PlainExpert, crops: tuple[Crop, ...]) -> None:
        self._expert = expert
        self._crops = [deque([crop] * FRAMES, FRAMES) for crop in crops]
        self._mel = np.zeros((MEL_COLUMNS, EXPERT_MEL.mels), np.float32)

    def __call__(self) -> list[float]:
        return [self._expert.score(list(crops), self._mel) for crops in self._crops]
