"""The command line: one clear line and the right exit status for what is wrong, whole outputs for what is not."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

import speakerlight
from speakerlight import command_line
from speakerlight.core.errors import InputError
from tests.files import size
from tests.stream.sources.conftest import Clip

ROOT = Path(__file__).parents[2]
SECOND = tuple(np.arange(25) / 25)


@pytest.fixture(scope="session")
def models() -> None:
    """BlazeFace and the compact model."""
    from speakerlight.core.models.compact_loading import load_compact
    from speakerlight.model_cache import fetch
    from speakerlight.model_files import BLAZEFACE_SHORT

    try:
        fetch(BLAZEFACE_SHORT)
        load_compact("cpu")
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(2.0)
    assert not any(thread.is_alive() for thread in left), left


def lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if line]


def refused(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Runs, expects exit status 2 and one line on stderr; gives the line."""
    capfd.readouterr()
    assert command_line.main([*map(str, arguments)]) == 2
    messages = lines(capfd)
    assert len(messages) == 1, messages
    assert messages[0].startswith("speakerlight: ")
    return messages[0]


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_wrong_arguments_are_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert "--device" in refused(capfd, "--device", "tpu")
    assert "--view" in refused(capfd, "--view", "sideways")
    assert "give auto or milliseconds, not soon" in refused(capfd, "--lag", "soon")
    assert "--duration" in refused(capfd, "--duration", "long")
    assert "--max-faces" in refused(capfd, "--max-faces", "many")
    assert "--nonsense" in refused(capfd, "--nonsense")
    assert "--video" in refused(capfd, "--video")
    assert "--fast" in refused(capfd, "--fast")
    assert "begins with - is written --option=-value" in refused(capfd, "--video", "-clip.mp4")


@pytest.mark.parametrize("option", ["--video", "--audio", "--model", "--events", "--rttm", "--save-faces", "--people"])
def test_an_empty_name_is_one_line(capfd: pytest.CaptureFixture[str], option: str) -> None:
    assert f"{option}: the name is empty" in refused(capfd, option, "")


def test_a_home_folder_that_the_shell_left_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~x").touch()
    given = command_line.parser().parse_args(["--video=~/a.mp4", "--output=~/b.mp4", "--audio=~x"])
    assert (given.video, given.output, given.audio) == ("/home/of/a.mp4", Path("/home/of/b.mp4"), "~x")


def test_a_name_of_several_lines_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "no\\nsuch\\x1b[31m.mp4: no such file" in refused(capfd, "--video", tmp_path / "no\nsuch\x1b[31m.mp4")


