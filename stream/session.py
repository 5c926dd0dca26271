"""A session: one run from settings to summary, with every thread, device and file closed at its end."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from speakerlight.composer import ViewComposer
from speakerlight.control import Control
from speakerlight.core.demo import Demo
from speakerlight.core.errors import InputError
from speakerlight.core.events import Event, Percentiles, SessionEvent, SummaryEvent
from speakerlight.engine import Engine
from speakerlight.engine_factory import open_engine
from speakerlight.exit_guard import exit_guarded
from speakerlight.live import LiveReport, LiveRun, OverlayStatus
from speakerlight.memory_trim import memory_trimmed
from speakerlight.model_cache import cache_folder
from speakerlight.model_future import LoadFuture
from speakerlight.model_loading import load_process_models
from speakerlight.opening import Source, open_source, opens_slowly, source_names
from speakerlight.output_factory import DemoAccuracy, EventCallback, make_outputs
from speakerlight.outputs.background import Background
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.output import Output, OutputError
from speakerlight.outputs.summary import summary_text
from speakerlight.people_file import PeopleFile
from speakerlight.run_settings import RunSettings
from speakerlight.sources import LiveSource, MediaReader
from speakerlight.sources.demo import DemoReader
from speakerlight.sources.pacing import PacedSource
from speakerlight.window import LOST, Window

if TYPE_CHECKING:
    from speakerlight.server.listening_socket import Listening
    from speakerlight.server.serve_settings import ServeSettings

TITLE = "Speakerlight"
WINDOW_FILE = "window.json"
"""In the cache folder: where the window was."""

UNSCORED_SECONDS = 0.5
"""Time at the end of a run without scores that is reported; the decision is 0.16 s behind the newest frame anyway."""

logger = logging.getLogger(__name__)

Notify = Callable[[str], None]


def run(
    settings: RunSettings,
    outputs: Sequence[Output] = (),
    on_event: Callable[[Event], None] | None = None,
    *,
    notify: Notify = logger.info,
    stop: threading.Event | None = None,
) -> SummaryEvent:
    """Run a whole session, as the command line does, and return its summary.

    ``outputs``: your own, beside those that ``settings`` ask for; each is fed by one thread at a time, in live runs by
    a thread of its own, and closed at the end. ``on_event`` is called with every event in the same way; an exception it
    raises ends the run and is raised here. ``notify`` receives lines for people (default: the log). Setting ``stop``,
    from any thread, ends the run as Ctrl-C does, which counts only in the main thread.

    Blocks until the source or the duration is over. Call it from the main thread when there is a window. Without
    ``settings.video``, ``settings.serve`` serves browsers alone: there is nothing to report to ``outputs`` then, and
    the summary is empty. Raises InputError for what the user can mend, StageError when a stage failed, OutputError when
    the run went well but an output was lost; all other outputs are whole in every case.
    """
    stop = stop or threading.Event()
    with ExitStack() as cleanup:
        cleanup.enter_context(memory_trimmed())
        address = cleanup.enter_context(_listening(settings.serve)) if settings.serve is not None else None
        if address is not None and settings.video is None:
            if outputs or on_event:
                raise InputError("outputs and on_event belong to a run on this machine: name its video too")
            return _serve_browsers(settings, address, stop, notify)
        loading = LoadFuture(partial(load_process_models, settings))
        cleanup.callback(loading.wait)
        if opens_slowly(settings):
            loading.begin()
        settings, source = open_source(settings, notify)
        cleanup.callback(source.stop if isinstance(source, LiveSource) else source.close)
        status = OverlayStatus()
        own = make_outputs(
            settings,
            has_audio=source.has_audio,
            frame_size=source.frame_size,
            status=status,
            stop=stop,
            notify=notify,
        )
        all_outputs = [*own, *outputs]
        loading.begin()
        accuracy = DemoAccuracy(demo) if (demo := _demo_in(source)) else None
        callback = EventCallback(on_event, stop.set) if on_event else None
        all_outputs += [output for output in (accuracy, callback) if output]
        models, control = loading.result(), Control()
        if address is not None:
            from speakerlight.server.server_factory import open_server

            live = source if isinstance(source, LiveSource) else None
            server, models = cleanup.enter_context(open_server(settings, address, models, notify, control, live))
            all_outputs += server.outputs
        people = PeopleFile(settings.people_file) if settings.people_file is not None else None
        engine = cleanup.enter_context(
            open_engine(
                settings,
                models,
                has_audio=source.has_audio,
                control=control,
                notify=notify,
                people_file=people,
                people_later=True,
            )
        )
        begin = SessionEvent(*source_names(settings, source), models.model.name, str(models.device))
        logger.info("session: %s", begin.to_json())
        with _interrupts(stop):
            session_run = _Run(settings, engine, all_outputs, begin, status, stop, notify, accuracy)
            summary = session_run.drive(source)
    if callback and callback.error:
        raise callback.error
    if session_run.lost:
        raise OutputError(f"{', '.join(session_run.lost)}: lost or incomplete")
    return summary


@dataclass(frozen=True, eq=False)
class _Run:
    """An opened session: chooses the driver and reports how it went."""

    settings: RunSettings
    engine: Engine
    outputs: Sequence[Output]
    begin: SessionEvent
    status: OverlayStatus
    stop: threading.Event
    notify: Notify
    accuracy: DemoAccuracy | None = None
    lost: list[str] = field(default_factory=list)
    """The options of outputs that failed or are incomplete."""

    def drive(self, source: Source) -> SummaryEvent:
        if isinstance(source, LiveSource):
            return self._live(source)
        return self._fast(source)

    def _live(self, source: LiveSource) -> SummaryEvent:
        settings = self.settings
        queued = [Background(output) for output in self.outputs]
        hub = OutputHub(queued, self.notify)
        hub.event(self.begin)
        window = (
            Window(TITLE, self.notify, cache_folder() / WINDOW_FILE) if settings.window and source.has_video else None
        )
        live = LiveRun(
            source,
            self.engine,
            hub,
            composer=ViewComposer(settings.view),
            status=self.status,
            window=window,
            duration_seconds=settings.duration_seconds,
            notify=self.notify,
        )
        with exit_guarded(partial(self._survive_exit, live, hub, queued)) if window else nullcontext():
            try:
                live.run(self.stop)
            finally:
                if window is not None:
                    window.close()
                summary = self._finished_live(live, hub, queued)
        return summary

    def _survive_exit(self, live: LiveRun, hub: OutputHub, queued: Sequence[Background]) -> int:
        """Go on without the window and end the run; returns the exit status. Runs while a library ends the process."""
        self.notify(LOST)
        try:
            live.resume_without_window()
        except Exception as error:  # no caller is left to raise it to
            logger.debug("failed", exc_info=True)
            self.notify(str(error))
            self.lost.append("live run")
        self._finished_live(live, hub, queued)
        if self.lost:
            self.notify(f"{', '.join(self.lost)}: lost or incomplete")
        return 1 if self.lost else 0

    def _finished_live(self, live: LiveRun, hub: OutputHub, queued: Sequence[Background]) -> SummaryEvent:
        summary = self._finished(hub, live.report())
        for output in queued:
            if output.dropped_frames:
                self.notify(f"{output.dropped_frames} frames dropped by {output.option}: the machine is too slow")
        return summary

    def _fast(self, reader: MediaReader) -> SummaryEvent:
        from speakerlight.fast import run_fast

        hub = OutputHub(self.outputs, self.notify)
        hub.event(self.begin)
        try:
            run_fast(reader, self.engine, hub, self.settings.duration_seconds, self.stop)
        finally:
            summary = self._finished(hub, LiveReport(Percentiles()))
        return summary

    def _finished(self, hub: OutputHub, report: LiveReport) -> SummaryEvent:
        summary = hub.close(report.latency, report.captured_seconds)
        self.lost.extend(hub.lost)
        logger.info("session ended: %s", summary.to_json())
        self.notify(summary_text(summary, report.dropped_frames))
        if report.unscored_seconds > UNSCORED_SECONDS:
            self.notify(f"the last {report.unscored_seconds:.1f} s were not scored: the machine is too slow")
        if report.worst_level:
            self.notify(f"load was shed up to level {report.worst_level}: the machine was too slow to score every tick")
        if self.accuracy is not None:
            reason = " (load was shed, which lowers these figures)" if report.worst_level else ""
            self.notify(f"{self.accuracy}{reason}")
        return summary


def _serve_browsers(settings: RunSettings, address: Listening, stop: threading.Event, notify: Notify) -> SummaryEvent:
    if address.settings.cluster is not None:
        from speakerlight.cluster.running import run_door

        with _interrupts(stop):
            run_door(settings, address, stop, notify)
        return SummaryEvent(0.0, 0, 0, ())
    from speakerlight.server.server_factory import open_server

    with open_server(settings, address, load_process_models(settings), notify), _interrupts(stop):
        stop.wait(settings.duration_seconds)
    return SummaryEvent(0.0, 0, 0, ())


def _listening(settings: ServeSettings) -> AbstractContextManager[Listening]:
    try:
        import speakerlight.server.server_factory  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            f"--serve needs {error.name}, which is missing: pip install '.[web]' in the checkout"
        ) from None
    from speakerlight.server.listening_socket import listening

    return listening(settings)


def _demo_in(source: Source) -> Demo | None:
    """The demo that ``source`` plays with its own audio, if it is one."""
    reader = source.reader if isinstance(source, PacedSource) else source
    return reader.demo if isinstance(reader, DemoReader) else None


@contextmanager
def _interrupts(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) set ``stop``: the driver ends by itself, outputs whole.

    SIGHUP stays ignored under nohup. Only the main thread may set signal handlers; elsewhere they stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    kept = [signal.signal(number, lambda *_: stop.set()) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, kept, strict=True):
            signal.signal(number, handler)
