"""BlazeFace's model file, for tests that look for faces; those tests skip where it cannot be had."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.model_cache import fetch
from speakerlight.model_files import BLAZEFACE_SHORT


@lru_cache
def blazeface() -> Path:
    try:
        return fetch(BLAZEFACE_SHORT)
    except InputError as error:
        pytest.skip(str(error))