def test_help_and_devices_are_answers_not_errors(capfd: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--list-devices"]) == 0
    assert "Cameras (--video):" in capfd.readouterr().out
    with pytest.raises(SystemExit) as ended:
        command_line.main(["--help"])
    assert ended.value.code == 0
    assert "--save-faces DIR" in capfd.readouterr().out


def test_the_version_is_that_of_the_package(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(["--version"])
    assert ended.value.code == 0
    assert capfd.readouterr().out == f"speakerlight {speakerlight.__version__}\n"


def test_the_doctors_verdict_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for is_ready, status in ((True, 0), (False, 1)):
        monkeypatch.setattr("speakerlight.doctor.doctor", lambda _, is_ready=is_ready: ("the page", is_ready))
        assert command_line.main(["--doctor"]) == status
        assert capfd.readouterr().out == "the page\n"


def test_errors_have_a_traceback_only_when_asked_twice(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing.mp4")
    assert command_line.main(["--video", missing, "-vv"]) == 2
    assert "Traceback" in capfd.readouterr().err
    assert "no such file" in refused(capfd, "--video", missing)


@pytest.mark.parametrize("pace", [["--fast"], []])
def test_sources_that_cannot_be_read_are_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], pace: list[str]
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    nothing = tmp_path / "nothing.mp4"
    nothing.touch()
    assert "no such file" in refused(capfd, "--video", tmp_path / "missing.mp4", "--no-window", *pace)
    assert "text.mp4: not a video" in refused(capfd, "--video", text, "--no-window", *pace)
    assert "nothing.mp4: the file is empty" in refused(capfd, "--video", nothing, "--no-window", *pace)
    assert "is a directory" in refused(capfd, "--video", tmp_path, "--no-window", *pace)
    assert "demo" in refused(capfd, "--video", "demo:people=many", "--no-window", *pace)


def test_a_video_without_frames_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        container.start_encoding()
    assert str(path) in refused(capfd, "--video", path, "--fast")


@pytest.mark.skipif(Path("/dev/video7").exists(), reason="there is a camera 7")
def test_a_camera_that_is_not_there_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert "no camera 7" in refused(capfd, "--video", "7", "--no-window")


def test_outputs_that_cannot_be_written_are_one_line_and_leave_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = Clip().write(tmp_path / "clip.mkv")
    whole = clip.read_bytes()
    run: list[str | Path] = ["--video", clip, "--fast"]
    assert "no folder" in refused(capfd, *run, "--output", tmp_path / "nowhere" / "o.mp4")
    assert ".mp4" in refused(capfd, *run, "--output", tmp_path / "o.avi")
    assert ".png" in refused(capfd, *run, "--plot", tmp_path / "p.jpg")
    assert "folder" in refused(capfd, *run, "--events", tmp_path)
    assert "is the input" in refused(capfd, *run, "--rttm", clip)
    assert "--save-faces" in refused(capfd, *run, "--save-faces", clip)
    for option in ("--output", "--rttm", "--plot", "--export", "--save-faces", "--people"):
        assert "give the name of a file" in refused(capfd, *run, option, "-")
    same = tmp_path / "same"
    assert "is written there too" in refused(capfd, *run, "--events", same, "--rttm", same)
    assert "no folder" in refused(capfd, *run, "--events", tmp_path / "e", "--output", tmp_path / "nowhere" / "o.mp4")
    assert clip.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mkv"]


def test_checkpoints_that_are_none_are_one_line_and_leave_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = Clip(times=SECOND).write(tmp_path / "clip.mkv")
    good = tmp_path / "good.pth"
    torch.save({"state_dict": {"face_encoder.0.conv_block.0.weight": torch.zeros(32, 15, 7, 7)}}, good)
    truncated = tmp_path / "truncated.pth"
    truncated.write_bytes(good.read_bytes()[:200])
    hostile = tmp_path / "hostile.pth"
    torch.save({"state_dict": _Hostile(tmp_path / "harm")}, hostile)
    for model in (good, truncated, hostile, tmp_path / "missing.pth"):
        line = refused(capfd, "--video", clip, "--fast", "--model", model, "--events", tmp_path / "e.jsonl")
        assert model.name in line
    assert "lipsync_expert.pth" in refused(capfd, "--video", clip, "--model", "expert")
    assert not (tmp_path / "harm").exists() and not (tmp_path / "e.jsonl").exists()


class _Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ([str(ROOT / "run_live.py")], "run_live.py"),
        (["-m", "speakerlight"], "python -m speakerlight"),
        (["-c", "import sys; from speakerlight.command_line import command; command()"], "speakerlight"),
    ],
)
@pytest.mark.parametrize("command", ["", "join", "drain"])
def test_the_usage_names_the_program_as_it_was_started(
    start: list[str], name: str, command: str, tmp_path: Path
) -> None:
    line = [sys.executable, *start, *command.split(), "--help"]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True)
    assert ended.stdout.startswith(f"usage: {name} {command}".rstrip())
    assert command or f"{name} join WORDS.json" in ended.stdout


def test_in_the_shell_there_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run_live.py"), "--video", str(tmp_path / "missing.mp4")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == f"run_live.py: {tmp_path / 'missing.mp4'}: no such file\n"
    assert ended.stdout == ""


