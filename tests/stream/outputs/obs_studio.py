"""A real OBS Studio under Xvfb, with obs-websocket on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "a-secret-of-obs"

START_SECONDS = 60.0

SCENES = ("Ada", "Bob", "Room")

GLOBAL_SETTINGS = """[General]
FirstRun=true
[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AlertsEnabled=false
AuthRequired=true
ServerPassword={password}
"""


class ObsStudio:
    """Starts, stops and asks one OBS with ``scenes``; its configuration lies in ``home``."""

    def __init__(self, home: Path, display: str, scenes: Sequence[str] = SCENES) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._home, self._display, self._scenes = home, display, scenes
        folder = home / ".config" / "obs-studio"
        folder.mkdir(parents=True)
        (folder / "global.ini").write_text(GLOBAL_SETTINGS.format(port=self.port, password=PASSWORD))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        own = {"HOME": str(self._home), "XDG_CONFIG_HOME": str(self._home / ".config"), "DISPLAY": self._display}
        own |= {"XDG_RUNTIME_DIR": str(self._home), "LIBGL_ALWAYS_SOFTWARE": "1"}
        # OpenCV points Qt to its own plugins, which do not fit OBS.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
        command = ["obs", "--multi", "--minimize-to-tray"]
        self._process = subprocess.Popen(
            command, env=inherited | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._create_scenes()
                return
            except Exception:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.2)

    def _create_scenes(self) -> None:
        """A killed OBS may not have saved its scenes."""
        there = {scene["sceneName"] for scene in self.ask("GetSceneList")["scenes"]}
        for scene in (each for each in self._scenes if each not in there):
            self.ask("CreateScene", {"sceneName": scene})

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def ask(self, request: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
        with self.client() as client:
            answer: dict[str, Any] = client.send(request, data, raw=True) or {}
            return answer

    def client(self) -> Any:
        """A connection of its own."""
        import obsws_python

        return obsws_python.ReqClient(host="127.0.0.1", port=self.port, password=PASSWORD, timeout=10)

    @property
    def scene(self) -> str:
        return str(self.ask("GetCurrentProgramScene")["currentProgramSceneName"])


@contextmanager
def obs_studio(folder: Path, scenes: Sequence[str] = SCENES) -> Iterator[ObsStudio]:
    """A running OBS with ``scenes``. Skips where OBS, Xvfb or the library is missing."""
    pytest.importorskip("obsws_python")
    for program in ("obs", "Xvfb"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    reading, writing = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
        pass_fds=(writing,),
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as number:
            display = f":{number.readline().strip()}"
        studio = ObsStudio(folder, display, scenes)
        try:
            studio.start()
            yield studio
        finally:
            studio.stop()
    finally:
        screen.terminate()
        screen.wait(10)
