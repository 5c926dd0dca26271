"""Output: the interface of everything that a run feeds, and that is whole once it is closed."""

from __future__ import annotations

from typing import ClassVar

from speakerlight.core.events import Event
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot


class OutputError(Exception):
    """An output was lost or is incomplete; the run itself went well. The message is one line that names the outputs."""


class Output:
    """A consumer of a run: overrides the methods for the data that it uses.

    A constructor checks its settings (``InputError`` before the run begins) but creates no file; files are created with
    the first data. Calls come one at a time, each kind in order of time. After ``close`` the output is whole.
    """

    option: ClassVar[str]
    """The command-line option that asks for it; names the output in messages."""

    takes_frames: ClassVar[bool] = False
    """Whether frames must be kept until their snapshot is known."""

    takes_shown: ClassVar[bool] = False
    """Whether it uses the frames that the window shows."""

    missed_events: int = 0
    """Events that did not reach the output's reader. They make the output incomplete."""

    def event(self, event: Event) -> None:
        """An event of the schema."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """One scored tick."""

    def audio(self, chunk: AudioChunk) -> None:
        """Audio, ahead of the frames of its time."""

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        """A frame with the snapshot nearest to it in time; None when nothing was scored at all."""

    def shown(self, image: Image) -> None:
        """What the window shows now, in live runs: the newest frame with the newest snapshot drawn on it."""

    def close(self) -> None:
        """Finish. Also called after Ctrl-C, and after a failure of this output."""
