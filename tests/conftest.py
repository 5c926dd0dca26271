"""Hypothesis profiles, and a limit on skips because of a busy machine.

A few such skips are bad luck; in CI more than that fail the run, as nothing was tested. Property tests try the same
examples on every run; ``--hypothesis-profile=fuzz`` tries many others, by ``--hypothesis-seed``.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import Phase, settings

# To explain a failure, Hypothesis traces every line that runs: minutes where a test draws a plot.
PHASES = [phase for phase in Phase if phase is not Phase.explain]

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, phases=PHASES)
# Rounds are short and many: some examples are whole runs of a second, and each round has a seed of its own.
settings.register_profile("fuzz", derandomize=False, deadline=None, max_examples=100, print_blob=True, phases=PHASES)
settings.load_profile("ci")

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
