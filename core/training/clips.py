"""Training clips: talking-face videos converted to mouth crops on the tick grid and the audio of the same span.

Clips pass the product's own detector, tracker and crop code, so that training and live use see the same crops.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.faces.crops import Crop, MouthCrop, mouth_crop
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks, Vision
from speakerlight.core.grid import TickGrid
from speakerlight.core.media import Frame, Image, Samples
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK

STORED_CROP = MouthCrop(side_pixels=96, field=2.0)
"""The cached crop: larger than any model's crop, so that augmentation can shift, rotate and zoom inside it."""

_MIN_TICKS = 20
_TIGHT_PIXELS = 300
_MAX_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class TalkingFace:
    """One person talking: ``crops`` uint8 [ticks, 96, 96], ``samples`` float32 [ticks × 640], of the same span."""

    name: str
    crops: npt.NDArray[np.uint8]
    samples: Samples


def _stored_crop(image: Image, face: TrackedFace) -> Crop:
    return mouth_crop(image, face.keypoints, STORED_CROP)


def read_frames(path: Path) -> Iterator[Frame]:
    """The frames of a clip with their times. Small frames get a margin: BlazeFace misses faces that fill the frame."""
    with av.open(str(path)) as container:
        for decoded in container.decode(video=0):
            if decoded.time is None or decoded.time > _MAX_SECONDS:
                continue
            image: Image = np.asarray(decoded.to_ndarray(format="bgr24"), np.uint8)
            if max(image.shape[:2]) < _TIGHT_PIXELS:
                margin = max(image.shape[:2]) // 3
                padded = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
                image = np.asarray(padded, np.uint8)
            yield Frame(decoded.time, image)


def read_samples(path: Path) -> Samples:
    """The clip's audio from time 0, mono, 16 kHz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    parts: list[Samples] = []
    first: float | None = None
    with av.open(str(path)) as container:
        for packet in container.decode(audio=0):
            first = packet.time if first is None else first
            parts += [piece.to_ndarray()[0] for piece in resampler.resample(packet)]
    parts += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    samples = np.concatenate(parts).astype(np.float32)
    start = round((first or 0.0) * SAMPLE_RATE)
    return samples[-start:] if start < 0 else np.concatenate([np.zeros(start, np.float32), samples])


def face_in(name: str, frames: Iterable[Frame], samples: Samples, detector: FaceDetector) -> TalkingFace | None:
    """The person who is in view longest, with the audio of that time; None when no face is in view long enough."""
    vision, grid = Vision(detector, _stored_crop), TickGrid()
    frame_tracks: list[FrameTracks] = []
    for frame in frames:
        frame_tracks += [vision.process(tick, at.time, at.image) for tick, at in grid.push(frame) if at is not None]
    counts = Counter(face.id for s in frame_tracks for face in s.faces)
    if not counts:
        return None
    person = counts.most_common(1)[0][0]
    seen = {
        s.tick: crop for s in frame_tracks for face, crop in zip(s.faces, s.crops, strict=True) if face.id == person
    }
    first, last = min(seen), min(max(seen) + 1, len(samples) // SAMPLES_PER_TICK)
    if last - first < _MIN_TICKS or len(seen) < 0.9 * (last - first):
        return None
    crops, latest = [], seen[first]
    for tick in range(first, last):
        latest = seen.get(tick, latest)
        crops.append(latest)
    return TalkingFace(name, np.stack(crops), samples[first * SAMPLES_PER_TICK : last * SAMPLES_PER_TICK])


def cached_face(path: Path, detector: FaceDetector, cache: Path) -> TalkingFace | None:
    """``face_in`` of a clip, kept in ``cache`` (an empty entry: no face)."""
    entry = cache / f"{path.parent.name}-{hashlib.sha1(path.name.encode()).hexdigest()[:16]}.npz"
    if not entry.exists():
        try:
            face = face_in(path.stem, read_frames(path), read_samples(path), detector)
        except (av.error.FFmpegError, IndexError, ValueError):
            # A clip without audio or with a broken stream cannot be used for training.
            face = None
        crops, samples = (face.crops, face.samples) if face else (np.zeros(0, np.uint8), np.zeros(0, np.float32))
        partial = entry.with_suffix(".partial.npz")
        np.savez(partial, crops=crops, samples=np.asarray(np.clip(samples, -1, 1) * 32767, np.int16))
        partial.rename(entry)
    with np.load(entry) as stored:
        if not len(stored["crops"]):
            return None
        return TalkingFace(path.stem, stored["crops"], stored["samples"].astype(np.float32) / 32767)
