"""A server over quick stand-in engines, and the check that nothing of it is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")
pytest.importorskip("aiohttp", reason="the extra [web] is not installed: pip install '.[web]'")
pytest.importorskip("prometheus_client", reason="the extra [web] is not installed: pip install '.[web]'")

from speakerlight.control import Control
from speakerlight.engine import Engine
from speakerlight.server.listening_socket import listening
from speakerlight.server.room import Engines
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.server.server import Server
from tests.stream.standin import stand_in


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 3.0
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


@contextmanager
def stand_in_engine(has_audio: bool, control: Control) -> Iterator[Engine]:
    yield replace(stand_in(has_audio), control=control)


STAND_INS = Engines(stand_in_engine, "stand-in", "cpu")

Serve = Callable[..., Server]


@pytest.fixture
def lines() -> list[str]:
    """The lines that servers gave to ``notify``."""
    return []


@pytest.fixture
def serve(lines: list[str]) -> Iterator[Serve]:
    """Starts a server on a free port of loopback, or as the arguments say."""
    with ExitStack() as stack:

        def started(*, engines: Engines = STAND_INS, local: bool = False, **settings: object) -> Server:
            made = ServeSettings(**{"host": "127.0.0.1", "port": 0} | settings)  # type: ignore[arg-type]
            address = stack.enter_context(listening(made))
            return stack.enter_context(Server(address, engines, lines.append, local=Control() if local else None))

        yield started
