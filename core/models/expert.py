"""Wav2Lip's lip-sync expert (SyncNet_color) as it was trained: network, crop and windows.

Prajwal et al., "A Lip Sync Expert Is All You Need" (2020). The checkpoint is the user's own: its terms are research and
personal use, so it is never part of this project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from speakerlight.core.audio.logmel import EXPERT_MEL, MelSettings
from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import Keypoints
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from speakerlight.core.models.checkpoint import fill, load_pickled
from speakerlight.core.models.cuda_graph import Function, Upload, recorded
from speakerlight.core.models.features import Features
from speakerlight.core.models.int8 import Convolution, EightBit, is_fast
from speakerlight.core.models.lipsync import Crop, FaceEmbeddings
from speakerlight.core.timebase import TICK_RATE

FRAMES = 5
MEL_COLUMNS = 16
DIMENSIONS = 512
FACE_SIDE = 96
MOUTH_ROWS = slice(FACE_SIDE // 2, FACE_SIDE)
CROP_SHAPE = (FACE_SIDE // 2, FACE_SIDE, 3)

_WIDER, _TALLER, _HIGHER = 1.06, 1.27, 0.11
"""S3FD's box relative to BlazeFace's: width, height (1.35 of the area, 1.2 times as tall as wide), upward shift.

S3FD boxes a face from the hair above the brows to the chin (training faces of 110 × 92 pixels); BlazeFace's box already
ends at the chin and the cheeks.
"""

_MEL_COLUMNS_PER_SECOND = 80

ALIKE = 0.99
"""Least cosine between 8-bit and float32 embeddings: that of bfloat16."""

CALIBRATION_FILE = Path(__file__).parent / "weights" / "expert_calibration.png"
"""Crops of drawn faces that choose the scales of int8: one row a person, FRAMES crops side by side.

Made by ``python -m speakerlight.core.demo.calibration``.
"""

CALIBRATION_PEOPLE = 12
"""The first half give the scales, the second half test them."""


class _Block(nn.Module):
    """Convolution, batch norm, the input again where residual, ReLU. Names are the checkpoint's."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int | tuple[int, int],
        padding: int,
        residual: bool = False,
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        self.conv_block = nn.Sequential(convolution, nn.BatchNorm2d(outputs))
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv_block(x)
        return functional.relu(out + x if self.residual else out)


def _residual(channels: int, count: int) -> Iterable[_Block]:
    return (_Block(channels, channels, 3, 1, 1, residual=True) for _ in range(count))


