from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from speakerlight import devices
from speakerlight.core.errors import InputError


def test_cameras_and_microphones_are_listed_as_the_command_line_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node, index, name in (("video0", 0, "Front"), ("video1", 1, "Front"), ("video10", 0, "Room")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "index").write_text(f"{index}\n")
        (tmp_path / node / "name").write_text(f"{name}\n")
    inputs = [
        {"index": 0, "name": "Speaker", "max_input_channels": 0, "default_samplerate": 48_000.0},
        {"index": 1, "name": "Desk", "max_input_channels": 2, "default_samplerate": 44_100.0},
    ]
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "LINUX_CAMERAS", tmp_path)
    monkeypatch.setattr(devices, "portaudio", lambda: SimpleNamespace(query_devices=lambda: inputs))
    assert devices.list_devices().splitlines() == [
        "Cameras (--video):",
        "  0: Front",
        "  10: Room",
        "Microphones (--audio):",
        "  1: Desk (2 channels, 44100 Hz)",
    ]


def test_nothing_found_and_no_portaudio_are_reported_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise InputError("no PortAudio library")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(devices, "LINUX_CAMERAS", tmp_path / "missing")
    monkeypatch.setattr(devices, "portaudio", missing)
    assert devices.list_devices().splitlines()[1::2] == ["  none found", "  no PortAudio library"]
