"""Skips because of a busy machine: a few are bad luck; in CI more than that fail the run, as nothing was tested."""

from __future__ import annotations

import os

import pytest

BUSY = "busy"
"""What the reason of such a skip says."""

MOST_BUSY_SKIPS = 2

_busy_skips: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # A skip is reported as file, line and reason; the file's name may hold the word.
    if report.skipped and isinstance(report.longrepr, tuple) and BUSY in report.longrepr[2]:
        _busy_skips.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("CI") and len(_busy_skips) > MOST_BUSY_SKIPS:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if len(_busy_skips) > MOST_BUSY_SKIPS:
        terminalreporter.section("skipped because the machine is busy: too many to have tested anything")
        for name in _busy_skips:
            terminalreporter.line(name)
