"""The compact SyncNet: the project's own lip-sync model, small enough for a laptop, embedded as the default.

A picture encoder turns each frame (with the two before it) into a feature once; a temporal head over 13 features gives
the face's unit vector and whether its mouth looks like speaking. A sound encoder brings log-mel to the same space.
All convolutions over time are *valid*: what is missing before the start and after the end is zero features or silence,
so streaming equals the whole clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.checkpoint import fill, load_safetensors
from core.crops import MouthCrop, mouth_crop
from core.cudagraph import Upload, recorded
from core.detection import Keypoints
from core.geometry import Box
from core.lipsync import Crop, FaceEmbeddings
from core.logmel import COMPACT_MEL, MelSettings
from core.media import Image
from core.packing import PackedConvolution, is_available
from core.products import ProductConvolution, ProductHead

CROP = MouthCrop(side_pixels=48, field=1.4)
"""Lips, chin and the cheeks beside them. 48 pixels: most faces in calls are no sharper."""

FRAME_STACK = 3
"""A frame is encoded together with the two before it: movement is seen before anything is pooled away."""

HEAD_KERNEL, HEAD_LAYERS = 5, 3
FRAME_WINDOW = 1 + HEAD_LAYERS * (HEAD_KERNEL - 1)
FRAME_LOOKAHEAD = 4
"""Frames after the tick that its embedding sees: 160 ms."""

COLUMNS_PER_TICK = 4
MEL_WINDOW = 44
"""Log-mel columns (10 ms each) that one sound embedding is made from."""

MEL_AHEAD = 15
"""Of these, how many lie at or after the tick's time: 150 ms, so that sound waits no longer than the picture does."""

SOUND_BANDS = 5
"""What 40 mels are after three strides of 2."""

WIDTH = 160
DIMENSIONS = 128


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


class SoundEncoder(nn.Module):
    """Log-mel [B, columns, mels] to unit vectors [B, DIMENSIONS, ticks], columns = 4 × (ticks − 1) + MEL_WINDOW."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _sound_step(1, 24, (5, 5), (2, 2)),
            _sound_step(24, 48, (3, 3), (2, 2)),
            _sound_step(48, 96, (3, 1), (2, 1)),
            _sound_step(96, 96, (3, 1), (1, 1)),
            nn.Flatten(1, 2),
            nn.Dropout(0.1),
            nn.Conv1d(96 * SOUND_BANDS, WIDTH, 1),
        )
        self.head = TemporalHead(2, DIMENSIONS)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.head(self.layers(mel.transpose(1, 2)[:, None])), dim=1)


def _sound_step(inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int]) -> nn.Sequential:
    """Padded over frequency, unpadded over time."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel[0] // 2, 0), bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class CompactSyncNet(nn.Module):
    """The network as it is trained: picture encoder, temporal head, sound encoder, scale of the contrastive loss."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = FrameEncoder()
        self.face_head = TemporalHead(HEAD_LAYERS, DIMENSIONS + 1)
        self.sound = SoundEncoder()

    def embed_windows(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, WIDTH, T] to unit vectors [B, DIMENSIONS, T − 12] and speech logits [B, T − 12]."""
        out = self.face_head(features)
        return functional.normalize(out[:, :DIMENSIONS], dim=1), out[:, DIMENSIONS]


def standardised(stacks: torch.Tensor) -> torch.Tensor:
    """Grey values [..., 3, 48, 48], 0 to 255, to mean 0 and deviation 1 of each stack: exposure does not matter."""
    centred = stacks - stacks.mean(dim=(-3, -2, -1), keepdim=True)
    # Eight times as fast as ``torch.std``.
    norm: torch.Tensor = torch.linalg.vector_norm(centred, dim=(-3, -2, -1), keepdim=True)
    return centred / (norm / math.sqrt(math.prod(stacks.shape[-3:]) - 1) + 4.0)


