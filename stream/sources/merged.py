"""Merged recordings: the video of one and the audio of another on one timeline."""

from __future__ import annotations

from collections.abc import Iterator

from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.gapless_audio import GaplessAudio
from speakerlight.sources.source import MediaReader, due


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


class VideoReader:
    """The video of a recording alone (see ``MediaReader``)."""

    has_video = True
    has_audio = False

    def __init__(self, video: MediaReader) -> None:
        self._video = video
        self.name = video.name

    @property
    def duration_seconds(self) -> float | None:
        return self._video.duration_seconds

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return self._video.frame_size

    @property
    def frame_rate(self) -> float | None:
        return self._video.frame_rate

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        return (item for item in self._video if isinstance(item, Frame))

    def close(self) -> None:
        self._video.close()


class MergedReader(VideoReader):
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
