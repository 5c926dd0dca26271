"""Live driver: the engine's stages in threads over rings, the newest frame on show, bounded latency.

    capture thread ─► FrameRing ─► vision thread ─► tracks ────► scoring thread ─► the newest snapshot ─┐
                      └──────────────── newest frame ────────────────────────► main thread: overlay ◄───┘

Every hand-over is bounded and drops the oldest. The main thread draws, because OpenCV's window must be driven there.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from speakerlight.clock import SessionClock
from speakerlight.composer import ViewComposer
from speakerlight.core.events import LoadEvent, Percentiles
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.framing import View
from speakerlight.core.media import Frame
from speakerlight.core.snapshot import FaceScore, Snapshot
from speakerlight.core.timebase import TICK_RATE
from speakerlight.engine import EmptyFrames, Engine, TickAdapter, stage
from speakerlight.input_check import InputCheck
from speakerlight.latency import LatencyHistogram
from speakerlight.load_shedding import PLANS, GovernorSettings, LoadGovernor, ScoredFaces
from speakerlight.outputs.hub import OutputHub
from speakerlight.overlay import OverlayInfo, draw_sheet
from speakerlight.rings import FrameRing
from speakerlight.sources.source import LiveSource, SourceState, due
from speakerlight.threads import join_within
from speakerlight.window import HELP, Action, KeyPress, Selection, Window

logger = logging.getLogger(__name__)

TRACKS_WAITING = 2 * TICK_RATE
"""Maximum number of ticks waiting for the scorer. A frame after a gap decides one second of ticks at once."""

AUDIO_POLL_SECONDS = 0.02
"""Longest interval between fetches of audio: half a tick."""

VISION_POLL_SECONDS = 0.05
"""How long the vision thread waits for a frame before it checks whether the run is over."""

WINDOW_POLL_SECONDS = 0.025
"""Longest interval between polls of the window and the run's end while no frame comes: keys feel immediate."""

OVERDUE_SECONDS = 0.5
"""How long to wait for a stalled source after ``--duration``."""

FRAME_DELAY_SECONDS = 0.4
"""A tick gets no frame when none has arrived for this much longer than recent frames were late (jitter)."""

FRAME_DELAY_FADE = 0.99
"""Decay per frame of the lateness of frames: a late frame counts for some seconds."""

STALE_SECONDS = 0.5
"""A frame this far behind the newest is skipped: a gap is better than an old frame."""

JOIN_SECONDS = 5.0
"""Time for a worker to end. After it, the worker hangs in a library; it is a daemon and is abandoned."""

STATUS_POLL_SECONDS = 0.05
"""Interval at which a run without a window checks whether it is over or its source in trouble."""

RECENT_SPEAKERS = 3
"""Number of recent speakers who are always scored, even when the machine is far too slow."""

LATENCY_SMOOTHING = 0.1
"""Weight of the newest frame in the displayed latency: about the last ten count."""


@dataclass(frozen=True)
class LiveReport:
    """How a live run went. ``worst_level``: of load shedding.

    ``captured_seconds``: session time of the newest frame, at most the duration asked for. ``unscored_seconds``: how
    much of it at the end was not scored, because the machine was too slow.
    """

    latency: Percentiles
    dropped_frames: int = 0
    worst_level: int = 0
    captured_seconds: float = 0.0
    unscored_seconds: float = 0.0


class OverlayStatus:
    """Overlay information beside the snapshots. One thread writes, any may read: the value is immutable."""

    def __init__(self) -> None:
        self.info = OverlayInfo()


@dataclass(frozen=True, eq=False)
class _Seen:
    """Frame tracks queued for the scorer; ``captured``: time of the frame that completed them."""

    tracks: FrameTracks
    captured: float


