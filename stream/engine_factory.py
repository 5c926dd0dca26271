"""Engine factory: vision and scorer over loaded models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from speakerlight.control import Control
from speakerlight.core.faces.crops import Crop
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import Vision, VisionSettings
from speakerlight.core.media import Image
from speakerlight.engine import Engine
from speakerlight.model_loading import Models
from speakerlight.run_settings import RunSettings
from speakerlight.sources.quiet_libraries import quiet_libraries
from speakerlight.steering import SteeredScorer

WARM_UP_SIDES = range(128, 192, 8)
"""Sides in pixels of the first frames a detector gets. MediaPipe prints lines when it starts, at its first frame and at
the first frame whose rows are not aligned, which frames of several sizes provoke: all while the terminal is muted."""


@contextmanager
def open_engine(settings: RunSettings, models: Models, *, has_audio: bool) -> Iterator[Engine]:
    """A fresh engine over ``models``, of which only the model may be shared. Closes its face detector at the end.

    Of ``settings`` only ``max_faces`` and ``lag_ms`` count. Must be used by one thread at a time.
    """
    from speakerlight.core.decision.scorer import Scorer

    model = models.model

    def crop(image: Image, face: TrackedFace) -> Crop:
        return model.crop(image, face.box, face.keypoints)

    with quiet_libraries():
        detector = FaceDetector(models.detector_file)
        for side in WARM_UP_SIDES:
            detector.detect(np.zeros((side, side, 3), np.uint8))
    try:
        vision = Vision(detector, crop, VisionSettings(max_faces=settings.max_faces))
        control = Control()
        scorer = Scorer(model, settings.lag_ms, has_audio=has_audio)
        yield Engine(vision, SteeredScorer(scorer, control), control)
    finally:
        with quiet_libraries():
            detector.close()