class Compact:
    """The trained network behind the engine's interface (``core.lipsync.LipSyncModel``)."""

    name = "compact"
    dimensions = DIMENSIONS
    mel: MelSettings = COMPACT_MEL
    frame_stack = FRAME_STACK
    frame_window = FRAME_WINDOW
    frame_lookahead = FRAME_LOOKAHEAD
    mel_window = MEL_WINDOW

    def __init__(self, network: CompactSyncNet, device: torch.device) -> None:
        """Takes ``network`` over: its batch norms are folded away."""
        _fold_batch_norms(network.eval())
        network.to(device)
        # Measured on a CPU: the picture encoder is a tenth faster so; the others have too few channels to gain.
        network.frames.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        is_packed = device.type == "cpu" and is_available()
        self._frames = _PackedFrames(network.frames) if is_packed else network.frames
        self._face_head, self._sound = _head_as_products(network.face_head), _sound_as_products(network.sound)
        self._upload = Upload(device)
        crops = torch.zeros(FRAME_STACK, CROP.side_pixels, CROP.side_pixels, dtype=torch.uint8, device=device)
        self._encode = recorded(self._features, crops)
        self._embed = recorded(self._face, torch.zeros(FRAME_WINDOW, WIDTH, device=device))
        self._hear = recorded(self._voice, torch.zeros(MEL_WINDOW, COMPACT_MEL.mels, device=device))

    def mel_start(self, tick: int) -> int:
        return COLUMNS_PER_TICK * tick + MEL_AHEAD - MEL_WINDOW

    def crop(self, image: Image, box: Box, keypoints: Keypoints) -> Crop:
        return mouth_crop(image, keypoints, CROP)

    @torch.inference_mode()
    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> torch.Tensor:
        return self._encode(self._upload(stacks))

    @torch.inference_mode()
    def embed_faces(self, windows: torch.Tensor) -> FaceEmbeddings:
        out = self._embed(windows).cpu()
        return FaceEmbeddings(out[:, :DIMENSIONS], out[:, DIMENSIONS])

    @torch.inference_mode()
    def embed_audio(self, mel: npt.NDArray[np.float32]) -> torch.Tensor:
        return self._hear(self._upload(mel)).cpu()

    def _features(self, stacks: torch.Tensor) -> torch.Tensor:
        pixels = standardised(stacks.to(torch.float32))
        features: torch.Tensor = self._frames(pixels.contiguous(memory_format=torch.channels_last))
        return features

    def _face(self, windows: torch.Tensor) -> torch.Tensor:
        """Unit vectors, and behind each the probability that the mouth speaks: [B, DIMENSIONS + 1]."""
        out = self._face_head(windows)[:, 0]
        return torch.cat([functional.normalize(out[:, :DIMENSIONS]), torch.sigmoid(out[:, DIMENSIONS:])], dim=1)

    def _voice(self, mel: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self._sound(mel)[:, 0])


WEIGHTS_FILE = Path(__file__).parent / "weights" / "compact.safetensors"
"""Trained by ``core.training``; what it was trained on and how well it does stand in its header and in its card."""


def load_compact(device: torch.device, path: Path = WEIGHTS_FILE) -> Compact:
    """The compact model on ``device``. Raises InputError when ``path`` does not hold it."""
    network, _ = load_network(path)
    return Compact(network, device)


def load_network(path: Path) -> tuple[CompactSyncNet, dict[str, str]]:
    """The network with the weights of ``path``, and their card. Raises InputError when ``path`` does not hold it."""
    weights, card = load_safetensors(path)
    network = CompactSyncNet()
    fill(network, {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}, path)
    return network, card


def _head_as_products(head: TemporalHead) -> ProductHead:
    return ProductHead(list(zip(head.norms, head.layers, strict=True)), head.last)


def _sound_as_products(sound: SoundEncoder) -> Callable[[torch.Tensor], torch.Tensor]:
    """The sound encoder, its batch norms folded, from log-mel [B, columns, mels] to [B, ticks, DIMENSIONS]."""
    steps = [ProductConvolution(layer) for layer in sound.layers.modules() if isinstance(layer, nn.Conv2d)]
    last = next(layer for layer in sound.layers if isinstance(layer, nn.Conv1d))
    # Its inputs are numbered by channel, then by frequency; here they come the other way round.
    by_channel = last.weight.detach().view(WIDTH, -1, SOUND_BANDS)
    weight, bias = by_channel.transpose(1, 2).flatten(1).T.contiguous(), last.bias
    assert bias is not None
    head = _head_as_products(sound.head)

    def encode(mel: torch.Tensor) -> torch.Tensor:
        x = mel.transpose(1, 2)[..., None]
        for step in steps:
            x = step(x)
        return head(x.transpose(1, 2).flatten(2) @ weight + bias.detach())

    return encode


class _PackedFrames:
    """The picture encoder with packed weights, its batch norms folded: the same features in less time."""

    def __init__(self, encoder: FrameEncoder) -> None:
        self._steps = [_packed(layer) for layer in encoder.layers if isinstance(layer, nn.Sequential | _Residual)]
        self._last = next(layer for layer in encoder.layers if isinstance(layer, nn.Linear))

    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        x = stacks
        for convolution, adding in self._steps:
            inner = convolution(x)
            x = inner if adding is None else adding(inner, x)
        return torch.as_tensor(self._last(x.flatten(1)))


def _packed(layer: nn.Module) -> tuple[PackedConvolution, PackedConvolution | None]:
    if isinstance(layer, _Residual):
        return PackedConvolution(layer.first), PackedConvolution(layer.second)
    assert isinstance(layer, nn.Sequential) and isinstance(layer[0], nn.Conv2d)
    return PackedConvolution(layer[0]), None


def _fold_batch_norms(network: nn.Module) -> None:
    for module in list(network.modules()):
        children = list(module.named_children())
        for (name, layer), (norm_name, norm) in pairwise(children):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(layer, norm))
                setattr(module, norm_name, nn.Identity())
