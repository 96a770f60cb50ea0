"""Plain pictures in two dimensions, seen from above, with NumPy alone."""

from __future__ import annotations

import numpy as np


def blank(size: int, colour: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """A square to paint on, float32 [size, size, 3]."""
    return np.full((size, size, 3), colour, np.float32)


def paint_disc(
    canvas: np.ndarray, half: float, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    """Draw a full circle, its edge smooth: a pixel on it is covered in part.

    Args:
      canvas: float32 [N, N, 3], RGB; the origin is in its middle, x points to the right, y upwards.
      half: from the origin to the canvas' edge, in the unit of the places.
      x, y: the circle's centre.
      radius: its radius.
      colour: RGB, 0 to 255.
    """
    size = len(canvas)
    pixel = 2 * half / size
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * pixel
    columns, rows = (np.flatnonzero(np.abs(along) < radius + pixel) for along in (axis - x, -axis - y))
    if columns.size and rows.size:
        part = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        away = np.hypot(axis[columns][None, :] - x, -axis[rows][:, None] - y)
        cover = np.clip((radius - away) / pixel + 0.5, 0, 1)[..., None]
        part += cover * (np.array(colour, np.float32) - part)


def finished(canvas: np.ndarray) -> np.ndarray:
    """The picture, `uint8 [N, N, 3]`."""
    return canvas.round().astype(np.uint8)
