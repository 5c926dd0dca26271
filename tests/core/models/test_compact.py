from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from speakerlight.core.audio.logmel import COMPACT_MEL, log_mel
from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.models.checkpoint import load_safetensors
from speakerlight.core.models.compact import (
    COLUMNS_PER_TICK,
    CROP,
    DIMENSIONS,
    FRAME_LOOKAHEAD,
    FRAME_STACK,
    FRAME_WINDOW,
    MEL_WINDOW,
    WEIGHTS_FILE,
    WIDTH,
    Compact,
)
from speakerlight.core.models.compact_graphs import compiled
from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.compact_network import CompactSyncNet, model_of, standardised
from speakerlight.core.models.features import Features, joined
from speakerlight.core.models.lipsync import audio_lookahead_seconds
from speakerlight.core.models.openvino_graph import has_fast_int8
from speakerlight.core.training.evaluation import clip_mel
from speakerlight.core.training.export import export
from tests.benchmarks.scene import scene


def random_network(seed: int = 0) -> CompactSyncNet:
    """Random weights, and batch norms that have seen something."""
    torch.manual_seed(seed)
    network = CompactSyncNet()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.3
            module.running_var = torch.rand(module.num_features) + 0.5
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> CompactSyncNet:
    return random_network()


@pytest.fixture(scope="module")
def model(network: CompactSyncNet) -> Compact:
    return model_of(copy.deepcopy(network), "cpu", "f32")


def cosines(a: Features, b: Features) -> np.ndarray:
    one, other = np.asarray(a), np.asarray(b)
    return np.asarray((one * other).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)))


def stacks(count: int, seed: int = 0) -> np.ndarray:
    side = CROP.side_pixels
    return np.random.default_rng(seed).integers(0, 256, (count, FRAME_STACK, side, side), np.uint8)


def test_it_is_small(network: CompactSyncNet) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) < 2_500_000


def test_a_face_costs_one_small_frame_a_tick(network: CompactSyncNet) -> None:
    """Multiplications of the face encoder and the audio encoder: few enough for many faces on a laptop."""
    counted = 0

    def count(layer: torch.nn.Conv1d, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal counted
        counted += output.numel() * layer.weight[0].numel()

    weighty = torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Linear
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, weighty)]
    with torch.inference_mode():
        network.frames(torch.zeros(1, FRAME_STACK, 48, 48))
        network.embed_windows(torch.zeros(1, WIDTH, FRAME_WINDOW))
        faces, counted = counted, 0
        network.sound(torch.zeros(1, MEL_WINDOW, COMPACT_MEL.mels))
    for hook in hooks:
        hook.remove()
    assert faces < 20e6 and counted < 20e6


def test_shapes_are_those_of_the_interface(model: Compact) -> None:
    features = model.encode_frames(stacks(5))
    assert features.shape == (5, WIDTH)
    faces = model.embed_faces(np.tile(features, (2, 3, 1))[:, :FRAME_WINDOW])
    assert faces.vectors.shape == (2, DIMENSIONS) and faces.vectors.dtype == np.float32
    assert faces.visual_vad is not None and faces.visual_vad.shape == (2,)
    assert float(faces.visual_vad.min()) >= 0 and float(faces.visual_vad.max()) <= 1
    chunks = model.embed_audio(np.zeros((3, MEL_WINDOW, COMPACT_MEL.mels), np.float32))
    assert chunks.shape == (3, DIMENSIONS) and chunks.dtype == np.float32
    for vectors in (faces.vectors, chunks):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_crop_is_of_one_shape_whatever_the_face(model: Compact) -> None:
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    keypoints = np.array([(180, 120), (220, 120), (200, 140), (200, 160), (150, 130), (250, 130)], float)
    for scale in (0.1, 1.0, 5.0):
        crop = model.crop(image, Box(0, 0, 1, 1), keypoints * scale)
        assert crop.shape == (CROP.side_pixels, CROP.side_pixels) and crop.dtype == np.uint8


