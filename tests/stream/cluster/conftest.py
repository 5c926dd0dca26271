"""What tests with Ray need."""

from __future__ import annotations

import pytest

from speakerlight.engine_factory import DetectorPool
from speakerlight.model_cache import fetch
from speakerlight.model_files import BLAZEFACE_SHORT


@pytest.fixture(scope="session")
def mediapipe_loaded() -> None:
    """MediaPipe's library cannot be loaded once Ray has run in a process, and later tests need it."""
    with DetectorPool(fetch(BLAZEFACE_SHORT)).opened(1):
        pass
