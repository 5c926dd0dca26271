"""Engine factory: makes an engine (vision, scorer, people) from loaded models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
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
from speakerlight.steering import SteeredScorer

if TYPE_CHECKING:
    from speakerlight.core.people.recognition import FaceRecognizer
    from speakerlight.people_encoders import PeopleEncoders

logger = logging.getLogger(__name__)


@contextmanager
def open_engine(
    settings: RunSettings,
    models: Models,
    *,
    has_audio: bool,
    control: Control | None = None,
    notify: Callable[[str], None] | None = None,
    people_file: PeopleFile | None = None,
    updates_people: bool = True,
    people_later: bool = False,
    encoders: PeopleEncoders | None = None,
) -> Iterator[Engine]:
    """A fresh engine over ``models``, of which only the model may be shared.

    Of ``settings`` only ``max_faces``, ``lag_ms`` and ``director`` count; people are recognized when ``models`` has the
    files. ``control``: the commands that steer it. ``people_file``: who is enrolled; updated at the end when
    ``updates_people``. ``people_later``: load the people encoders only when the run needs them: its first overlay is
    earlier, and a moment after that it stalls. Rooms run beside others, which must not stall. ``encoders``: those that
    it shares with other engines; None: its own. ``notify`` takes lines for the user; None: they are logged. Must be
    used by one thread at a time.
    """
    from speakerlight.core.decision.scorer import Scorer

    model = models.model

    def crop(image: Image, face: TrackedFace) -> Crop:
        return model.crop(image, face.box, face.keypoints)

    with ExitStack() as stack:
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
        vision = Vision(FaceDetector(models.detector_file), crop, VisionSettings(max_faces=settings.max_faces), loading)
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
