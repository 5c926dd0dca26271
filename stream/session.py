"""One run from settings to summary: opens sources, loads models, makes outputs, drives, closes everything."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from speakerlight.composer import ViewComposer
from speakerlight.core.demo import Demo, Judge
from speakerlight.core.errors import InputError
from speakerlight.core.events import Percentiles, SessionEvent
from speakerlight.core.faces.crops import Crop
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import Vision, VisionSettings
from speakerlight.core.media import Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.devices import cameras
from speakerlight.engine import Engine
from speakerlight.fast import run_fast
from speakerlight.live import LiveReport, LiveRun, OverlayStatus
from speakerlight.memory_trim import memory_trimmed
from speakerlight.model_future import LoadFuture
from speakerlight.model_loading import Models, load_models
from speakerlight.outputs.background import Background
from speakerlight.outputs.eventlog import EventLog
from speakerlight.outputs.face_videos import FaceVideos
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.output import Output
from speakerlight.outputs.plot import Plot
from speakerlight.outputs.recorder import Recorder
from speakerlight.outputs.rttm import Rttm
from speakerlight.outputs.summary import summary_text
from speakerlight.outputs.virtual_camera import VirtualCamera
from speakerlight.redaction import redacted
from speakerlight.run_settings import RunSettings
from speakerlight.sources import LiveSource, MediaReader, open_live, open_reader
from speakerlight.sources.demo import DemoReader
from speakerlight.sources.joined import JoinedSource
from speakerlight.sources.pacing import PacedSource
from speakerlight.sources.quiet_libraries import quiet_libraries
from speakerlight.window import Window

if TYPE_CHECKING:
    from speakerlight.server.listener import Listening
    from speakerlight.server.serve_settings import ServeSettings
    from speakerlight.server.server import Server

TITLE = "Speakerlight"

CAMERA = "0"
"""What ``--video`` is when it is not given …"""

DEMO = "demo"
DEMO_SECONDS = 30.0
"""The demo has no end of its own."""
"""… and what is shown instead where there is no camera at all."""

Notify = Callable[[str], None]
Source = MediaReader | LiveSource


def run(settings: RunSettings, notify: Notify) -> None:
    """Run to the end. ``say`` takes lines for people.

    Raises InputError for what the user can mend, StageError when a stage failed; the outputs are whole all the same.
    """
    with ExitStack() as cleanup:
        cleanup.enter_context(memory_trimmed())
        address = cleanup.enter_context(_listening(settings.serve)) if settings.serve is not None else None
        if address is not None and settings.video is None:
            _serve_browsers(settings, address, notify)
            return
        loading = LoadFuture(partial(load_models, settings))
        cleanup.callback(loading.wait)
        # Devices take their time to open: the models load meanwhile. A recording says at once what is wrong with it.
        if _opens_slowly(settings):
            loading.begin()
        settings, source = _opened(settings, notify)
        cleanup.callback(source.stop if isinstance(source, LiveSource) else source.close)
        board = OverlayStatus()
        outputs = _outputs(settings, has_audio=source.has_audio, board=board)
        loading.begin()
        truth = _DemoTruth(demo) if (demo := _demo_in(source)) else None
        outputs += [truth] if truth else []
        models = loading.result()
        if address is not None:
            server, models = cleanup.enter_context(_serving(settings, address, models, notify, local=True))
            outputs += server.outputs
        engine = cleanup.enter_context(_engine(settings, models, has_audio=source.has_audio))
        with _interrupts() as stop:
            begin = SessionEvent(*_names(settings, source), models.model.name, str(models.device))
            if isinstance(source, LiveSource):
                _live(settings, source, engine, outputs, begin, board, stop, notify)
            else:
                _fast(settings, source, engine, outputs, begin, stop, notify)
        if truth:
            notify(str(truth))


def _serve_browsers(settings: RunSettings, address: Listening, notify: Notify) -> None:
    models = load_models(settings)
    with _serving(settings, address, models, notify, local=False), _interrupts() as stop:
        stop.wait(settings.duration_seconds)


def _listening(settings: ServeSettings) -> AbstractContextManager[Listening]:
    try:
        import speakerlight.server.serving  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            f"--serve needs {error.name}, which is not here: pip install '.[web]' in the checkout"
        ) from None
    from speakerlight.server.listener import listening

    return listening(settings)


def _serving(
    settings: RunSettings, address: Listening, models: Models, notify: Notify, *, local: bool
) -> AbstractContextManager[tuple[Server, Models]]:
    from speakerlight.server.serving import serving

    def open_engine(models: Models, has_audio: bool) -> AbstractContextManager[Engine]:
        return _engine(settings, models, has_audio=has_audio)

    return serving(address, models, open_engine, notify, local=local)


def _live(
    settings: RunSettings,
    source: LiveSource,
    engine: Engine,
    outputs: list[Output],
    begin: SessionEvent,
    board: OverlayStatus,
    stop: threading.Event,
    notify: Notify,
) -> None:
    queued = [Background(output) for output in outputs]
    hub = OutputHub(queued, notify)
    hub.event(begin)
    window = Window(TITLE, notify) if settings.window and source.has_video else None
    live = LiveRun(
        source,
        engine,
        hub,
        composer=ViewComposer(settings.view),
        board=board,
        window=window,
        duration_seconds=settings.duration_seconds,
        notify=notify,
    )
    try:
        live.run(stop)
    finally:
        if window is not None:
            window.close()
        notify(_report_text(hub, live.report()))
        for output in queued:
            if output.dropped_frames:
                notify(f"{output.option}: {output.dropped_frames} pictures were left out: the machine was too slow")


def _fast(
    settings: RunSettings,
    reader: MediaReader,
    engine: Engine,
    outputs: list[Output],
    begin: SessionEvent,
    stop: threading.Event,
    notify: Notify,
) -> None:
    hub = OutputHub(outputs, notify)
    hub.event(begin)
    try:
        run_fast(reader, engine, hub, settings.duration_seconds, stop)
    finally:
        notify(_report_text(hub, LiveReport(Percentiles(), 0, 0)))


def _report_text(hub: OutputHub, report: LiveReport) -> str:
    text = summary_text(hub.close(report.latency), report.dropped_frames)
    return f"{text}\nload was shed up to level {report.worst_level}" if report.worst_level else text


def _opens_slowly(settings: RunSettings) -> bool:
    video = settings.video
    return video is None or video.isdecimal() or "://" in video or _is_demo(video)


def _is_demo(video: str) -> bool:
    return video.partition(":")[0] == DEMO


def _demo_in(source: Source) -> Demo | None:
    """The demo that is played with its own sound, if it is one."""
    reader = source.reader if isinstance(source, PacedSource) else source
    return reader.demo if isinstance(reader, DemoReader) else None


def _opened(settings: RunSettings, notify: Notify) -> tuple[RunSettings, Source]:
    """The source, and the settings with the video that it turned out to be."""
    video = CAMERA if settings.video is None else settings.video
    settings_given, settings = settings, replace(settings, video=video)
    if _is_demo(video) and settings.duration_seconds is None:
        settings = replace(settings, duration_seconds=DEMO_SECONDS)
    if settings.fast:
        return settings, open_reader(video, settings.audio)
    try:
        return settings, open_live(video, settings.audio)
    except InputError:
        if settings_given.video is not None or cameras():
            raise
    notify("no camera found: showing the demo instead; --video names another source")
    return _opened(replace(settings_given, video=DEMO), notify)


def _outputs(settings: RunSettings, *, has_audio: bool, board: OverlayStatus) -> list[Output]:
    """What was asked for. Each is checked before anything runs; InputError."""
    inputs = [name for name in (settings.video, settings.audio) if name is not None]
    outputs: list[Output] = []
    if settings.events is not None:
        outputs.append(EventLog(settings.events, inputs))
    if settings.rttm is not None:
        outputs.append(Rttm(settings.rttm, Path(redacted(inputs[0])).stem, sources=inputs))
    if settings.plot is not None:
        outputs.append(Plot(settings.plot, sources=inputs))
    if settings.output is not None:
        composer = ViewComposer(settings.view)
        outputs.append(
            Recorder(
                settings.output,
                lambda frame, snapshot: composer.compose(frame, snapshot, board.info),
                has_audio,
                inputs,
            )
        )
    if settings.save_faces is not None:
        outputs.append(FaceVideos(settings.save_faces, has_audio))
    if settings.virtual_camera:
        outputs.append(VirtualCamera())
    return outputs


@contextmanager
def _engine(settings: RunSettings, models: Models, *, has_audio: bool) -> Iterator[Engine]:
    from speakerlight.core.decision.scorer import Scorer

    model = models.model

    def crop(image: Image, face: TrackedFace) -> Crop:
        return model.crop(image, face.box, face.keypoints)

    # MediaPipe tells the terminal how it was built, when it begins, when it first runs, when a picture first lies at an
    # odd address (which pictures of several sizes bring about) and when it ends.
    with quiet_libraries():
        detector = FaceDetector(models.detector_file)
        for side in range(128, 192, 8):
            detector.detect(np.zeros((side, side, 3), np.uint8))
    try:
        vision = Vision(detector, crop, VisionSettings(max_faces=settings.max_faces))
        yield Engine(vision, Scorer(model, settings.lag_ms, has_audio=has_audio))
    finally:
        with quiet_libraries():
            detector.close()


def _names(settings: RunSettings, source: Source) -> tuple[str, str | None]:
    """Video and audio as the session event names them."""
    video = redacted(settings.video or CAMERA)
    if not source.has_audio:
        return video, None
    if settings.audio is not None:
        return video, redacted(settings.audio)
    return video, source.name.rpartition(" + ")[2] if isinstance(source, JoinedSource) else video


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Ctrl-C and the system's request to end set the event instead of breaking off: a driver ends by itself, whole."""
    stop = threading.Event()
    signals = [signal.SIGINT, signal.SIGTERM]
    kept = [signal.signal(number, lambda *_: stop.set()) for number in signals]
    try:
        yield stop
    finally:
        for number, handler in zip(signals, kept, strict=True):
            signal.signal(number, handler)


class _DemoTruth(Output):
    """How often the demo's right person was marked."""

    option = "--video demo"

    def __init__(self, demo: Demo) -> None:
        self._judge = Judge(demo.tiles, demo.turns)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._judge.push(snapshot)

    def __str__(self) -> str:
        return str(self._judge.verdict())
