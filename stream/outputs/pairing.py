"""Pairing of frames and snapshots: a snapshot is decided a fixed look-ahead after the frame of its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from speakerlight.core.media import Frame
from speakerlight.core.snapshot import Snapshot

HELD_BYTES = 512 << 20
"""Memory limit of waiting frames. They wait about 0.3 s (look-ahead and room lag); of 4K frames 20 fit."""


class Pairing:
    """Holds frames until the snapshots before and after them are known, then pairs each with the nearer one."""

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        self._held_bytes = held_bytes
        self._held: deque[Frame] = deque()
        self._last: Snapshot | None = None

    def hold(self, frame: Frame) -> Iterator[tuple[Frame, Snapshot | None]]:
        """Add a frame; yields those that are paired with the latest snapshot because no more can be held."""
        self._held.append(frame)
        while len(self._held) * frame.image.nbytes > self._held_bytes:
            yield self._held.popleft(), self._last

    def pair(self, snapshot: Snapshot) -> Iterator[tuple[Frame, Snapshot]]:
        """Add a snapshot; yields the frames up to its time."""
        before, self._last = self._last, snapshot
        while self._held and self._held[0].time <= snapshot.time:
            frame = self._held.popleft()
            is_before_nearer = before is not None and frame.time - before.time < snapshot.time - frame.time
            yield frame, before if is_before_nearer and before is not None else snapshot

    def rest(self) -> Iterator[tuple[Frame, Snapshot | None]]:
        """The frames after the last snapshot, at the end of the run."""
        while self._held:
            yield self._held.popleft(), self._last
