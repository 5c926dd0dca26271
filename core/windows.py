"""Overlapping windows of an array, without copying them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Scalar = TypeVar("_Scalar", bound=np.generic)


def overlapping(array: npt.NDArray[_Scalar], shape: Sequence[int], steps: Sequence[int]) -> npt.NDArray[_Scalar]:
    """``array`` seen as one of ``shape``; ``steps``: how many values further the next entry along each axis begins.

    A copy of ``array`` is seen where its values do not lie one behind the other. Raises ValueError where the windows
    reach beyond it. NumPy's ``stride_tricks`` take ten times as long, which is more than many a product.
    """
    values = np.ascontiguousarray(array)
    return np.ndarray(shape, values.dtype, values, strides=[step * values.itemsize for step in steps])
