"""The encoders' model files, for tests that embed faces and voices; those tests skip where they cannot be had."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.models.openvino_graph import Precision
from speakerlight.core.people.face_encoder import FaceEncoder
from speakerlight.model_cache import fetch
from speakerlight.model_files import FACE_ENCODER, FACE_ENCODER_MANIFEST, ModelFile


@lru_cache
def model_file(model: ModelFile) -> Path:
    try:
        return fetch(model)
    except InputError as error:
        pytest.skip(str(error))


def face_encoder(precision: Precision | None = None) -> FaceEncoder:
    return FaceEncoder(model_file(FACE_ENCODER_MANIFEST), model_file(FACE_ENCODER), precision)
