"""A room of a server that recognizes: an enrolled person gets their name, from another recording; a stranger none."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from speakerlight.core.events import Percentiles
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.engine_factory import open_engine
from speakerlight.fast import run_fast
from speakerlight.model_loading import Models
from speakerlight.outputs.hub import OutputHub
from speakerlight.people_file import PeopleFile
from speakerlight.run_settings import RunSettings
from speakerlight.server.listening_socket import listening
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.server.server_factory import open_server
from speakerlight.sources.files import FileReader
from tests.data import DEV, needs_clips
from tests.stream.server.browser import Browser
from tests.stream.server.test_server_factory import Camera, Microphone, Stage

pytestmark = [needs_clips, pytest.mark.timeout(300)]

PEOPLE = DEV / "people"
ENROLLED, ALSO_ENROLLED, STRANGER = "p069_a.mp4", "p069_b.mp4", "p415_c.mp4"
"""Two recordings of one person, and one of another person."""

LOOKED_SECONDS = 4.0
WIDTH = 480


class Clip(Stage):
    """A clip as a camera and a microphone."""

    def __init__(self, path: Path) -> None:
        items = list(FileReader(path))
        frames = [item for item in items if isinstance(item, Frame)]
        times = np.array([frame.time for frame in frames])
        shown = np.searchsorted(times, np.arange(0, times[-1], 1 / 25), side="right") - 1
        scale = WIDTH / frames[0].image.shape[1]
        small = [cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in frames]
        even = [image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2] for image in small]
        self.images = [even[max(k, 0)] for k in shown]
        self.audio = np.concatenate([item.samples for item in items if isinstance(item, AudioChunk)])
        self.begun: float | None = None


def enrol(path: Path, name: str, models: Models, people: Path) -> None:
    """As a run with ``--people`` does when somebody is named in it."""
    with open_engine(RunSettings(), models, has_audio=True, people_file=PeopleFile(people)) as engine:
        engine.control.execute({"type": "name", "id": 1, "name": name})
        hub = OutputHub([], pytest.fail)
        run_fast(FileReader(path), engine, hub, 6.0, threading.Event())
        hub.close(Percentiles())


async def names_in_a_room(port: int, path: Path) -> set[str | None]:
    """The names that people in view of a room with this clip have been given."""
    clip = Clip(path)
    async with Browser(port, Camera(clip), Microphone(clip)) as browser:
        await browser.until(lambda: browser.of("person"), 60.0)
        begun = browser.of("person")[0]["time"]

        def is_over() -> bool:
            return browser.of("scores")[-1]["time"] > begun + LOOKED_SECONDS or any(
                event["name"] for event in browser.of("person")
            )

        await browser.until(is_over, 60.0)
        return {event["name"] for event in browser.of("person")} - {None}


def test_an_enrolled_person_is_named_in_a_room_and_a_stranger_is_not(models: Models, tmp_path: Path) -> None:
    if models.people is None:
        pytest.skip("the files of the people encoders are not there")
    people = tmp_path / "people.json"
    enrol(PEOPLE / ENROLLED, "Ada", models, people)
    before = people.read_bytes()
    settings = RunSettings(people_file=people)
    with (
        listening(ServeSettings("127.0.0.1", 0, recognizes=True)) as address,
        open_server(settings, address, models, lambda line: None) as (server, _),
    ):
        found = {clip: asyncio.run(names_in_a_room(server.port, PEOPLE / clip)) for clip in (ALSO_ENROLLED, STRANGER)}
    assert found == {ALSO_ENROLLED: {"Ada"}, STRANGER: set()}
    assert people.read_bytes() == before, "a room changes nothing in the file"
