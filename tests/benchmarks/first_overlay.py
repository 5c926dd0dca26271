"""``run_live.py`` as it is, but it tells on standard error when each overlay was finished: the first one counts."""

from __future__ import annotations

import sys
from time import monotonic
from unittest.mock import patch

from speakerlight import command_line, composer
from speakerlight.core.media import Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.overlay import OverlayInfo, draw_overlay

TOLD = "overlay finished at "
"""Stands before the moment, in seconds of the monotonic clock, which all processes share."""


def draw_and_tell(image: Image, snapshot: Snapshot | None, info: OverlayInfo) -> Image:
    drawn = draw_overlay(image, snapshot, info)
    print(f"{TOLD}{monotonic()}", file=sys.stderr, flush=True)
    return drawn


if __name__ == "__main__":
    with patch.object(composer, "draw_overlay", draw_and_tell):
        command_line.command()
