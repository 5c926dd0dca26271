"""Texts that are no media: what they are is reported, and what comes through a pipe names no files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.sources import open_live, open_reader
from speakerlight.sources.files import FileReader
from speakerlight.sources.network import NetworkSource
from speakerlight.sources.not_media import advice_for
from tests.stream.sources.conftest import Clip
from tests.stream.sources.test_network import serving_directory

MANIFEST = '\ufeff<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>'
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{clip}\n#EXT-X-ENDLIST\n"
SESSION = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"

TEXTS = {
    "dash.mpd": (MANIFEST, r"DASH is not supported: give the HLS address \(\.m3u8\)"),
    "page": ("\n<!DOCTYPE HTML><html></html>", "this is a web page: give the address of the video"),
    "plain.m3u": ("http://127.0.0.1/a.ts\n", "list of addresses: give one of them"),
    "page.url": ("[InternetShortcut]\nURL=http://127.0.0.1/\n", "this is a link: give the address in it"),
    "list.pls": ("[playlist]\nFile1=http://127.0.0.1/a\n", "list of addresses: give one of them"),
    "session.sdp": (SESSION, "SDP"),
}


def fifo(folder: Path, content: str) -> str:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_text(content), daemon=True).start()
    return str(pipe)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_named_with_what_to_do_wherever_it_comes_from(tmp_path: Path, name: str) -> None:
    text, advice = TEXTS[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=advice):
        FileReader(tmp_path / name)
    with pytest.raises(InputError, match=f"pipe: .*{advice}"):
        open_reader(fifo(tmp_path, text), None)
    with serving_directory(tmp_path) as port, pytest.raises(InputError, match=advice):
        NetworkSource(f"http://127.0.0.1:{port}/{name}")


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("list_of", [PLAYLIST, "ffconcat version 1.0\nfile {clip}\n"])
@pytest.mark.parametrize("address", ["{clip}", "file:{clip}"])
def test_what_comes_through_a_pipe_names_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, list_of: str, live: bool, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for clip in ("secret.ts", tmp_path / "secret.ts"):
        Clip(sound_codec="mp2").write(tmp_path / "secret.ts")
        pipe = fifo(tmp_path, list_of.format(clip=address.format(clip=clip)))
        with pytest.raises(InputError, match="from a pipe it may name no"):
            (open_live if live else open_reader)(pipe, None)
        Path(pipe).unlink()


def test_a_playlist_on_disk_reads_what_lies_beside_it(tmp_path: Path) -> None:
    Clip(sound_codec="mp2").write(tmp_path / "a.ts")
    (tmp_path / "a.m3u8").write_text(PLAYLIST.format(clip="a.ts"))
    reader = FileReader(tmp_path / "a.m3u8")
    assert reader.has_video and reader.has_audio
    reader.close()


def test_files_of_a_playlist_that_are_missing_are_reported_once(tmp_path: Path) -> None:
    Clip(sound_codec="mp2").write(tmp_path / "a.ts")
    entries = "".join(f"#EXTINF:2.0,\n{name}\n" for name in ("a.ts", "b.ts?token=SECRET", "c.ts"))
    (tmp_path / "a.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{entries}#EXT-X-ENDLIST\n")
    (tmp_path / "main.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n")
    for name in ("a.m3u8", "main.m3u8"):
        lines: list[str] = []
        reader = FileReader(tmp_path / name, notify=lines.append)
        reader.close()
        assert lines == [f"{name}: 2 of the files that it names are missing, b.ts first, and are left out"]


def test_an_animated_webp_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x12" + bytes(9) + b"ANIM\6\0\0\0" + bytes(6))
    with pytest.raises(InputError, match="animated WebP image, which cannot be decoded: make a GIF or a video"):
        FileReader(tmp_path / "a.webp")


def test_media_has_no_advice() -> None:
    assert advice_for(b"") is None and advice_for(b"\x1a\x45\xdf\xa3matroska <html") is None
