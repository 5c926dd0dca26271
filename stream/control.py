"""Control of a running session: the commands given so far, from any thread and by any way in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from speakerlight.core.decision.commands import ControlState
from speakerlight.core.events import ControlEvent
from speakerlight.core.identities import Merge

Listener = Callable[[ControlEvent], None]


class Control:
    """The one place that commands reach, whichever way they come. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._state = ControlState()
        self._listeners: list[Listener] = []
        self._time = 0.0

    @property
    def state(self) -> ControlState:
        """The state as it is now: an immutable value."""
        return self._state

    @property
    def time(self) -> float:
        """Session time of the newest scored tick, in seconds."""
        return self._time

    def execute(self, command: Mapping[str, object]) -> ControlEvent:
        """Carry out a command of the schema; what it changes counts from the next scored tick.

        Every listener gets the event that is returned, in the order of the commands. Raises InputError with one line.
        """
        with self._lock:
            self._state = self._state.after(command, self._time)
            event = ControlEvent(self._time, dict(command))
            for listener in tuple(self._listeners):
                listener(event)
            return event

    def follow(self, merges: Sequence[Merge]) -> None:
        """Let names, pin and exclusions of ids that turned out to be another person's go over to that id.

        This happens by commands, so that every listener receives it.
        """
        with self._lock:
            for merge in merges:
                for command in self._state.following(merge):
                    self.execute(command)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with each command's event, in the thread that gives it; the result ends that."""
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def at(self, time: float) -> ControlState:
        """The state for the tick at ``time`` (seconds of the session), from which later commands count."""
        with self._lock:
            self._time = max(self._time, time)
            return self._state
