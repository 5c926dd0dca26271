from __future__ import annotations

import functools
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import av.error
import cv2
import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.core.errors import InputError
from speakerlight.sources import network
from speakerlight.sources import source as source_module
from speakerlight.sources.containers import open_stored
from speakerlight.sources.network import NetworkSource, PulledTiming, Pushed
from speakerlight.sources.source import SourceOptions, SourceState
from tests.stream.sources import sender
from tests.stream.sources.conftest import Clip, click_times


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between attempts."""
    monkeypatch.setattr(source_module, "BACKOFF_SECONDS", (0.1,))
    monkeypatch.setattr(network, "READ_SECONDS", 0.5)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def sending(url: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(sender.__file__)), url, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_live_stream_is_on_one_timeline_and_little_late(protocol: str) -> None:
    port = free_port(socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM)
    target = f"udp://127.0.0.1:{port}?pkt_size=1316" if protocol == "udp" else f"tcp://127.0.0.1:{port}?listen=1"
    with sending(target, 6.0) as process:
        if protocol == "tcp":
            wait_for_listener(port)
        source = NetworkSource(f"{protocol}://127.0.0.1:{port}")
        assert process.stdout is not None and source.frames is not None and source.has_audio
        clock, begun = SessionClock(), time.monotonic()
        origin = float(process.stdout.readline()) - begun
        source.start(clock)
        late, off, chunks = [], [], []
        while clock.now() < 2.5:
            if frame := source.frames.take(0.02):
                true = origin + sender.number_of(frame.image) / sender.RATE
                late.append(clock.now() - true)
                off.append(frame.time - true)
            chunks += source.take_audio()
        source.stop()
    assert source.state is SourceState.ENDED and source.trouble is None
    print(f"{protocol}: capture latency median {np.median(late) * 1000:.0f} ms, worst {max(late) * 1000:.0f} ms")
    assert len(late) > 45 and np.median(late) < 0.25
    assert np.ptp(off[10:]) < 0.05, "frames keep their intervals whatever the jitter of their arrival"
    clicks = np.array(click_times(0.0, np.concatenate([chunk.samples for chunk in chunks]))) - origin
    assert len(clicks) >= 1
    lag = np.mod(clicks - np.median(off) + 0.5, 1.0) - 0.5
    assert np.abs(lag).max() < 0.06, "audio and video of one stream stay in sync"
    ends = [round(chunk.time * 16_000) + len(chunk.samples) for chunk in chunks]
    assert [round(chunk.time * 16_000) for chunk in chunks[1:]] == ends[:-1] and chunks[0].time == 0


def wait_for_listener(port: int) -> None:
    """Until something listens on the TCP port, without connecting: a listening FFmpeg takes one connection."""
    table, wanted = Path("/proc/net/tcp"), f"0100007F:{port:04X} 00000000:0000 0A"
    until = time.monotonic() + 10
    while table.exists() and wanted not in table.read_text() and time.monotonic() < until:
        time.sleep(0.02)


def test_a_stream_that_dies_is_connected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "READ_SECONDS", 0.5)
    port = free_port(socket.SOCK_DGRAM)
    url, clock = f"udp://127.0.0.1:{port}", SessionClock()
    with sending(f"{url}?pkt_size=1316", 10):
        source = NetworkSource(url)
        assert source.frames is not None
        source.start(clock)
        assert source.frames.take(3) is not None
    wait_until(lambda: source.state is SourceState.RECONNECTING)
    assert source.trouble is not None and source.trouble.startswith(f"{url}: the connection is lost")
    with sending(f"{url}?pkt_size=1316", 10):
        wait_until(lambda: source.state is SourceState.RUNNING)
        while source.frames.take(0):
            pass
        frame = source.frames.take(3)
        assert frame is not None and abs(clock.now() - frame.time) < 0.5
        source.stop()
    assert source.state is SourceState.ENDED


def wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 8
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@contextmanager
def serving(data: bytes) -> Iterator[int]:
    """A TCP server that sends ``data`` to each client and then nothing, for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                kept.append(connection)
                connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])
        for connection in kept:
            connection.close()
        server.shutdown(socket.SHUT_RDWR)


