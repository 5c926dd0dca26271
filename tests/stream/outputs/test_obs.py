"""Scene switching, against the real OBS Studio."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from speakerlight.core.decision.director import Director
from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.shot import Direction, close_up
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.outputs.obs import Obs, Target, read_scenes
from tests.stream.outputs.obs_studio import PASSWORD, ObsStudio, obs_studio

SCENES = {"people": {"1": "Ada", "2": "Bob"}, "wide": "Room", "password": PASSWORD}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObsStudio]:
    with obs_studio(tmp_path_factory.mktemp("obs")) as running:
        yield running


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    path = tmp_path / "scenes.json"
    path.write_text(json.dumps(SCENES))
    return path


def snapshot(tick: int, speaker: int | None) -> Snapshot:
    state = SpeakingState.SILENCE if speaker is None else SpeakingState.SPEAKING
    faces = tuple(FaceScore(i, Box(100 * i, 0, 90, 90), float(i == speaker), i == speaker) for i in (1, 2))
    return Snapshot(tick, tick / 25, float(speaker is not None), faces, state, speaker, Lag(0.0, 1.0))


class Session:
    """A session in real time: who speaks can be changed while it goes on."""

    def __init__(self, obs: Obs) -> None:
        self.speaker: int | None = None
        self._obs, self._over = obs, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Session:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._obs.close()

    def _run(self) -> None:
        began, tick, director = time.monotonic(), 0, Director()
        while not self._over.wait(max(0.0, began + tick / 25 - time.monotonic())):
            decided = snapshot(tick, self.speaker)
            self._obs.snapshot(replace(decided, direction=director.update(decided)))
            tick += 1


def seconds_until(studio: ObsStudio, scene: str, limit: float) -> float:
    began = time.monotonic()
    while studio.scene != scene:
        assert time.monotonic() - began < limit, studio.scene
        time.sleep(0.02)
    return time.monotonic() - began


def test_each_turn_is_on_air_within_a_second(studio: ObsStudio, scenes: Path) -> None:
    with Session(Obs(studio.address, scenes)) as session:
        for speaker, scene in ((1, "Ada"), (2, "Bob"), (1, "Ada")):
            session.speaker = speaker
            assert seconds_until(studio, scene, limit=3.0) < 1.0
            time.sleep(1.0)
        session.speaker = None
        assert 2.0 < seconds_until(studio, "Room", limit=5.0) < 3.5


def test_after_a_restart_of_obs_the_scene_is_right_again(studio: ObsStudio, scenes: Path) -> None:
    with Session(Obs(studio.address, scenes)) as session:
        session.speaker = 1
        seconds_until(studio, "Ada", limit=3.0)
        studio.stop()
        session.speaker = 2
        time.sleep(1.0)
        studio.start()
        assert seconds_until(studio, "Bob", limit=10.0) < 5.0


def test_a_filter_can_stand_for_a_person(studio: ObsStudio, tmp_path: Path) -> None:
    source = {"sceneName": "Room", "inputName": "Wall", "inputKind": "color_source_v3", "inputSettings": {}}
    studio.ask("CreateInput", source)
    studio.ask("CreateSourceFilter", {"sourceName": "Wall", "filterName": "Zoom", "filterKind": "color_filter_v2"})
    path = tmp_path / "filters.json"
    path.write_text(json.dumps({**SCENES, "people": {"1": {"source": "Wall", "filter": "Zoom"}}}))

    def is_on() -> bool:
        return bool(studio.ask("GetSourceFilter", {"sourceName": "Wall", "filterName": "Zoom"})["filterEnabled"])

    with Session(Obs(studio.address, path)) as session:
        for speaker, wanted in ((1, True), (2, False)):
            session.speaker = speaker
            until = time.monotonic() + 4.0
            while is_on() is not wanted:
                assert time.monotonic() < until
                time.sleep(0.05)


def test_a_scene_that_obs_does_not_have_is_reported_once(studio: ObsStudio, tmp_path: Path) -> None:
    path, lines = tmp_path / "scenes.json", list[str]()
    path.write_text(json.dumps({**SCENES, "people": {"1": "Adda", "2": "Bob"}}))
    with Session(Obs(studio.address, path, lines.append)) as session:
        session.speaker = 2
        seconds_until(studio, "Bob", limit=3.0)
    assert len(lines) == 1 and "no scene named Adda; it has Ada, Bob" in lines[0]


def test_a_wrong_password_is_reported_once(studio: ObsStudio, tmp_path: Path) -> None:
    path, lines = tmp_path / "scenes.json", list[str]()
    path.write_text(json.dumps({**SCENES, "password": "not-the-one"}))
    with Session(Obs(studio.address, path, lines.append)):
        time.sleep(2.5)
    assert len(lines) == 1 and "the password right?" in lines[0] and "not-the-one" not in lines[0]


def test_no_obs_delays_nothing_and_the_password_stays_out_of_the_log(
    scenes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("obsws_python")
    caplog.set_level(logging.DEBUG)
    obs = Obs("ws://127.0.0.1:9", scenes)
    began = time.monotonic()
    for tick in range(100):
        obs.snapshot(replace(snapshot(tick, 1), direction=Direction(close_up(1))))
    assert time.monotonic() - began < 4.0
    time.sleep(0.3)
    obs.close()
    assert "cannot be reached" in caplog.text and PASSWORD not in caplog.text
    assert not [thread for thread in threading.enumerate() if thread.name == "output --obs"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"wide": 5}', '{"wide": "Room", "people": []}', '{"wide": {"source": "a"}}']
)
def test_a_scene_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scenes.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"^--obs-scenes [^\n]+$"):
        read_scenes(path)


def test_without_an_active_speaker_the_wide_scene_is_shown_unless_another_is_set(tmp_path: Path) -> None:
    path = tmp_path / "scenes.json"
    path.write_text(json.dumps({"wide": "Room"}))
    assert read_scenes(path).nobody == Target(scene="Room")


@pytest.mark.parametrize("address", ["http://here", "ws://:secret@here:4455", "ws://here:port"])
def test_an_address_that_cannot_be_used_is_one_line_without_its_password(scenes: Path, address: str) -> None:
    pytest.importorskip("obsws_python")
    with pytest.raises(InputError, match=r"^--obs: [^\n]+$") as raised:
        Obs(address, scenes)
    assert "secret" not in str(raised.value)


def test_a_person_is_found_by_name_or_by_id(scenes: Path) -> None:
    scenes.write_text(json.dumps({"people": {"Ada": "A", "2": "B"}, "wide": "Room"}))
    read = read_scenes(scenes)
    shots = [read.target(close_up(person), {1: "Ada", 3: "Eve"}).scene for person in (1, 2, 3)]
    assert shots == ["A", "B", "Room"]
