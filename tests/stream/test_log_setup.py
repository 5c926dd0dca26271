"""Log setup: silent unless asked, no passwords, one handler however often it is set up."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from speakerlight.core.errors import InputError
from speakerlight.log_setup import LOG_VARIABLE, set_up_logging

logger = logging.getLogger("speakerlight.something")


@pytest.fixture(autouse=True)
def log_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(LOG_VARIABLE, raising=False)
    root = logging.getLogger("speakerlight")
    before = root.level, list(root.handlers)
    yield
    root.setLevel(before[0])
    root.handlers = before[1]


def logged(capfd: pytest.CaptureFixture[str]) -> str:
    logger.warning("a warning about rtsp://me:secret@host/1")
    logger.info("an %s", "information")
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logger.debug("a detail", exc_info=True)
    return capfd.readouterr().err


def test_nothing_is_logged_unless_asked(capfd: pytest.CaptureFixture[str]) -> None:
    set_up_logging(0)
    assert logged(capfd) == ""


def test_once_shows_what_happens_twice_everything(capfd: pytest.CaptureFixture[str]) -> None:
    set_up_logging(1)
    once = logged(capfd)
    assert "INFO    speakerlight.something: an information" in once and "detail" not in once
    assert "rtsp://host/1" in once and "secret" not in once
    set_up_logging(2)
    twice = logged(capfd)
    assert "a detail" in twice and "ZeroDivisionError" in twice
    assert twice.count("an information") == 1


def test_the_environment_names_a_level(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(LOG_VARIABLE, "WARNING")
    set_up_logging(0)
    assert "warning" in (lines := logged(capfd)) and "information" not in lines
    set_up_logging(1)
    assert "information" in logged(capfd), "the flag counts more"
    monkeypatch.setenv(LOG_VARIABLE, "loud")
    with pytest.raises(InputError, match="SPEAKERLIGHT_LOG=loud: use one of warning, info, debug"):
        set_up_logging(0)