class SyncNetColor(nn.Module):
    """The network in its trained form: faces [B, 15, 48, 96] in [0, 1] and mel [B, 1, 80, 16] to 512 numbers each."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder = nn.Sequential(
            _Block(3 * FRAMES, 32, 7, 1, 3),
            _Block(32, 64, 5, (1, 2), 1),
            *_residual(64, 2),
            _Block(64, 128, 3, 2, 1),
            *_residual(128, 3),
            _Block(128, 256, 3, 2, 1),
            *_residual(256, 2),
            _Block(256, 512, 3, 2, 1),
            *_residual(512, 2),
            _Block(512, 512, 3, 2, 1),
            _Block(512, 512, 3, 1, 0),
            _Block(512, 512, 1, 1, 0),
        )
        self.audio_encoder = nn.Sequential(
            _Block(1, 32, 3, 1, 1),
            *_residual(32, 2),
            _Block(32, 64, 3, (3, 1), 1),
            *_residual(64, 2),
            _Block(64, 128, 3, 3, 1),
            *_residual(128, 2),
            _Block(128, 256, 3, (3, 2), 1),
            *_residual(256, 2),
            _Block(256, 512, 3, 1, 0),
            _Block(512, 512, 1, 1, 0),
        )


Divide = Callable[[Function], Function]
"""Makes a function compute the parts of a batch in parallel, with the same result."""


def whole(function: Function) -> Function:
    """``function`` unchanged."""
    return function


class Expert:
    """The expert behind the engine's interface (``speakerlight.core.models.lipsync.LipSyncModel``).

    Tick ``k`` is embedded from frames k−2 to k+2 and the 16 mel columns from where frame k−2 begins. A frame's feature
    is its crop. Modifies ``network``: its batch norms are folded. ``dtype``: the number format; int8 is for faces only,
    with the faster of bfloat16 and float32 for audio, and for all when ``network`` loses too much accuracy in int8.
    ``divide`` may compute the parts of a batch of faces in several threads.
    """

    name = "expert"
    dimensions = DIMENSIONS
    mel: MelSettings = EXPERT_MEL
    frame_stack = 1
    frame_window = FRAMES
    frame_lookahead = FRAMES // 2
    mel_window = MEL_COLUMNS

    def __init__(
        self,
        network: SyncNetColor,
        device: torch.device,
        dtype: torch.dtype,
        divide: Divide = whole,
    ) -> None:
        # Channels-last convolutions are faster on CPU and CUDA; Apple's backend gains nothing from them.
        layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self._layout = layout
        _fold_batch_norms(network.eval())
        _take_whole_numbers(network.face_encoder)
        self._face_encoder: Callable[[torch.Tensor], torch.Tensor] = network.face_encoder
        self._face_dtype = dtype
        if dtype == torch.int8:
            eight_bit = _eight_bit(network.face_encoder)
            dtype = fast_float_dtype()
            self._face_encoder = eight_bit or network.face_encoder
            self._face_dtype = torch.uint8 if eight_bit else dtype
        self._dtype = dtype
        network.to(device=device, dtype=dtype, memory_format=layout)  # type: ignore[call-overload]
        self._audio_encoder = network.audio_encoder
        self._upload = Upload(device)
        window = torch.zeros(FRAMES, *CROP_SHAPE, dtype=torch.uint8, device=device)
        self._embed = divide(recorded(self._face, window))
        self._embed_audio = recorded(self._voice, torch.zeros(MEL_COLUMNS, EXPERT_MEL.mels, device=device))

    def mel_start(self, tick: int) -> int:
        return _MEL_COLUMNS_PER_SECOND * (tick - self.frame_lookahead) // TICK_RATE

    def crop(self, image: Image, box: Box, keypoints: Keypoints) -> Crop:
        return expert_crop(image, box)

    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> torch.Tensor:
        return self._upload(stacks[:, 0])

    def embed_faces(self, windows: Features) -> FaceEmbeddings:
        return FaceEmbeddings(self._embed(torch.as_tensor(windows)).cpu().numpy(), None)

    def embed_audio(self, mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(self._embed_audio(self._upload(mel)).cpu().numpy())

    @torch.inference_mode()
    def _face(self, windows: torch.Tensor) -> torch.Tensor:
        pixels = _as_channels(windows).to(self._face_dtype)
        return _direction(self._face_encoder(pixels.contiguous(memory_format=self._layout)))

    @torch.inference_mode()
    def _voice(self, mel: torch.Tensor) -> torch.Tensor:
        columns = mel.transpose(1, 2)[:, None].to(self._dtype)
        return _direction(self._audio_encoder(columns.contiguous(memory_format=self._layout)))


def _direction(out: torch.Tensor) -> torch.Tensor:
    """[B, DIMENSIONS, 1, 1] as unit vectors [B, DIMENSIONS] in float32."""
    return functional.normalize(out.float().flatten(1))


def load_expert(path: Path, device: torch.device, divide: Divide = whole) -> Expert:
    """The expert from Wav2Lip's checkpoint, in the fastest number format that ``device`` computes well.

    ``divide`` is Expert's. Raises InputError when ``path`` is not such a checkpoint.
    """
    network = SyncNetColor()
    fill(network, load_pickled(path), path)
    return Expert(network, device, fast_dtype(device), divide)


def fast_dtype(device: torch.device) -> torch.dtype:
    """The fastest of bfloat16, int8 and float32 on ``device``.

    Of processors, those with bfloat16 matrix units (AMX) take bfloat16, others that multiply bytes int8 (measured: the
    face encoder in a quarter of float32's time, on AMD's half of bfloat16's).
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    if device.type != "cpu":
        return torch.float32
    has_matrix_units = bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return torch.int8 if is_fast() and not has_matrix_units else fast_float_dtype()


def fast_float_dtype() -> torch.dtype:
    """The faster of bfloat16 and float32 on this processor.

    AMD's with AVX-512 bf16 gain by it as those with matrix units do. Intel's with AVX-512 bf16 alone run it at full
    precision's speed or less (measured: the face encoder takes 1.6 times as long).
    """
    found = torch.cpu.get_capabilities()
    is_intel = "Intel" in str(found.get("cpu_name", ""))
    gains = found.get("amx_bf16") or (found.get("avx512_bf16") and not is_intel)
    return torch.bfloat16 if gains else torch.float32


@torch.inference_mode()
def _eight_bit(encoder: nn.Sequential) -> EightBit | None:
    """``encoder`` in eight bits, or None when its embeddings differ too much from float32's."""
    windows = _calibration_windows()
    samples, others = windows[: CALIBRATION_PEOPLE // 2], windows[CALIBRATION_PEOPLE // 2 :]
    blocks = [block for block in encoder if isinstance(block, _Block)]
    rounded = EightBit((Convolution(_convolution(block), block.residual) for block in blocks), samples)
    alike = functional.cosine_similarity(rounded(others).flatten(1), encoder(others.float()).flatten(1))
    return rounded if float(alike.min()) >= ALIKE else None


def _convolution(block: _Block) -> nn.Conv2d:
    (folded,) = block.conv_block
    assert isinstance(folded, nn.Conv2d)
    return folded


def _calibration_windows() -> torch.Tensor:
    """The crops of ``CALIBRATION_FILE``: uint8 [CALIBRATION_PEOPLE, 15, 48, 96]. Raises InputError without the file."""
    sheet = cv2.imread(str(CALIBRATION_FILE)) if CALIBRATION_FILE.is_file() else None
    rows, columns, colours = CROP_SHAPE
    if sheet is None or sheet.shape != (CALIBRATION_PEOPLE * rows, FRAMES * columns, colours):
        raise InputError(f"{CALIBRATION_FILE} is missing or damaged: install again")
    crops = sheet.reshape(CALIBRATION_PEOPLE, rows, FRAMES, columns, colours).swapaxes(1, 2)
    return _as_channels(torch.from_numpy(np.ascontiguousarray(crops, np.uint8)))


def _as_channels(windows: torch.Tensor) -> torch.Tensor:
    """[N, FRAMES, 48, 96, 3] as the network takes it: [N, 15, 48, 96], channel = t · 3 + c."""
    return windows.permute(0, 1, 4, 2, 3).flatten(1, 2)


def expert_crop(image: Image, box: Box) -> Crop:
    """The lower half of a face as the expert sees it: uint8, 48 × 96 × 3, BGR.

    ``box`` is BlazeFace's, in pixels of ``image``; S3FD's is derived from it, cut out (edge pixels repeated outside the
    frame) and squashed to 96 × 96.
    """
    centre_x, centre_y = box.centre[0], box.centre[1] - _HIGHER * box.height
    width, height = max(2, round(_WIDER * box.width)), max(2, round(_TALLER * box.height))
    left, top = round(centre_x - width / 2), round(centre_y - height / 2)
    face = _cut(image, left, top, width, height)
    # The training faces were soft: averaging keeps a large face from being sharper and noisier than those.
    shrinks = width >= FACE_SIDE and height >= FACE_SIDE
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(face, (FACE_SIDE, FACE_SIDE), interpolation=method)[MOUTH_ROWS], np.uint8)


def _cut(image: Image, left: int, top: int, width: int, height: int) -> Image:
    rows, columns = image.shape[:2]
    if left >= 0 and top >= 0 and left + width <= columns and top + height <= rows:
        return image[top : top + height, left : left + width]
    y = np.clip(np.arange(top, top + height), 0, rows - 1)
    x = np.clip(np.arange(left, left + width), 0, columns - 1)
    return image[y[:, None], x]


def _fold_batch_norms(network: SyncNetColor) -> None:
    for block in network.modules():
        if isinstance(block, _Block):
            convolution, norm = block.conv_block
            assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            block.conv_block = nn.Sequential(fuse_conv_bn_eval(convolution, norm))


def _take_whole_numbers(encoder: nn.Module) -> None:
    """Scale the first layer to take 0…255 for 0…1: integers up to 255 are exact in bfloat16, their 255ths are not."""
    with torch.no_grad():
        encoder.get_parameter("0.conv_block.0.weight").div_(255)
