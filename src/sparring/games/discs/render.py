"""Pictures of `discs/duel`, seen from above, with NumPy alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sparring.games.discs.settings import RADIUS

SIZE = 320  # pixels, width and height, where no other size is asked for
COLOURS = ((44, 110, 180), (208, 84, 40))  # of disc0 and disc1, RGB
_AROUND, _BORDER, _RING = (255, 255, 255), (70, 70, 70), (238, 236, 228)


def picture(position: np.ndarray, ring: float, size: int = SIZE) -> np.ndarray:
    """One match, `uint8 [size, size, 3]`, RGB: the x axis to the right, the y axis upwards, the ring in the middle.

    Args:
      position: of both discs, float [2, 2], m from the centre of the ring.
      ring: its radius, m.
      size: width and height, in pixels.
    """
    canvas = _stage(ring, size).copy()
    for (x, y), colour in zip(position.tolist(), COLOURS, strict=True):
        _paint(canvas, ring, x, y, RADIUS, colour)
    return canvas.round().astype(np.uint8)


@lru_cache(maxsize=4)
def _stage(ring: float, size: int) -> np.ndarray:
    """The ring without discs, which is in every picture."""
    canvas = np.full((size, size, 3), _AROUND, np.float32)
    _paint(canvas, ring, 0.0, 0.0, ring, _BORDER)
    _paint(canvas, ring, 0.0, 0.0, ring - 2 * _pixel(ring, size), _RING)
    return canvas


def _pixel(ring: float, size: int) -> float:
    """Metres: a disc is out with its centre on the border, and is seen there."""
    return 2 * (ring + 2 * RADIUS) / size


def _paint(canvas: np.ndarray, ring: float, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    """Draw a full circle, its edge smooth: a pixel on it is covered in part."""
    size = len(canvas)
    pixel = _pixel(ring, size)
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * pixel
    columns, rows = (np.flatnonzero(np.abs(along) < radius + pixel) for along in (axis - x, -axis - y))
    if columns.size and rows.size:
        part = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        away = np.hypot(axis[columns][None, :] - x, -axis[rows][:, None] - y)
        cover = np.clip((radius - away) / pixel + 0.5, 0, 1)[..., None]
        part += cover * (np.array(colour, np.float32) - part)