def test_stopping_a_stalled_stream_takes_less_than_a_second(tmp_path: Path) -> None:
    with serving(Clip(sound_codec="mp2").write(tmp_path / "clip.ts").read_bytes()) as port:
        source = NetworkSource(f"tcp://127.0.0.1:{port}")
        source.start(SessionClock())
        time.sleep(0.3)
        begun = time.monotonic()
        source.stop()
        assert time.monotonic() - begun < 1.0


def test_a_stream_that_cannot_be_opened_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "OPEN_SECONDS", 1.5)
    closed = free_port(socket.SOCK_STREAM)
    with serving(b"") as mute, serving(b"this is no stream " * 10_000) as noise:
        for url, why in (
            (f"rtsp://127.0.0.1:{closed}/live", "connection refused"),
            (f"http://127.0.0.1:{closed}/live.mp4", "connection refused"),
            (f"tcp://127.0.0.1:{mute}", "nothing came"),
            (f"tcp://127.0.0.1:{noise}", "nothing came|cannot be opened"),
            ("gopher-tls://127.0.0.1/", "speaks no gopher-tls"),
        ):
            with pytest.raises(InputError, match=why) as caught:
                NetworkSource(url)
            assert url in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_behind_http_is_played_at_its_own_pace_and_ends(tmp_path: Path) -> None:
    Clip(times=tuple(np.arange(25) / 25), sound_seconds=1.0, sound_codec="aac").write(tmp_path / "clip.mp4")
    with serving_directory(tmp_path) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/clip.mp4")
        assert source.frames is not None
        clock, times = SessionClock(), []
        source.start(clock)
        while not source.frames.drained:
            if frame := source.frames.take(0.05):
                assert abs(clock.now() - frame.time) < 0.3
                times.append(frame.time)
        source.stop()
    np.testing.assert_allclose(np.diff(times), 0.04, atol=0.005)
    assert len(times) == 25 and source.state is SourceState.ENDED and source.trouble is None


