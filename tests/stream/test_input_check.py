"""The check of the inputs: notes about a silent microphone and a black camera, and none about a quiet room."""

from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.media import AudioChunk, Frame
from speakerlight.input_check import BLACK_SECONDS, SILENT_SECONDS, InputCheck


def fed(seconds: float, loudness: float, brightness: int, check: InputCheck, start: float = 0.0) -> tuple[str, ...]:
    """The notices after so many seconds of noise and of a grey image."""
    noise = np.random.default_rng(0)
    for k in range(round(25 * seconds)):
        check.audio(AudioChunk(start + k / 25, noise.normal(0, loudness, 640).astype(np.float32)))
        check.frame(Frame(start + k / 25, np.full((90, 160, 3), brightness, np.uint8)))
    return check.notices()


@pytest.mark.parametrize(
    ("loudness", "brightness", "notices"),
    [
        (0.0, 3, ("microphone is silent", "camera is black")),
        (1e-5, 100, ("microphone is silent",)),
        (0.0005, 16, ("camera is black",)),
        (0.0005, 40, ()),
    ],
)
def test_what_gives_nothing_for_seconds_is_noted(loudness: float, brightness: int, notices: tuple[str, ...]) -> None:
    check = InputCheck()
    assert fed(min(SILENT_SECONDS, BLACK_SECONDS) - 0.1, loudness, brightness, check) == ()
    assert fed(SILENT_SECONDS, loudness, brightness, check, start=SILENT_SECONDS) == notices
    assert fed(0.2, 0.1, 100, check, start=20.0) == ()


def test_a_run_without_audio_has_no_silent_microphone() -> None:
    check = InputCheck()
    for k in range(500):
        check.frame(Frame(k / 25, np.full((90, 160, 3), 90, np.uint8)))
    assert check.notices() == ()