@torch.inference_mode()
def test_folding_the_batch_norms_changes_nothing(network: CompactSyncNet, model: Compact) -> None:
    frames = stacks(6)
    expected = network.frames(standardised(torch.from_numpy(frames).float()))
    np.testing.assert_allclose(model.encode_frames(frames), expected, atol=1e-5 * float(expected.abs().max()))
    mel = np.random.default_rng(1).uniform(-1, 1, (4, MEL_WINDOW, COMPACT_MEL.mels)).astype(np.float32)
    np.testing.assert_allclose(model.embed_audio(mel), network.sound(torch.from_numpy(mel))[..., 0], atol=1e-5)
    features = torch.randn(3, FRAME_WINDOW, WIDTH)
    vectors, logits = network.embed_windows(features.transpose(1, 2))
    embedded = model.embed_faces(features.numpy())
    np.testing.assert_allclose(embedded.vectors, vectors[..., 0], atol=1e-5)
    assert embedded.visual_vad is not None
    np.testing.assert_allclose(embedded.visual_vad, torch.sigmoid(logits[:, 0]), atol=1e-5)


def test_in_half_precision_it_gives_nearly_the_same(network: CompactSyncNet, model: Compact) -> None:
    half = model_of(copy.deepcopy(network), "cpu", "bf16")
    features = model.encode_frames(stacks(6))
    assert cosines(half.encode_frames(stacks(6)), features).min() > 0.999
    windows = np.repeat(features[:, None], FRAME_WINDOW, axis=1)
    one, other = half.embed_faces(windows), model.embed_faces(windows)
    assert cosines(one.vectors, other.vectors).min() > 0.999
    assert one.visual_vad is not None and other.visual_vad is not None
    assert np.abs(one.visual_vad - other.visual_vad).max() < 0.02
    mel = np.random.default_rng(1).uniform(-1, 1, (4, MEL_WINDOW, COMPACT_MEL.mels)).astype(np.float32)
    assert cosines(half.embed_audio(mel), model.embed_audio(mel)).min() > 0.999


@pytest.mark.skipif(not has_fast_int8(), reason="this processor has no VNNI: nothing is quantized")
def test_quantized_the_embedded_weights_give_nearly_the_same() -> None:
    weights, _ = load_safetensors(WEIGHTS_FILE)
    quantized, exact = Compact(compiled(weights)), Compact(compiled(weights, "f32"))
    shown, ticks = scene(8), FRAME_WINDOW + FRAME_STACK - 1
    crops = np.stack([shown.tracks(tick, exact).crops for tick in range(ticks)])
    frames = [crops[tick : tick + FRAME_STACK].swapaxes(0, 1) for tick in range(FRAME_WINDOW)]
    one, other = (
        model.embed_faces(np.stack([model.encode_frames(stacks) for stacks in frames], axis=1))
        for model in (quantized, exact)
    )
    assert 1e-5 < 1 - cosines(one.vectors, other.vectors).min() < 0.01
    assert one.visual_vad is not None and other.visual_vad is not None
    assert np.abs(one.visual_vad - other.visual_vad).max() < 0.05
    mel = np.random.default_rng(1).uniform(-1, 1, (4, MEL_WINDOW, COMPACT_MEL.mels)).astype(np.float32)
    assert cosines(quantized.embed_audio(mel), exact.embed_audio(mel)).min() > 0.999


def test_pytorch_on_any_device_gives_what_the_graphs_give(network: CompactSyncNet, model: Compact) -> None:
    other = model_of(copy.deepcopy(network), "cpu:0")  # a device for PyTorch, as a GPU is
    given, expected = other.encode_frames(stacks(6)), model.encode_frames(stacks(6))
    np.testing.assert_allclose(given, expected, atol=1e-5 * float(np.abs(expected).max()))
    windows = [
        joined([features[row : row + 1] for row in range(6) for _ in range(FRAME_WINDOW)]).reshape(6, FRAME_WINDOW, -1)
        for features in (given, expected)
    ]
    one, two = other.embed_faces(windows[0]), model.embed_faces(windows[1])
    np.testing.assert_allclose(one.vectors, two.vectors, atol=1e-5)
    assert one.visual_vad is not None and two.visual_vad is not None
    np.testing.assert_allclose(one.visual_vad, two.visual_vad, atol=1e-5)
    mel = np.random.default_rng(1).uniform(-1, 1, (4, MEL_WINDOW, COMPACT_MEL.mels)).astype(np.float32)
    np.testing.assert_allclose(other.embed_audio(mel), model.embed_audio(mel), atol=1e-5)


def test_who_else_is_in_the_batch_changes_nothing(model: Compact) -> None:
    frames = stacks(7)
    together = model.encode_frames(frames)
    alone = np.concatenate([model.encode_frames(frames[k : k + 1]) for k in range(7)])
    np.testing.assert_allclose(together, alone, atol=1e-5 * float(np.abs(alone).max()))