class LiveRun:
    """One live run of ``engine`` over ``source`` into ``hub``. ``notify`` receives lines about a source in trouble.

    Without ``composer`` nothing is drawn, and the latency, which is that of drawing, is not measured.
    """

    def __init__(
        self,
        source: LiveSource,
        engine: Engine,
        hub: OutputHub,
        *,
        composer: ViewComposer | None,
        status: OverlayStatus,
        window: Window | None,
        duration_seconds: float | None,
        notify: Callable[[str], None],
        shedding: GovernorSettings | None = None,
    ) -> None:
        self._source, self._engine, self._hub = source, engine, hub
        self._composer, self._status, self._window = composer, status, window
        self._workers: list[threading.Thread] = []
        self._unsubscribe: Callable[[], None] = lambda: None
        self._duration = math.inf if duration_seconds is None else duration_seconds
        self._notify = notify
        self._clock = SessionClock()
        self._stop = threading.Event()
        self._over = threading.Event()
        self._tracks_queue = _TracksQueue(TRACKS_WAITING)
        self._governor = LoadGovernor(shedding)
        self._plan = PLANS[0]  # until the first measurement
        self._worst_level = 0
        self._dropped = 0
        self._frame_delay = 0.0
        self._latency = LatencyHistogram()
        self._newest_tracks: FrameTracks | None = None
        self._snapshot: Snapshot | None = None
        self._speakers: deque[int] = deque(maxlen=RECENT_SPEAKERS)
        self._selection = Selection()
        self._check = InputCheck()
        self._first_view = composer.view if composer is not None else View.BOXES
        self._trouble: str | None = None
        self._failure: Exception | None = None

    def run(self, stop: threading.Event) -> LiveReport:
        """Run until the source ends, the duration is over, q is typed or ``stop`` is set; to be called once.

        Must be called from the main thread when there is a window. Raises what a stage raised, one line, when all
        threads have ended.
        """
        self._stop = stop
        self._workers = [self._worker("scoring", self._score)]
        if self._source.frames is not None:
            self._workers.append(self._worker("vision", self._run_vision))
        self._unsubscribe = self._engine.control.subscribe(self._hub.event)
        self._clock = SessionClock()
        self._source.start(self._clock)
        for worker in self._workers:
            worker.start()
        return self._drive()

    def resume_without_window(self) -> LiveReport:
        """Continue a run while the window's library ends the process, in place of ``run``, which does not return."""
        self._window = None
        return self._drive()

    def _drive(self) -> LiveReport:
        try:
            if self._composer is None or self._source.frames is None:
                self._wait_until_over()
            else:
                with stage("display"):
                    self._show_until_over(self._source.frames, self._composer)
        finally:
            self._unsubscribe()
            self._stop.set()
            self._source.stop()
            for worker in self._workers:
                join_within(worker, JOIN_SECONDS)
            self._report_trouble()
        if self._failure is not None:
            raise self._failure
        return self.report()

    def report(self) -> LiveReport:
        """The report of the run so far."""
        newest = self._source.frames.newest() if self._source.frames is not None else None
        captured = min(newest.time, self._duration) if newest is not None else 0.0
        scored = self._snapshot.time if self._snapshot is not None else 0.0
        latency, dropped = self._latency.percentiles(), self._dropped_frames()
        return LiveReport(latency, dropped, self._worst_level, captured, max(captured - scored, 0.0))

    def _worker(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                with stage(name):
                    work()
            except Exception as error:  # carried to the main thread
                self._failure = self._failure or error
                self._stop.set()

        return threading.Thread(target=guarded, name=name, daemon=True)

    # Vision thread

    def _run_vision(self) -> None:
        frames, adapter = self._source.frames, TickAdapter(self._engine.vision)
        assert frames is not None
        try:
            while not self._stop.is_set() and not frames.drained:
                frame = frames.take(VISION_POLL_SECONDS)
                if frame is None:
                    self._track(adapter.pass_time(self._without_frames_until()))
                    continue
                self._frame_delay = max(self._clock.now() - frame.time, self._frame_delay * FRAME_DELAY_FADE)
                if self._behind(frame.time) > STALE_SECONDS:
                    frame = frames.take_newest(0) or frame
                if frame.time > self._duration:
                    return
                self._hub.frame(frame)
                self._track(adapter.push(frame, self._plan.vision_stride), frame.time)
            end = self._source.end_seconds
            if frames.drained and end is not None:
                self._track(adapter.finish(min(end, self._duration)))
        finally:
            self._tracks_queue.close()

    def _track(self, ticks: Iterable[FrameTracks], captured: float | None = None) -> None:
        for tracks in ticks:
            self._newest_tracks = tracks
            # Many ticks without frames may be decided at once; there is time, because no frame waits.
            wait_seconds = JOIN_SECONDS if captured is None else 0.0
            self._tracks_queue.put(_Seen(tracks, tracks.time if captured is None else captured), wait_seconds)

    def _without_frames_until(self) -> float:
        """Session time before which no more frames are expected, from the lateness of recent frames."""
        late = max(self._frame_delay, self._source.late_seconds)
        return min(self._clock.now() - FRAME_DELAY_SECONDS - late, self._duration)

    # Scoring thread

    def _score(self) -> None:
        scorer, source = self._engine.scorer, self._source
        control = self._engine.control
        empty_frames = EmptyFrames(resets=lambda: control.state.resets) if source.frames is None else None
        scored = ScoredFaces()
        try:
            over = False
            while not over:
                seen = self._tracks_queue.take(AUDIO_POLL_SECONDS)
                over = self._stop.is_set() or (
                    source.state is SourceState.ENDED if empty_frames else self._tracks_queue.closed
                )
                # Audio is fetched after `over` was read, so that no audio pushed before the end is lost.
                over = self._push_audio(empty_frames) or over
                rest = self._tracks_queue.take(0) if over else []
                plan = self._plan
                chosen = [scored.select(each.tracks, plan.most_faces, self._speakers) for each in seen + rest]
                scorer.push_tracks(chosen)
                self._publish(scorer.advance(plan.score_stride))
                if seen:
                    self._govern(max(self._behind(seen[-1].captured), self._source.late_seconds))
            self._publish(scorer.finish())
        finally:
            self._over.set()

    def _push_audio(self, empty_frames: EmptyFrames | None) -> bool:
        """Pass new audio on; return True when a run without video has reached its duration."""
        if not self._source.has_audio:
            return False
        chunks = self._source.take_audio()
        due_chunks = [chunk for chunk in chunks if due(chunk) <= self._duration]
        for chunk in due_chunks:
            self._hub.audio(chunk)
            self._check.audio(chunk)
        self._engine.scorer.push_audio(due_chunks)
        if empty_frames and due_chunks:
            self._engine.scorer.push_tracks(list(empty_frames.until(due(due_chunks[-1]))))
        return empty_frames is not None and len(due_chunks) < len(chunks)

    def _publish(self, snapshots: Iterable[Snapshot]) -> None:
        for snapshot in snapshots:
            self._snapshot = snapshot
            self._hub.snapshot(snapshot)
            if snapshot.primary is not None and snapshot.primary not in self._speakers:
                self._speakers.append(snapshot.primary)

    def _behind(self, moment: float) -> float:
        """Lateness of ``moment`` against the newest frame, in seconds: the waiting work, independent of a source's own
        delay."""
        newest = self._source.frames.newest() if self._source.frames is not None else None
        return newest.time - moment if newest is not None else 0.0

    def _govern(self, lateness_seconds: float) -> None:
        now, dropped = self._clock.now(), self._dropped_frames()
        level = self._governor.update(lateness_seconds, now, has_dropped=dropped > self._dropped)
        self._dropped = dropped
        if level != self._plan.level:
            self._plan = self._governor.plan
            self._worst_level = max(self._worst_level, level)
            logger.info("load level %d, %.2f s behind, %d frames dropped", level, lateness_seconds, dropped)
            self._hub.event(LoadEvent(now, level, dropped, self._source.audio_overflows))

    def _dropped_frames(self) -> int:
        in_ring = self._source.frames.dropped if self._source.frames is not None else 0
        return in_ring + self._tracks_queue.dropped

    # Main thread

    def _wait_until_over(self) -> None:
        while not (self._stop.is_set() or self._over.wait(STATUS_POLL_SECONDS) or self._is_overdue()):
            self._report_trouble()

    def _is_overdue(self) -> bool:
        return self._clock.now() > self._duration + OVERDUE_SECONDS

    def _show_until_over(self, frames: FrameRing, composer: ViewComposer) -> None:
        shown: Frame | None = None
        while not (self._stop.is_set() or self._over.is_set() or self._is_overdue()):
            frame = frames.wait_newer(shown, WINDOW_POLL_SECONDS)
            if frame is not None:
                shown = frame
                self._show(frame, composer)
            self._report_trouble()
            for key in self._window.keys() if self._window is not None else ():
                self._obey(key)

    def _show(self, frame: Frame, composer: ViewComposer) -> None:
        self._check.frame(frame)
        info = self._info(frame.time)
        hidden = self._selection.is_hidden
        image = frame.image if hidden else composer.compose(frame, self._shown_snapshot(), info)
        latency_ms = 1000 * (self._clock.now() - frame.time)
        self._latency.add(latency_ms)
        last = info.latency_ms
        smooth_ms = latency_ms if last is None else last + LATENCY_SMOOTHING * (latency_ms - last)
        self._status.info = replace(info, latency_ms=smooth_ms)
        self._hub.shown(image)
        if self._window is not None:
            self._window.show(draw_sheet(image, HELP) if self._selection.is_help_shown else image)

    def _info(self, time: float) -> OverlayInfo:
        """What is shown beside the scores, as the commands want it."""
        control = self._engine.control.state
        notices = {
            "held": control.is_held(time),
            f"marked from {control.sensitivity:.0%}": control.sensitivity > 0,
            "recording stopped": not control.is_recording,
        }
        return replace(
            self._status.info,
            pinned=control.pinned,
            load_level=self._plan.level,
            view=control.view,
            is_recording=control.is_recording,
            notices=(
                *self._selection.notices(self._snapshot.names if self._snapshot else {}),
                *self._check.notices(),
                *(text for text, is_on in notices.items() if is_on),
            ),
        )

    def _obey(self, key: KeyPress) -> None:
        # A q is part of a name that is being typed; a closed window is no character.
        if key.action is Action.QUIT and (self._selection.typed is None or not key.character):
            self._stop.set()
        control = self._engine.control
        view = control.state.view or self._first_view
        self._selection, command = self._selection.after(key, self._shown_snapshot(), control.state, view)
        if command is not None:
            control.execute(command)

    def _shown_snapshot(self) -> Snapshot | None:
        return with_newest_boxes(self._snapshot, self._newest_tracks)

    def _report_trouble(self) -> None:
        trouble = self._source.trouble
        if trouble is not None and trouble != self._trouble:
            logger.warning("source: %s", trouble)
            self._notify(trouble)
        self._trouble = trouble


def with_newest_boxes(snapshot: Snapshot | None, tracks: FrameTracks | None) -> Snapshot | None:
    """The newest scores at the newest places: a snapshot is some 0.2 s old, in which a head moves.

    Faces that are not scored yet have score 0.
    """
    if snapshot is None or tracks is None or tracks.tick <= snapshot.tick:
        return snapshot
    scored = {face.id: face for face in snapshot.faces}
    places = {tracks.person(face.id): face.box for face in tracks.faces}
    faces = tuple(
        replace(scored[person], box=box) if person in scored else FaceScore(person, box, 0.0, False)
        for person, box in places.items()
    )
    return replace(snapshot, faces=faces)


class _TracksQueue:
    """Bounded hand-over from the vision thread to the scoring thread; drops the oldest and counts it."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[_Seen] = deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0

    def put(self, seen: _Seen, wait_seconds: float = 0.0) -> None:
        """Add an item. If the queue is full, wait up to ``wait_seconds``, then drop the oldest item."""
        with self._changed:
            is_full = len(self._waiting) == self._waiting.maxlen
            if is_full and wait_seconds:
                self._changed.wait_for(lambda: len(self._waiting) < (self._waiting.maxlen or 0), wait_seconds)
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(seen)
            self._changed.notify_all()

    def take(self, timeout_seconds: float) -> list[_Seen]:
        """All waiting items, in order; empty on timeout or after the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_seconds)
            items = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return items

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed
