"""A live sender for tests, run as a program: frames that show their own number and a click at each full second.

``python sender.py URL SECONDS``: MPEG-TS at 25 frames a second, in real time. Prints the monotonic time of frame 0,
which is the same clock for all processes of a machine.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import av
import numpy as np

BITS = 12
SIZE = 192, 64
RATE = 25
SOUND_RATE = 48_000


def image_of(number: int) -> np.ndarray:
    """``number`` in twelve black and white bars, the lowest bit left."""
    width, height = SIZE
    bars = [255 * (number >> bit & 1) for bit in range(BITS)]
    return np.repeat(np.repeat(np.array(bars, np.uint8), width // BITS)[None, :, None], height, 0).repeat(3, 2)


def number_of(image: np.ndarray) -> int:
    """The inverse of ``image_of``, also for a frame that was scaled or compressed."""
    height, width = image.shape[:2]
    centres = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(int(image[height // 2, centre, 1] > 127) << bit for bit, centre in enumerate(centres))


def send(url: str, seconds: float) -> None:
    with av.open(url, "w", format="mpegts", options={"flush_packets": "1", "muxdelay": "0"}) as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "12"}
        audio = container.add_stream("mp2", rate=SOUND_RATE, layout="mono")
        start, sent = time.monotonic(), 0
        print(start, flush=True)
        for number in range(round(seconds * RATE)):
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
            frame = av.VideoFrame.from_ndarray(image_of(number), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
            while (sent + 1152) / SOUND_RATE <= time.monotonic() - start:
                container.mux(audio.encode(tone_of(sent)))
                sent += 1152


def tone_of(first: int) -> av.AudioFrame:
    places = (first + np.arange(1152)) % SOUND_RATE
    samples = np.where(places < 480, 0.5 * np.sin(places * 0.2), 0).astype(np.float32)
    frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
    return frame


if __name__ == "__main__":
    send(sys.argv[1], float(sys.argv[2]))
