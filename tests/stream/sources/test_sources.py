"""``--video`` and ``--audio`` as the command line gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from speakerlight import sources
from speakerlight.core.errors import InputError
from speakerlight.rings import FrameRing
from speakerlight.sources import LiveSource, SourceState, network, open_live, open_reader
from speakerlight.sources.pacing import PacedSource
from tests.stream.sources.conftest import Clip


class Opened(LiveSource):
    """Stands for any live source and remembers how it was opened."""

    state, trouble, stopped = SourceState.READY, None, False

    def __init__(self, what: object, *, video: bool = True, audio: bool = False) -> None:
        super().__init__(str(what), FrameRing(1) if video else None, audio)

    def start(self, clock: object) -> None: ...

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CameraSource", lambda index: Opened(f"camera {index}"))
    monkeypatch.setattr(sources, "ScreenSource", lambda region: Opened("screen"))
    monkeypatch.setattr(
        sources,
        "MicrophoneSource",
        lambda wanted=None, options=None: Opened(f"mic {wanted!r}", video=False, audio=True),
    )
    monkeypatch.setattr(
        network,
        "NetworkSource",
        lambda url, video=True, audio=True, options=None: Opened(url, video=video, audio=audio),
    )


@pytest.mark.parametrize(
    ("video", "audio", "name"),
    [
        ("0", None, "camera 0 + mic None"),
        ("2", "none", "camera 2"),
        ("/dev/null", "none", "camera /dev/null"),
        ("0", "3", "camera 0 + mic 3"),
        ("0", "Desk", "camera 0 + mic 'Desk'"),
        ("screen:0,0,9,9", "x.monitor", "screen + mic 'x.monitor'"),
        ("rtsp://host/a", None, "rtsp://host/a"),
        ("rtsp://host/a", "none", "rtsp://host/a"),
        ("rtsp://host/a", "Desk", "rtsp://host/a + mic 'Desk'"),
        ("0", "udp://host:1", "camera 0 + udp://host:1"),
    ],
)
def test_live_specs(video: str, audio: str | None, name: str) -> None:
    assert open_live(video, audio).name == name


def test_files_are_read_or_played_with_their_own_audio_another_file_s_or_none(tmp_path: Path) -> None:
    clip, samples = str(Clip().write(tmp_path / "a.mkv")), str(Clip(times=None).write(tmp_path / "b.wav"))
    for audio, name, received in ((None, "a.mkv", True), (samples, "a.mkv + b.wav", True), ("none", "a.mkv", False)):
        reader = open_reader(clip, audio)
        assert (reader.name, reader.has_audio) == (name, received)
        reader.close()
        played = open_live(clip, audio)
        assert isinstance(played, PacedSource) and (played.name, played.has_audio) == (name, received)
        played.stop()
    assert open_live(clip, "Desk").name == "a.mkv + mic 'Desk'"
    assert open_live("0", samples).name == "camera 0 + b.wav"


def test_what_is_live_cannot_be_read_fast(tmp_path: Path) -> None:
    clip = str(Clip().write(tmp_path / "a.mkv"))
    for video, audio in (("0", None), ("screen", None), ("rtsp://host/a", None), (clip, "Desk"), (clip, "udp://h:1")):
        with pytest.raises(InputError, match="--fast"):
            open_reader(video, audio)


def test_a_missing_file_is_one_clear_line() -> None:
    for opened in (open_live, open_reader):
        with pytest.raises(InputError, match=r"nix\.mp4: no such file"):
            opened("nix.mp4", None)


def test_video_is_closed_when_the_audio_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Opened("camera")
    monkeypatch.setattr(sources, "CameraSource", lambda index: camera)

    def none_there(wanted: object = None, options: object = None) -> LiveSource:
        raise InputError("no microphone")

    monkeypatch.setattr(sources, "MicrophoneSource", none_there)
    with pytest.raises(InputError):
        open_live("0", None)
    assert camera.stopped
