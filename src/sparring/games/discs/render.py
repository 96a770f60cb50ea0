"""Pictures of `discs/duel`, seen from above, with NumPy alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sparring.games.discs.settings import RADIUS
from sparring.games.painting import blank, finished, paint_disc

SIZE = 320  # pixels, width and height, where no other size is asked for
COLOURS = ((44, 110, 180), (208, 84, 40))  # of disc0 and disc1, RGB
_BORDER, _RING = (70, 70, 70), (238, 236, 228)


def picture(position: np.ndarray, ring: float, size: int = SIZE) -> np.ndarray:
    """One match, `uint8 [size, size, 3]`, RGB: the x axis to the right, the y axis upwards, the ring in the middle.

    Args:
      position: of both discs, float [2, 2], m from the centre of the ring.
      ring: its radius, m.
      size: width and height, in pixels.
    """
    canvas, half = _stage(ring, size).copy(), _half(ring)
    for (x, y), colour in zip(position.tolist(), COLOURS, strict=True):
        paint_disc(canvas, half, x, y, RADIUS, colour)
    return finished(canvas)


@lru_cache(maxsize=4)
def _stage(ring: float, size: int) -> np.ndarray:
    """The ring without discs, which is in every picture."""
    canvas, half = blank(size), _half(ring)
    paint_disc(canvas, half, 0.0, 0.0, ring, _BORDER)
    paint_disc(canvas, half, 0.0, 0.0, ring - 4 * half / size, _RING)  # a border of two pixels
    return canvas


def _half(ring: float) -> float:
    """Metres from the middle of a picture to its edge: a disc that is out has its centre on the border, and is seen."""
    return ring + 2 * RADIUS