def test_each_stack_is_brought_to_its_own_mean_and_deviation() -> None:
    frames = torch.from_numpy(stacks(6)).float().reshape(2, 3, FRAME_STACK, 48, 48)
    deviation, mean = torch.std_mean(frames, dim=(-3, -2, -1), keepdim=True)
    torch.testing.assert_close(standardised(frames), (frames - mean) / (deviation + 4))


def test_exposure_and_contrast_do_not_matter(model: Compact) -> None:
    frames = stacks(4) // 3 + 40
    brighter = (frames.astype(int) * 2 + 17).clip(0, 255).astype(np.uint8)
    first, second = model.encode_frames(frames), model.encode_frames(brighter)
    assert cosines(first, second).min() > 0.99


def test_neither_frame_nor_audio_is_waited_for_longer_than_160_ms(model: Compact) -> None:
    assert model.frame_lookahead == FRAME_LOOKAHEAD <= 4
    assert audio_lookahead_seconds(model) <= 0.16


def test_windows_add_up_to_what_the_network_takes(network: CompactSyncNet) -> None:
    with torch.inference_mode():
        for ticks in (1, 2, 9):
            assert network.embed_windows(torch.zeros(1, WIDTH, FRAME_WINDOW + ticks - 1))[0].shape[2] == ticks
            columns = COLUMNS_PER_TICK * (ticks - 1) + MEL_WINDOW
            assert network.sound(torch.zeros(1, columns, COMPACT_MEL.mels)).shape[2] == ticks


def test_a_tick_uses_the_same_columns_as_in_training(model: Compact) -> None:
    samples = (np.random.default_rng(0).standard_normal(16_000 * 2) * 0.1).astype(np.float32)
    trained = clip_mel(torch.from_numpy(samples)[None], 40)[0].numpy()
    engine = log_mel(samples, COMPACT_MEL)
    for tick in range(39):
        start = model.mel_start(tick)
        silence = np.full((max(0, -start), COMPACT_MEL.mels), COMPACT_MEL.silence)
        expected = np.concatenate([silence, engine[max(0, start) : max(0, start + MEL_WINDOW)]])
        at = COLUMNS_PER_TICK * tick
        np.testing.assert_allclose(trained[at : at + MEL_WINDOW], expected, atol=1e-4)


def test_exported_weights_are_loaded_as_they_were(tmp_path: Path, network: CompactSyncNet) -> None:
    export(network, tmp_path / "model.safetensors", {"note": "random"})
    loaded, original = load_compact("cpu", tmp_path / "model.safetensors"), model_of(copy.deepcopy(network), "cpu")
    mel = np.random.default_rng(1).uniform(-1, 1, (8, MEL_WINDOW, COMPACT_MEL.mels)).astype(np.float32)
    assert cosines(loaded.embed_audio(mel), original.embed_audio(mel)).min() > 0.999


@pytest.mark.skipif(not WEIGHTS_FILE.exists(), reason="no weights are there yet")
def test_the_embedded_weights_are_there_and_tell_where_they_come_from() -> None:
    model = load_compact("cpu")
    chunks = model.embed_audio(np.zeros((1, MEL_WINDOW, COMPACT_MEL.mels), np.float32))
    assert np.isfinite(chunks).all()
    assert WEIGHTS_FILE.stat().st_size < 6_000_000


def spoiled(kind: str, folder: Path, network: CompactSyncNet) -> Path:
    path = folder / "model.safetensors"
    if kind == "missing":
        return path
    export(network, path, {})
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "something else":
        path.write_bytes(b"<html>404</html>" * 100)
    elif kind == "another model":
        save_file({"layer.weight": torch.zeros(3)}, path)
    elif kind == "another shape":
        save_file({name: torch.zeros(3) for name in network.state_dict()}, path)
    elif kind == "not numbers":
        weights = network.state_dict()
        weights["face_head.last.bias"] = torch.full_like(weights["face_head.last.bias"], torch.nan)
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    elif kind == "a folder":
        return folder
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "truncated",
        "empty",
        "something else",
        "another model",
        "another shape",
        "not numbers",
        "a folder",
    ],
)
def test_a_file_that_is_not_the_model_is_one_clear_line(tmp_path: Path, network: CompactSyncNet, kind: str) -> None:
    path = spoiled(kind, tmp_path, network)
    with pytest.raises(InputError) as refusal:
        load_compact("cpu", path)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)
