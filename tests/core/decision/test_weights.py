"""Files of decision weights: what is none, or of another version, is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.decision.weights import FOLDER, load_decision
from speakerlight.core.errors import InputError
from speakerlight.core.models.checkpoint import load_safetensors
from speakerlight.core.training.weights_file import save_weights

Arrays = dict[str, npt.NDArray[np.float32]]


def without_a_rate(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if name != "fade"}


def with_fewer_features(arrays: Arrays) -> Arrays:
    return arrays | {"linear": arrays["linear"][:11], "hidden": arrays["hidden"][:11]}


@pytest.mark.parametrize(
    ("change", "reason"), [(without_a_rate, "'fade' is missing"), (with_fewer_features, "11 features instead of")]
)
def test_a_file_that_does_not_fit_is_refused(change: Callable[[Arrays], Arrays], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(change(load_safetensors(FOLDER / "compact.safetensors")[0]), path, {})
    with pytest.raises(InputError, match=reason):
        load_decision(path)
