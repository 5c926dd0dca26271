"""The video of each face: its time in view, its audio, always in the middle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.media import Frame
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.outputs.face_videos import GONE_SECONDS, SIZE, FaceVideos
from tests.stream.outputs.made import frame, silence, snapshot
from tests.stream.outputs.test_recorder import click, click_time, read


def test_each_face_has_the_time_it_was_in_view_with_its_audio(tmp_path: Path) -> None:
    faces = FaceVideos(tmp_path / "new" / "folder")
    for k in range(125):
        faces.audio(click(k / 25, 3.0, 1 / 25))
    for k in range(125):
        faces.frame(frame(k / 25), snapshot(k / 25, people=(1, 2) if k >= 50 else (1,)))
    faces.close()
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["face-1.mp4", "face-2.mp4"]
    for person, start in ((1, 0.0), (2, 2.0)):
        movie = read(tmp_path / "new" / "folder" / f"face-{person}.mp4")
        assert movie.images[0].shape == (SIZE, SIZE, 3)
        assert movie.times[0] == 0.0
        assert movie.times[-1] == pytest.approx(5.0 - start - 0.04, abs=1e-3)
        assert click_time(movie) == pytest.approx(3.0 - start, abs=0.003)
        assert len(movie.audio) / SAMPLE_RATE == pytest.approx(5.0 - start, abs=0.13)


def test_a_moving_face_stays_in_the_middle_and_noise_is_smoothed(tmp_path: Path) -> None:
    faces = FaceVideos(tmp_path, has_audio=False)
    noise = np.random.default_rng(3).normal(0, 3, (100, 2))
    for k in range(100):
        image = np.zeros((360, 640, 3), np.uint8)
        x, y = 100 + 2 * k, 150
        image[y - 20 : y + 20, x - 20 : x + 20] = 255
        box = Box(x - 40 + noise[k, 0], y - 40 + noise[k, 1], 80, 80)
        shown = Snapshot(k, k / 25, 0.5, (FaceScore(1, box, 0.5, False),), SpeakingState.SILENCE, None, Lag(0, 0))
        faces.frame(Frame(k / 25, image), shown)
    faces.close()
    centres = np.array([np.argwhere(each[..., 1] > 128).mean(axis=0) for each in read(tmp_path / "face-1.mp4").images])
    assert np.abs(centres - SIZE / 2).max() < 0.15 * SIZE
    shown_noise, scale = np.diff(centres[10:], axis=0).std(), SIZE / (1.6 * 80)
    assert shown_noise < 0.5 * np.diff(noise, axis=0).std() * scale


def test_a_face_that_left_has_its_video_closed_and_may_come_back(tmp_path: Path) -> None:
    faces = FaceVideos(tmp_path, has_audio=False)
    away = round((GONE_SECONDS + 1) * 25)
    for k in range(away + 50):
        in_view = k < 25 or k >= 25 + away
        faces.frame(frame(k / 25), snapshot(k / 25, people=(1,) if in_view else ()))
        if k == 25 + away - 1:
            assert len(read(tmp_path / "face-1.mp4").times) == 25, "whole while the run goes on"
    faces.close()
    assert len(read(tmp_path / "face-1-part-2.mp4").times) == 25


def test_twenty_five_faces_at_once(tmp_path: Path) -> None:
    faces = FaceVideos(tmp_path)
    faces.audio(silence(0.0, 0.5))
    for k in range(10):
        faces.frame(frame(k / 25, width=640), snapshot(k / 25, people=range(1, 26), width=25))
    faces.close()
    assert len(list(tmp_path.iterdir())) == 25


def test_a_run_without_a_face_leaves_nothing(tmp_path: Path) -> None:
    faces = FaceVideos(tmp_path / "d")
    faces.frame(frame(0.0), None)
    faces.close()
    assert list(tmp_path.iterdir()) == []


def test_a_bad_place_is_reported_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--save-faces"):
        FaceVideos(tmp_path / "file")
    with pytest.raises(InputError, match="--save-faces"):
        FaceVideos(tmp_path / "file" / "below")
    with pytest.raises(InputError, match="--save-faces"):
        FaceVideos(tmp_path / (300 * "x"))
    FaceVideos(tmp_path / (255 * "x"))


def record(faces: FaceVideos, people: tuple[int, ...]) -> None:
    for k in range(3):
        faces.frame(frame(k / 25), snapshot(k / 25, people=people))
    faces.close()


def test_nothing_that_exists_is_written_over(tmp_path: Path) -> None:
    for name in ("face-1.mp4", "face-9.mp4", "Face-2-part-2.mp4"):
        (tmp_path / name).write_text("of another run")
    for _ in range(2):
        record(FaceVideos(tmp_path, has_audio=False), (1, 2))
    kept = [path.name for path in tmp_path.iterdir() if path.read_bytes() == b"of another run"]
    assert sorted(kept) == ["Face-2-part-2.mp4", "face-1.mp4", "face-9.mp4"]
    new = sorted(path.name for path in tmp_path.iterdir() if path.name not in kept)
    assert new == [f"face-{person}-run-{run}.mp4" for person in (1, 2) for run in (2, 3)]
    assert len(read(tmp_path / "face-1-run-3.mp4").times) == 3


def test_two_runs_at_once_and_other_outputs_keep_their_names(tmp_path: Path) -> None:
    first, second = FaceVideos(tmp_path, has_audio=False), FaceVideos(tmp_path, False, [tmp_path / "face-2-run-2.mp4"])
    for k in range(3):
        for faces in (first, second):
            faces.frame(frame(k / 25), snapshot(k / 25, people=(1, 2)))
    first.close()
    second.close()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"face-1.mp4", "face-2.mp4", "face-1-run-2.mp4", "face-2-run-3.mp4"}


def test_a_video_has_the_name_that_its_person_got(tmp_path: Path) -> None:
    for _ in range(2):
        videos = FaceVideos(tmp_path, has_audio=False)
        for k in range(5):
            names = {1: "Ada <Lovelace> / é"} if k > 2 else {}
            videos.frame(frame(k / 25), replace(snapshot(k / 25, people=[1, 2]), names=names))
        videos.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["face-1-Ada-Lovelace-é.mp4", "face-1-run-2-Ada-Lovelace-é.mp4", "face-2-run-2.mp4", "face-2.mp4"]
    assert len(read(tmp_path / "face-1-Ada-Lovelace-é.mp4").times) == 5


def test_a_long_name_is_cut_to_what_a_file_name_can_hold(tmp_path: Path) -> None:
    videos = FaceVideos(tmp_path, has_audio=False)
    for k in range(3):
        videos.frame(frame(k / 25), replace(snapshot(k / 25, people=[1]), names={1: 200 * "漢"}))
    videos.close()
    assert [path.name for path in tmp_path.iterdir()] == [f"face-1-{53 * '漢'}.mp4"]
