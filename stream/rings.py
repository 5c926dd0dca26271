"""Ring buffers: bounded hand-over of frames and audio between threads. A full ring drops and counts the oldest."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speakerlight.core.media import Frame


class FrameRing:
    """Frames from one capture thread. Readers consume them in order, or read the newest without consuming it."""

    def __init__(self, capacity: int) -> None:
        self._frames: deque[Frame] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._dropped = 0
        self._closed = False

    def push(self, frame: Frame) -> None:
        with self._changed:
            if len(self._frames) == self._capacity:
                self._frames.popleft()
                self._dropped += 1
            self._frames.append(frame)
            self._newest = frame
            self._changed.notify_all()

    def take(self, timeout_seconds: float) -> Frame | None:
        """Consume the oldest frame; None on timeout or when the ring is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed, timeout_seconds)
            return self._frames.popleft() if self._frames else None

    def take_newest(self, timeout_seconds: float) -> Frame | None:
        """Consume the newest frame; the older ones count as dropped. None as for :meth:`take`."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed, timeout_seconds)
            if not self._frames:
                return None
            frame = self._frames.pop()
            self._dropped += len(self._frames)
            self._frames.clear()
            return frame

    def newest(self) -> Frame | None:
        """The newest frame ever pushed, consumed or not; it is not consumed."""
        with self._changed:
            return self._newest

    def wait_newer(self, than: Frame | None, timeout_seconds: float) -> Frame | None:
        """The newest frame ever pushed, once it is another one than ``than``; it stays. None when none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not than, timeout_seconds)
            return self._newest if self._newest is not than else None

    def close(self) -> None:
        """End the stream: wake waiting readers. Frames in the ring can still be consumed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def dropped(self) -> int:
        """Frames lost because no reader took them in time."""
        with self._changed:
            return self._dropped

    @property
    def drained(self) -> bool:
        """Whether the ring is closed and empty."""
        with self._changed:
            return self._closed and not self._frames


@dataclass(frozen=True, eq=False)
class Block:
    """Samples written at once: float32, n × channels. ``first`` counts samples since the ring was made."""

    first: int
    stamp: float
    samples: npt.NDArray[np.float32]


class AudioRing:
    """Audio from one writer that must never wait (a real-time callback) to one reader. No lock, no allocation.

    The writer claims before it copies and publishes after it, so the reader detects and drops what was overwritten
    while being read; both counters have one writer each.
    """

    def __init__(self, capacity_samples: int, channels: int = 1, capacity_blocks: int = 4096) -> None:
        self._samples = np.zeros((capacity_samples, channels), np.float32)
        self._firsts = np.zeros(capacity_blocks, np.int64)
        self._lengths = np.zeros(capacity_blocks, np.int64)
        self._stamps = np.zeros(capacity_blocks, np.float64)
        self._claimed = 0
        self._claimed_blocks = 0
        self._published_blocks = 0
        self._taken_blocks = 0
        self._taken_samples = 0
        self._dropped = 0
        self._overflows = 0

    def write(self, samples: npt.NDArray[np.float32], stamp: float) -> None:
        """Append float32 n × channels (n at most the capacity) with the writer's timestamp in seconds."""
        count, capacity = len(samples), len(self._samples)
        first, slot = self._claimed, self._claimed_blocks % len(self._firsts)
        self._claimed = first + count
        self._claimed_blocks += 1
        start = first % capacity
        head = min(count, capacity - start)
        self._samples[start : start + head] = samples[:head]
        self._samples[: count - head] = samples[head:]
        self._firsts[slot], self._lengths[slot], self._stamps[slot] = first, count, stamp
        self._published_blocks = self._claimed_blocks

    def take(self) -> list[Block]:
        """All blocks since the last call, in order, less those that were overwritten first."""
        blocks = []
        for number in range(self._oldest_block(), self._published_blocks):
            block = self._copy(number)
            if self._intact(block, number):
                lost = block.first - self._taken_samples
                self._dropped += lost
                self._overflows += lost > 0
                self._taken_samples = block.first + len(block.samples)
                blocks.append(block)
            self._taken_blocks = number + 1
        return blocks

    @property
    def written(self) -> int:
        """Samples written since the ring was made."""
        return self._claimed

    @property
    def dropped(self) -> int:
        """Samples lost because the reader was too slow."""
        return self._dropped

    @property
    def overflows(self) -> int:
        """Number of times that samples were lost."""
        return self._overflows

    def _oldest_block(self) -> int:
        return max(self._taken_blocks, self._published_blocks - len(self._firsts))

    def _copy(self, number: int) -> Block:
        slot, capacity = number % len(self._firsts), len(self._samples)
        first, count = int(self._firsts[slot]), int(self._lengths[slot])
        start = first % capacity
        head = min(count, capacity - start)
        samples = np.concatenate([self._samples[start : start + head], self._samples[: count - head]])
        return Block(first, float(self._stamps[slot]), samples)

    def _intact(self, block: Block, number: int) -> bool:
        return self._claimed_blocks - number <= len(self._firsts) and self._claimed - block.first <= len(self._samples)
