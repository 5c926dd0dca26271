"""Frame size of an encoded video frame, read from its header before anything is decoded."""

from __future__ import annotations

import re

_VP8_KEY_FRAME = re.compile(rb"...\x9d\x01\x2a(..)(..)", re.DOTALL)
"""RFC 6386, section 9.1: frame tag, start code, width and height with two bits of scaling."""

_H264_SPS = re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67]")
"""A sequence parameter set (ITU-T H.264, section 7.3.1): start code and a NAL unit header of type 7."""

_MAX_SPS_BYTES = 256

_HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""Profiles whose SPS has the chroma format and scaling lists in it (section 7.3.2.1.1)."""

_MACROBLOCK = 16


def encoded_size(codec: str, data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels that the frame ``data`` declares; None where it declares none.

    ``codec``: VP8 or H264. H.264's size is that of the coded macroblocks, before cropping.
    """
    if codec.upper() == "VP8":
        return _vp8_size(data)
    return max((size for size in map(_sps_size, _parameter_sets(data)) if size), default=None)


def _vp8_size(data: bytes) -> tuple[int, int] | None:
    found = _VP8_KEY_FRAME.match(data)
    if found is None or data[0] & 1:  # the lowest bit is 0 in a key frame
        return None
    width, height = (int.from_bytes(side, "little") & 0x3FFF for side in found.groups())
    return width, height


def _parameter_sets(data: bytes) -> list[bytes]:
    starts = [found.end() for found in _H264_SPS.finditer(data)]
    # 00 00 03 stands for 00 00 within a NAL unit (section 7.4.1).
    return [data[start : start + _MAX_SPS_BYTES].replace(b"\x00\x00\x03", b"\x00\x00") for start in starts]


def _sps_size(sps: bytes) -> tuple[int, int] | None:
    bits = _Bits(sps)
    try:
        profile = bits.read(8)
        bits.read(16)  # constraints and level
        bits.unsigned()  # id
        if profile in _HIGH_PROFILES:
            _skip_high_profile(bits)
        bits.unsigned()  # log2_max_frame_num_minus4
        _skip_picture_order(bits)
        bits.unsigned()  # max_num_ref_frames
        bits.read(1)  # gaps_in_frame_num_value_allowed_flag
        width, height = bits.unsigned() + 1, bits.unsigned() + 1
        fields = 2 - bits.read(1)
    except EOFError:
        return None
    return width * _MACROBLOCK, height * _MACROBLOCK * fields


def _skip_high_profile(bits: _Bits) -> None:
    chroma = bits.unsigned()
    if chroma == 3:
        bits.read(1)
    bits.unsigned()  # bit_depth_luma_minus8
    bits.unsigned()  # bit_depth_chroma_minus8
    bits.read(1)
    if bits.read(1):
        for index in range(8 if chroma != 3 else 12):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_picture_order(bits: _Bits) -> None:
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()
    elif kind == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()


class _Bits:
    """Reads bits and Exp-Golomb codes (section 9.1); EOFError after the end."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._place = 0

    def read(self, count: int) -> int:
        bits = self._bits[self._place : self._place + count]
        if len(bits) < count:
            raise EOFError
        self._place += count
        return int(bits, 2)

    def unsigned(self) -> int:
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + (self.read(zeros) if zeros else 0)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)
