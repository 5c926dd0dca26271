"""Room: one client's media source, an engine of its own, and the relay of its events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from speakerlight.control import Control
from speakerlight.core.events import Event, ScoresEvent, SessionEvent
from speakerlight.core.framing import View
from speakerlight.core.snapshot import Snapshot
from speakerlight.engine import Engine, PeopleMemory, stage
from speakerlight.latency import LatencyHistogram
from speakerlight.live import LiveRun, OverlayStatus
from speakerlight.load_shedding import GovernorSettings
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.output import Output
from speakerlight.server.browser_source import BrowserSource
from speakerlight.server.data_channel import line, publish_state
from speakerlight.server.handover import Handover
from speakerlight.server.metrics import Metrics
from speakerlight.server.relay import Relay
from speakerlight.server.room_status import RoomStatus
from speakerlight.server.view_broadcast import ViewBroadcast, overlay_info
from speakerlight.threads import join_within

BROWSER = "browser"

SHEDDING = GovernorSettings(late_seconds=0.09)
"""Budget of lateness: a mark should reach the browser 0.3 s after its frame; look-ahead and network need 0.21 s."""

JOIN_SECONDS = 5.0
"""Time for a room to end. After it, the room hangs in a library; its thread is a daemon and is abandoned."""


@dataclass(frozen=True)
class Engines:
    """Opens the engines of rooms. ``open`` is called in the room's own thread, with whether there is audio and with
    the commands that steer the engine."""

    open: Callable[[bool, Control], AbstractContextManager[Engine]]
    model: str
    device: str


@dataclass(frozen=True, eq=False)
class RoomHandle:
    """The parts of a room that requests use: its commands, its events, and its view."""

    control: Control
    relay: Relay
    view: ViewBroadcast | None


class Room:
    """Call ``begin`` once and ``end`` once. ``over`` is called, in the room's thread, when the run ends by itself.

    ``first_level``: the load level before the first measurement. ``view``: what viewers get.
    ``handover``: the state of the room at another host.
    """

    def __init__(
        self,
        source: BrowserSource,
        relay: Relay,
        engines: Engines,
        metrics: Metrics,
        notify: Callable[[str], None],
        over: Callable[[], object],
        first_level: int,
        view: View = View.BOXES,
        handover: Handover | None = None,
    ) -> None:
        self.source, self.relay = source, relay
        self.control = Control()
        publish_state(self.control, relay.publish)
        self._engines, self._notify, self._over = engines, notify, over
        self._shedding = replace(SHEDDING, first_level=first_level)
        self._handover = handover or Handover()
        self._memory: PeopleMemory | None = None
        self.status = RoomStatus()
        self.view = ViewBroadcast(view, source.frames, partial(overlay_info, self.control), has_audio=source.has_audio)
        self._meter = _Meter(source, relay, metrics)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="room", daemon=True)

    @property
    def handle(self) -> RoomHandle:
        return RoomHandle(self.control, self.relay, self.view)

    @property
    def latency_ms(self) -> float | None:
        """95th percentile from capture to event since the room began."""
        return self._meter.latency.percentiles().p95

    def handover(self) -> Handover:
        """The state of the room, for another host."""
        people = self._memory.save() if self._memory is not None else self._handover.people
        return Handover(self.control.state.commands(self.control.time), people)

    def restore_control(self) -> None:
        """Execute the commands that another host handed over, once the page receives events. Raises InputError."""
        self._handover.apply(self.control)

    def move(self) -> None:
        """Tell the page to make its offer again, which another host will accept."""
        self.relay.publish("moved", line("moved"))

    def begin(self) -> None:
        """Open an engine and run it, in a thread. Does nothing the second time and after the end."""
        if self._thread.ident is None and not self._stop.is_set():
            self._thread.start()

    def end(self) -> None:
        """Stop and wait until all threads have ended."""
        self._stop.set()
        join_within(self._thread, JOIN_SECONDS)
        self.relay.close()
        self.view.close()

    def _run(self) -> None:
        try:
            with stage("opening a room"), self._engines.open(self.source.has_audio, self.control) as engine:
                self._drive(engine)
        except Exception as error:
            self._notify(f"room ended: {error}")
            self.relay.publish("error", line("error", message="the server failed in this room"))
        finally:
            self._over()

    def _drive(self, engine: Engine) -> None:
        if engine.memory is not None:
            engine.memory.restore(self._handover.people)
            self._memory = engine.memory
        hub = OutputHub([self.relay, self.status, self._meter, self.view], self._notify)
        audio = BROWSER if self.source.has_audio else None
        hub.event(SessionEvent(BROWSER, audio, self._engines.model, self._engines.device))
        run = LiveRun(
            self.source,
            engine,
            hub,
            composer=None,
            status=OverlayStatus(),
            window=None,
            duration_seconds=None,
            notify=self._notify,
            shedding=self._shedding,
        )
        try:
            run.run(self._stop)
        finally:
            hub.close(self._meter.latency.percentiles())


class _Meter(Output):
    """Publishes the frame size when it changes, and measures the latency of the room."""

    option = "--serve"

    def __init__(self, source: BrowserSource, relay: Relay, metrics: Metrics) -> None:
        self._source, self._relay, self._metrics = source, relay, metrics
        self._size: tuple[int, int] | None = None
        self._dropped = 0
        self.latency = LatencyHistogram()

    def snapshot(self, snapshot: Snapshot) -> None:
        if (size := self._source.frame_size) != self._size and size:
            self._size = size
            self._relay.publish("picture", line("picture", width=size[0], height=size[1]))

    def event(self, event: Event) -> None:
        if isinstance(event, ScoresEvent) and (now := self._source.now) is not None:
            self.latency.add(1000 * (now - event.time))
            self._metrics.latency.observe(now - event.time)
            before, self._dropped = self._dropped, self._source.dropped
            self._metrics.dropped.inc(self._dropped - before)
