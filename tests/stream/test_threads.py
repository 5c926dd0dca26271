"""Waiting for threads: bounded, and one that hangs is reported and abandoned."""

from __future__ import annotations

import logging
import threading

import pytest

from speakerlight.threads import join_within


def test_a_thread_that_ends_is_waited_for() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, daemon=True)
    thread.start()
    go.set()
    assert join_within(thread, 5.0) and not thread.is_alive()


def test_a_thread_that_was_never_started_has_ended() -> None:
    assert join_within(None, 5.0)
    assert join_within(threading.Thread(target=int), 5.0)


def test_a_thread_that_hangs_is_left_behind_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="stuck", daemon=True)
    thread.start()
    with caplog.at_level(logging.WARNING, "speakerlight.threads"):
        assert not join_within(thread, 0.01)
    assert "thread stuck has not ended" in caplog.text
    go.set()
    thread.join(5.0)
