"""A session: what stands in for a missing camera, what is told of a stream's address, how signals end a run."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from speakerlight import session
from speakerlight.core.errors import InputError
from speakerlight.outputs.rttm import Rttm
from speakerlight.run_settings import RunSettings
from speakerlight.sources import LiveSource, open_reader
from speakerlight.sources.pacing import PacedSource

from tests.stream.sources.conftest import Clip
from tests.stream.standin import stand_in
from tests.stream.test_live import Camera


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Clip(times=tuple(number / 25 for number in range(10)), sound_seconds=0.4).write(tmp_path / "clip.mkv")


def without_a_camera(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    def opened(video: str, audio: str | None) -> LiveSource:
        if video == "demo":
            return PacedSource(open_reader(str(clip), audio))
        raise InputError(f"no camera {video}")

    monkeypatch.setattr(session, "open_live", opened)
    monkeypatch.setattr(session, "cameras", list)


def test_without_a_camera_the_demo_is_shown_and_said_so(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    without_a_camera(monkeypatch, clip)
    said: list[str] = []
    settings, source = session._opened(RunSettings(), said.append)
    assert settings.video == "demo"
    assert len(said) == 1 and "no camera found" in said[0]
    assert isinstance(source, PacedSource)
    source.stop()


def test_a_camera_that_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    without_a_camera(monkeypatch, clip)
    with pytest.raises(InputError, match="no camera 0"):
        session._opened(RunSettings(video="0"), pytest.fail)
    monkeypatch.setattr(session, "cameras", lambda: ["0: in use by another program"])
    with pytest.raises(InputError, match="no camera 0"):
        session._opened(RunSettings(), pytest.fail)


def test_a_session_names_what_goes_in_without_passwords(clip: Path) -> None:
    camera = Camera()
    url = "rtsp://me:secret@host/stream"
    assert session._names(RunSettings(video=url), camera) == ("rtsp://host/stream", None)
    reader = open_reader(str(clip), None)
    assert session._names(RunSettings(video=str(clip)), reader) == (str(clip), str(clip))
    assert session._names(RunSettings(video=str(clip), audio=url), reader) == (str(clip), "rtsp://host/stream")
    reader.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_run_instead_of_breaking_it_off(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with session._interrupts() as stop:
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert stop.wait(1.0)
    assert signal.getsignal(number) is before


def test_an_output_that_fails_is_named_and_the_others_are_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clip: Path
) -> None:
    @contextmanager
    def engine(settings: RunSettings, models: Any, *, has_audio: bool):
        yield stand_in(has_audio)

    def full(self: Rttm, snapshot: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(session, "_engine", engine)
    monkeypatch.setattr(
        session, "load_models", lambda settings: SimpleNamespace(model=SimpleNamespace(name="none"), device="cpu")
    )
    monkeypatch.setattr(Rttm, "snapshot", full)
    for fast in (True, False):
        said: list[str] = []
        events = tmp_path / "e.jsonl"
        session.run(
            RunSettings(video=str(clip), fast=fast, window=False, rttm=tmp_path / "r.rttm", events=str(events)),
            said.append,
        )
        assert "--rttm stopped: no space left" in said
        assert '"type":"summary"' in events.read_text().splitlines()[-1]
