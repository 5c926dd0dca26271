"""Output factory: the built-in outputs that the settings ask for, each checked before anything runs.

Each is imported when it is asked for: the first overlay of a run without outputs does not wait for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from speakerlight.composer import ViewComposer
from speakerlight.core.demo import Demo, Judge
from speakerlight.core.events import Event
from speakerlight.core.snapshot import Snapshot
from speakerlight.live import OverlayStatus
from speakerlight.outputs.output import Output
from speakerlight.redaction import redacted
from speakerlight.run_settings import RunSettings


def make_outputs(
    settings: RunSettings,
    *,
    has_audio: bool,
    frame_size: tuple[int, int] | None,
    status: OverlayStatus,
    stop: threading.Event,
    notify: Callable[[str], None],
) -> list[Output]:
    """The outputs that ``settings`` ask for. ``status``: what a recording shows beside the scores.

    ``frame_size``: of the source, where it is known before the first frame. ``stop``, once set, ends an output's wait
    for a reader. ``notify`` receives lines about an output in trouble. Raises InputError for one that cannot be
    written; no file is made or changed yet.
    """
    inputs = settings.inputs
    outputs: list[Output] = []
    if settings.events is not None:
        from speakerlight.outputs.eventlog import EventLog

        outputs.append(EventLog(settings.events, inputs, stop, notify))
    if settings.rttm is not None:
        from speakerlight.outputs.rttm import Rttm

        outputs.append(Rttm(settings.rttm, _recording_name(settings), sources=inputs, stop=stop, report=notify))
    if settings.exports:
        from speakerlight.outputs.export import Export

        outputs += [Export(path, inputs) for path in settings.exports]
    if settings.plot is not None:
        from speakerlight.outputs.plot import Plot

        outputs.append(Plot(settings.plot, sources=inputs))
    if settings.output is not None:
        from speakerlight.outputs.recorder import Recorder

        composer = ViewComposer(settings.view)
        outputs.append(
            Recorder(
                settings.output,
                lambda frame, snapshot: composer.compose(frame, snapshot, status.info),
                has_audio,
                inputs,
                stop,
                is_recording=lambda: status.info.is_recording,
                frame_size=frame_size,
                report=notify,
            )
        )
    if settings.save_faces is not None:
        from speakerlight.outputs.face_videos import FaceVideos

        reserved = [path for _, path in settings.output_paths()]
        outputs.append(FaceVideos(settings.save_faces, has_audio, reserved=reserved))
    if settings.virtual_camera:
        from speakerlight.outputs.virtual_camera import VirtualCamera

        outputs.append(VirtualCamera())
    if settings.obs is not None and settings.obs_scenes is not None:
        from speakerlight.outputs.obs import Obs

        outputs.append(Obs(settings.obs, settings.obs_scenes, notify))
    if settings.osc is not None:
        from speakerlight.outputs.osc import Osc

        outputs.append(Osc(settings.osc))
    return outputs


def _recording_name(settings: RunSettings) -> str:
    return Path(redacted(settings.video or "")).stem


class DemoAccuracy(Output):
    """How often the demo's true speaker was marked. ``str()`` gives the line for people."""

    option = "--video demo"

    def __init__(self, demo: Demo) -> None:
        self._judge = Judge(demo.tiles, demo.turns)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._judge.push(snapshot)

    def __str__(self) -> str:
        return str(self._judge.verdict())


class EventCallback(Output):
    """Calls ``on_event`` with each event. Its first exception is kept in ``error`` and ends the run by ``end``."""

    option = "on_event"

    def __init__(self, on_event: Callable[[Event], None], end: Callable[[], None]) -> None:
        self._on_event, self._end = on_event, end
        self.error: Exception | None = None

    def event(self, event: Event) -> None:
        if self.error is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # the caller's own: carried to the thread that called run
            self.error = error
            self._end()
