"""Importing a library without the parts of it that nothing here uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(module: str) -> Iterator[None]:
    """What is imported meanwhile finds nothing in ``module``, unless it is there already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = ModuleType(module)
    try:
        yield
    finally:
        del sys.modules[module]
