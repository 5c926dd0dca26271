"""The real clips and the scorer of event logs beside them; tests that need them skip where they are missing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from speakerlight import command_line

SHARED = Path(__file__).parents[2] / "shared"
DEV = SHARED / "data" / "dev"
MAKE_GALLERY = SHARED / "gallery" / "make_gallery.py"

needs_clips = pytest.mark.skipif(not DEV.is_dir(), reason="the shared talking-face clips are not on this machine")


def compose_gallery(path: Path, clips: Iterable[Path], size: tuple[int, int], *options: str) -> Path:
    """A gallery of ``clips`` at ``path``, its ground truth beside it, by ``make_gallery.py`` beside the clips."""
    words = [sys.executable, str(MAKE_GALLERY), "--out", str(path), *options, "--size", f"{size[0]}x{size[1]}"]
    subprocess.run([*words, *map(str, clips)], check=True, capture_output=True)
    return path


def file_events(path: Path, log: Path) -> list[dict[str, Any]]:
    """The events of a file, as fast as possible. ``log``: where they are written."""
    assert command_line.main(["--video", str(path), "--fast", "--no-window", "--events", str(log)]) == 0
    return [json.loads(line) for line in log.read_text().splitlines()]


def event_scores(truth: Path, events: Path) -> dict[str, Any]:
    """What the scorer of event logs, ``score_events.py`` beside the clips, makes of ``events``."""
    words = [sys.executable, str(SHARED / "gallery" / "score_events.py"), str(truth), str(events), "--json"]
    result: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return result
