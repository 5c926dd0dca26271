"""The microphone path. With PulseAudio it is the real one: null sink → PortAudio → ring → 16 kHz, dated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk
from speakerlight.sources import microphone
from speakerlight.sources.microphone import MicrophoneSource
from speakerlight.sources.source import SourceState
from tests.stream.sources.conftest import click_times

ROOT = Path(__file__).parents[3]


class FakePortAudio:
    """As much of sounddevice as is used: devices, and streams whose callback the test calls."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def __init__(self, *names: str, rate: float = 48_000.0) -> None:
        self.names, self.rate = list(names), rate
        self.default = SimpleNamespace(device=(1, 0))
        self.streams: list[SimpleNamespace] = []
        self._terminate = self._initialize = lambda: None

    def query_devices(self) -> list[dict[str, object]]:
        return [
            {"name": name, "index": index, "max_input_channels": 2, "default_samplerate": self.rate}
            for index, name in enumerate(self.names)
        ]

    def InputStream(self, **given: object) -> SimpleNamespace:  # noqa: N802 (sounddevice's name)
        stream = SimpleNamespace(**given, start=lambda: None, close=lambda ignore_errors: None)
        self.streams.append(stream)
        return stream


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    library = FakePortAudio("Room", "Desk microphone", "Desk")
    monkeypatch.setattr(microphone, "portaudio", lambda: library)
    return library


@pytest.mark.parametrize(
    ("wanted", "name"),
    [(None, "Desk microphone"), (0, "Room"), ("room", "Room"), ("desk m", "Desk microphone"), ("desk", "Desk")],
)
def test_a_microphone_is_chosen_by_index_or_name_or_by_default(
    portaudio: FakePortAudio, wanted: int | str | None, name: str
) -> None:
    assert MicrophoneSource(wanted).name == name


@pytest.mark.parametrize("wanted", [7, "Kitchen"])
def test_a_microphone_that_is_not_there_is_one_clear_line(portaudio: FakePortAudio, wanted: int | str) -> None:
    with pytest.raises(InputError, match=f"{wanted}.*--list-devices"):
        MicrophoneSource(wanted)
    portaudio.names.clear()
    with pytest.raises(InputError, match=r"no microphone.*--audio none"):
        MicrophoneSource()


def test_without_the_portaudio_library_the_line_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(InputError, match=r"libportaudio2.*--audio none"):
        MicrophoneSource()


class Ticker:
    """A monotonic clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def started(portaudio: FakePortAudio) -> tuple[MicrophoneSource, Ticker, SimpleNamespace]:
    ticker, source = Ticker(), MicrophoneSource()
    source.start(SessionClock(ticker))
    time.sleep(0.05)
    return source, ticker, portaudio.streams[0]


def test_audio_is_mixed_resampled_and_dated_by_the_sample_count(portaudio: FakePortAudio) -> None:
    source, ticker, stream = started(portaudio)
    quiet = SimpleNamespace(input_overflow=False)
    chunks = []
    for block in range(300):
        samples = np.zeros((480, 2), np.float32)
        if block == 150:
            samples[:48] = (0.2, 0.8)
        ticker.now = 0.01 * (block + 1) + (0.04 if block % 7 else 0.0)
        stream.callback(samples, 480, None, quiet)
        chunks += source.take_audio()
    source.stop()
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert [chunk.time for chunk in chunks] == [first / 16_000 for first in positions(chunks)]
    assert click_times(0.0, samples) == pytest.approx([1.5], abs=0.002)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.1)
    assert source.audio_overflows == 0 and source.state is SourceState.ENDED


def positions(chunks: list[AudioChunk]) -> np.ndarray:
    return np.cumsum([0, *(len(chunk.samples) for chunk in chunks[:-1])])


def test_after_an_overflow_the_audio_is_where_it_belongs_and_it_is_counted(portaudio: FakePortAudio) -> None:
    source, ticker, stream = started(portaudio)
    chunks = []
    for block in range(300):
        ticker.now = 0.01 * (block + 1)
        if 100 <= block < 130:
            continue
        samples = np.zeros((480, 2), np.float32)
        samples[:48] = 0.5 if block == 200 else 0.0
        stream.callback(samples, 480, None, SimpleNamespace(input_overflow=block == 130))
        chunks += source.take_audio()
    source.stop()
    assert click_times(0.0, np.concatenate([chunk.samples for chunk in chunks])) == pytest.approx([2.0], abs=0.002)
    assert source.audio_overflows == 1


def test_a_mute_device_gives_silence_and_is_opened_again(
    portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone, "MUTE_SECONDS", 0.2)
    source = MicrophoneSource()
    clock = SessionClock()
    source.start(clock)
    while source.state is not SourceState.RECONNECTING:
        time.sleep(0.01)
    assert source.trouble == "microphone Desk microphone: gives no more audio; trying again"
    while source.state is not SourceState.RUNNING:  # type: ignore[comparison-overlap]
        time.sleep(0.01)
    assert len(portaudio.streams) == 2 and source.trouble is None
    time.sleep(max(0.0, 1.2 - clock.now()))
    silence = source.take_audio()
    assert sum(len(audio.samples) for audio in silence) == pytest.approx(16_000 * (clock.now() - 1), abs=800)
    source.stop()


LISTENER = """
import json, sys, time
import numpy as np
from speakerlight.clock import SessionClock
from speakerlight.sources.microphone import MicrophoneSource
name = sys.argv[1] or None
source, clock, chunks = MicrophoneSource(name), SessionClock(), []
source.start(clock)
print(json.dumps({"zero": time.monotonic() - clock.now()}), flush=True)
while clock.now() < 4.0:
    chunks += source.take_audio()
    time.sleep(0.02)
