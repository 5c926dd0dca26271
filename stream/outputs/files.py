"""Files and pipes of outputs: whole records, pipes without a reader yet, full disks, two runs that write one file."""

from __future__ import annotations

import errno
import io
import itertools
import logging
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from speakerlight.core.errors import InputError
from speakerlight.input_files import input_files, is_same_file

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
"""Interval at which a pipe is tried again. Half a tick: a reader does not see the delay."""

SILENT_WAIT_SECONDS = 1.0
"""A pipe without a reader is reported after this long."""

STALLED_SECONDS = 2.0
"""Once the run is over, a reader that reads nothing for this long is abandoned."""

CLAIM_SECONDS = 0.5
"""How long to retry a file that another run has claimed: that run may only be checking whether it can write."""

Report = Callable[[str], None]

NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)


_NUMBERS = itertools.count()
"""Of temporary files."""


class NoReaderError(OSError):
    """A pipe has no reader, or one that reads nothing, and the run is over."""


class PipeWriter(io.RawIOBase):
    """A pipe that is written to without ever blocking in the kernel, so that ``stop`` can end a wait for its reader.

    ``write`` waits until the reader has room for everything; once ``stop`` is set, for STALLED_SECONDS at most, then it
    raises NoReaderError. Raises BrokenPipeError when the reader has left.
    """

    def __init__(self, descriptor: int, stop: threading.Event) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._stop = stop

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        written = polls = 0  # polls, not a clock: the process may be stopped meanwhile
        while written < len(view):
            try:
                written += os.write(self._descriptor, view[written:])
                polls = 0
            except BlockingIOError:
                if self._stop.is_set() and polls * POLL_SECONDS > STALLED_SECONDS:
                    raise NoReaderError("its reader reads nothing") from None
                time.sleep(POLL_SECONDS)
                polls += 1
        return len(view)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_output(
    path: Path, stop: threading.Event | None = None, report: Report = logger.warning, *, wait: bool = True
) -> io.RawIOBase:
    """Open ``path`` for writing, unbuffered: a new or emptied file, or a pipe or device that exists.

    A named pipe without a reader is waited for until ``stop`` is set, or not at all without ``wait`` (NoReaderError);
    ``report`` receives a line about it.
    Raises OSError, also for a file that another run is writing.
    """
    stop = stop or threading.Event()
    if is_pipe(path):
        return PipeWriter(_open_pipe(path, stop, report, wait=wait), stop)
    if not _is_regular(path):
        return io.FileIO(path, "w")
    file = _claimed(path)
    file.truncate(0)  # not on opening: only once it is known that no other run writes it
    return file


def open_stdout(stop: threading.Event) -> io.RawIOBase:
    """Standard output by its descriptor, unbuffered. A pipe is opened anew, so that only this use never blocks.

    Not ``sys.stdout``: what is left in its buffer would break a pipe again at exit.
    """
    if NON_BLOCKING and stat.S_ISFIFO(os.fstat(1).st_mode):
        with suppress(OSError):  # no /proc, or a pipe of another user
            return PipeWriter(os.open("/proc/self/fd/1", os.O_WRONLY | NON_BLOCKING), stop)
    return io.FileIO(1, "w", closefd=False)


def is_pipe(path: Path) -> bool:
    """Whether ``path`` is a named pipe."""
    return path.is_fifo()


class OutputFile(io.FileIO):
    """A file that is written during a run. ``close`` raises FileNotFoundError when it was deleted meanwhile."""

    def close(self) -> None:
        is_deleted = not self.closed and os.fstat(self.fileno()).st_nlink == 0
        super().close()
        if is_deleted:
            raise FileNotFoundError(errno.ENOENT, "it was deleted during the run")


