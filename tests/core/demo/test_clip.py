from __future__ import annotations

import numpy as np

from speakerlight.core.demo.clip import talking_clip


def test_a_clip_has_audio_for_each_of_its_frames() -> None:
    frames, audio = talking_clip(7, 1.3)
    assert len(frames) == 32 and frames[0].shape == (256, 256, 3) and frames[0].dtype == np.uint8
    assert audio.dtype == np.float32 and len(audio) == 32 * 640


def test_the_seed_decides_who_talks_and_what_is_said() -> None:
    (frames, audio), (again, same), (others, other) = (talking_clip(seed, 1.0) for seed in (7, 7, 8))
    assert np.array_equal(frames[12], again[12]) and np.array_equal(audio, same)
    assert not np.array_equal(frames[12], others[12]) and not np.array_equal(audio, other)
