"""Scene switching in OBS through obs-websocket 5: each shot of the director is a scene, or a source's filter.

The connection is made and kept in a thread of its own: an OBS that is slow, closed or restarted never delays a run.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from speakerlight.core.errors import InputError
from speakerlight.core.shot import Shot, ShotKind
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.output import Output

logger = logging.getLogger(__name__)

DEFAULT_PORT = 4455
"""Default port of obs-websocket 5."""

TIMEOUT_SECONDS = 2.0
"""Timeout of a request; after it the connection counts as lost."""

RETRY_SECONDS = 1.0
"""Pause between attempts to connect, and between checks of the connection."""

JOIN_SECONDS = 3.0
"""How long ``close`` waits for a pending request."""


@dataclass(frozen=True)
class Target:
    """Target of a shot: a scene, or a filter that is enabled on a source."""

    scene: str | None = None
    source: str | None = None
    filter: str | None = None


@dataclass(frozen=True)
class SceneMap:
    """Target of each shot. ``people``: by name or, as text, by id."""

    people: dict[str, Target]
    wide: Target
    nobody: Target
    password: str = ""

    def target(self, shot: Shot, names: Mapping[int, str]) -> Target:
        """The target of ``shot``. A person without a scene of their own is shown in the wide one."""
        if shot.kind is ShotKind.NOBODY:
            return self.nobody
        if shot.person is None:
            return self.wide
        own = (names.get(shot.person), str(shot.person))
        return next((self.people[name] for name in own if name in self.people), self.wide)

    def filters(self) -> set[Target]:
        """All targets whose filters are enabled and disabled."""
        return {target for target in self._targets() if target.filter is not None}

    def scenes(self) -> set[str]:
        """The scenes that are switched to."""
        return {target.scene for target in self._targets() if target.scene is not None}

    def _targets(self) -> tuple[Target, ...]:
        return (*self.people.values(), self.wide, self.nobody)


def read_scenes(path: Path) -> SceneMap:
    """Read a scene file: ``{"people": {"Ada": "Camera 1"}, "wide": "Room", "nobody": "Room", "password": "…"}``.

    A target is a scene's name or ``{"source": "Room", "filter": "Zoom"}``. ``nobody`` defaults to ``wide``. Raises
    InputError with one line.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--obs-scenes {path}: cannot be read as JSON ({error})") from None
    if not isinstance(given, dict) or "wide" not in given or not isinstance(given.get("people", {}), dict):
        raise InputError(f'--obs-scenes {path}: write {{"people": {{"NAME": "SCENE"}}, "wide": "SCENE"}}')
    people = {str(name): _target(target, path) for name, target in given.get("people", {}).items()}
    wide = _target(given["wide"], path)
    nobody = _target(given["nobody"], path) if "nobody" in given else wide
    return SceneMap(people, wide, nobody, str(given.get("password", "")))


def _target(given: object, path: Path) -> Target:
    if isinstance(given, str) and given:
        return Target(scene=given)
    if isinstance(given, dict) and {*given} == {"source", "filter"} and all(isinstance(v, str) for v in given.values()):
        return Target(source=given["source"], filter=given["filter"])
    raise InputError(f'--obs-scenes {path}: {given!r} is neither the name of a scene nor {{"source": …, "filter": …}}')


class _Client(Protocol):
    def send(self, param: str, data: dict[str, Any] | None = None, raw: bool = False) -> Any: ...
    def disconnect(self) -> None: ...


class Obs(Output):
    """Switches OBS to the director's shots. ``notify`` receives a line about an OBS that cannot be reached or used.

    Raises InputError for a scene file or an address that cannot be used, or when the library is missing; an OBS that is
    not there yet is waited for.
    """

    option = "--obs"

    def __init__(self, address: str, scenes: Path, notify: Callable[[str], None] = logger.warning) -> None:
        self._host, self._port = _parsed(address)
        self._notify = notify
        self._reported = ""
        self._scenes = read_scenes(scenes)
        try:
            import obsws_python  # noqa: F401
        except ImportError:
            raise InputError("--obs needs obsws-python: pip install '.[obs]' in the checkout") from None
        self._wanted: Target | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def snapshot(self, snapshot: Snapshot) -> None:
        self._want(self._scenes.target(snapshot.direction.shot, snapshot.names))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="output --obs", daemon=True)
            self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)

    def _want(self, target: Target) -> None:
        if target != self._wanted:
            with self._changed:
                self._wanted = target
                self._changed.notify()

    def _work(self) -> None:
        while not self._closing:
            try:
                client = self._connected()
            except Exception as error:  # the library raises exceptions of many kinds
                self._report(f"OBS cannot be reached ({error}); trying on. Is its WebSocket on, the password right?")
                self._wait(RETRY_SECONDS, None)
                continue
            logger.info("connected to OBS at %s:%d", self._host, self._port)
            try:
                self._check_scenes(client)
                self._serve(client)
            except Exception as error:
                self._report(f"OBS is gone ({error}); trying on")
            finally:
                client.disconnect()

    def _report(self, line: str) -> None:
        """Report trouble once, not with every attempt."""
        if line != self._reported:
            self._reported = line
            self._notify(f"{self.option} {self._host}:{self._port}: {line}")

    def _check_scenes(self, client: _Client) -> None:
        there = [scene["sceneName"] for scene in client.send("GetSceneList", raw=True)["scenes"]]
        if missing := sorted(self._scenes.scenes() - {*there}):
            self._report(f"OBS has no scene named {', '.join(missing)}; it has {', '.join(sorted(there))}")
        elif self._reported:
            self._report("connected")

    def _connected(self) -> _Client:
        import obsws_python

        # The library logs the password, and every failed attempt with a traceback.
        logging.getLogger("obsws_python").setLevel(logging.CRITICAL + 1)
        client: _Client = obsws_python.ReqClient(
            host=self._host, port=self._port, password=self._scenes.password, timeout=TIMEOUT_SECONDS
        )
        return client

    def _serve(self, client: _Client) -> None:
        """Bring OBS to the wanted target, and again on each change, until it is gone or the run is over."""
        shown: Target | None = None
        while not self._closing:
            wanted = self._wanted
            if wanted is not None and wanted != shown:
                self._switch(client, wanted)
                shown = wanted
            else:
                client.send("GetVersion")  # raises when OBS was closed
            self._wait(RETRY_SECONDS, shown)

    def _switch(self, client: _Client, wanted: Target) -> None:
        from obsws_python.error import OBSSDKRequestError

        try:
            for target in self._scenes.filters():
                client.send(
                    "SetSourceFilterEnabled",
                    {"sourceName": target.source, "filterName": target.filter, "filterEnabled": target == wanted},
                )
            if wanted.scene is not None:
                client.send("SetCurrentProgramScene", {"sceneName": wanted.scene})
        except OBSSDKRequestError as error:
            self._report(f"OBS refuses {wanted.scene or wanted.filter} ({error})")

    def _wait(self, seconds: float, shown: Target | None) -> None:
        """Wait until the wanted target differs from ``shown``, the run is over, or ``seconds`` have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or (shown is not None and self._wanted != shown), seconds)


def _parsed(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address if "://" in address else f"ws://{address}")
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme != "ws" or parts.password is not None:
        raise InputError("--obs: write ws://HOST:4455; the password stands in the scene file")
    return host, port
