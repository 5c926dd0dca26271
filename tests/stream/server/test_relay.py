"""The relay: a slow listener misses scores, keeps the newest state, and does not delay the others."""

from __future__ import annotations

import asyncio
import json
import threading
import time

from speakerlight.core.events import LagEvent, ScoresEvent, SpeakerEvent
from speakerlight.core.snapshot import SpeakingState
from speakerlight.server.relay import SCORES_WAITING, Relay


def scores(number: int) -> ScoresEvent:
    return ScoresEvent(float(number), 0.0, ())


def times(lines: list[str], kind: str = "scores") -> list[float]:
    return [event["time"] for event in map(json.loads, lines) if event["type"] == kind]


def test_a_listener_that_keeps_up_gets_everything_in_order() -> None:
    async def play() -> None:
        relay = Relay(asyncio.get_running_loop())
        outbox = relay.subscribe()
        got: list[str] = []
        for number in range(50):
            relay.event(scores(number))
            got += await outbox.take()
        assert times(got) == list(range(50))

    asyncio.run(play())


def test_one_that_does_not_gets_the_newest_and_the_state() -> None:
    async def play() -> None:
        relay = Relay(asyncio.get_running_loop())
        outbox = relay.subscribe()
        for number in range(1000):
            relay.event(scores(number))
            relay.event(SpeakerEvent(float(number), SpeakingState.SPEAKING, number, None))
        lines = await outbox.take()
        assert times(lines) == list(range(1000 - SCORES_WAITING, 1000))
        assert times(lines, "speaker") == [999.0]

    asyncio.run(play())


def test_a_late_listener_receives_the_state_but_no_old_scores() -> None:
    async def play() -> None:
        relay = Relay(asyncio.get_running_loop())
        relay.event(LagEvent(1.0, 40.0, 0.9))
        relay.event(LagEvent(2.0, 50.0, 0.9))
        relay.event(scores(2))
        lines = await relay.subscribe().take()
        assert times(lines, "lag") == [2.0] and not times(lines)

    asyncio.run(play())


def test_it_ends_when_all_is_consumed() -> None:
    async def play() -> None:
        relay = Relay(asyncio.get_running_loop())
        outbox, gone = relay.subscribe(), relay.subscribe()
        relay.unsubscribe(gone)
        relay.event(scores(1))
        relay.close()
        assert times(await outbox.take()) == [1.0]
        assert await outbox.take() == []
        assert await relay.subscribe().take() == []

    asyncio.run(play())


def test_threads_feed_it_while_a_listener_takes() -> None:
    async def play() -> None:
        relay = Relay(asyncio.get_running_loop())
        outbox = relay.subscribe()

        def feed() -> None:
            for number in range(200):
                relay.event(scores(number))
                time.sleep(0.0005)
            relay.close()

        thread = threading.Thread(target=feed)
        thread.start()
        got: list[str] = []
        async with asyncio.timeout(5.0):
            while lines := await outbox.take():
                got += lines
        thread.join()
        assert times(got) == sorted(times(got)) and times(got)[-1] == 199.0

    asyncio.run(play())
