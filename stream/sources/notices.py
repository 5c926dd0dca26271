"""Notices: what a source repaired, chose or misses, reported once each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from speakerlight.core.media import Samples
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.printable import printable

SILENT_SECONDS = 5.0
"""Digital silence for so long from the start is no pause: a muted input, or an empty track."""

logger = logging.getLogger(__name__)


class Notices:
    """Hands lines about the source ``name`` to ``notify`` and to the log, each kind once. Safe in several threads."""

    def __init__(self, name: str, notify: Callable[[str], None] | None = None) -> None:
        self._name = printable(name)
        self._notify = notify
        self._lock = threading.Lock()
        self._said: set[str] = set()

    def report(self, kind: str, line: str) -> None:
        """Report ``line`` unless one of its ``kind`` was reported before; the log gets every one."""
        with self._lock:
            is_new = kind not in self._said
            self._said.add(kind)
        logger.info("%s: %s", self._name, line)
        if is_new and self._notify is not None:
            self._notify(f"{self._name}: {line}")

    def of(self, kind: str) -> Callable[[str], None]:
        """``report`` for lines of one kind."""
        return partial(self.report, kind)


class SilenceNotice:
    """Reports audio that is digital silence from its first sample on."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._silent_samples = 0
        self._is_over = False

    def push(self, samples: Samples) -> None:
        """Look at the next samples."""
        if self._is_over:
            return
        if np.any(samples):
            self._is_over = True
            return
        self._silent_samples += len(samples)
        if self._silent_samples >= SILENT_SECONDS * SAMPLE_RATE:
            self._is_over = True
            self._notices.report(
                "silence",
                "the audio is digital silence so far: a muted microphone, or an empty track; "
                "--audio-track and --audio-channel choose another",
            )
