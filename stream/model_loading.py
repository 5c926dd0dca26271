"""What a run computes with: the lip-sync model and the face detector, loaded while the devices open."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from speakerlight.core.errors import InputError
from speakerlight.core.importing import without
from speakerlight.outputs.plot import import_matplotlib
from speakerlight.run_settings import RunSettings

if TYPE_CHECKING:
    from speakerlight.core.models.lipsync import LipSyncModel

logger = logging.getLogger(__name__)

logger = logging.getLogger(__name__)

COMPACT = "compact"

FACE_KEYPOINTS = ((32, 40), (64, 40), (48, 52), (48, 66), (20, 48), (76, 48))
"""Eyes, nose, mouth and ears of a face in 96 × 96 pixels, to warm up with."""


@dataclass(frozen=True)
class PeopleFiles:
    """Files of the models that recognize people."""

    face_manifest: Path
    face_weights: Path
    voice: Path


@dataclass(frozen=True, eq=False)
class Models:
    """``model`` on ``device``, warmed up, the face detector's file, and those that recognize people, if any."""

    model: LipSyncModel
    device: str
    detector_file: Path
    people: PeopleFiles | None = None


def load_models(settings: RunSettings) -> Models:
    """Takes some seconds: nothing of it is imported before. Raises InputError."""
    from speakerlight.core.models.lipsync import choose_device
    from speakerlight.model_cache import BLAZEFACE_SHORT, fetch

    device = choose_device(settings.device)
    share_cores(device, settings.model)
    model = _loaded(settings.model, device)
    warm_up(model)
    # What is imported here takes no second of the detector's making, nor of the one that a run has to end in.
    if settings.plot is not None:
        import_matplotlib()  # now, because a run has a second to end
    import_mediapipe()
    logger.info("model %s on %s", model.name, device)
    return Models(model, device, fetch(BLAZEFACE_SHORT), _people_files() if settings.people else None)


def _people_files() -> PeopleFiles | None:
    """None where they cannot be had: each track is then a person of its own."""
    from speakerlight.model_cache import FACE_ENCODER, FACE_ENCODER_MANIFEST, VOICE_ENCODER, fetch

    try:
        return PeopleFiles(fetch(FACE_ENCODER_MANIFEST), fetch(FACE_ENCODER), fetch(VOICE_ENCODER))
    except InputError as error:
        logger.warning("people are not recognized: %s; --people off does not ask for the file", error)
        return None


def import_mediapipe() -> None:
    """Import MediaPipe, without matplotlib where nobody has imported that.

    MediaPipe's drawing helpers, which nothing here uses, import its pyplot: four fifths of MediaPipe's time. They get
    an empty module in its place.
    """
    with without("matplotlib"), without("matplotlib.pyplot"):
        import mediapipe  # noqa: F401


def warm_up(model: LipSyncModel) -> None:
    """Each encoder once: what a library puts off until it is first used is then not felt in the first ticks."""
    import numpy as np
    from speakerlight.core.geometry import Box
    from speakerlight.core.models.features import joined

    keypoints = np.array(FACE_KEYPOINTS, np.float64)
    crop = model.crop(np.zeros((96, 96, 3), np.uint8), Box(16, 16, 64, 64), keypoints)
    features = model.encode_frames(np.stack([crop] * model.frame_stack)[None])
    model.embed_faces(joined([features] * model.frame_window)[None])
    model.embed_audio(np.full((1, model.mel_window, model.mel.mels), model.mel.silence, np.float32))


def share_cores(device: str, model: str) -> None:
    """One thread for each library while ``model`` runs on ``device``.

    The stages already run side by side, one thread each; a pool in each of them would fight over the same cores. What
    one core does not bear is divided by ``speakerlight.batch_threads``.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(1)
    threadpool_limits(1, "blas")  # numpy's
    if model == COMPACT and device == "cpu":
        return  # OpenVINO was told
    import torch

    torch.set_num_threads(1)


def _loaded(name: str, device: str) -> LipSyncModel:
    if name == COMPACT:
        from speakerlight.core.models.compact import load_compact

        return load_compact(device)
    import torch
    from speakerlight.batch_threads import split_over_cores
    from speakerlight.core.models.expert import load_expert, whole

    return load_expert(Path(name), torch.device(device), split_over_cores if device == "cpu" else whole)
