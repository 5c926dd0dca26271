from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from speakerlight.core.demo import talking_clip
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.media import Frame
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.clips import cached_face, face_in
from tests.core.faces.blazeface import blazeface


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    detector = FaceDetector(blazeface())
    yield detector
    detector.close()


def test_a_talking_face_has_the_audio_of_the_same_span(detector: FaceDetector) -> None:
    images, samples = talking_clip(1, 2.0)
    frames = [Frame(1.0 + k / 25, image) for k, image in enumerate(images)]
    before = np.zeros(16_000, np.float32)
    face = face_in("someone", frames, np.concatenate([before, samples]), detector)
    assert face is not None and face.name == "someone"
    assert face.crops.shape[1:] == (96, 96) and face.crops.dtype == np.uint8
    # A track is shown once several detections confirm it.
    unconfirmed = 50 - len(face.crops)
    assert 0 <= unconfirmed <= 3
    np.testing.assert_array_equal(face.samples, samples[unconfirmed * SAMPLES_PER_TICK :])


@pytest.mark.parametrize("seconds", [0.4, 0.0])
def test_a_face_in_view_too_briefly_is_no_example(detector: FaceDetector, seconds: float) -> None:
    images, samples = talking_clip(1, 0.4)
    frames = [Frame(k / 25, image) for k, image in enumerate(images[: round(seconds * 25)])]
    assert face_in("someone", frames, samples, detector) is None


def test_a_broken_clip_is_no_example_and_is_read_once(
    detector: FaceDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"no video" * 100)
    assert cached_face(clip, detector, tmp_path) is None
    monkeypatch.setattr("speakerlight.core.training.clips.read_frames", lambda path: pytest.fail("read again"))
    assert cached_face(clip, detector, tmp_path) is None
