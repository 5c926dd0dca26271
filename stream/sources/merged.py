"""Pictures from here and sound from there on one timeline."""

from __future__ import annotations

from collections.abc import Iterator

from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.gapless_audio import GaplessAudio
from speakerlight.sources.source import MediaReader, due


def in_time_order(frames: Iterator[Frame], sounds: Iterator[AudioChunk]) -> Iterator[Frame | AudioChunk]:
    """Frames by their time, sounds by their end. Sound that ends before the pictures is followed by silence.

    ``sounds`` must be one stream without gaps; when it is empty none is made up. Holds one item at a time.
    """
    sound = next(sounds, None)
    silence: GaplessAudio | None = None
    for frame in frames:
        while sound is not None and due(sound) <= frame.time:
            yield sound
            silence = GaplessAudio(due(sound))
            sound = next(sounds, None)
        if sound is None and silence is not None:
            yield from silence.fill(frame.time)
        yield frame
    if sound is not None:
        yield sound
        yield from sounds


class MergedReader:
    """The pictures of one recording with the sound of another, both from their own time 0 (see ``MediaReader``)."""

    has_video = True
    has_audio = True

    def __init__(self, video: MediaReader, audio: MediaReader) -> None:
        self._video, self._audio = video, audio
        self.name = f"{video.name} + {audio.name}"

    @property
    def duration_seconds(self) -> float | None:
        ends = (self._video.duration_seconds, self._audio.duration_seconds)
        return max((end for end in ends if end is not None), default=None)

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return self._video.frame_size

    @property
    def frame_rate(self) -> float | None:
        return self._video.frame_rate

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        frames = (item for item in self._video if isinstance(item, Frame))
        sounds = (item for item in self._audio if isinstance(item, AudioChunk))
        return in_time_order(frames, sounds)

    def close(self) -> None:
        self._video.close()
        self._audio.close()


class VideoReader:
    """The pictures of a recording alone (see ``MediaReader``)."""

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
