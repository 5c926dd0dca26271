"""What can be said before a run about where its output should go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from speakerlight.core.errors import InputError
from speakerlight.outputs.output import check_writable


def test_a_good_place_is_left_as_it_is(tmp_path: Path) -> None:
    check_writable(tmp_path / "new.txt", "--events")
    assert not (tmp_path / "new.txt").exists()
    (tmp_path / "old.txt").write_text("kept")
    check_writable(tmp_path / "old.txt", "--events")
    assert (tmp_path / "old.txt").read_text() == "kept"


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--events .*folder"):
        check_writable(tmp_path, "--events")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*missing"):
        check_writable(tmp_path / "missing" / "o.txt", "--events")


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").touch()
    (tmp_path / "alias.mp4").symlink_to(tmp_path / "in.mp4")
    with pytest.raises(InputError, match="this is the input"):
        check_writable(tmp_path / "alias.mp4", "--output", ["demo:people=3", str(tmp_path / "in.mp4")])


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
