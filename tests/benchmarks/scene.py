"""What the stages are timed on: the demo's pictures and sound, its people at their places, models with seeded weights.

How long a network takes does not depend on its weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from core.compactnet import CompactSyncNet, model_of
from core.demo import Demo, DemoSettings
from core.detection import Detection
from core.expert import Expert, SyncNetColor, fast_dtype, whole
from core.geometry import Box
from core.lipsync import LipSyncModel
from core.media import Image, Samples, Sound
from core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK, TICK_RATE
from core.tracking import TrackedFace
from core.vision import Sighting
from stream.dividing import divided
from stream.outputs.mp4 import Mp4Writer
from stream.outputs.soundtape import SoundTape

Network = TypeVar("Network", bound=nn.Module)

MODELS = ("compact", "expert")

PICTURES = 10
"""Different pictures of a scene; longer stretches show them back and forth."""

_KEYPOINTS = np.array(((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.5, 0.75), (0.05, 0.4), (0.95, 0.4)))
"""Eyes, nose, mouth and ears in BlazeFace's box."""


@dataclass(frozen=True, eq=False)
class Scene:
    """``people`` in a video call, everybody known already."""

    images: tuple[Image, ...]
    faces: tuple[TrackedFace, ...]
    sound: Samples

    def image(self, tick: int) -> Image:
        place = tick % (2 * PICTURES - 2)
        return self.images[min(place, 2 * PICTURES - 2 - place)]

    def heard(self, tick: int) -> Sound:
        """The 40 ms of ``tick``."""
        start = tick * SAMPLES_PER_TICK % len(self.sound)
        return Sound(tick / TICK_RATE, self.sound[start : start + SAMPLES_PER_TICK])

    def sighting(self, tick: int, model: LipSyncModel) -> Sighting:
        crops = tuple(model.crop(self.image(tick), face.box, face.keypoints) for face in self.faces)
        return Sighting(tick, tick / TICK_RATE, self.faces, crops)

    def detections(self, tick: int) -> list[Detection]:
        """Everybody, half a pixel to and fro."""
        shift = 0.5 * (tick % 2)
        return [
            Detection(
                Box(f.box.x + shift, f.box.y, f.box.width, f.box.height), f.keypoints + np.array((shift, 0.0)), f.score
            )
            for f in self.faces
        ]


@lru_cache
def scene(people: int) -> Scene:
    """The demo's picture of that many people: 1280×720, 1920×1080 from ten on."""
    demo = Demo(DemoSettings(people=people, seconds=None))
    faces = []
    for number, box in enumerate(demo.faces):
        faces.append(TrackedFace(number + 1, box, _KEYPOINTS * box.width + (box.x, box.y), 0.9))
    images = tuple(demo.frame(index) for index in range(PICTURES))
    return Scene(images, tuple(faces), demo.sound(0, 4 * SAMPLE_RATE))


def model(name: str, device: str) -> LipSyncModel:
    """``name`` as the engine runs it."""
    if name == "compact":
        return model_of(_seeded(CompactSyncNet), device)
    divide = divided if device == "cpu" else whole
    return Expert(_seeded(SyncNetColor), torch.device(device), fast_dtype(torch.device(device)), divide)


def plain_expert() -> SyncNetColor:
    """The expert as its checkpoint gives it: float32, batch norms by themselves."""
    return _seeded(SyncNetColor)


def write_expert(folder: Path) -> Path:
    """A checkpoint in the expert's form, random: what ``--model`` takes."""
    path = folder / "expert.pth"
    torch.save({"state_dict": _seeded(SyncNetColor).state_dict()}, path)
    return path


def write_clip(folder: Path, people: int, seconds: float, rate: float) -> Path:
    """A recording of the demo, 1280×720 with sound."""
    path = folder / f"demo{people}.mp4"
    demo = Demo(DemoSettings(people=people, seconds=seconds, width=1280, height=720, rate=rate))
    tape = SoundTape()
    writer = Mp4Writer(path, demo.settings.size, tape)
    for item in demo.play():
        if isinstance(item, Sound):
            tape.put(item)
        else:
            writer.picture(item.time, item.image)
    writer.close()
    return path


def _seeded(network: type[Network]) -> Network:
    torch.manual_seed(0)
    return network().eval()
