"""Where the real clips lie, for tests that need them; those tests skip where the clips are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
DEV = SHARED / "data" / "dev"

needs_clips = pytest.mark.skipif(not DEV.is_dir(), reason="the shared talking-face clips are not on this machine")
