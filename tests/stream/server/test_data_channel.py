"""What a page may say, and that nothing else does any harm."""

from __future__ import annotations

import itertools
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakerlight.control import Control
from speakerlight.core.decision.commands import MAX_NAMES, NAME_LETTERS
from speakerlight.server import data_channel
from speakerlight.server.data_channel import (
    BURST_MESSAGES,
    MAX_ERRORS,
    MESSAGE_BYTES,
    Messages,
    publish_state,
)


class Page:
    """A page's messages, and the lines that all listeners received."""

    def __init__(self, now: float | None = 1.5) -> None:
        self.published: list[dict[str, object]] = []
        control = Control()
        publish_state(control, lambda kind, line: self.published.append(json.loads(line)))
        self.messages = Messages(control, lambda: now)

    def notify(self, **message: object) -> list[dict[str, object]]:
        return self.take(json.dumps(message))

    def take(self, text: str | bytes) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.messages.take(text)]


def test_a_ping_is_answered_with_the_time() -> None:
    assert Page().notify(type="ping", sent=12.25) == [{"type": "pong", "sent": 12.25, "time": 1.5}]
    assert Page(now=None).notify(type="ping", sent=1) == [], "before the session has begun there is no time"


def test_names_are_reported_to_all_until_they_are_removed() -> None:
    page = Page()
    command = {"type": "name", "id": 3, "name": "  Ada \n Lovelace\x07"}
    assert page.notify(**command) == [{"type": "ack", "time": 0.0, "command": command}]
    page.notify(type="name", id=7, name="Grace")
    page.notify(type="name", id=3, name="")
    assert [line["names"] for line in page.published] == [
        {"3": "Ada Lovelace"},
        {"3": "Ada Lovelace", "7": "Grace"},
        {"7": "Grace"},
    ]


def test_a_pin_is_reported_to_all() -> None:
    page = Page()
    page.notify(type="pin", id=3)
    page.notify(type="pin", id=None)
    assert page.published == [{"type": "pinned", "id": 3}, {"type": "pinned", "id": None}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "[" * 1000,
        b"{}",
        "{}",
        '{"type":"quit"}',
        '{"type":"ping"}',
        '{"type":"ping","sent":"now"}',
        '{"type":"ping","sent":NaN}',
        '{"type":"ping","sent":1,"more":2}',
        '{"type":"ping","sent":true}',
        '{"type":"name","id":"3","name":"Ada"}',
        '{"type":"name","id":true,"name":"Ada"}',
        '{"type":"name","id":0,"name":"Ada"}',
        '{"type":"name","id":3,"name":5}',
        json.dumps({"type": "name", "id": 3, "name": "a" * (NAME_LETTERS + 1)}),
        '{"type":"pin","id":-1}',
        '{"type":"pin","id":1.5}',
        '{"type":"pin","id":' + "9" * 500 + "}",
        " " * (MESSAGE_BYTES + 1),
    ],
)
def test_anything_else_is_an_error_and_changes_nothing(text: str | bytes) -> None:
    page = Page()
    (answer,) = page.take(text)
    assert list(answer) == ["type", "message"] and answer["type"] == "error"
    assert page.published == []


def test_too_much_of_it_is_hopeless() -> None:
    page = Page()
    for _ in range(MAX_ERRORS):
        page.take("nonsense")
    assert not page.messages.is_hopeless
    page.take("nonsense")
    assert page.messages.is_hopeless


def test_errors_are_forgiven_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", (3600.0 * k for k in itertools.count()).__next__)
    page = Page()
    for _ in range(3 * MAX_ERRORS):
        assert page.take("nonsense")[0]["type"] == "error"
    assert not page.messages.is_hopeless


def test_a_listener_gets_an_error_for_whatever_it_sends() -> None:
    messages = Messages(None, lambda: 1.0)
    for text in ('{"type":"reset"}', '{"type":"ping","sent":1}', "nonsense"):
        (answer,) = map(json.loads, messages.take(text))
        assert answer["type"] == "error" and "/control" in answer["message"]


def test_too_many_messages_are_an_error_too() -> None:
    page = Page()
    answers = [page.notify(type="ping", sent=number) for number in range(BURST_MESSAGES + 5)]
    assert [answer[0]["type"] for answer in answers[:BURST_MESSAGES]] == ["pong"] * BURST_MESSAGES
    assert "too many" in str(answers[-1][0]["message"])


def test_names_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_channel, "BURST_MESSAGES", 2 * MAX_NAMES)
    page = Page()
    for person in range(1, MAX_NAMES + 1):
        assert page.notify(type="name", id=person, name="Ada")[0]["type"] == "ack"
    assert page.notify(type="name", id=MAX_NAMES + 1, name="Ada")[0]["type"] == "error"
    assert page.notify(type="name", id=1, name="Grace")[0]["type"] == "ack"


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists) | st.dictionaries(
    st.sampled_from(["type", "id", "name", "sent", "seconds", "milliseconds", "x"]),
    st.sampled_from(["ping", "name", "pin", "hold", "reset", "lag"])
    | st.none()
    | st.integers()
    | st.floats()
    | st.text()
    | st.booleans(),
)


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_whatever_comes_is_answered_with_lines_of_json(message: str | bytes) -> None:
    page = Page()
    for answer in page.take(message):
        assert answer["type"] in ("error", "pong", "ack")
