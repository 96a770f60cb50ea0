"""Pictures of `discs/duel`, seen from above, with NumPy alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sparring.games.discs.settings import RADIUS

SIZE = 320  # pixels, width and height
COLOURS = ((44, 110, 180), (208, 84, 40))  # of disc0 and disc1, RGB
_AROUND, _BORDER, _RING = (255, 255, 255), (70, 70, 70), (238, 236, 228)


def picture(position: np.ndarray, ring: float) -> np.ndarray:
    """One match, `uint8 [320, 320, 3]`, RGB: the x axis to the right, the y axis upwards, the ring in the middle.

    Args:
      position: of both discs, float [2, 2], m from the centre of the ring.
      ring: its radius, m.
    """
    canvas = _stage(ring).copy()
    for (x, y), colour in zip(position.tolist(), COLOURS, strict=True):
        _paint(canvas, ring, x, y, RADIUS, colour)
    return canvas.round().astype(np.uint8)


@lru_cache(maxsize=4)
def _stage(ring: float) -> np.ndarray:
    """The ring without discs, which is in every picture."""
    canvas = np.full((SIZE, SIZE, 3), _AROUND, np.float32)
    _paint(canvas, ring, 0.0, 0.0, ring, _BORDER)
    _paint(canvas, ring, 0.0, 0.0, ring - 2 * _pixel(ring), _RING)
    return canvas


def _pixel(ring: float) -> float:
    """Metres: a disc is out with its centre on the border, and is seen there."""
    return 2 * (ring + 2 * RADIUS) / SIZE


def _paint(canvas: np.ndarray, ring: float, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    """Draw a full circle, its edge smooth: a pixel on it is covered in part."""
    pixel = _pixel(ring)
    axis = (np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2) * pixel
    columns, rows = (np.flatnonzero(np.abs(along) < radius + pixel) for along in (axis - x, -axis - y))
    if columns.size and rows.size:
        part = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        away = np.hypot(axis[columns][None, :] - x, -axis[rows][:, None] - y)
        cover = np.clip((radius - away) / pixel + 0.5, 0, 1)[..., None]
        part += cover * (np.array(colour, np.float32) - part)