class RecordWriter:
    """Appends records to an open file. A record that does not fit on the disk is removed again."""

    def __init__(self, file: io.RawIOBase) -> None:
        self._file = file

    def write(self, record: bytes) -> None:
        """Append one record. Raises OSError, with the file as it was before when it is a regular one."""
        start = self._file.tell() if self._file.seekable() else None
        try:
            written = 0
            while written < len(record):
                written += self._file.write(record[written:]) or 0
        except OSError:
            if start is not None:
                with suppress(OSError):
                    self._file.truncate(start)
            raise

    def close(self) -> None:
        self._file.close()


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file at ``path`` by ``content``: readers see the old file or the new one, never a part.

    Symbolic links are followed. A pipe or device is written to as it is; a pipe waits STALLED_SECONDS for its reader.
    Raises OSError with the old file in place.
    """
    target = path.resolve()
    if is_pipe(target):
        _write_to_pipe(target, content)
        return
    if not _is_regular(target):
        with target.open("wb") as file:
            file.write(content)
        return
    temporary = target.with_name(f".{os.getpid()}.{next(_NUMBERS)}.part")  # a longer name could be too long
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    except PermissionError:  # the file is writable, but no new file can be created beside it
        target.write_bytes(content)
    finally:
        temporary.unlink(missing_ok=True)


def _write_to_pipe(path: Path, content: bytes) -> None:
    deadline, is_over = time.monotonic() + STALLED_SECONDS, threading.Event()
    is_over.set()
    while True:
        try:
            descriptor = _open_pipe(path, is_over, wait=False)
            break
        except NoReaderError:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)
    with PipeWriter(descriptor, is_over) as writer:
        writer.write(content)


def check_writable(path: Path, option: str, sources: Iterable[str] = ()) -> None:
    """Raise InputError unless a file can be written at ``path`` and it is none of the run's ``sources``.

    ``sources``: files, also as ``file:`` addresses, standard input, and what playlists name; others are ignored.
    Symbolic and hard links are followed. An existing file stays unchanged, and no new file remains.
    """
    try:
        _check_place(path, option, sources)
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be written ({error.strerror}); choose another place") from error


def _check_place(path: Path, option: str, sources: Iterable[str]) -> None:
    if path.is_dir():
        raise InputError(f"{option} {path}: this is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}; make it first")
    check_is_no_input(path, f"{option} {path}", sources)
    if not _is_regular(path):
        return  # a pipe or a device: opening it could block
    target = path.resolve()
    existed = target.exists()
    with target.open("ab") as file:
        _lock(file)
        if not existed:
            target.unlink()  # while it is claimed: a run that opened it meanwhile sees that it is gone


def check_is_no_input(path: Path, shown: str, sources: Iterable[str]) -> None:
    """Raise InputError where ``path`` leads to a file among the run's ``sources``; ``shown``: how it was given."""
    if any(is_same_file(path, source) for source in input_files(sources)):
        raise InputError(f"{shown}: this is the input; give another name, or it would be overwritten")


def _is_regular(path: Path) -> bool:
    """Whether ``path`` is a plain file, or would become one."""
    return path.is_file() or not path.exists()


def _open_pipe(path: Path, stop: threading.Event, report: Report = logger.warning, *, wait: bool) -> int:
    begun, is_reported = time.monotonic(), False
    while True:
        try:
            return os.open(path, os.O_WRONLY | NON_BLOCKING)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        if stop.is_set() or not wait:
            raise NoReaderError("it has no reader")
        if not is_reported and time.monotonic() > begun + SILENT_WAIT_SECONDS:
            report(f"{path}: waiting for a reader of this pipe; Ctrl-C ends the run")
            is_reported = True
        time.sleep(POLL_SECONDS)


def _claimed(path: Path) -> OutputFile:
    """The file at ``path``, made if need be, that no other run can claim until it is closed.

    Another run may be checking whether it can write there, which takes a moment and may remove an empty file.
    """
    deadline = time.monotonic() + CLAIM_SECONDS
    while True:
        file = OutputFile(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "w")
        try:
            _lock(file)
            if _is_at(file, path):
                return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise
            time.sleep(POLL_SECONDS)
        with suppress(FileNotFoundError):  # deleted by the run that only looked
            file.close()


def _is_at(file: io.FileIO, path: Path) -> bool:
    """Whether ``path`` still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _lock(file: IO[bytes] | io.FileIO) -> None:
    """Claim a file until it is closed. Raises BlockingIOError when another run has claimed it."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(errno.EBUSY, "another run is writing it") from None
    except OSError:
        pass  # a file system without locks
