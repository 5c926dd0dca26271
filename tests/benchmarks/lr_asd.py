"""LR-ASD, the peer: its published weights in a network of our own making, with its input format and offline scoring.

Liao et al., "LR-ASD: Lightweight and Robust Network for Active Speaker Detection" (IJCV 2025). Its weights (MIT) are
for the user to fetch from the authors' repository and never part of this project. Per face it sees 25 grey crops of
112 × 112 a second and 100 MFCC vectors a second, and looks both ways in time: it is not causal.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image, Samples
from speakerlight.core.models.checkpoint import load_pickled
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK

Floats = npt.NDArray[np.float32]

SIDE = 112
COEFFICIENTS = 13
MFCC_PER_TICK = 4
DURATIONS = (1, 2, 3, 4, 5, 6)
"""Lengths in seconds of the segments in which the authors score a track; their scores are averaged."""

SMOOTHING_TICKS = 2
"""The authors average a score over this many ticks on both sides."""

PADDING = 110
"""Grey beyond the frame's edge."""

PIXEL_MEAN, PIXEL_DEVIATION = 0.4161, 0.1688
EPSILON = 1e-3
"""Epsilon of all its batch norms."""

WEIGHTS = ("finetuning_TalkSet.model", "pretrain_AVA.model")
"""The authors' files; the first is the one that they use on videos outside AVA."""


def find_weights(folder: Path) -> Path:
    """The authors' weights in ``folder``. Raises InputError when there are none."""
    for name in WEIGHTS:
        if (path := folder / name).is_file():
            return path
    raise InputError(
        f"{folder} holds none of {', '.join(WEIGHTS)}: fetch one from the LR-ASD repository's weight folder"
    )


def crop(image: Image, box: Box) -> npt.NDArray[np.uint8]:
    """Its input crop of a face: uint8 112 × 112, grey. ``box`` is BlazeFace's.

    The authors cut 2.8 half-sides of S3FD's box, from its upper edge down, and keep the middle half of that.
    """
    half = max(1.06 * box.width, 1.27 * box.height) / 2
    centre_x, centre_y = box.centre[0], box.centre[1] - 0.11 * box.height
    left, top, side = centre_x - 0.7 * half, centre_y - 0.3 * half, 1.4 * half
    scale = SIDE / max(side, 1.0)
    place = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.warpAffine(grey, place, (SIDE, SIDE), borderValue=PADDING), np.uint8)


