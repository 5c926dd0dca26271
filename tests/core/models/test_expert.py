from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from speakerlight.core.audio.logmel import EXPERT_MEL
from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.models import expert
from speakerlight.core.models.expert import (
    FACE_SIDE,
    Expert,
    SyncNetColor,
    expert_crop,
    fast_dtype,
    fast_float_dtype,
    load_expert,
)
from speakerlight.core.models.int8 import is_fast
from speakerlight.core.models.lipsync import LipSyncModel, audio_lookahead_seconds, choose_device

CPU = torch.device("cpu")


def seeded() -> SyncNetColor:
    """Kaiming's weights under batch norms that do nothing: rounding them turns no embedding."""
    torch.manual_seed(0)
    network = SyncNetColor()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return network.eval()


def trained() -> SyncNetColor:
    """A network in the real one's form, random, but with batch norms settled on data: it separates inputs."""
    network = seeded().train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
            torch.nn.init.uniform_(layer.weight, 0.7, 1.3)
            torch.nn.init.uniform_(layer.bias, -0.2, 0.2)
    with torch.inference_mode():
        network.face_encoder(torch.rand(4, 15, 48, 96))
        network.audio_encoder(torch.empty(4, 1, 80, 16).uniform_(-4, 4))
    return network.eval()


@pytest.fixture(scope="module")
def plain() -> SyncNetColor:
    return trained()


