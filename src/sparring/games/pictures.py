"""Pictures of matches: how any game that can draw itself is asked for one, and in which size.

A game on the host that can draw has `frame(match) -> uint8 [H, W, 3]`, a game within JAX `picture(state, match)`.
Either may take `size=(width, height)` besides: the most that the picture may have, in pixels. A game whose pictures
cost something to prepare, such as a Gymnasium task's render mode, has `with_pictures()` instead, which returns the same
game with a `frame`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from typing import Any, TypeAlias

import numpy as np

from sparring.errors import InputError, NoPicture, foreign
from sparring.types import Game, VectorGame

Size: TypeAlias = tuple[int, int]  # pixels, width and height
Draw: TypeAlias = Callable[
    [Any, int], np.ndarray
]  # of a functional game's state (a vector game has its own) and a match
SIZES = (16, 4096)  # the least and the largest width and height


def drawable(game: Game) -> Game:
    """The same game, ready to draw its matches.

    Raises:
      NoPicture: it cannot draw.
    """
    if (prepared := getattr(game, "with_pictures", None)) is not None:
        return prepared()
    if not hasattr(game, "frame" if isinstance(game, VectorGame) else "picture"):
        raise NoPicture(f"no picture: {game.id} cannot draw itself")
    return game


def drawer(game: Game, size: Size) -> Draw:
    """What draws a match of a game that is `drawable`, as `uint8 [H, W, 3]` that fits into `size`.

    It raises NoPicture where the machine cannot draw, and InputError where the game's own code fails or returns no
    picture.

    Raises:
      InputError: such a size is too small or too large.
    """
    check_size(size)
    own: Any = getattr(game, "frame" if isinstance(game, VectorGame) else "picture")
    how = {"size": size} if takes_size(own) else {}
    hosted = isinstance(game, VectorGame)

    def draw(state: Any, match: int) -> np.ndarray:
        with foreign(f"game {game.id}, its picture", "an array uint8 [H, W, 3]", own):
            image = np.asarray(own(match, **how) if hosted else own(state, match, **how))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(
                f"game {game.id}, its picture: expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}"
            )
        return fitted(image, size)

    return draw


def takes_size(draw: Callable[..., Any]) -> bool:
    """Whether a game's `frame` or `picture` can be told how large the picture may be."""
    try:
        return "size" in signature(draw).parameters
    except (TypeError, ValueError):  # some functions in C do not say what they take
        return False


def check_size(size: Size) -> None:
    """Refuse what is no size of a picture.

    Raises:
      InputError: not two whole numbers within `SIZES`.
    """
    low, high = SIZES
    if len(size) != 2 or any(not isinstance(n, (int, np.integer)) or not low <= n <= high for n in size):
        raise InputError(f"size: expected width and height from {low} to {high} pixels, got {' '.join(map(str, size))}")


def fitted(image: np.ndarray, size: Size) -> np.ndarray:
    """The picture `uint8 [H, W, 3]`, made smaller until it fits into `size`; one that fits is left as it is."""
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    if scale >= 1:
        return image
    rows, columns = (_averages(n, max(1, int(n * scale))) for n in (height, width))
    smaller = np.tensordot(rows, np.tensordot(image.astype(np.float32), columns, (1, 1)), 1)  # [h, 3, w]
    return np.ascontiguousarray(smaller.transpose(0, 2, 1).round().astype(np.uint8))


@lru_cache(maxsize=8)
def _averages(long: int, short: int) -> np.ndarray:
    """Float32 [short, long]: each of the fewer pixels is the mean of those that it covers, in part at its ends."""
    ends = np.arange(short + 1) * (long / short)
    pixels = np.arange(long)
    covered = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    return (np.maximum(covered, 0) * (short / long)).astype(np.float32)