def mfcc(samples: Samples) -> Floats:
    """13 coefficients of each 10 ms: [columns, 13], as python_speech_features makes them from 16-bit audio.

    Pre-emphasis 0.97, rectangular windows of 25 ms, 26 triangular mel filters to 8 kHz, log, DCT, lifter 22; the first
    coefficient is the log energy.
    """
    wave = np.round(np.clip(samples, -1, 1) * 32767).astype(np.float64)
    wave = np.append(wave[:1], wave[1:] - 0.97 * wave[:-1])
    count = 1 + max(0, -(-(len(wave) - 400) // 160))
    wave = np.pad(wave, (0, (count - 1) * 160 + 400 - len(wave)))
    frames = np.lib.stride_tricks.sliding_window_view(wave, 400)[::160]
    power = np.abs(np.fft.rfft(frames, 512)) ** 2 / 512
    tiny = np.finfo(float).eps
    energy = np.maximum(power.sum(axis=1), tiny)
    bands = np.log(np.maximum(power @ _mel_triangles(), tiny))
    n, k = np.arange(26), np.arange(COEFFICIENTS)
    cosines = np.cos(np.pi * k * (2 * n[:, None] + 1) / 52) * np.sqrt(2 / 26)
    cosines[:, 0] /= np.sqrt(2)
    coefficients = bands @ cosines * (1 + 11 * np.sin(np.pi * k / 22))
    coefficients[:, 0] = np.log(energy)
    return np.asarray(coefficients, np.float32)


def _mel_triangles() -> npt.NDArray[np.float64]:
    """257 × 26."""
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    edges = np.floor(513 * 700 * (10 ** (mel / 2595) - 1) / SAMPLE_RATE)
    bins = np.arange(257)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - left) / np.maximum(centre - left, 1)
    falling = (right - bins) / np.maximum(right - centre, 1)
    inside = (bins >= left) & (bins < right)
    return np.where(inside, np.where(bins < centre, rising, falling), 0.0)


class LrAsd:
    """The network. Raises InputError when ``path`` does not hold its weights."""

    def __init__(self, path: Path) -> None:
        self._weights = load_pickled(path)
        if "lossAV.FC.weight" not in self._weights:
            raise InputError(f"{path} is not a checkpoint of LR-ASD: it has no lossAV.FC.weight")

    def score(self, crops: npt.NDArray[np.uint8], samples: Samples) -> Floats:
        """Logit that the face speaks, per tick: ``crops`` [T, 112, 112], ``samples`` of the same T ticks and more."""
        padded = np.concatenate([samples, np.zeros(400, np.float32)])[: len(crops) * SAMPLES_PER_TICK + 240]
        columns = mfcc(padded)[: MFCC_PER_TICK * len(crops)]
        scores = np.mean([self._in_pieces(crops, columns, 25 * seconds) for seconds in DURATIONS], axis=0)
        window = 2 * SMOOTHING_TICKS + 1
        known = np.convolve(np.ones(len(scores)), np.ones(window), "same")
        return np.asarray(
            np.convolve(scores, np.ones(window), "same")[: len(scores)] / known[: len(scores)], np.float32
        )

    def _in_pieces(self, crops: npt.NDArray[np.uint8], columns: Floats, ticks: int) -> Floats:
        starts = range(0, len(crops), ticks)
        return np.concatenate([self._piece(crops[s : s + ticks], columns[4 * s : 4 * (s + ticks)]) for s in starts])

    @torch.inference_mode()
    def _piece(self, crops: npt.NDArray[np.uint8], columns: Floats) -> Floats:
        both = torch.cat([self._audio(columns), self._face(crops)], dim=1)
        fused = self._attended(both, "model.fusion")
        logits = self._linear(self._detector(fused), "lossAV.FC")
        return np.asarray(logits[:, 1].numpy())

    def _face(self, crops: npt.NDArray[np.uint8]) -> torch.Tensor:
        """[T, 112, 112] to [T, 128]."""
        x = (torch.from_numpy(crops).float()[None, None] / 255 - PIXEL_MEAN) / PIXEL_DEVIATION
        for block, stride in ((1, 2), (2, 1), (3, 1)):
            name = f"model.visualEncoder.block{block}"
            for layer, steps in (("s_1", (1, stride, stride)), ("s_2", 1), ("t_1", 1), ("t_2", 1)):
                x = self._step(x, name, layer, steps)
            if block < 3:
                x = functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        return x.amax(dim=(3, 4))[0].T

    def _audio(self, columns: Floats) -> torch.Tensor:
        """[4 T, 13] to [T, 128]."""
        x = torch.from_numpy(columns).T[None, None]
        for block in (1, 2, 3):
            for layer in ("m_1", "m_2", "t_1", "t_2"):
                x = self._step(x, f"model.audioEncoder.block{block}", layer)
            if block < 3:
                x = functional.max_pool2d(x, (1, 3), (1, 2), (0, 1))
        return x.mean(dim=2)[0].T

    def _step(self, x: torch.Tensor, block: str, layer: str, stride: int | tuple[int, ...] = 1) -> torch.Tensor:
        """Convolution that keeps the size where the stride is 1, batch norm, ReLU."""
        kernel = self._weights[f"{block}.{layer}.weight"]
        padding = [size // 2 for size in kernel.shape[2:]]
        convolution = functional.conv3d if kernel.ndim == 5 else functional.conv2d
        part, number = layer.split("_")
        return functional.relu(
            self._norm(convolution(x, kernel, None, stride, padding), f"{block}.{part}_norm_{number}")
        )

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, scale, shift = (
            self._weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, scale, shift, eps=EPSILON)

    def _attended(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """[T, C] weighted by a gate computed from the same tick."""
        gate = functional.conv1d(x.T[None], self._weights[f"{name}.attention.weight"])
        return x * torch.sigmoid(self._norm(gate, f"{name}.bn"))[0].T

    def _detector(self, x: torch.Tensor) -> torch.Tensor:
        ways = self._gru(x, "model.detector.gru_forward"), self._gru(x.flip(0), "model.detector.gru_backward").flip(0)
        return self._attended(torch.cat(ways, dim=1), "model.detector.attention")

    def _gru(self, x: torch.Tensor, name: str) -> torch.Tensor:
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        weights = [self._weights[f"{name}.{part}"] for part in names]
        hidden = torch.zeros(1, 1, weights[1].shape[1])
        out, _ = torch.gru(x[None], hidden, weights, True, 1, 0.0, False, False, True)
        return out[0]

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])
