from __future__ import annotations

import cv2
import numpy as np

from speakerlight.core.demo.calibration import calibration_sheet
from speakerlight.core.models.expert import CALIBRATION_FILE, CALIBRATION_PEOPLE, CROP_SHAPE, FRAMES


def test_the_shipped_file_is_what_the_command_draws() -> None:
    sheet = calibration_sheet()
    rows, columns, colours = CROP_SHAPE
    assert sheet.shape == (CALIBRATION_PEOPLE * rows, FRAMES * columns, colours) and sheet.dtype == np.uint8
    shipped = cv2.imread(str(CALIBRATION_FILE))
    assert shipped is not None and np.array_equal(shipped, sheet)
