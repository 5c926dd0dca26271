from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.people.face_encoder import DIMENSIONS, SIDE, FaceEncoder, face_crop, face_side, read_weights
from speakerlight.model_files import FACE_ENCODER, FACE_ENCODER_MANIFEST
from tests.core.faces.blazeface import blazeface
from tests.core.faces.test_tracking import face_at
from tests.core.people.encoders import face_encoder, model_file


def network(crops: torch.Tensor) -> torch.Tensor:
    """dlib's ResNet, layer by layer, as face-api runs it."""
    arrays = read_weights(model_file(FACE_ENCODER_MANIFEST), model_file(FACE_ENCODER))
    weights = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def layer(x: torch.Tensor, name: str, stride: int = 1, margin: int = 1) -> torch.Tensor:
        kernel = weights[f"{name}/conv/filters"].permute(3, 2, 0, 1)
        x = functional.conv2d(x, kernel, weights[f"{name}/conv/bias"], stride, margin)
        return x * weights[f"{name}/scale/weights"][:, None, None] + weights[f"{name}/scale/biases"][:, None, None]

    x = (crops.permute(0, 3, 1, 2) - torch.tensor([122.782, 117.001, 104.298])[:, None, None]) / 255
    x = functional.max_pool2d(layer(x, "conv32_down", 2, 0).relu(), 3, 2)
    for name in dict.fromkeys(name.split("/")[0] for name in weights if "/conv2/" in name):
        if "down" not in name:
            x = (x + layer(layer(x, f"{name}/conv1").relu(), f"{name}/conv2")).relu()
            continue
        inner = layer(layer(x, f"{name}/conv1", 2, 0).relu(), f"{name}/conv2")
        pooled = functional.avg_pool2d(x, 2)
        rows, channels = pooled.shape[2] - inner.shape[2], inner.shape[1] - pooled.shape[1]
        inner = functional.pad(inner, (0, rows, 0, rows))
        x = (inner + functional.pad(pooled, (0, 0, 0, 0, 0, channels))).relu()
    return x.mean(dim=(2, 3)) @ weights["fc"]


def test_the_graph_is_the_network() -> None:
    crops = np.random.default_rng(0).integers(0, 255, (2, SIDE, SIDE, 3), np.uint8)
    looks = face_encoder("f32")(crops)
    assert looks.shape == (2, DIMENSIONS)
    np.testing.assert_allclose(looks, network(torch.from_numpy(crops).float()).numpy(), atol=2e-3)
    assert np.linalg.norm(face_encoder()(crops) - looks, axis=1).max() < 0.05, "the fastest precision"


def test_one_drawn_person_is_nearer_than_another() -> None:
    detector = FaceDetector(blazeface())
    demo, encoder = Demo(DemoSettings(people=4, seed=0)), face_encoder()
    looks = []
    for tick in (0, 40):
        image, crops = demo.frame(tick), []
        for tile in demo.tiles:
            part = image[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            crops.append(face_crop(part, detector.detect(part)[0].keypoints))
        looks.append(encoder(np.stack(crops)))
    detector.close()
    distances = np.linalg.norm(looks[0][:, None] - looks[1], axis=-1)
    assert (distances.argmin(axis=1) == np.arange(4)).all()


@pytest.mark.parametrize("side", [40.0, 150.0, 700.0])
def test_the_crop_is_a_square_around_eyes_and_mouth(side: float) -> None:
    image = np.zeros((1200, 1600, 3), np.uint8)
    keypoints = face_at(800, 600, side).keypoints
    keypoints = np.asarray(keypoints)
    for point, colour in zip(keypoints[[0, 1, 3]], ((255, 0, 0), (0, 255, 0), (0, 0, 255)), strict=True):
        (x, y), radius = point.astype(int), max(2, int(side / 12))
        image[y - radius : y + radius, x - radius : x + radius] = colour
    crop = face_crop(image, keypoints)
    assert crop.shape == (SIDE, SIDE, 3) and crop.dtype == np.uint8
    # RGB: the blue eye is the third channel. Eyes and mouth are 0.45 of the side apart.
    places = [np.argwhere(crop[..., channel] > 128).mean(axis=0) for channel in (2, 1, 0)]
    assert np.mean(places, axis=0) == pytest.approx((0.43 * SIDE, SIDE / 2), abs=3)
    apart = (np.linalg.norm(places[0] - places[2]) + np.linalg.norm(places[1] - places[2])) / 2
    assert apart == pytest.approx(0.45 * SIDE, abs=3) and face_side(keypoints) > 0


def test_faces_beyond_the_frame_are_survived() -> None:
    for place in ((-500.0, -500.0), (0.0, 0.0), (5000.0, 90.0)):
        for side in (0.0, 90.0, 4000.0):
            assert face_crop(np.zeros((90, 160, 3), np.uint8), face_at(*place, side).keypoints).shape == (SIDE, SIDE, 3)


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    manifest, weights = tmp_path / "manifest.json", tmp_path / "weights.bin"
    tensor = {"name": "fc", "shape": [2, 2], "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}}
    manifest.write_text(json.dumps([{"weights": [tensor]}]))
    weights.write_bytes(bytes([0, 1, 2, 3]))
    assert read_weights(manifest, weights)["fc"].tolist() == [[-1.0, -0.5], [0.0, 0.5]]
    for content in (b"", b"12345", bytes(4)):
        weights.write_bytes(content)
        with pytest.raises(InputError, match="delete it and run again"):
            FaceEncoder(manifest, weights)
