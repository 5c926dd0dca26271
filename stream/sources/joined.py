"""A live picture from here and a live sound from there, as one live source."""

from __future__ import annotations

from speakerlight.clock import SessionClock
from speakerlight.core.media import AudioChunk
from speakerlight.sources.source import LiveSource, SourceState


class JoinedSource(LiveSource):
    """``video``'s pictures with ``sound``'s sound. It has ended when the pictures have."""

    def __init__(self, video: LiveSource, sound: LiveSource) -> None:
        super().__init__(f"{video.name} + {sound.name}", video.frames, has_audio=True)
        self._video, self._sound = video, sound

    @property
    def duration_seconds(self) -> float | None:
        return self._video.duration_seconds

    @property
    def state(self) -> SourceState:
        states = self._video.state, self._sound.state
        return SourceState.RECONNECTING if states == (SourceState.RUNNING, SourceState.RECONNECTING) else states[0]

    @property
    def trouble(self) -> str | None:
        return self._video.trouble or self._sound.trouble

    @property
    def audio_overflows(self) -> int:
        return self._sound.audio_overflows

    @property
    def late_seconds(self) -> float:
        return self._video.late_seconds

    def start(self, clock: SessionClock) -> None:
        self._sound.start(clock)
        self._video.start(clock)

    def take_audio(self) -> list[AudioChunk]:
        return self._sound.take_audio()

    def stop(self) -> None:
        self._video.stop()
        self._sound.stop()
