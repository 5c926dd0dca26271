"""Joined source: live frames from one source and live audio from another, as one live source."""

from __future__ import annotations

from speakerlight.clock import SessionClock
from speakerlight.core.media import AudioChunk
from speakerlight.sources.source import LiveSource, SourceState


class JoinedSource(LiveSource):
    """The frames of ``video`` with the audio of ``audio``. It has ended when the frames have.

    Audio that ends earlier is followed by silence.
    """

    def __init__(self, video: LiveSource, audio: LiveSource) -> None:
        super().__init__(f"{video.name} + {audio.name}", video.frames, has_audio=True)
        self._video, self._audio = video, audio

    @property
    def duration_seconds(self) -> float | None:
        return self._video.duration_seconds

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return self._video.frame_size

    @property
    def end_seconds(self) -> float | None:
        return self._video.end_seconds

    @property
    def state(self) -> SourceState:
        states = self._video.state, self._audio.state
        return SourceState.RECONNECTING if states == (SourceState.RUNNING, SourceState.RECONNECTING) else states[0]

    @property
    def trouble(self) -> str | None:
        return self._video.trouble or self._audio.trouble

    @property
    def audio_overflows(self) -> int:
        return self._audio.audio_overflows

    @property
    def late_seconds(self) -> float:
        return self._video.late_seconds

    def start(self, clock: SessionClock) -> None:
        self._audio.start(clock)
        self._video.start(clock)

    def take_audio(self) -> list[AudioChunk]:
        return self._audio.take_audio()

    def stop(self) -> None:
        self._video.stop()
        self._audio.stop()
