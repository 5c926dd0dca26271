"""Tiles of a gallery: which of them a face lies on."""

from __future__ import annotations

from collections.abc import Sequence

from speakerlight.core.geometry import Box


def tile_of(tiles: Sequence[Box], point: tuple[float, float]) -> int | None:
    """Number of the tile that contains a point (x, y) in pixels; None outside all."""
    return next((number for number, tile in enumerate(tiles) if tile.contains(point)), None)
