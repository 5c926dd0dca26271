"""Joined sources: the video of one source with the audio of another, as one live source or one recording."""

from __future__ import annotations

from collections.abc import Iterator

from speakerlight.clock import SessionClock
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.gapless_audio import GaplessAudio
from speakerlight.sources.source import LiveSource, MediaReader, SourceState, due


class _SizedByVideo:
    """Length and frame size are those of the video."""

    _video: LiveSource | MediaReader

    @property
    def duration_seconds(self) -> float | None:
        return self._video.duration_seconds

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return self._video.frame_size


class JoinedSource(_SizedByVideo, LiveSource):
    """The frames of ``video`` with the audio of ``audio``. It has ended when the frames have.

    Audio that ends earlier is followed by silence.
    """

    _video: LiveSource

    def __init__(self, video: LiveSource, audio: LiveSource) -> None:
        super().__init__(f"{video.name} + {audio.name}", video.frames, has_audio=True)
        self._video, self._audio = video, audio

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


def in_time_order(frames: Iterator[Frame], chunks: Iterator[AudioChunk]) -> Iterator[Frame | AudioChunk]:
    """Frames by their time, audio by its end. Audio that ends before the video is followed by silence.

    ``chunks`` must be one stream without gaps; when it is empty none is made up. Holds one item at a time.
    """
    chunk = next(chunks, None)
    silence: GaplessAudio | None = None
    for frame in frames:
        while chunk is not None and due(chunk) <= frame.time:
            yield chunk
            silence = GaplessAudio(due(chunk))
            chunk = next(chunks, None)
        if chunk is None and silence is not None:
            yield from silence.fill(frame.time)
        yield frame
    if chunk is not None:
        yield chunk
        yield from chunks


class VideoReader(_SizedByVideo):
    """The video of a recording alone (see ``MediaReader``)."""

    has_video = True
    has_audio = False

    _video: MediaReader

    def __init__(self, video: MediaReader) -> None:
        self._video = video
        self.name = video.name

    @property
    def frame_rate(self) -> float | None:
        return self._video.frame_rate

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        return (item for item in self._video if isinstance(item, Frame))

    def close(self) -> None:
        self._video.close()


class JoinedReader(VideoReader):
    """The video of one recording with the audio of another, both from their own time 0 (see ``MediaReader``)."""

    has_audio = True

    def __init__(self, video: MediaReader, audio: MediaReader) -> None:
        super().__init__(video)
        self._audio = audio
        self.name = f"{video.name} + {audio.name}"

    @property
    def duration_seconds(self) -> float | None:
        ends = (self._video.duration_seconds, self._audio.duration_seconds)
        return max((end for end in ends if end is not None), default=None)

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        frames = (item for item in self._video if isinstance(item, Frame))
        chunks = (item for item in self._audio if isinstance(item, AudioChunk))
        return in_time_order(frames, chunks)

    def close(self) -> None:
        super().close()
        self._audio.close()
