"""Output hub: the one object that a driver feeds; it passes frames, audio and snapshots on to every output.

Both drivers feed it alike. It pairs each frame with its snapshot, makes the events and keeps the tally. An output that
fails (a full disk) does not affect the others, and every output is closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from speakerlight.core.events import Event, EventStream, Percentiles, SummaryEvent
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.outputs.output import Output
from speakerlight.outputs.pairing import Pairing
from speakerlight.outputs.summary import Tally


class OutputHub:
    """Feeds ``outputs``; safe to call from several threads. ``warn`` receives one line about an output that failed."""

    def __init__(self, outputs: Sequence[Output], warn: Callable[[str], None]) -> None:
        self._outputs = list(outputs)
        self._warn = warn
        self._wants_frames = any(output.takes_frames for output in outputs)
        self._events = EventStream()
        self._pairing = Pairing()
        self._tally = Tally()
        self._lock = threading.RLock()
        self.lost: list[str] = []
        """The options of outputs that failed or are incomplete, so far."""

    def event(self, event: Event) -> None:
        """An event that does not come from snapshots: session, load."""
        with self._lock:
            self._each(lambda output: output.event(event))

    def frame(self, frame: Frame) -> None:
        """A captured frame; its image must not change afterwards."""
        with self._lock:
            self._tally.frame(frame.time)
            if self._wants_frames:
                self._pass_on(self._pairing.hold(frame))

    def shown(self, image: Image) -> None:
        """What the window shows; must not change afterwards."""
        with self._lock:
            self._each(lambda output: output.shown(image), [output for output in self._outputs if output.takes_shown])

    def audio(self, chunk: AudioChunk) -> None:
        """Captured audio; its samples must not change afterwards."""
        with self._lock:
            self._each(lambda output: output.audio(chunk))

    def snapshot(self, snapshot: Snapshot) -> None:
        """A scored tick, in order of time."""
        with self._lock:
            self._tally.snapshot(snapshot)
            self._each(lambda output: output.snapshot(snapshot))
            for event in self._events.events(snapshot):
                self.event(event)
            self._pass_on(self._pairing.pair(snapshot))

    def close(self, latency: Percentiles, captured_seconds: float = 0.0) -> SummaryEvent:
        """Emit the summary event and close every output, even if others fail. Later calls are ignored.

        ``captured_seconds``: session time of the newest frame, which need not have come here.
        """
        with self._lock:
            self._pass_on(self._pairing.rest())
            summary = self._tally.finish(latency, captured_seconds)
            self.event(summary)
            closing, self._outputs = self._outputs, []
        # In parallel: an encoder's backlog and the plot each need a large part of the second in which a run must end.
        with ThreadPoolExecutor(max(len(closing), 1)) as pool:
            errors = list(pool.map(_close, closing))
        for output, error in zip(closing, errors, strict=True):
            if error is not None:
                self._lose(output, f"{output.option} could not be finished: {error}")
            elif output.missed_events:
                self._lose(output, f"{output.option} is incomplete: {output.missed_events} events did not get through")
        return summary

    def _pass_on(self, pairs: Iterable[tuple[Frame, Snapshot | None]]) -> None:
        for frame, snapshot in pairs:
            self._each(lambda output, frame=frame, snapshot=snapshot: output.frame(frame, snapshot))  # type: ignore[misc]

    def _each(self, call: Callable[[Output], None], outputs: Sequence[Output] | None = None) -> None:
        """``call`` for ``outputs``, by default all of them."""
        for output in tuple(self._outputs if outputs is None else outputs):
            try:
                call(output)
            except Exception as error:  # one output that fails must not end the run, nor the other outputs
                self._outputs.remove(output)
                self._end_failed(output, error)

    def _end_failed(self, output: Output, error: Exception) -> None:
        self._lose(output, f"{output.option} stopped: {error}")
        closing_error = _close(output)
        if closing_error is not None and str(closing_error) != str(error):
            self._warn(f"{output.option} could not be finished: {closing_error}")

    def _lose(self, output: Output, line: str) -> None:
        self._warn(line)
        if output.option not in self.lost:
            self.lost.append(output.option)


def _close(output: Output) -> Exception | None:
    """Close an output; return its error when that fails."""
    try:
        output.close()
    except Exception as error:  # as above: the others must still be closed
        return error
    return None
