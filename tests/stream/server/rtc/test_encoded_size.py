"""Frame sizes read from what real encoders write."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakerlight.server.rtc.encoded_size import encoded_size


def encoded(codec: str, width: int, height: int, **options: str) -> list[bytes]:
    """Three encoded frames, the first of them a key frame."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.options = options
    frames = []
    for number in range(3):
        frame = av.VideoFrame.from_ndarray(np.full((height * 3 // 2, width), 40 * number, np.uint8), format="yuv420p")
        frame.pts = number
        frames += [bytes(packet) for packet in context.encode(frame)]
    return frames + [bytes(packet) for packet in context.encode(None)]


@pytest.mark.parametrize(("width", "height"), [(64, 48), (1280, 720), (2048, 1024)])
def test_vp8(width: int, height: int) -> None:
    key, inter, *_ = encoded("libvpx", width, height)
    assert encoded_size("VP8", key) == (width, height)
    assert encoded_size("VP8", inter) is None


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (1280, 720), (1920, 1088)])
def test_h264_in_whole_macroblocks(width: int, height: int, profile: str) -> None:
    key, *rest = encoded("libx264", width, height, profile=profile, preset="ultrafast")
    assert encoded_size("H264", key) == (width, height)
    assert all(encoded_size("H264", frame) is None for frame in rest)


def test_h264_counts_what_is_cropped() -> None:
    assert encoded_size("H264", encoded("libx264", 640, 360, preset="ultrafast")[0]) == (640, 368)


def code(number: int) -> str:
    """An unsigned Exp-Golomb code (ITU-T H.264, section 9.1)."""
    bits = f"{number + 1:b}"
    return "0" * (len(bits) - 1) + bits


def signed(number: int) -> str:
    return code(2 * number - 1 if number > 0 else -2 * number)


FLAT_LIST = signed(0) * 16
DEFAULT_LIST = signed(-8)
"""The first value becomes 0: the default list is used, and no more values follow."""


@pytest.mark.parametrize(
    ("profile", "high"),
    [
        (100, code(1) + code(0) + code(0) + "0" + "0"),
        (100, code(1) + code(0) + code(0) + "0" + "1" + "1" + FLAT_LIST + "1" + DEFAULT_LIST + "0" * 6),
        (244, code(3) + "0" + code(0) + code(0) + "0" + "1" + "0" * 12),
    ],
    ids=["4:2:0", "scaling lists", "4:4:4"],
)
@pytest.mark.parametrize(
    "order", [code(0) + code(2), code(1) + "0" + signed(-2) + signed(3) + code(2) + signed(1) + signed(-1), code(2)]
)
@pytest.mark.parametrize("is_interlaced", [False, True])
def test_h264_with_every_field_that_may_stand_before_the_size(
    profile: int, high: str, order: str, is_interlaced: bool
) -> None:
    fields = f"{profile:08b}" + f"{0x0028:016b}" + code(0) + high + code(4) + order + code(1) + "0"
    fields += code(79) + code(44) + ("0" if is_interlaced else "1") + "1"
    sps = int(fields.ljust(-(-len(fields) // 8) * 8, "0"), 2).to_bytes(-(-len(fields) // 8), "big")
    assert encoded_size("H264", b"\x00\x00\x00\x01\x67" + sps) == (1280, 720 * (2 if is_interlaced else 1))


@given(st.sampled_from(["VP8", "H264"]), st.binary(max_size=64))
def test_any_bytes_have_a_size_or_none(codec: str, data: bytes) -> None:
    for frame in (data, b"\x00\x00\x01\x67" + data, b"\x10\x02\x00\x9d\x01\x2a" + data):
        size = encoded_size(codec, frame)
        assert size is None or min(size) >= 0
