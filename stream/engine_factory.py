"""Engine factory: makes an engine (vision, scorer, people) from loaded models, and keeps a pool of face detectors."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speakerlight.control import Control
from speakerlight.core.decision.director import PRESETS
from speakerlight.core.faces.crops import Crop
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import Vision, VisionSettings
from speakerlight.core.media import Image
from speakerlight.core.people.enrolment import LOOK_NUMBERS, Enrolled
from speakerlight.core.people.who import WhoIsWho
from speakerlight.engine import Engine
from speakerlight.model_loading import Models
from speakerlight.people_file import PeopleFile
from speakerlight.run_settings import RunSettings
from speakerlight.sources.quiet_libraries import quiet_libraries
from speakerlight.steered_scorer import SteeredScorer

if TYPE_CHECKING:
    from speakerlight.core.people.recognition import FaceRecognizer
    from speakerlight.people_encoders import PeopleEncoders

WARM_UP_SIDES = range(128, 192, 8)
"""Sides in pixels of the first frames a detector gets. MediaPipe prints lines when it starts, at its first frame and at
the first frame whose rows are not aligned, which frames of several sizes provoke: all while the terminal is muted."""

logger = logging.getLogger(__name__)


class DetectorPool:
    """Face detectors opened beforehand, for engines that come and go while the process does other things.

    Opening and closing one mutes the whole process for a moment. A detector keeps nothing from frame to frame, so the
    next engine can use it.
    """

    def __init__(self, model_file: Path) -> None:
        self._model_file = model_file
        self._free: deque[FaceDetector] = deque()

    @contextmanager
    def opened(self, count: int) -> Iterator[DetectorPool]:
        """The pool with ``count`` detectors in it; at the end those that were given back are closed."""
        with ExitStack() as stack:
            self._free.extend(stack.enter_context(_detector(self._model_file)) for _ in range(count))
            yield self

    @contextmanager
    def one(self) -> Iterator[FaceDetector]:
        """A detector for one engine; any thread. Where none is left, which a stuck engine brings about, a new one."""
        try:
            detector = self._free.pop()
        except IndexError:
            with _detector(self._model_file) as extra:
                yield extra
            return
        try:
            yield detector
        finally:
            self._free.append(detector)


@contextmanager
def open_engine(
    settings: RunSettings,
    models: Models,
    *,
    has_audio: bool,
    control: Control | None = None,
    detectors: DetectorPool | None = None,
    notify: Callable[[str], None] | None = None,
    people_file: PeopleFile | None = None,
    updates_people: bool = True,
    people_later: bool = False,
    encoders: PeopleEncoders | None = None,
) -> Iterator[Engine]:
    """A fresh engine over ``models``, of which only the model may be shared.

    Of ``settings`` only ``max_faces``, ``lag_ms`` and ``director`` count; people are recognized when ``models`` has the
    files. ``control``: the commands that steer it. Its face detector comes from ``detectors``; None: its own.
    ``people_file``: who is enrolled; updated at the end when ``updates_people``. ``people_later``: load the people
    encoders only when the run needs them: its first overlay is earlier, and a moment after that it stalls. Rooms run
    beside others, which must not stall. ``encoders``: those that it shares with other engines; None: its own.
    ``notify`` takes lines for the user; None: they are logged. Must be used by one thread at a time.
    """
    from speakerlight.core.decision.scorer import Scorer

    model = models.model

    def crop(image: Image, face: TrackedFace) -> Crop:
        return model.crop(image, face.box, face.keypoints)

    with ExitStack() as stack:
        detector = stack.enter_context(detectors.one() if detectors else _detector(models.detector_file))
        control = control or Control()
        known = people_file.load() if people_file is not None and models.people is not None else []
        recognizer = loading = voices = None
        if models.people is not None:
            from speakerlight.people_encoders import LoadingRecognizer, PeopleEncoders

            encoders = encoders or stack.enter_context(PeopleEncoders(models.people))
            recognizer = _recognizer(encoders, known)
            loading = LoadingRecognizer(recognizer, encoders.faces, lambda: control.state.resets)
            voices = encoders.voices() if has_audio else None
            if not people_later:
                encoders.faces.result()
                if voices is not None:
                    voices.load()
        vision = Vision(detector, crop, VisionSettings(max_faces=settings.max_faces), loading)
        who = WhoIsWho(voices, known)
        scorer = Scorer(model, settings.lag_ms, has_audio=has_audio, who=who, notify=notify or logger.warning)
        memory = _Memory(recognizer, who) if recognizer is not None else None
        try:
            yield Engine(vision, SteeredScorer(scorer, control, PRESETS[settings.director]), control, memory)
        finally:
            if people_file is not None and updates_people and memory is not None:
                met = memory.people(control.state.names)
                people_file.update([replace(person, id=0) for person in met if person.name])


class _Memory:
    """The people of an engine."""

    def __init__(self, recognizer: FaceRecognizer, who: WhoIsWho) -> None:
        self._recognizer, self._who = recognizer, who

    def people(self, names: Mapping[int, str]) -> list[Enrolled]:
        """Everybody who was in view. ``names``: those typed in the session, by id; they replace earlier ones."""
        return [
            Enrolled(
                names.get(person.id) or person.name or "",
                np.array(person.looks, np.float32).reshape(-1, LOOK_NUMBERS),
                self._who.voice_of(person.id),
                person.id,
            )
            for person in self._recognizer.known
            if person.id
        ]

    def save(self) -> list[Enrolled]:
        return [person for person in self.people({}) if len(person.looks)]

    def restore(self, people: Sequence[Enrolled]) -> None:
        from speakerlight.core.people.recognition import Person

        self._recognizer.restore([Person(each.id, each.name or None, list(each.looks)) for each in people])
        self._who.restore(people)


def _recognizer(encoders: PeopleEncoders, known: Sequence[Enrolled]) -> FaceRecognizer:
    from speakerlight.core.people.recognition import FaceRecognizer, Person, RecognitionSettings
    from speakerlight.people_encoders import FIRST_LOOK_SECONDS

    persons = [Person(0, each.name, list(each.looks)) for each in known]
    settings = RecognitionSettings(first_look_seconds=FIRST_LOOK_SECONDS)
    return FaceRecognizer(encoders.embed_faces, settings, persons)


@contextmanager
def _detector(model_file: Path) -> Iterator[FaceDetector]:
    with quiet_libraries():
        detector = FaceDetector(model_file)
        for side in WARM_UP_SIDES:
            detector.detect(np.zeros((side, side, 3), np.uint8))
    try:
        yield detector
    finally:
        with quiet_libraries():
            detector.close()
