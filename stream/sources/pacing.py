"""Paced source: a recording played in real time, as a camera and a microphone would have delivered it."""

from __future__ import annotations

from speakerlight.clock import SessionClock
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.rings import FrameRing
from speakerlight.sources.buffered import BufferedSource
from speakerlight.sources.source import MediaReader, SourceState, due

FRAMES_WAITING = 16
"""Half a second of frames at 30 a second: a hiccup of the machine loses none, and 4K takes 400 MB at the worst."""

AUDIO_SECONDS = 10


class PacedSource(BufferedSource):
    """Plays ``reader`` against the session clock: media time 0 is session time 0, so start it with a fresh clock.

    A frame is pushed at its time, audio when its last sample is due; the next item is decoded while waiting, and
    waiting is against the clock itself, so nothing adds up. Ends with the recording; audio that is read afterwards is
    silence, for a caller that goes on with other frames.
    """

    def __init__(self, reader: MediaReader) -> None:
        frames = FrameRing(FRAMES_WAITING) if reader.has_video else None
        super().__init__(reader.name, frames, reader.has_audio, AUDIO_SECONDS)
        self.reader = reader
        self._late_seconds = 0.0
        self._moment = 0.0

    @property
    def duration_seconds(self) -> float | None:
        return self.reader.duration_seconds

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return self.reader.frame_size

    @property
    def end_seconds(self) -> float | None:
        return self._moment if self.state is SourceState.ENDED else None

    @property
    def late_seconds(self) -> float:
        return self._late_seconds

    def _audio_due(self) -> float | None:
        # All audio of the recording is returned, however late it is read; silence follows only after its end.
        return super()._audio_due() if self.state is SourceState.ENDED else self._moment

    def stop(self) -> None:
        super().stop()
        if self._thread is None:
            self.reader.close()

    def _capture(self, clock: SessionClock) -> None:
        try:
            for item in self.reader:
                if not clock.wait_until(due(item), self._stopping):
                    return
                self._late_seconds = clock.now() - due(item)
                self._push(item)
                self._moment = due(item)
        finally:
            self.reader.close()

    def _push(self, item: Frame | AudioChunk) -> None:
        if isinstance(item, AudioChunk):
            self._ring.write(item.samples[:, None], item.time)
        elif self.frames is not None:
            self.frames.push(item)
