"""``run_live.py`` as it is, but it tells on standard error when each overlay was finished: the first one counts."""

from __future__ import annotations

import sys
from time import monotonic
from unittest.mock import patch

import run_live
from core.media import Image
from core.snapshot import Snapshot
from stream import views
from stream.overlay import OverlayInfo, draw_overlay

TOLD = "overlay finished at "
"""Stands before the moment, in seconds of the monotonic clock, which all processes share."""


def draw_and_tell(image: Image, snapshot: Snapshot | None, info: OverlayInfo) -> Image:
    drawn = draw_overlay(image, snapshot, info)
    print(f"{TOLD}{monotonic()}", file=sys.stderr, flush=True)
    return drawn


if __name__ == "__main__":
    with patch.object(views, "draw_overlay", draw_and_tell):
        run_live.command()
