"""Weights files: what was learnt, as safetensors with a card as the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file


def save_weights(arrays: Mapping[str, npt.NDArray[Any]], path: Path, card: dict[str, str]) -> None:
    """Write ``arrays``, with ``card`` as the header; the file is whole or is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, partial, metadata=card)
    partial.replace(path)
