"""Model loading: the lip-sync model and the face detector of a run, fetched, placed on a device and warmed up."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from speakerlight.core.errors import InputError
from speakerlight.core.importing import without
from speakerlight.garbage_collector import collector_off
from speakerlight.model_future import LoadFuture
from speakerlight.run_settings import RunSettings

if TYPE_CHECKING:
    from speakerlight.core.models.lipsync import LipSyncModel

logger = logging.getLogger(__name__)

COMPACT = "compact"

FACE_KEYPOINTS = ((32, 40), (64, 40), (48, 52), (48, 66), (20, 48), (76, 48))
"""Eyes, nose, mouth and ears of a face in 96 × 96 pixels, for the warm-up."""


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
    """Fetch, load and warm up what ``settings`` ask for, importing the libraries it needs: up to some seconds.

    Raises InputError when a model cannot be fetched or does not match its name.
    """
    from speakerlight.core.models.lipsync import choose_device
    from speakerlight.model_cache import fetch
    from speakerlight.model_files import BLAZEFACE_SHORT

    # In a thread of its own: checking hashes needs no interpreter lock, which imports hold.
    people = LoadFuture(_people_files if settings.people else lambda: None, "files to recognize people")
    people.begin()
    device = choose_device(settings.device)
    share_cores(device, settings.model)
    model = _loaded(settings.model, device)
    warm_up(model)
    # Imported here, in the background, not while the engine opens or the run ends.
    if settings.plot is not None:
        from speakerlight.outputs.plot import import_matplotlib

        import_matplotlib()  # now, because a run has a second to end
    import_mediapipe()
    logger.info("model %s on %s", model.name, device)
    people_files = people.result()  # before another download, so that progress is shown of one at a time
    return Models(model, device, fetch(BLAZEFACE_SHORT), people_files)


def load_process_models(settings: RunSettings) -> Models:
    """As ``load_models``, for a process that keeps them to its end: the garbage collector passes them over."""
    with collector_off():
        return load_models(settings)


def _people_files() -> PeopleFiles | None:
    """None where they cannot be had: each track is then a person of its own."""
    from speakerlight.model_cache import fetch
    from speakerlight.model_files import FACE_ENCODER, FACE_ENCODER_MANIFEST, VOICE_ENCODER

    try:
        return PeopleFiles(fetch(FACE_ENCODER_MANIFEST), fetch(FACE_ENCODER), fetch(VOICE_ENCODER))
    except InputError as error:
        logger.warning("people are not recognized: %s; --people off does not ask for the file", error)
        return None


def import_mediapipe() -> None:
    """Import MediaPipe without matplotlib and without its tasks for audio and text.

    Its drawing helpers import pyplot, which takes four fifths of MediaPipe's import time; its audio tasks import
    sounddevice, which asks PortAudio for all devices. None of them is used here: they get empty modules instead.
    """
    unused = "matplotlib", "matplotlib.pyplot", "mediapipe.tasks.python.audio", "mediapipe.tasks.python.text"
    with without(*unused):
        import mediapipe  # noqa: F401


def warm_up(model: LipSyncModel) -> None:
    """Run each encoder once, so that what libraries postpone to the first use does not delay the first ticks."""
    import numpy as np

    from speakerlight.core.geometry import Box
    from speakerlight.core.models.features import joined

    keypoints = np.array(FACE_KEYPOINTS, np.float64)
    crop = model.crop(np.zeros((96, 96, 3), np.uint8), Box(16, 16, 64, 64), keypoints)
    features = model.encode_frames(np.stack([crop] * model.frame_stack)[None])
    model.embed_faces(joined([features] * model.frame_window)[None])
    model.embed_audio(np.full((1, model.mel_window, model.mel.mels), model.mel.silence, np.float32))


def share_cores(device: str, model: str) -> None:
    """Limit OpenCV, BLAS and PyTorch to one thread each while ``model`` runs on ``device``.

    The stages already run in parallel, one thread each; a thread pool in each of them would compete for the same cores.
    ``speakerlight.batch_threads`` splits what is too much for one core.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(1)
    threadpool_limits(1, "blas")  # numpy's
    if model == COMPACT and device == "cpu":
        return  # OpenVINO's graphs are compiled for one thread, and PyTorch is not used
    import torch

    torch.set_num_threads(1)


def _loaded(name: str, device: str) -> LipSyncModel:
    if name.startswith("http://"):
        from speakerlight.cluster.remote_model import RemoteExpert

        return RemoteExpert(name)
    if name == COMPACT:
        from speakerlight.core.models.compact_loading import load_compact

        return load_compact(device)
    import torch

    from speakerlight.batch_threads import split_over_cores
    from speakerlight.core.models.expert import load_expert, whole

    return load_expert(Path(name), torch.device(device), split_over_cores if device == "cpu" else whole)