source.stop()
np.save(sys.argv[2], np.concatenate([chunk.samples for chunk in chunks]))
gaps = [round((b.time - a.time) * 16000) - len(a.samples) for a, b in zip(chunks, chunks[1:])]
print(json.dumps({"gaps": sum(map(abs, gaps)), "overflows": source.audio_overflows, "trouble": source.trouble}))
"""


@pytest.fixture(scope="module")
def null_sink() -> Iterator[dict[str, str]]:
    """A private PulseAudio whose sink ``mic`` is recorded through its monitor; gives the environment to reach it."""
    for program in ("pulseaudio", "paplay"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: pulseaudio, pulseaudio-utils)")
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        pytest.skip("ALSA's PulseAudio plugin is not installed (Debian: libasound2-plugins)")
    with tempfile.TemporaryDirectory(prefix="pulse") as home:
        env = {**os.environ, "HOME": home, "XDG_RUNTIME_DIR": home, "XDG_CONFIG_HOME": home, "PULSE_RUNTIME_PATH": home}
        env |= {"PULSE_SERVER": f"unix:{home}/socket", "PYTHONPATH": str(ROOT)}
        (Path(home) / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        modules = [
            f"module-native-protocol-unix socket={home}/socket auth-anonymous=1",
            "module-null-sink sink_name=mic",
        ]
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit"]
        loads = [part for module in modules for part in ("-L", module)]
        with subprocess.Popen([*command, *loads], env=env, stderr=subprocess.DEVNULL) as daemon:
            try:
                until = time.monotonic() + 5
                while not (Path(home) / "socket").exists() and time.monotonic() < until:
                    time.sleep(0.05)
                yield env
            finally:
                daemon.send_signal(signal.SIGTERM)


CLICKS = np.array([0.3, 0.7, 1.4, 1.5])
"""Seconds from the beginning of what is played, which is two seconds long."""


def play_clicks(env: dict[str, str], played: Path) -> bool:
    """Whether the player kept up: one that stalled, no microphone's fault, left a hole in what it played."""
    command = ["paplay", "-v", "--latency-msec=40", "-d", "mic", str(played)]
    lines = subprocess.run(command, env=env, check=True, timeout=20, stderr=subprocess.PIPE, text=True).stderr
    return lines.count("Stream underrun") == 1  # it runs out of audio at the end


@pytest.mark.parametrize("name", ["", "mic.monitor"])
def test_what_is_played_into_the_null_sink_is_captured_at_the_right_time(
    null_sink: dict[str, str], tmp_path: Path, name: str
) -> None:
    pytest.importorskip("sounddevice", reason="PortAudio is not installed", exc_type=OSError)  # type: ignore[arg-type]
    played = tmp_path / "clicks.wav"
    with wave.open(str(played), "wb") as file:
        file.setparams((1, 2, 44_100, 0, "NONE", ""))
        clicks = np.zeros(44_100 * 2, np.int16)
        for second in CLICKS:
            clicks[round(second * 44_100) : round(second * 44_100) + 88] = 16_000
        file.writeframes(clicks.tobytes())
    heard_file = tmp_path / "heard.npy"
    command = [sys.executable, "-c", LISTENER, name, str(heard_file)]
    whole = False
    for _ in range(4):
        with subprocess.Popen(command, env=null_sink, stdout=subprocess.PIPE, text=True) as listener:
            assert listener.stdout is not None
            zero = json.loads(listener.stdout.readline())["zero"]
            time.sleep(0.5)
            whole = play_clicks(null_sink, played)
            over = time.monotonic() - zero
            report = json.loads(listener.stdout.readline())
        if whole:
            break
    assert whole, "the player was held up each time: nothing is known about the microphone"
    received = np.array(click_times(0.0, np.load(heard_file)))
    assert report == {"gaps": 0, "overflows": 0, "trouble": None}
    np.testing.assert_allclose(np.diff(received), np.diff(CLICKS), atol=0.003)
    # Starting a player takes PulseAudio up to a second; paplay returns when the last sample has been played.
    late = received - (over - 2.0 + CLICKS)
    print(f"microphone path: received {late[0] * 1000:+.0f} ms from when it was played")
    assert np.abs(late).max() < 0.1
