"""Pipes as recordings: standard input and named pipes, read once in order of time, for ``--fast``."""

from __future__ import annotations

import math
from collections.abc import Iterator

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.addresses import STDIN
from speakerlight.sources.decode import reason
from speakerlight.sources.network import content_head, interruptible, opened_pipe
from speakerlight.sources.not_media import advice_for
from speakerlight.sources.notices import Notices
from speakerlight.sources.one_pass import OnePass
from speakerlight.sources.pieces import OTHER_CODECS
from speakerlight.sources.pipe_input import PipeInput
from speakerlight.sources.source import SourceOptions


class PipeReader:
    """The media that comes through a pipe (see ``MediaReader``). Raises InputError when it holds none."""

    duration_seconds = None

    def __init__(
        self, spec: str, *, video: bool = True, audio: bool = True, options: SourceOptions | None = None
    ) -> None:
        options = options or SourceOptions()
        self.name = "standard input" if spec == STDIN else spec
        self._notices = Notices(self.name, options.notify)
        container, self._input = interruptible(lambda: opened_pipe(spec, self._notices))
        self._media = OnePass(container, video=video, audio=audio, choice=options.choice, notices=self._notices)
        self.has_video, self.has_audio = self._media.has_video, self._media.has_audio
        if not (self.has_video or self.has_audio):
            self.close()
            what = "video" if not audio else "audio" if not video else "media"
            raise InputError(f"{self.name}: {advice_for(content_head(self._input)) or f'no {what} in it'}")
        interruptible(lambda: self._media.wait(math.inf))
        if self._media.error is not None and not self._media.has_begun:
            self.close()
            raise InputError(f"{self.name}: cannot be read ({reason(self._media.error)})")

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return self._media.frame_size

    @property
    def frame_rate(self) -> float | None:
        return self._media.frame_rate

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        yield from self._media
        reached, error = self._media.reached_byte, self._media.error
        is_chained = self._media.is_ogg and isinstance(error, OTHER_CODECS)
        if is_chained or (isinstance(self._input, PipeInput) and reached and self._input.has_more(reached)):
            self._notices.report(
                "rest", "more follows, perhaps another recording, and is not read: pipe one, or MPEG-TS"
            )
        elif error is not None:
            self._notices.report("rest", f"broken off ({reason(error)})")

    def close(self) -> None:
        self._media.close()
