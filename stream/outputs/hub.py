"""The one place that a driver feeds: it hands frames, sound and snapshots on to every output.

Both drivers feed it alike. It pairs each frame with its snapshot, makes the events, keeps the tally, and sees to it
that an output which fails (a full disk) ends alone and that every output is closed.
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
    """Feeds ``outputs``; safe to call from several threads. ``warn`` takes one line about an output that failed."""

    def __init__(self, outputs: Sequence[Output], warn: Callable[[str], None]) -> None:
        self._outputs = list(outputs)
        self._warn = warn
        self._wants_frames = any(output.takes_frames for output in outputs)
        self._events = EventStream()
        self._pairing = Pairing()
        self._tally = Tally()
        self._lock = threading.RLock()

    def event(self, event: Event) -> None:
        """An event that does not come from snapshots: session, load."""
        with self._lock:
            self._each(lambda output: output.event(event))

    def frame(self, frame: Frame) -> None:
        """A captured frame; its image must not change afterwards."""
        with self._lock:
            self._tally.frame(frame.time)
            if self._wants_frames:
                self._show(self._pairing.hold(frame))

    def shown(self, image: Image) -> None:
        """What the window shows; must not change afterwards."""
        with self._lock:
            self._each(lambda output: output.shown(image), [output for output in self._outputs if output.takes_shown])

    def audio(self, chunk: AudioChunk) -> None:
        """Captured sound; its samples must not change afterwards."""
        with self._lock:
            self._each(lambda output: output.audio(chunk))

    def snapshot(self, snapshot: Snapshot) -> None:
        """A scored tick, in order of time."""
        with self._lock:
            self._tally.snapshot(snapshot)
            self._each(lambda output: output.snapshot(snapshot))
            for event in self._events.events(snapshot):
                self.event(event)
            self._show(self._pairing.pair(snapshot))

    def close(self, latency: Percentiles) -> SummaryEvent:
        """Tell the summary, close every output, whatever becomes of the others. What comes later is ignored."""
        with self._lock:
            self._show(self._pairing.rest())
            summary = self._tally.finish(latency)
            self.event(summary)
            closing, self._outputs = self._outputs, []
        # Side by side: an encoder's backlog and the plot each take a good part of the second that a run has to end.
        with ThreadPoolExecutor(max(len(closing), 1)) as pool:
            for warning in pool.map(_close, closing):
                if warning:
                    self._warn(warning)
        return summary

    def _show(self, pairs: Iterable[tuple[Frame, Snapshot | None]]) -> None:
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
        self._warn(f"{output.option} stopped: {error}")
        warning = _close(output)
        if warning and str(error) not in warning:
            self._warn(warning)


def _close(output: Output) -> str | None:
    """Close an output; gives a line about it when that fails."""
    try:
        output.close()
    except Exception as error:  # as above: the others must still be closed
        return f"{output.option} could not be finished: {error}"
    return None
