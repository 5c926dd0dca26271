"""Calibration crops for the expert's int8 encoder: ``python -m speakerlight.core.demo.calibration [FILE]``.

Draws twelve people of the demo and writes their first crops as one lossless image, by default over the one that ships
with the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from speakerlight.core.demo.gallery import Demo, DemoSettings
from speakerlight.core.media import Image
from speakerlight.core.models.expert import CALIBRATION_FILE, CALIBRATION_PEOPLE, FRAMES, expert_crop


def calibration_sheet() -> Image:
    """One row a person, ``FRAMES`` successive crops side by side: uint8, BGR."""
    demo = Demo(DemoSettings(people=CALIBRATION_PEOPLE, seconds=1.0, width=960, height=540))
    frames = [demo.frame(index) for index in range(FRAMES)]
    rows = [np.hstack([expert_crop(frame, face) for frame in frames]) for face in demo.faces]
    return np.vstack(rows)


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else CALIBRATION_FILE
    if not cv2.imwrite(str(path), calibration_sheet(), [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        sys.exit(f"{path} could not be written")
    print(f"{path}: {CALIBRATION_PEOPLE} people, {FRAMES} crops each, {path.stat().st_size / 1000:.0f} kB")
