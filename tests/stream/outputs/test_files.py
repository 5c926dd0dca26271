"""Files and pipes of outputs: checks before a run, whole records, readers that come late or never."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.outputs import files
from speakerlight.outputs.files import NoReaderError, RecordWriter, check_writable, open_output, write_whole

resource = pytest.importorskip("resource", reason="no limits on file sizes here")

no_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Files may not grow beyond ``size`` bytes, as on a disk that is full then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_good_place_is_left_as_it_is(tmp_path: Path) -> None:
    check_writable(tmp_path / "new.txt", "--events")
    assert not (tmp_path / "new.txt").exists()
    (tmp_path / "old.txt").write_text("kept")
    check_writable(tmp_path / "old.txt", "--events")
    assert (tmp_path / "old.txt").read_text() == "kept"


def test_a_link_to_nothing_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "new.txt")
    check_writable(tmp_path / "link.txt", "--events")
    assert (tmp_path / "link.txt").is_symlink() and not (tmp_path / "new.txt").exists()


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--events .*folder"):
        check_writable(tmp_path, "--events")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*missing"):
        check_writable(tmp_path / "missing" / "o.txt", "--events")


def test_the_input_is_never_overwritten_through_any_link_or_address(tmp_path: Path) -> None:
    source = tmp_path / "in put.mp4"
    source.touch()
    (tmp_path / "soft.mp4").symlink_to(source)
    (tmp_path / "hard.mp4").hardlink_to(source)
    for name in ("in put.mp4", "soft.mp4", "hard.mp4"):
        for given in (str(source), f"file://{tmp_path}/in%20put.mp4"):
            with pytest.raises(InputError, match="this is the input"):
                check_writable(tmp_path / name, "--output", ["demo:people=3", "rtsp://host/\0", "x" * 5000, given])


@no_pipes
def test_a_pipe_that_is_the_input_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe", "--events")
    with pytest.raises(InputError, match="this is the input"):
        check_writable(tmp_path / "pipe", "--events", [str(tmp_path / "pipe")])


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_file_that_another_run_is_writing_is_refused(tmp_path: Path) -> None:
    with open_output(tmp_path / "o.txt") as file:
        file.write(b"of the other run")
        with pytest.raises(InputError, match="another run is writing it"):
            check_writable(tmp_path / "o.txt", "--events")
        with pytest.raises(OSError, match="another run is writing it"):
            open_output(tmp_path / "o.txt")
    assert (tmp_path / "o.txt").read_bytes() == b"of the other run"
    check_writable(tmp_path / "o.txt", "--events")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written"):
            check_writable(tmp_path / "o.txt", "--events")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a file system that takes no files")
def test_a_place_that_takes_no_files() -> None:
    with pytest.raises(InputError, match="cannot be written"):
        check_writable(Path("/proc/o.txt"), "--events")


def test_an_output_that_was_deleted_during_the_run_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "o.txt"
    file = open_output(path)
    file.write(b"x")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="deleted during the run"):
        file.close()
    moved = open_output(path)
    path.rename(tmp_path / "rotated.txt")
    moved.close()


def test_a_record_that_does_not_fit_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "o.txt"
    writer = RecordWriter(open_output(path))
    with disk_of(1000), pytest.raises(OSError):
        for _ in range(100):
            writer.write(b"x" * 69 + b"\n")
    writer.close()
    assert path.read_bytes() == (b"x" * 69 + b"\n") * 14


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path, link = tmp_path / "p.png", tmp_path / "link.png"
    path.write_bytes(b"old")
    link.symlink_to(path)
    with disk_of(1000), pytest.raises(OSError):
        write_whole(link, b"n" * 2000)
    assert path.read_bytes() == b"old"
    write_whole(link, b"new")
    assert link.is_symlink() and path.read_bytes() == b"new"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.png", "p.png"]


@no_pipes
def test_a_wait_for_a_reader_is_reported_and_ends_when_the_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    begun, lines = time.monotonic(), list[str]()
    monkeypatch.setattr(files, "SILENT_WAIT_SECONDS", 0.05)
    with pytest.raises(NoReaderError, match="it has no reader"):
        open_output(tmp_path / "pipe", stop, lines.append)
    assert 0.15 < time.monotonic() - begun < 2.0
    assert lines == [f"{tmp_path / 'pipe'}: waiting for a reader of this pipe; Ctrl-C ends the run"]


@no_pipes
def test_a_reader_that_takes_nothing_is_left_behind_once_the_run_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "STALLED_SECONDS", 0.2)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    stop = threading.Event()
    with open_output(tmp_path / "pipe", stop) as pipe:
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(NoReaderError, match="reads nothing"):
            for _ in range(1000):
                pipe.write(b"x" * 1000)
    os.close(reader)


@no_pipes
def test_a_whole_file_for_a_pipe_waits_for_its_reader_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(files, "STALLED_SECONDS", 0.2)
    with pytest.raises(NoReaderError):
        write_whole(pipe, b"whole")
    monkeypatch.setattr(files, "STALLED_SECONDS", 20.0)
    got: list[bytes] = []
    reader = threading.Timer(0.1, lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, 200_000 * b"whole")
    reader.join()
    assert got == [200_000 * b"whole"]


def test_a_name_as_long_as_the_system_takes_is_written_and_a_longer_one_is_one_line(tmp_path: Path) -> None:
    longest = tmp_path / (251 * "x" + ".png")
    check_writable(longest, "--plot")
    write_whole(longest, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [longest.name] and longest.read_bytes() == b"whole"
    for path in (tmp_path / (300 * "x"), tmp_path / (40 * f"{200 * 'd'}/") / "a"):
        with pytest.raises(InputError, match=r"--plot .*: cannot be written \(File name too long\)"):
            check_writable(path, "--plot")
