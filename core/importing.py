"""Partial import: imports a library without those of its modules that are slow and not used here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Replace ``modules`` by empty ones for imports inside the block, except those imported already."""
    replaced = [module for module in modules if module not in sys.modules]
    sys.modules.update({module: ModuleType(module) for module in replaced})
    try:
        yield
    finally:
        for module in replaced:
            del sys.modules[module]
