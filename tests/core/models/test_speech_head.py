"""The speech head's weights, as shipped and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from speakerlight.core.errors import InputError
from speakerlight.core.models.compact import Compact
from speakerlight.core.models.speech_head import MEAN_TICKS, head_inputs, load_speech_head, speech_head_for

DIMENSIONS = Compact.dimensions


def test_compact_has_one_and_expert_none() -> None:
    head = speech_head_for("compact")
    assert head is not None and head.hidden.shape[0] == 2 + 2 * DIMENSIONS
    assert speech_head_for("expert") is None


def test_inputs_are_the_tick_and_the_mean_of_the_last_ones() -> None:
    rng = np.random.default_rng(0)
    activity, vectors = rng.random(9, np.float32), rng.standard_normal((9, 3)).astype(np.float32)
    inputs, odds = head_inputs(activity, vectors), np.log((activity + 1e-4) / (1 + 1e-4 - activity)) / 4
    assert inputs.shape == (9 - MEAN_TICKS + 1, 2 + 2 * 3) and inputs.dtype == np.float32
    np.testing.assert_allclose(inputs[-1, :2], [odds[-1], odds[-MEAN_TICKS:].mean()], rtol=1e-5)
    np.testing.assert_allclose(inputs[-1, 2:5], vectors[-1])
    np.testing.assert_allclose(inputs[-1, 5:], vectors[-MEAN_TICKS:].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("activity", [0.0, 1.0])
def test_sure_voice_activity_gives_a_finite_probability(activity: float) -> None:
    head = speech_head_for("compact")
    assert head is not None
    given = np.full(MEAN_TICKS, activity, np.float32)
    assert 0 < head.probabilities(given, np.zeros((MEAN_TICKS, DIMENSIONS), np.float32)).item() < 1


def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"hidden": np.zeros((2, 2), np.float32)}, path)
    with pytest.raises(InputError, match="holds no speech head: 'hidden_bias' is missing"):
        load_speech_head(path)
