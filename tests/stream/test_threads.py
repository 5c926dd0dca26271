"""Waiting for threads: bounded, and one that hangs is reported and abandoned."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from speakerlight.threads import call_in_loop, join_within


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


def test_a_loop_that_was_closed_is_not_called() -> None:
    loop, called = asyncio.new_event_loop(), list[int]()
    call_in_loop(loop, lambda: called.append(1))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    call_in_loop(loop, lambda: called.append(2))
    assert called == [1]


PROGRAM = """
import threading, time
from speakerlight.threads import call_in_loop, join_within

def work():
    for _ in range(100):
        time.sleep(0.01)

thread = threading.Thread(target=work, daemon=True)
thread.start()
print("ready", flush=True)
print(join_within(thread, 2.0), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no SIGSTOP")
def test_a_time_in_which_the_process_is_stopped_does_not_count() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(2.5)
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout.readline() == "True\n"
