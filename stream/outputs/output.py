"""What every output is: something that a run feeds, and that is whole once it is closed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from speakerlight.core.errors import InputError
from speakerlight.core.events import Event
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot


class Output:
    """Takes what it wants of a run and ignores the rest.

    A constructor checks (``InputError`` before the run begins) but leaves files alone; they are made with the first
    thing to write. Calls come one at a time, each kind in order of time. After ``close`` the output is whole.
    """

    option: ClassVar[str]
    """The command-line option that asks for it; names the output in messages."""

    takes_frames: ClassVar[bool] = False
    """Whether frames must be kept until their snapshot is there."""

    takes_shown: ClassVar[bool] = False
    """Whether it wants what is on show."""

    def event(self, event: Event) -> None:
        """Anything of the event schema."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """One scored tick."""

    def audio(self, chunk: AudioChunk) -> None:
        """Sound, ahead of the pictures of its time."""

    def frame(self, frame: Frame, snapshot: Snapshot | None) -> None:
        """A picture with the snapshot nearest to it in time; None when nothing was scored at all."""

    def shown(self, image: Image) -> None:
        """What the window shows now, in live runs: the newest picture with the newest snapshot drawn on it."""

    def close(self) -> None:
        """Finish. Also called after Ctrl-C, and after a failure of this output."""


def check_writable(path: Path, option: str, sources: Sequence[str] = ()) -> None:
    """Raise InputError unless a file can be written at ``path`` and it is none of the run's ``sources``.

    Leaves what is there as it is, and leaves nothing behind.
    """
    if path.is_dir():
        raise InputError(f"{option} {path}: this is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}; make it first")
    if path.exists() and not path.is_file():
        return  # a pipe or a device: opening it to see could block
    if path.exists() and any(Path(source).exists() and path.samefile(source) for source in sources):
        raise InputError(f"{option} {path}: this is the input; give another name, or it would be overwritten")
    existed = path.exists()
    try:
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be written ({error.strerror}); choose another place") from error
