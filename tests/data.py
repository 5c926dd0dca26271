"""The real clips and the scorer of event logs beside them; tests that need them skip where they are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[2] / "shared"
DEV = SHARED / "data" / "dev"

needs_clips = pytest.mark.skipif(not DEV.is_dir(), reason="the shared talking-face clips are not on this machine")


def event_scores(truth: Path, events: Path) -> dict[str, Any]:
    """What the scorer of event logs, ``score_events.py`` beside the clips, makes of ``events``."""
    words = [sys.executable, str(SHARED / "gallery" / "score_events.py"), str(truth), str(events), "--json"]
    result: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return result
