"""Features of frames, kept where the model computes: arrays on the CPU, or tensors on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Features: TypeAlias = "npt.NDArray[Any] | torch.Tensor"
"""[B, *feature]. Both kinds are indexed in the same way."""


def zeros(like: Features, shape: tuple[int, ...]) -> Features:
    """Features of ``shape``, of the kind and where ``like`` is."""
    return np.zeros(shape, like.dtype) if isinstance(like, np.ndarray) else like.new_zeros(shape)


def joined(parts: Sequence[Features]) -> Features:
    """Concatenate batches."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import torch

    return torch.cat([torch.as_tensor(part) for part in parts])
