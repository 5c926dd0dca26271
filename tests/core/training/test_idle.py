from __future__ import annotations

import numpy as np

from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.clips import TalkingFace
from speakerlight.core.training.idle import chewing, idle_crops, listening
from tests.core.training.people import person

TICKS = 30


def movement(crops: np.ndarray, rows: slice) -> float:
    return float(np.abs(np.diff(crops[:, rows, 24:72].astype(float), axis=0)).mean())


def test_all_kinds_of_idle_faces_are_drawn_at_full_length() -> None:
    face = person(0, ticks=50).face
    drawn = [idle_crops(face, TICKS, np.random.default_rng(seed)) for seed in range(40)]
    assert all(crops.shape == (TICKS, 96, 96) and crops.dtype == np.uint8 for crops in drawn)
    frozen = sum(movement(crops, slice(None)) == 0 for crops in drawn)
    assert 2 < frozen < 16
    assert idle_crops(person(0, ticks=8).face, TICKS, np.random.default_rng(1)).shape == (TICKS, 96, 96)


def test_a_listener_is_a_quiet_part_of_the_clip_whose_pictures_are_never_the_same_again() -> None:
    speech = np.random.default_rng(0).normal(0, 0.1, 120 * SAMPLES_PER_TICK).astype(np.float32)
    speech[60 * SAMPLES_PER_TICK : 95 * SAMPLES_PER_TICK] *= 0.1
    down, across = np.mgrid[:96, :96]
    picture = 65 + 30 * np.sin(down / 5) + 30 * np.sin(across / 7)
    face = TalkingFace("brighter by the tick", (picture + np.arange(120)[:, None, None]).astype(np.uint8), speech)
    for seed in range(10):
        crops = listening(face, 90, np.random.default_rng(seed)).astype(float)
        shown = crops.mean(axis=(1, 2)) - face.crops[0].mean()  # the tick of each picture
        assert shown.min() > 57 and shown.max() < 97, "where the clip is quiet"
        assert 6 < np.ptp(shown) < 35
        same = [np.array_equal(crops[i], crops[j]) for i in range(90) for j in range(i)]
        assert not any(same), "a mirrored picture would be a sign of listening"


def test_a_chewing_jaw_moves_and_the_nose_does_not() -> None:
    held = np.repeat(person(3).face.crops[:1], TICKS, 0)
    chewed = chewing(held, np.random.default_rng(0))
    np.testing.assert_array_equal(chewed[:, :46], held[:, :46])
    assert movement(chewed, slice(60, None)) > 1


def test_chewing_is_slower_than_speech_and_steady() -> None:
    ramp = np.repeat(np.arange(96, dtype=np.uint8)[:, None] * 2, 96, 1)
    for seed in range(5):
        chewed = chewing(np.repeat(ramp[None], 100, 0), np.random.default_rng(seed))
        chin = chewed[:, 80, 48].astype(float)
        strength = np.abs(np.fft.rfft(chin - chin.mean()))
        a_second = np.fft.rfftfreq(100, 1 / 25)[strength.argmax()]
        assert 0.7 <= a_second <= 2.4
