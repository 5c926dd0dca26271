"""Redaction: secrets of addresses go in whatever form people write them, everything else stays."""

from __future__ import annotations

import pytest

from speakerlight.redaction import redacted

WITH_SECRETS = [
    "rtsp://user:SECRET@camera.local/1",
    "rtsp://admin:p@ss-SECRET@127.0.0.1:9/live",
    "rtsp://localhost:SECRET/1@127.0.0.1:9/live",
    "rtsp://admin:SEC/RET@SECRET@camera:554/live/ch0?x=1",
    "rtsp://admin:SECRET?1@camera:554/live",
    "rtsp://admin:SECRET#1@camera:554/live",
    "rtsp://SECRET@camera/live",
    "rtsp://user%40mail:SEC%2FRET@camera/live",
    "rtsp://a:SECRET@[::1]:554/live",
    "http://127.0.0.1:9/flv?port=1935&user=admin&password=SECRET",
    "http://host/cgi?usr=SECRET&pwd=SECRET&x=2",
    "rtsp://127.0.0.1:9/user=admin&password=SECRET&channel=1&stream=0.sdp",
    "rtsp://host/user=admin_password=SECRET_channel=1",
    "https://host/a.m3u8?access_token=SECRET",
    "https://host/a.m3u8?X-Amz-Signature=SECRET&X-Amz-Credential=SECRET",
    "https://host/a?apikey=SECRET;auth=SECRET",
    "https://host/a#token=SECRET",
    "https://host/a#tok=SECRET",
    "https://host/a?x=1#SECRET",
    "https://host/a?tok=SECRET&ticket=SECRET",
    "https://host/a?PassWord%3DSECRET",
    "srt://host:9000?passphrase=SECRET&mode=caller",
    "srt://host:9000?streamid=SECRET",
    "rtmp://live.example/app/SECRET",
    "rtmps://live.example:443/app/SECRET?x=1",
    "HTTP://User:SECRET@Host/a",
]


@pytest.mark.parametrize("address", WITH_SECRETS)
@pytest.mark.parametrize("line", ["{}", "{}: cannot be opened (x); check the address", "'{}' + {}", "video ({})."])
def test_no_secret_of_an_address_stays(address: str, line: str) -> None:
    shown = redacted(line.format(*[address] * line.count("{}")))
    assert "SECRET" not in shown and "RET" not in shown and "p@ss" not in shown
    assert address.partition(":")[0] in shown
    for rest in ("cannot be opened (x); check the address", "video ("):
        assert rest not in line or rest in shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:secret@camera.local/1", "rtsp://camera.local/1"),
        ("rtsp://a:b@c/1 + srt://d:e@f:9", "rtsp://c/1 + srt://f:9"),
        ("rtsp://admin:p@ss@127.0.0.1:9/live", "rtsp://127.0.0.1:9/live"),
        ("admin:p@camera.local:554/live: no such file", "camera.local:554/live: no such file"),
        ("http://h/a?x=1#tok=x", "http://h/a?x=1#…"),
        ("http://h/flv?port=1935&password=x&a=1", "http://h/flv?port=1935&password=…&a=1"),
    ],
)
def test_the_rest_of_an_address_stays(address: str, shown: str) -> None:
    assert redacted(address) == shown


def test_all_else_stays() -> None:
    for text in (
        "http://host/path?mail=a@b",
        "http://host:8080/a/b.m3u8?x=1",
        "https://[::1]:8443/room",
        "clips/me@home.mp4",
        "0",
        "demo:people=3",
        "--token must have 16 characters: user=x",
        "udp://127.0.0.1:5000",
        "http://127.0.0.1:8080/, http://10.0.0.1:8080/.",
    ):
        assert redacted(text) == text
