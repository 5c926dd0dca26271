"""Opening of sources: the stand-in for a missing camera, and names without passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from speakerlight import opening
from speakerlight.core.errors import InputError
from speakerlight.opening import DEMO_SECONDS, open_source, opens_slowly, source_names
from speakerlight.run_settings import RunSettings
from speakerlight.sources import LiveSource, open_reader
from speakerlight.sources.pacing import PacedSource
from tests.stream.sources.conftest import Clip
from tests.stream.test_live import Camera


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Clip(times=tuple(number / 25 for number in range(10)), sound_seconds=0.4).write(tmp_path / "clip.mkv")


def without_a_camera(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    def opened(video: str, audio: str | None, options: object) -> LiveSource:
        if video == "demo":
            return PacedSource(open_reader(str(clip), audio))
        raise InputError(f"no camera {video}")

    monkeypatch.setattr(opening, "open_live", opened)
    monkeypatch.setattr(opening, "cameras", list)


def test_without_a_camera_the_demo_is_shown_and_reported(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    without_a_camera(monkeypatch, clip)
    lines: list[str] = []
    settings, source = open_source(RunSettings(), lines.append)
    assert (settings.video, settings.duration_seconds) == ("demo", DEMO_SECONDS)
    assert len(lines) == 1 and "no camera found" in lines[0]
    assert isinstance(source, PacedSource)
    source.stop()


def test_a_camera_that_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    without_a_camera(monkeypatch, clip)
    with pytest.raises(InputError, match="no camera 0"):
        open_source(RunSettings(video="0"), pytest.fail)
    monkeypatch.setattr(opening, "cameras", lambda: ["0: in use by another program"])
    with pytest.raises(InputError, match="no camera 0"):
        open_source(RunSettings(), pytest.fail)


def test_only_recordings_open_before_models_load() -> None:
    assert not opens_slowly(RunSettings(video="meeting.mp4"))
    for video in (None, "0", "demo", "demo:people=2", "rtsp://host/1", "screen"):
        assert opens_slowly(RunSettings(video=video))


def test_the_session_event_names_sources_without_passwords(clip: Path) -> None:
    camera = Camera()
    url = "rtsp://me:secret@host/stream"
    assert source_names(RunSettings(video=url), camera) == ("rtsp://host/stream", None)
    reader = open_reader(str(clip), None)
    assert source_names(RunSettings(video=str(clip)), reader) == (str(clip), str(clip))
    assert source_names(RunSettings(video=str(clip), audio=url), reader) == (str(clip), "rtsp://host/stream")
    reader.close()
