"""Host process: runs a host (server with rooms) in a child interpreter, which ends with its parent.

It is started as ``python -m speakerlight.cluster.host_process NAME``, not by multiprocessing, which would load the
parent's main module: MediaPipe cannot be loaded into a process that has loaded Ray.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from speakerlight.core.errors import InputError
from speakerlight.run_settings import RunSettings
from speakerlight.server.client_address import parse_network
from speakerlight.server.serve_settings import LOOPBACK, ServeSettings

if TYPE_CHECKING:
    from speakerlight.server.server import Server

END_SECONDS = 10.0
"""Time for a host to end before it is killed."""

DRAINED_POLL_SECONDS = 0.2

READY, FAILED, NOTE, DRAINED = "ready", "failed", "note", "drained"
"""Kinds of messages from the child. Their values: the port, the reason, a line for people, nothing."""


class HostProcess:
    """The parent's handle of a host process. ``settings``: as ``host_settings`` makes them."""

    def __init__(self, name: str, settings: RunSettings) -> None:
        self.name = name
        command = [sys.executable, "-m", __spec__.name, name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        with suppress(OSError):  # it has died, which ends the messages
            pickle.dump(settings, self._process.stdin)
            self._process.stdin.flush()

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yield its messages, kind and value, until it ends. For one thread."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            kind, value = json.loads(line)
            yield kind, value

    def close(self) -> None:
        """Ask it to end; returns at once."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def join(self) -> None:
        """Wait until it has ended; one that hangs is killed."""
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def host_settings(settings: RunSettings, secret: str, address: str = LOOPBACK) -> RunSettings:
    """Settings of a host that listens for doors on ``address``; its only token is ``secret``."""
    assert settings.serve is not None
    # Only doors know the secret, so X-Forwarded-For is trusted from anywhere.
    anywhere = (parse_network("0.0.0.0/0"), parse_network("::/0"))
    ice, rooms = settings.serve.ice, settings.serve.rooms
    return replace(settings, serve=ServeSettings(address, 0, secret, trusted_proxies=anywhere, ice=ice, rooms=rooms))


@contextmanager
def _running(name: str, settings: RunSettings, notify: Callable[[str], None]) -> Iterator[Server]:
    from speakerlight.model_loading import load_process_models
    from speakerlight.server.listening_socket import listening
    from speakerlight.server.server_factory import open_server

    assert settings.serve is not None
    with (
        listening(settings.serve) as address,
        open_server(settings, address, load_process_models(settings), notify, host=name) as (server, _),
    ):
        yield server


def _serve(name: str) -> None:
    """Serve until the host is drained and empty, or until standard input ends, as it does when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the door ends its hosts
    lock, over = threading.Lock(), threading.Event()
    # Output of libraries must not mix with the messages.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    settings: RunSettings = pickle.load(sys.stdin.buffer)

    def report(kind: str, value: str | int | None = None) -> None:
        with lock, suppress(OSError):
            print(json.dumps([kind, value]), file=messages, flush=True)

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        over.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    try:
        with _running(name, settings, lambda line: report(NOTE, line)) as server:
            report(READY, server.port)
            while not over.is_set() and not server.drained.wait(DRAINED_POLL_SECONDS):
                pass
            if server.drained.is_set():
                report(DRAINED)
    except InputError as error:
        report(FAILED, str(error))
    os._exit(0)  # unloading the libraries takes up to a second


if __name__ == "__main__":
    _serve(sys.argv[1])