@contextmanager
def listening(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    """An HTTP server on loopback; its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def serving_directory(folder: Path) -> Iterator[int]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with listening(functools.partial(Handler, directory=str(folder))) as port:
        yield port


@contextmanager
def answering(bodies: list[list[bytes]], kind: str = "video/mp2t", length: int | None = None) -> Iterator[int]:
    """An HTTP server without ranges: request k gets the parts ``bodies[k]`` (the last one repeats), then it hangs up.

    ``length``: what it announces as Content-Length.
    """
    requests = iter([*bodies, *([bodies[-1]] * 100)])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            with suppress(OSError):
                for part in next(requests):
                    self.wfile.write(part)
                    self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port:
        yield port


def drained(source: NetworkSource) -> list[float]:
    """Play a source to its end; the times of its frames."""
    times: list[float] = []
    assert source.frames is not None
    source.start(SessionClock())
    until = time.monotonic() + 15
    while not source.frames.drained and time.monotonic() < until:
        if frame := source.frames.take(0.05):
            times.append(frame.time)
    source.stop()
    return times


def recording(folder: Path) -> bytes:
    """Two seconds of MPEG-TS at 25 frames a second."""
    clip = Clip(times=tuple(np.arange(50) / 25), sound_seconds=2.0, sound_codec="mp2")
    return clip.write(folder / "a.ts").read_bytes()


def test_a_recording_that_breaks_off_is_resumed_where_it_was(tmp_path: Path, quick: None) -> None:
    data = recording(tmp_path)
    with answering([[data[: len(data) // 2]], [data]], length=len(data)) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.ts")
        times = drained(source)
    assert source.state is SourceState.ENDED and source.trouble is None
    assert 45 <= len(times) <= 50 and (np.diff(times) > 0).all(), "no frame comes twice"


def test_a_recording_that_always_breaks_off_at_one_place_ends_with_one_line(tmp_path: Path, quick: None) -> None:
    data = recording(tmp_path)
    with answering([[data[: len(data) // 2]]], length=len(data)) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.ts")
        times = drained(source)
    assert 0 < len(times) < 45 and source.end_seconds is not None
    assert source.trouble is not None and source.trouble.endswith("cannot be resumed; the rest is missing")


@pytest.mark.parametrize("kind", ["ts", "mkv", "mp4", "webm"])
def test_a_response_without_a_length_ends_when_the_server_closes_it(tmp_path: Path, quick: None, kind: str) -> None:
    codecs = {"webm": ("vp8", "libopus"), "ts": ("libx264", "mp2")}.get(kind, ("libx264", "aac"))
    options = {"movflags": "faststart"} if kind == "mp4" else {}
    clip = Clip(video_codec=codecs[0], sound_codec=codecs[1], options=options).write(tmp_path / f"a.{kind}")
    with answering([[clip.read_bytes()]], kind="video/x") as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.{kind}")
        times = drained(source)
    assert source.state is SourceState.ENDED and source.trouble is None and source.frames is not None
    assert len(times) + source.frames.dropped == 50 and (np.diff(times) > 0).all()


def test_a_response_without_a_length_that_ends_before_its_stated_duration_is_resumed(
    tmp_path: Path, quick: None
) -> None:
    data = Clip(times=tuple(np.arange(100) / 25), sound_seconds=4.0).write(tmp_path / "a.mkv").read_bytes()
    with answering([[data[: len(data) // 4]], [data]], kind="video/x") as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.mkv")
        times = drained(source)
    assert source.state is SourceState.ENDED and source.trouble is None and source.frames is not None
    assert len(times) + source.frames.dropped >= 98 and (np.diff(times) > 0).all()


def test_an_mp4_with_its_index_at_its_end_is_stored_where_the_server_gives_no_ranges(tmp_path: Path) -> None:
    lines: list[str] = []
    large = Clip(sound_codec="aac", video_codec="mjpeg", size=(1280, 720))  # larger than what FFmpeg keeps
    large.write(tmp_path / "a.mp4")
    with serving_directory(tmp_path) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.mp4", options=SourceOptions(notify=lines.append))
        times = drained(source)
    assert source.state is SourceState.ENDED and source.trouble is None and source.frames is not None
    assert len(times) + source.frames.dropped == 50
    assert len(lines) == 1 and "index at its end" in lines[0]


def test_a_stored_file_reads_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Clip(sound_codec="mp2").write(tmp_path / "secret.ts")
    (tmp_path / "a.ffconcat").write_text("ffconcat version 1.0\nfile secret.ts\n")
    with serving_directory(tmp_path) as port, pytest.raises((av.error.FFmpegError, OSError, ValueError)):
        open_stored(f"http://127.0.0.1:{port}/a.ffconcat", 3.0, print).close()


def test_an_mp4_without_its_index_is_one_clear_line(tmp_path: Path) -> None:
    data = Clip(sound_codec="aac").write(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    with serving_directory(tmp_path) as port, pytest.raises(InputError, match=r"half\.mp4: cannot be opened"):
        NetworkSource(f"http://127.0.0.1:{port}/half.mp4")


@contextmanager
def serving_playlist(folder: Path, refused: str) -> Iterator[int]:
    """A playlist of three seconds in fMP4 that grows, over HTTP; the second request for ``refused`` (the first, for a
    segment) is answered with 404."""
    clip = Clip(times=tuple(np.arange(75) / 25), sound_seconds=3.0, sound_codec="aac")
    clip = replace(clip, options={"hls_time": "0.7", "hls_list_size": "0", "hls_segment_type": "fmp4"})
    whole = clip.write(folder / "a.m3u8").read_text()
    asked: Counter[str] = Counter()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path[1:]
            asked[name] += 1
            if name == refused and asked[name] == (2 if name.endswith("m3u8") else 1):
                self.send_error(404)
            elif name.endswith("m3u8") and asked[name] == 1 and name == refused:
                begun = "#EXTINF".join(whole.split("#EXTINF")[:3]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(begun)))
                self.end_headers()
                self.wfile.write(begun)
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with listening(functools.partial(Handler, directory=str(folder))) as port:
        yield port
    assert asked[refused] > 1


@pytest.mark.parametrize("refused", ["a1.m4s", "a.m3u8"])
def test_a_segment_or_playlist_that_is_refused_once_loses_nothing(tmp_path: Path, quick: None, refused: str) -> None:
    with serving_playlist(tmp_path, refused) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.m3u8")
        times = drained(source)
    assert source.state is SourceState.ENDED and source.trouble is None
    assert source.frames is not None and (np.diff(times) > 0).all()
    assert len(times) + source.frames.dropped == 75
    samples = np.concatenate([chunk.samples for chunk in source.take_audio()])
    assert len(click_times(0.0, samples)) == 6


@pytest.mark.parametrize("segment", ["segment?id=1", "a.jpg"])
def test_segments_of_a_playlist_may_have_any_name(tmp_path: Path, quick: None, segment: str) -> None:
    Clip(sound_codec="mp2").write(tmp_path / "a.ts").rename(tmp_path / segment.partition("?")[0])
    lines = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{segment}\n#EXT-X-ENDLIST\n"
    (tmp_path / "a.m3u8").write_text(lines)
    with serving_directory(tmp_path) as port:
        times = drained(NetworkSource(f"http://127.0.0.1:{port}/a.m3u8"))
    assert len(times) >= 48


def test_a_playlist_of_unknown_length_ends(tmp_path: Path, quick: None) -> None:
    """One of its variants cannot be had, so FFmpeg does not know how long it is."""
    Clip(sound_codec="mp2").write(tmp_path / "a.ts")
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\na.ts\n#EXT-X-ENDLIST\n")
    variants = "".join(f"#EXT-X-STREAM-INF:BANDWIDTH={n}\n{name}\n" for n, name in ((1, "gone.m3u8"), (2, "a.m3u8")))
    (tmp_path / "main.m3u8").write_text(f"#EXTM3U\n{variants}")
    with serving_directory(tmp_path) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/main.m3u8")
        times = drained(source)
    assert len(times) >= 48 and source.state is SourceState.ENDED and source.trouble is None


def test_a_live_stream_over_http_goes_on_with_what_comes_next(tmp_path: Path, quick: None) -> None:
    other = Clip(times=tuple(np.arange(25) / 25), sound_seconds=None).write(tmp_path / "b.ts").read_bytes()
    with answering([[recording(tmp_path)], [other]]) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/live.ts")
        times = drained(source)
    assert len(times) > 65 and (np.diff(times) > 0).all()


def test_a_stream_that_never_starts_is_closed_by_stop(tmp_path: Path) -> None:
    with answering([[recording(tmp_path)]]) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.ts")
        source.stop()
    assert source.state is SourceState.READY and source.take_audio() == []


class RangeHandler(http.server.BaseHTTPRequestHandler):
    """Gives ``data`` in ranges by HTTP/1.1 and hangs up after each response without having said so."""

    protocol_version = "HTTP/1.1"
    data = b""
    refusals: ClassVar[list[int]] = []
    """Statuses of the first responses."""

    takes_ranges = True

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        self.close_connection = True
        if self.refusals or (start and not self.takes_ranges):
            self.send_response(self.refusals.pop(0) if self.refusals else 416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        self.send_header("Content-Length", str(len(self.data) - start))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(self.data[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("change", [{}, {"takes_ranges": False}, {"refusals": [503]}])
def test_servers_that_hang_up_refuse_ranges_or_are_busy_at_first_lose_nothing(
    tmp_path: Path, quick: None, change: dict[str, Any]
) -> None:
    handler = type("Handler", (RangeHandler,), {"data": recording(tmp_path), **change})
    with listening(handler) as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/a.ts")
        times = drained(source)
    assert source.state is SourceState.ENDED and source.trouble is None and source.frames is not None
    assert len(times) + source.frames.dropped == 50


@pytest.mark.parametrize(
    ("status", "location", "line"),
    [
        (401, None, r"401.*write a user and password that it knows into the address"),
        (403, None, r"403.*a token or key in the address may be missing"),
        (302, "file:///etc/passwd", r"redirects to file:///etc/passwd, which is not followed"),
        (302, "rtmp://h/app/SECRET", r"redirects to rtmp://h/app/…, which is not followed"),
        (302, "/a", "redirects to /a, which is not followed"),
    ],
)
def test_refusals_and_redirects_say_what_to_do(quick: None, status: int, location: str | None, line: str) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port, pytest.raises(InputError, match=line) as caught:
        NetworkSource(f"http://127.0.0.1:{port}/a")
    assert "\n" not in str(caught.value)


def test_a_server_that_answers_a_byte_at_a_time_is_not_waited_for(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "OPEN_SECONDS", 0.3)
    monkeypatch.setattr(network, "READ_SECONDS", 0.3)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b"H")
                    time.sleep(0.1)

        def log_message(self, *_: object) -> None:
            pass

    begun = time.monotonic()
    with listening(Handler) as port:
        with pytest.raises(InputError, match=r"cannot be opened|nothing came"):
            NetworkSource(f"http://127.0.0.1:{port}/a")
        assert time.monotonic() - begun < 5.0


def test_a_user_and_password_of_an_address_open_what_is_stored(tmp_path: Path) -> None:
    film = Clip(sound_codec="aac", video_codec="mjpeg", size=(1280, 720)).write(tmp_path / "film.mp4").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.headers.get("Authorization") == "Basic dXMgZXI6cEBzcy8="  # us er:p@ss/
            self.send_response(200 if is_known else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="films"')
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(film if is_known else b"")

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port:
        source = NetworkSource(f"http://us%20er:p%40ss%2F@127.0.0.1:{port}/film.mp4")
        times = drained(source)
    assert source.trouble is None and source.frames is not None and len(times) + source.frames.dropped == 50
    assert "p%40" not in source.name


def test_a_server_that_sends_half_a_header_is_one_clear_line(tmp_path: Path, quick: None) -> None:
    film = Clip(sound_codec="aac").write(tmp_path / "film.mp4").read_bytes()
    with answering([[film[:64]]], "video/mp4", 64) as port, pytest.raises(InputError, match="cannot be") as caught:
        NetworkSource(f"http://127.0.0.1:{port}/film.mp4")
    assert "\n" not in str(caught.value)


def test_a_camera_that_sends_jpegs_is_timed_by_arrival_and_connected_again(quick: None) -> None:
    image = cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(image), image)
    with answering([[part] * 40], "multipart/x-mixed-replace; boundary=frame") as port:
        source = NetworkSource(f"http://127.0.0.1:{port}/camera.mjpg")
        assert source.frames is not None and not source.has_audio and source.frame_size == (64, 64)
        clock = SessionClock()
        source.start(clock)
        wait_until(lambda: source.state is SourceState.RECONNECTING)
        wait_until(lambda: source.state is SourceState.RUNNING)
        source.stop()
    assert source.state is SourceState.ENDED and source.end_seconds is None


def test_what_holds_no_media_of_the_wanted_kind_is_one_clear_line(tmp_path: Path, quick: None) -> None:
    audio = Clip(times=None, sound_codec="mp2").write(tmp_path / "audio.ts").read_bytes()
    with answering([[audio]]) as port, pytest.raises(InputError, match=r"the stream has no video$"):
        NetworkSource(f"http://127.0.0.1:{port}/audio.ts", audio=False)
    video = Clip(sound_seconds=None).write(tmp_path / "video.ts").read_bytes()
    with answering([[video]]) as port, pytest.raises(InputError, match=r"the stream has no audio$"):
        NetworkSource(f"http://127.0.0.1:{port}/video.ts", video=False)


def test_timestamps_that_begin_anew_go_on_from_now() -> None:
    timing = Pushed()
    timing.arrived("video", 100.0, 1.0)
    assert timing.session_time(100.0) == 1.0
    timing.arrived("video", 7.0, 1.1)
    assert timing.session_time(7.0) == pytest.approx(1.1)


def test_a_pulled_stream_that_stalled_goes_on_from_now() -> None:
    timing = PulledTiming()
    assert timing.session_time(7.0, 0.5) == 0.5
    assert timing.session_time(7.5, 0.6) == 1.0
    assert timing.session_time(8.0, 2.0) == 1.5
    assert timing.session_time(9.0, 5.0) == 5.0
    assert timing.session_time(9.5, 5.1) == 5.5
