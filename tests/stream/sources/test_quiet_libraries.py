"""Quiet: what C libraries print meanwhile is not seen, and the terminal is back afterwards."""

from __future__ import annotations

import os
import threading

import pytest

from speakerlight.sources.quiet_libraries import quiet_libraries


def test_what_is_printed_meanwhile_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_libraries(), quiet_libraries():
        os.write(2, b"a library's chatter")
    os.write(2, b"our line")
    assert capfd.readouterr().err == "our line"


def test_threads_that_are_quiet_at_once_leave_the_terminal_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    begun = threading.Barrier(4)

    def work() -> None:
        begun.wait(5.0)
        for _ in range(50):
            with quiet_libraries():
                os.write(2, b"chatter")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"our line")
    assert capfd.readouterr().err == "our line"