def test_a_deleted_current_folder_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = Clip(times=SECOND).write(tmp_path / "clip.mkv")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for option in ("--events", "--rttm", "--output"):
        line = refused(capfd, "--video", clip, "--fast", option, "out.mp4")
        assert "current folder was deleted" in line and "(cd)" in line
    assert "no such file" in refused(capfd, "--video", "clip.mkv", "--fast")


def play(tmp_path: Path, video: Path, *arguments: str | Path) -> list[dict[str, Any]]:
    """Runs to the normal end, with every output; gives the events."""
    log = tmp_path / "e.jsonl"
    everything = ["--no-window", "--events", log, "--rttm", tmp_path / "r.rttm", "--output", tmp_path / "o.mp4"]
    assert command_line.main([*map(str, ["--video", video, *everything, *arguments])]) == 0
    return events(log)


def test_a_file_in_fast_gives_every_output_whole(
    tmp_path: Path, models: None, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = Clip().write(tmp_path / "clip.mkv")
    reported = play(tmp_path, clip, "--fast", "--plot", tmp_path / "p.png", "--save-faces", tmp_path / "faces")
    assert [event["type"] for event in reported[:2]] == ["session", "scores"]
    assert reported[0]["video"] == str(clip) and reported[0]["model"] == "compact" and reported[0]["rate"] == 25
    assert reported[-1]["type"] == "summary" and reported[-1]["frames"] == 50 and reported[-1]["ticks"] == 50
    assert reported[-1]["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    with av.open(str(tmp_path / "o.mp4")) as recording:
        assert len(recording.streams.audio) == 1
        assert sum(1 for _ in recording.decode(video=0)) == 50
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert lines(capfd)[0].startswith("2.0 s, 50 frames, 50 ticks scored")


def test_in_real_time_the_events_are_those_of_fast(
    tmp_path: Path, models: None, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = Clip().write(tmp_path / "clip.mkv")
    fast, live = play(tmp_path, clip, "--fast"), play(tmp_path, clip)
    if any(event["type"] == "load" for event in live):
        pytest.skip("this machine is too busy at present to keep up with a small clip")
    assert live[:-1] == fast[:-1]
    assert live[-1]["latency_ms"]["p95"] is not None
    assert "capture to overlay" in capfd.readouterr().err


@pytest.mark.parametrize("pace", [["--fast"], []])
@pytest.mark.parametrize(
    "clip",
    [
        Clip(times=SECOND, sound_seconds=None),
        Clip(times=None, sound_seconds=1.0),
        Clip(times=SECOND, size=(10, 10), sound_seconds=1.0),
        Clip(times=SECOND[:1], sound_seconds=None),
    ],
    ids=["no audio", "no video", "10x10", "one frame"],
)
def test_odd_recordings_are_survived(tmp_path: Path, models: None, clip: Clip, pace: list[str]) -> None:
    reported = play(tmp_path, clip.write(tmp_path / "clip.mkv"), *pace)
    assert reported[-1]["type"] == "summary"
    assert reported[-1]["frames"] == len(clip.times or ())
    assert reported[-1]["ticks"] >= 1
    assert (reported[0]["audio"] is None) == (clip.sound_seconds is None)
    assert (tmp_path / "o.mp4").exists() == (clip.times is not None)


def test_4k_is_survived(tmp_path: Path, models: None) -> None:
    reported = play(tmp_path, Clip(times=SECOND[:3], size=(3840, 2160)).write(tmp_path / "4k.mp4"), "--fast")
    assert reported[-1]["frames"] == 3


def test_a_corrupt_middle_is_survived(tmp_path: Path, models: None) -> None:
    clip = Clip(video_codec="mjpeg").write(tmp_path / "clip.mkv")
    damaged = bytearray(clip.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + len(damaged) // 5] = os.urandom(len(damaged) // 5)
    clip.write_bytes(damaged)
    reported = play(tmp_path, clip, "--fast")
    assert reported[-1]["type"] == "summary" and 10 <= reported[-1]["frames"] <= 50


@pytest.mark.parametrize("pace", [["--fast"], []])
def test_ctrl_c_ends_within_a_second_with_whole_outputs(tmp_path: Path, models: None, pace: list[str]) -> None:
    """From the signal until the process is gone. It may be late once, and on a machine that has other work to do."""
    took = _interrupted(tmp_path / "first", pace)
    if took >= 1.0:
        took = _interrupted(tmp_path / "second", pace)
    if took >= 1.0 and os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1):
        pytest.skip(f"took {took:.1f} s, on a machine that is busy with something else")
    assert took < 1.0


def _interrupted(folder: Path, pace: list[str]) -> float:
    """Interrupts a run with outputs, checks that they are whole, and gives the seconds that its end took."""
    folder.mkdir()
    log, recording, plot = folder / "e.jsonl", folder / "o.mp4", folder / "p.png"
    arguments: list[str | Path] = [
        "--video",
        "demo:people=1",
        "--no-window",
        "--events",
        log,
        "--output",
        recording,
        "--plot",
        plot,
    ]
    command = [sys.executable, ROOT / "run_live.py", *arguments, *pace]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and run.poll() is None and size(log) < 4000:
            time.sleep(0.02)
        asked = time.monotonic()
        run.send_signal(signal.SIGINT)
        _, messages = run.communicate(timeout=20)
        took = time.monotonic() - asked
    assert run.returncode == 0, messages
    assert "Traceback" not in messages
    reported = events(log)
    assert reported[-1]["type"] == "summary"
    with av.open(str(recording)) as whole:
        frames = sum(1 for _ in whole.decode(video=0))
    left_out = re.search(r"(\d+) frames dropped by --output", messages)
    assert frames + int(left_out[1] if left_out else 0) == reported[-1]["frames"]
    assert plot.stat().st_size > 1000
    return took


def test_a_stage_that_fails_is_one_line_and_outputs_are_whole(
    tmp_path: Path, models: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(self: object, *given: object) -> None:
        raise MemoryError("nothing left")

    monkeypatch.setattr("speakerlight.core.faces.vision.Vision.process", broken)
    clip, log = Clip().write(tmp_path / "clip.mkv"), tmp_path / "e.jsonl"
    for pace in (["--fast"], []):
        assert command_line.main(["--video", str(clip), "--no-window", "--events", str(log), *pace]) == 1
        assert "speakerlight: vision failed: MemoryError: nothing left" in lines(capfd)[-1]
        assert events(log)[-1]["type"] == "summary"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian: xvfb)")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "640x360x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        monkeypatch.setenv("DISPLAY", f":{server.stdout.readline().strip()}")
        monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
        yield
        server.terminate()


def test_a_screen_is_watched_live_and_its_latency_is_reported(
    tmp_path: Path, models: None, screen: None, capfd: pytest.CaptureFixture[str]
) -> None:
    reported = play(tmp_path, Path("screen"), "--audio", "none", "--duration", "2")
    messages = capfd.readouterr().err
    latency = reported[-1]["latency_ms"]
    with capfd.disabled():
        print(f"screen to overlay: p50 {latency['p50']} ms, p95 {latency['p95']} ms")
    assert "capture to overlay" in messages
    assert 0 < latency["p50"] < 200
    assert reported[-1]["duration"] == pytest.approx(2.0, abs=0.3)


def test_the_password_of_a_stream_is_never_printed(capfd: pytest.CaptureFixture[str]) -> None:
    line = refused(capfd, "--video", "nothing://me:secret@127.0.0.1:9/1", "--model", "missing.pth", "--no-window")
    assert "secret" not in line and "nothing://127.0.0.1:9/1" in line


def test_a_wave_file_beside_a_video_is_its_audio(tmp_path: Path, models: None) -> None:
    clip = Clip(times=SECOND, sound_seconds=None).write(tmp_path / "clip.mkv")
    audio = tmp_path / "audio.wav"
    with wave.open(str(audio), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.zeros(16_000, np.int16).tobytes())
    reported = play(tmp_path, clip, "--fast", "--audio", audio)
    assert reported[0]["audio"] == str(audio)
