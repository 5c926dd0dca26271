"""OSC messages, as a receiver on this machine gets them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from speakerlight.core.decision.director import Director
from speakerlight.core.errors import InputError
from speakerlight.core.events import SpeakerEvent
from speakerlight.core.shot import Direction, close_up
from speakerlight.core.snapshot import SpeakingState
from speakerlight.outputs.osc import Osc
from tests.stream.outputs.test_obs import snapshot

dispatcher = pytest.importorskip("pythonosc.dispatcher")
osc_server = pytest.importorskip("pythonosc.osc_server")


@pytest.fixture
def received() -> Iterator[tuple[int, list[tuple[Any, ...]], threading.Event]]:
    messages: list[tuple[Any, ...]] = []
    came = threading.Event()

    def take(*message: Any) -> None:
        messages.append(message)
        if message[0] == "/speakerlight/shot":
            came.set()

    taking = dispatcher.Dispatcher()
    taking.set_default_handler(take)
    with osc_server.ThreadingOSCUDPServer(("127.0.0.1", 0), taking) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1], messages, came
        server.shutdown()
        thread.join()


def test_speakers_candidates_and_shots_are_sent(
    received: tuple[int, list[tuple[Any, ...]], threading.Event],
) -> None:
    port, messages, came = received
    osc = Osc(f"127.0.0.1:{port}")
    osc.event(SpeakerEvent(0.0, SpeakingState.SPEAKING, 2, None))
    director = Director()
    for tick in range(20):
        decided = replace(snapshot(tick, 2), names={2: "Bob"})
        osc.snapshot(replace(decided, direction=director.update(decided)))
    assert came.wait(5.0)
    osc.close()
    kinds = {message[0]: message[1:] for message in messages}
    assert kinds["/speakerlight/speaker"] == ("speaking", 2, "")
    assert kinds["/speakerlight/candidate"][:2] == ("person", 2)
    assert kinds["/speakerlight/candidate"][2] == pytest.approx(0.3, abs=0.05)
    assert kinds["/speakerlight/shot"] == ("person", 2, "Bob")


def test_a_receiver_that_is_not_there_is_no_failure() -> None:
    osc = Osc("127.0.0.1:9")
    for tick in range(50):
        osc.snapshot(replace(snapshot(tick, 1), direction=Direction(close_up(1 + tick // 25))))
    osc.close()


@pytest.mark.parametrize(
    "address",
    ["nowhere", "127.0.0.1:port", "127.0.0.1:99999", "127.0.0.1:0", "no.such.host.invalid:9000", ":", ":9000"],
)
def test_an_address_that_cannot_be_used_is_one_line(address: str) -> None:
    with pytest.raises(InputError, match=r"^--osc [^\n]+$"):
        Osc(address)
