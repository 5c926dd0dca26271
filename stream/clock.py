"""The session clock, and how a device's own time is laid on it.

The session clock is the monotonic clock minus the session's start, without the times in which the process stood still
(Ctrl-Z, a paused virtual machine). A file played in real time has its time 0 at the session's start. A device has a
clock of its own, which runs a little fast or slow: an audio device counts samples, a sender stamps frames. It is
observed only through deliveries, which are sometimes late and never early.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

STOPPED_SECONDS = 3.0
"""A run asks for the time some tens of times a second. When it did not for this long, the process stood still; threads
that only wait for a core are not kept from it for so long."""

logger = logging.getLogger(__name__)


class SessionClock:
    """Seconds since the session began, on a monotonic clock, less the times in which the process stood still.

    What was missed meanwhile is neither caught up with nor filled in: the session goes on as if it had not been
    interrupted. Make the clock right before the sources start: files played in real time have their time 0 here.
    ``monotonic`` gives seconds that never go back; tests pass their own. Safe in several threads.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked = self._start = monotonic()

    def now(self) -> float:
        """Seconds since the session began."""
        with self._lock:
            now = self._monotonic()
            stopped = now - self._asked
            self._asked = max(now, self._asked)
            if stopped > STOPPED_SECONDS:
                self._start += stopped
                logger.warning("the process stood still for %.1f s; the session goes on without that time", stopped)
            return now - self._start

    def wait_until(self, moment: float, stop: threading.Event) -> bool:
        """Sleep until ``moment`` (seconds of the session); False when ``stop`` was set first."""
        while (left := moment - self.now()) > 0:
            if stop.wait(left):
                return False
        return not stop.is_set()


WINDOW_SECONDS = 1.0
"""The earliest delivery of a window counts; one second holds some tens of audio blocks or frames, and no machine is
late for all of them in normal running."""

GAIN = 0.1
"""Share of a window's error that is corrected. A clock 100 ppm off (a bad crystal; usual are 10 ppm, tens of
milliseconds an hour) is then followed 1 ms behind."""

SLEW_SECONDS = 0.005
"""The most that one window's lateness may count. A machine that stands still for seconds moves the line by half a
millisecond a second instead of by the stall."""

STEP_SECONDS = 0.03
"""A delivery this much earlier than the line predicts moves the line at once: nothing can arrive before it happened."""

LOST_SECONDS = 0.1
LOST_WINDOWS = 3
"""Later than ``LOST_SECONDS`` for ``LOST_WINDOWS`` windows without a break is no lateness: the device has lost samples,
so the line is laid anew."""


class DeviceClock:
    """A device's own time (sample count ÷ rate, a stream's timestamps) as session time.

    The line is the lower envelope of delivery times: ``session = device + offset``, where the offset is corrected once
    a window by a fraction of the earliest delivery's error, so lateness is ignored and drift is followed.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._settling = True
        self._window_end = 0.0
        self._earliest = 0.0
        self._late_windows = 0

    def observe(self, device_seconds: float, arrival: float) -> None:
        """What the device had reached at ``device_seconds`` of its own time was delivered at ``arrival`` (session)."""
        offset = arrival - device_seconds
        if self._offset is None:
            self._lay(offset, arrival)
            return
        error = offset - self._offset
        if error < -STEP_SECONDS or (self._settling and error < 0):
            self._offset, self._earliest, self._late_windows = offset, 0.0, 0
            return
        self._earliest = min(self._earliest, error)
        if arrival >= self._window_end:
            self._close_window(arrival)

    def resync(self) -> None:
        """Lay the line anew from the next delivery: the device has lost samples or jumped."""
        self._offset = None

    def session_time(self, device_seconds: float) -> float:
        """Session time of a moment of the device. The clock must have observed at least one delivery."""
        if self._offset is None:
            raise RuntimeError("no delivery was observed since the clock was made or resynced")
        return device_seconds + self._offset

    @property
    def running(self) -> bool:
        """Whether ``session_time`` can be asked."""
        return self._offset is not None

    def _lay(self, offset: float, arrival: float) -> None:
        self._offset, self._settling = offset, True
        self._late_windows = 0
        self._open_window(arrival)

    def _open_window(self, arrival: float) -> None:
        self._window_end = arrival + WINDOW_SECONDS
        self._earliest = float("inf")

    def _close_window(self, arrival: float) -> None:
        assert self._offset is not None
        self._settling = False
        self._late_windows = self._late_windows + 1 if self._earliest > LOST_SECONDS else 0
        if self._late_windows >= LOST_WINDOWS:
            self._lay(self._offset + self._earliest, arrival)
            return
        self._offset += GAIN * min(self._earliest, SLEW_SECONDS)
        self._open_window(arrival)
