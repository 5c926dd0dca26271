"""``run_live.py`` unchanged, except that it reports on standard error when each overlay was finished."""

from __future__ import annotations

import sys
from time import monotonic
from unittest.mock import patch

from speakerlight import command_line, composer
from speakerlight.core.media import Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.overlay import OverlayInfo, draw_overlay

MARK = "overlay finished at "
"""Prefix of the time, in seconds of the monotonic clock, which all processes share."""


def draw_and_report(image: Image, snapshot: Snapshot | None, info: OverlayInfo) -> Image:
    drawn = draw_overlay(image, snapshot, info)
    print(f"{MARK}{monotonic()}", file=sys.stderr, flush=True)
    return drawn


if __name__ == "__main__":
    with patch.object(composer, "draw_overlay", draw_and_report):
        command_line.command()