@pytest.fixture(scope="module")
def exact(plain: SyncNetColor) -> Expert:
    return Expert(copy.deepcopy(plain), CPU, torch.float32)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Three faces' five crops each, [3, 5, 48, 96, 3]: every frame and colour different."""
    return np.random.default_rng(0).integers(0, 256, (3, 5, 48, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def mel() -> np.ndarray:
    return np.random.default_rng(1).uniform(-4, 4, (3, 16, 80)).astype(np.float32)


def faces_by_the_book(network: SyncNetColor, frames: np.ndarray) -> torch.Tensor:
    """Wav2Lip's own steps, one face at a time: scaled to 1, frames joined channel-wise, encoded, normalised."""
    vectors = []
    for face in frames:
        x = np.concatenate(face / 255.0, axis=2)  # 48 × 96 × 15: t · 3 + c
        with torch.inference_mode():
            out = network.face_encoder(torch.tensor(x.transpose(2, 0, 1)[None], dtype=torch.float32))
        vectors.append(functional.normalize(out.view(1, -1)))
    return torch.cat(vectors)


def embedded(model: LipSyncModel, frames: np.ndarray) -> torch.Tensor:
    features = [torch.as_tensor(model.encode_frames(frames[:, t : t + 1])) for t in range(5)]
    return torch.from_numpy(model.embed_faces(torch.stack(features, dim=1)).vectors)


def received(model: Expert, mel: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(model.embed_audio(mel))


def test_the_network_is_the_published_one(plain: SyncNetColor) -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert (count(plain.face_encoder), count(plain.audio_encoder)) == (13_031_808, 3_403_264)
    names = plain.state_dict()
    assert {
        "face_encoder.0.conv_block.0.weight",
        "face_encoder.0.conv_block.1.running_mean",
        "face_encoder.16.conv_block.1.num_batches_tracked",
        "audio_encoder.13.conv_block.0.bias",
    } <= set(names)
    assert len(names) == 7 * (17 + 14)
    assert names["face_encoder.0.conv_block.0.weight"].shape == (32, 15, 7, 7)
    with torch.inference_mode():
        assert plain.face_encoder(torch.zeros(1, 15, 48, 96)).shape == (1, 512, 1, 1)
        assert plain.audio_encoder(torch.zeros(1, 1, 80, 16)).shape == (1, 512, 1, 1)


def test_faces_in_one_batch_are_embedded_by_the_book(plain: SyncNetColor, exact: Expert, frames: np.ndarray) -> None:
    assert torch.allclose(embedded(exact, frames), faces_by_the_book(plain, frames), atol=1e-5)


def test_channels_are_time_major(plain: SyncNetColor, exact: Expert, frames: np.ndarray) -> None:
    """c · 5 + t, as the offline script feeds them, is something else to the network."""
    colour_major = frames[0].transpose(1, 2, 3, 0).reshape(48, 96, 15).transpose(2, 0, 1) / 255.0
    with torch.inference_mode():
        out = plain.face_encoder(torch.tensor(colour_major[None], dtype=torch.float32)).view(1, -1)
    assert (embedded(exact, frames[:1]) * functional.normalize(out)).sum() < 0.95


def test_order_of_frames_and_colours_matters(exact: Expert, frames: np.ndarray) -> None:
    right = embedded(exact, frames)
    for other in (frames[:, ::-1], frames[..., ::-1]):
        assert (embedded(exact, other.copy()) * right).sum(1).max() < 0.95


def test_audio_is_embedded_by_the_book(plain: SyncNetColor, exact: Expert, mel: np.ndarray) -> None:
    with torch.inference_mode():
        expected = [plain.audio_encoder(torch.tensor(columns.T[None, None])).view(1, -1) for columns in mel]
    assert torch.allclose(received(exact, mel), functional.normalize(torch.cat(expected)), atol=1e-5)


def test_cosines_lie_between_0_and_1(exact: Expert, frames: np.ndarray, mel: np.ndarray) -> None:
    faces, chunks = embedded(exact, frames), received(exact, mel)
    assert faces.dtype == chunks.dtype == torch.float32
    assert torch.allclose(faces.norm(dim=1), torch.ones(3)) and torch.allclose(chunks.norm(dim=1), torch.ones(3))
    cosines = faces @ chunks.T
    assert cosines.min() >= 0 and cosines.max() <= 1 + 1e-6


def test_half_the_bits_give_the_same_directions(
    plain: SyncNetColor, exact: Expert, frames: np.ndarray, mel: np.ndarray
) -> None:
    fast = Expert(copy.deepcopy(plain), CPU, torch.bfloat16)
    faces = embedded(fast, frames)
    assert (faces * faces_by_the_book(plain, frames)).sum(1).min() > 0.99
    assert faces @ received(fast, mel).T == pytest.approx(
        (embedded(exact, frames) @ received(exact, mel).T).numpy(), abs=1e-2
    )


@pytest.mark.skipif(not is_fast(), reason="this processor does not multiply bytes")
def test_a_network_that_bears_it_looks_at_faces_in_eight_bits(frames: np.ndarray, mel: np.ndarray) -> None:
    dtypes = (torch.float32, torch.int8, fast_float_dtype())
    exact, fast, fractions = (Expert(seeded(), CPU, dtype) for dtype in dtypes)
    faces = embedded(fast, frames)
    assert not torch.equal(faces, embedded(exact, frames))
    assert (faces * embedded(exact, frames)).sum(1).min() > 0.999
    assert torch.equal(received(fast, mel), received(fractions, mel))
    alone = torch.cat([embedded(fast, frames[row : row + 1]) for row in range(len(frames))])
    assert torch.equal(alone, faces)


@pytest.mark.skipif(not is_fast(), reason="this processor does not multiply bytes")
def test_a_network_that_does_not_bear_it_keeps_its_fractions(plain: SyncNetColor, frames: np.ndarray) -> None:
    kept, fractions = (Expert(copy.deepcopy(plain), CPU, dtype) for dtype in (torch.int8, fast_float_dtype()))
    assert torch.equal(embedded(kept, frames), embedded(fractions, frames))


def test_the_checkpoint_in_its_real_form_is_loaded(
    tmp_path: Path, plain: SyncNetColor, frames: np.ndarray, mel: np.ndarray
) -> None:
    path = tmp_path / "lipsync_expert.pth"
    optimizer = torch.optim.Adam(plain.parameters()).state_dict()
    state = {"state_dict": plain.state_dict(), "optimizer": optimizer, "global_step": 7, "global_epoch": 1}
    torch.save(state, path)
    model = load_expert(path, CPU)
    assert (embedded(model, frames) * faces_by_the_book(plain, frames)).sum(1).min() > 0.99
    assert model.embed_audio(mel).shape == (3, 512)


def test_another_models_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"state_dict": torch.nn.Linear(2, 2).state_dict()}, path)
    with pytest.raises(
        InputError, match=r"other\.pth is not a checkpoint of this model: it has no face_encoder\.0"
    ) as e:
        load_expert(path, CPU)
    assert "\n" not in str(e.value)


def test_windows_lie_where_training_put_them(exact: Expert) -> None:
    for tick in (2, 3, 7, 100):
        assert exact.mel_start(tick) == int(80.0 * ((tick - 2) / 25.0))
    assert exact.mel_start(0) == -7  # before the audio began: silence
    assert (exact.frame_stack, exact.frame_window, exact.frame_lookahead, exact.mel_window) == (1, 5, 2, 16)
    assert exact.mel is EXPERT_MEL and exact.mel.silence == -4
    # A window that starts at T needs audio up to T + 212.5 ms; T is 80 ms before the tick.
    assert audio_lookahead_seconds(exact) == pytest.approx(0.1325)


def test_the_crop_is_the_lower_half_of_a_box_from_hairline_to_chin() -> None:
    """Rows of the frame hold their own number, so the crop's values say where it was taken."""
    image = np.repeat(np.arange(240, dtype=np.uint8)[:, None, None], 320, axis=1).repeat(3, axis=2)
    box = Box(100, 80, 100, 100)  # chin at 180
    crop = expert_crop(image, box)
    assert crop.shape == (48, 96, 3) and crop.dtype == np.uint8
    top, bottom = 130 - 11 - 63.5, 130 - 11 + 63.5
    assert crop[0, 0, 0] == pytest.approx((top + bottom) / 2, abs=2)
    assert crop[-1, 0, 0] == pytest.approx(bottom, abs=2)


def test_the_crop_is_squashed_and_stays_bgr() -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    crop = expert_crop(image, Box(200, 150, 200, 200))
    part = image[150 + 78 - 127 : 150 + 78 + 127, 300 - 106 : 300 + 106]  # 254 × 212, centre 22 above the box's
    expected = cv2.resize(part, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA)[48:]
    assert np.array_equal(crop, expected)


@pytest.mark.parametrize("corner", [(-60, -60), (590, -60), (-60, 430), (590, 430), (5000, 5000)])
def test_a_face_that_leaves_the_frame_keeps_its_edge_pixels(corner: tuple[float, float]) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[:] = (10, 120, 240)
    crop = expert_crop(image, Box(*corner, 120, 120))
    assert crop.shape == (48, 96, 3) and np.all(crop == (10, 120, 240))


@pytest.mark.parametrize("side", [0.0, 0.4, 5.0, 96.0, 700.0])
def test_any_size_of_face_gives_one_size_of_crop(side: float) -> None:
    assert expert_crop(np.zeros((480, 640, 3), np.uint8), Box(300.5, 200.5, side, side)).shape == (48, 96, 3)


def test_a_missing_calibration_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expert, "CALIBRATION_FILE", tmp_path / "none.png")
    with pytest.raises(InputError, match=r"none\.png is missing or damaged"):
        expert._calibration_windows()


def test_devices() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in {"cpu", "cuda", "mps"}
    assert fast_dtype(CPU) in {torch.bfloat16, torch.int8, torch.float32}
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"device cuda is not available here: use one of auto, .*cpu"):
            choose_device("cuda")
