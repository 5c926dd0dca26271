"""Compact SyncNet in PyTorch: the network that is trained, and that runs on a GPU.

A frame encoder maps each frame (with the two before it) to a feature once; a temporal head over 13 features gives the
face's unit vector and its visual voice activity. An audio encoder maps log-mel to the same space. All convolutions over
time are *valid*: zero features or silence stand before the start and after the end, so streaming equals the whole clip.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from speakerlight.core.audio.logmel import COMPACT_MEL
from speakerlight.core.models.checkpoint import fill, load_safetensors
from speakerlight.core.models.compact import (
    CROP,
    DIMENSIONS,
    FRAME_STACK,
    FRAME_WINDOW,
    HEAD_KERNEL,
    HEAD_LAYERS,
    MEL_WINDOW,
    WIDTH,
    Compact,
    Functions,
)
from speakerlight.core.models.compact_graphs import compiled
from speakerlight.core.models.cuda_graph import Upload, recorded
from speakerlight.core.models.openvino_graph import Precision

AUDIO_BANDS = 5
"""Bands that 40 mels become after three strides of 2."""


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(x + self.second_norm(self.second(inner)))


def _step(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class FrameEncoder(nn.Module):
    """[N, 3, 48, 48] grey stacks (oldest first), each standardised, to features [N, WIDTH]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _step(FRAME_STACK, 16, 5, 2),
            _step(16, 32, 3, 2),
            _Residual(32),
            _step(32, 64, 3, 2),
            _Residual(64),
            _step(64, 128, 3, 2),
            _Residual(128),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(128 * 3 * 3, WIDTH),
        )

    def forward(self, stacks: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.layers(stacks))


class TemporalHead(nn.Module):
    """Features [B, WIDTH, T] to [B, outputs, T − layers × (kernel − 1)]: residual convolutions over time, unpadded."""

    def __init__(self, layers: int, outputs: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in range(layers))
        self.layers = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, HEAD_KERNEL) for _ in range(layers))
        self.last = nn.Conv1d(WIDTH, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        margin = HEAD_KERNEL // 2
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x[:, :, margin:-margin] + layer(functional.relu(norm(x)))
        return torch.as_tensor(self.last(functional.relu(x)))


class AudioEncoder(nn.Module):
    """Log-mel [B, columns, mels] to unit vectors [B, DIMENSIONS, ticks], columns = 4 × (ticks − 1) + MEL_WINDOW."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _audio_step(1, 24, (5, 5), (2, 2)),
            _audio_step(24, 48, (3, 3), (2, 2)),
            _audio_step(48, 96, (3, 1), (2, 1)),
            _audio_step(96, 96, (3, 1), (1, 1)),
            nn.Flatten(1, 2),
            nn.Dropout(0.1),
            nn.Conv1d(96 * AUDIO_BANDS, WIDTH, 1),
        )
        self.head = TemporalHead(2, DIMENSIONS)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.head(self.layers(mel.transpose(1, 2)[:, None])), dim=1)


def _audio_step(inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int]) -> nn.Sequential:
    """Padded over frequency, unpadded over time."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel[0] // 2, 0), bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class CompactSyncNet(nn.Module):
    """The network as it is trained: frame encoder, temporal head, audio encoder, scale of the contrastive loss."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = FrameEncoder()
        self.face_head = TemporalHead(HEAD_LAYERS, DIMENSIONS + 1)
        self.sound = AudioEncoder()

    def embed_windows(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, WIDTH, T] to unit vectors [B, DIMENSIONS, T − 12] and speech logits [B, T − 12]."""
        out = self.face_head(features)
        return functional.normalize(out[:, :DIMENSIONS], dim=1), out[:, DIMENSIONS]


def standardised(stacks: torch.Tensor) -> torch.Tensor:
    """Grey values [..., 3, 48, 48], 0 to 255, to mean 0 and deviation 1 of each stack: exposure has no effect."""
    centred = stacks - stacks.mean(dim=(-3, -2, -1), keepdim=True)
    # Eight times as fast as ``torch.std``.
    norm: torch.Tensor = torch.linalg.vector_norm(centred, dim=(-3, -2, -1), keepdim=True)
    return centred / (norm / math.sqrt(math.prod(stacks.shape[-3:]) - 1) + 4.0)


def load_network(path: Path) -> tuple[CompactSyncNet, dict[str, str]]:
    """The network with the weights of ``path``, and their card. Raises InputError when ``path`` does not hold it."""
    weights, card = load_safetensors(path)
    network = CompactSyncNet()
    fill(network, {name: torch.from_numpy(array) for name, array in weights.items()}, path)
    return network, card


def model_of(network: CompactSyncNet, device: str, precision: Precision | None = None) -> Compact:
    """Wrap ``network``, which must not be used elsewhere afterwards, in the engine's interface on ``device``.

    ``precision``: on the CPU; None, what is fast there.
    """
    if device == "cpu":
        return Compact(compiled({name: array.numpy() for name, array in network.state_dict().items()}, precision))
    return Compact(_functions(network, torch.device(device)))


def _functions(network: CompactSyncNet, device: torch.device) -> Functions:
    _fold_batch_norms(network.eval())
    network.to(device)
    network.frames.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    upload = Upload(device)

    def features(stacks: torch.Tensor) -> torch.Tensor:
        pixels = standardised(stacks.to(torch.float32)).contiguous(memory_format=torch.channels_last)
        return torch.as_tensor(network.frames(pixels))

    def faces(windows: torch.Tensor) -> torch.Tensor:
        vectors, logits = network.embed_windows(windows.transpose(1, 2))
        return torch.cat([vectors, torch.sigmoid(logits)[:, None]], dim=1)[..., 0]

    def audio(mel: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(network.sound(mel))[..., 0]

    crops = torch.zeros(FRAME_STACK, CROP.side_pixels, CROP.side_pixels, dtype=torch.uint8, device=device)
    encode = recorded(features, crops)
    embed = recorded(faces, torch.zeros(FRAME_WINDOW, WIDTH, device=device))
    embed_audio = recorded(audio, torch.zeros(MEL_WINDOW, COMPACT_MEL.mels, device=device))
    no_gradients = torch.inference_mode()
    return Functions(
        no_gradients(lambda stacks: encode(upload(stacks))),
        no_gradients(lambda windows: embed(windows).cpu().numpy()),
        no_gradients(lambda mel: embed_audio(upload(mel)).cpu().numpy()),
    )


def _fold_batch_norms(network: nn.Module) -> None:
    for module in list(network.modules()):
        children = list(module.named_children())
        for (name, layer), (norm_name, norm) in pairwise(children):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(layer, norm))
                setattr(module, norm_name, nn.Identity())
