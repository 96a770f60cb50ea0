"""Pictures of any game that can draw, in the size that is wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparring.errors import InputError, NoPicture
from sparring.games import make
from sparring.games.hosted import Hosted
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.pictures import check_size, drawable, drawer, fitted, takes_size


class Drawn(Hosted):
    """A game on the host that draws a grey square of 60 pixels."""

    def __init__(self, picture: Any) -> None:
        super().__init__(MatrixGame(ROCK_PAPER_SCISSORS, 2))
        self.frame = picture


def grey(match: int = 0) -> np.ndarray:
    return np.full((60, 60, 3), 10 + match, np.uint8)


def test_a_picture_is_made_smaller_until_it_fits() -> None:
    """Each pixel is the mean of what it covers: a column of 0 and one of 100 are one of 50."""
    stripes = np.zeros((4, 8, 3), np.uint8)
    stripes[:, 1::2] = 100
    np.testing.assert_array_equal(fitted(stripes, (4, 100)), np.full((2, 4, 3), 50))
    assert fitted(stripes, (8, 4)) is stripes and fitted(stripes, (100, 100)) is stripes
    # Two thirds: the first of two columns covers one and a half columns, [0, 100, 200], so (0 + 100 / 2) / 1.5 = 33.3.
    ramp = np.repeat(np.array([0, 100, 200], np.uint8)[None, :, None], 3, axis=2).repeat(3, axis=0)
    np.testing.assert_array_equal(fitted(ramp, (2, 3))[0, :, 0], [33, 167])
    even = np.full((37, 53, 3), 77, np.uint8)
    np.testing.assert_array_equal(fitted(even, (20, 20)), np.full((13, 20, 3), 77))


def test_a_game_draws_in_the_size_that_is_wanted() -> None:
    game = Drawn(grey)
    draw = drawer(drawable(game), (30, 40))
    image = draw(None, 1)
    assert image.shape == (30, 30, 3) and (image == 11).all()

    def told(match: int = 0, size: tuple[int, int] = (60, 60)) -> np.ndarray:
        return np.zeros((size[1], size[0], 3), np.uint8)

    assert takes_size(told) and not takes_size(grey)
    assert drawer(Drawn(told), (32, 20))(None, 0).shape == (20, 32, 3)


@pytest.mark.slow
def test_a_game_within_jax_draws_its_state_alike_on_the_host() -> None:
    duel: Any = make("discs/duel", 2)
    state, _ = duel.init(np.zeros(2, np.uint32))
    image = drawer(drawable(duel), (100, 80))(state, 1)
    assert image.shape == (80, 80, 3) and (image != drawer(duel, (100, 80))(state, 0)).any()
    hosted = Hosted(duel)
    hosted.reset(0)
    assert drawer(drawable(hosted), (100, 80))(None, 1).shape == (80, 80, 3)
    assert hosted.frame(1).shape == (320, 320, 3)
    assert hosted.frame(1, (64, 48)).shape == (48, 48, 3)


def test_who_cannot_draw_says_so() -> None:
    for game in (make("matrix/rps", 2), Hosted(MatrixGame(ROCK_PAPER_SCISSORS))):
        with pytest.raises(NoPicture, match="cannot draw itself"):
            drawable(game)


def _broken(match: int = 0) -> np.ndarray:
    raise ValueError("no ink")


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (_broken, r"its picture: expected an array uint8 \[H, W, 3\]; it raised ValueError: no ink .*test_pictures.py"),
        (lambda match: np.zeros((4, 4, 3)), r"its picture: expected uint8 \[H, W, 3\], got float64 \[4, 4, 3\]"),
        (lambda match: np.zeros((4, 4), np.uint8), r"expected uint8 \[H, W, 3\], got uint8 \[4, 4\]"),
    ],
)
def test_a_users_picture_that_is_none_is_refused(picture: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        drawer(Drawn(picture), (40, 40))(None, 0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [(15, 100), (100, 5000), (100.0, 100), (100,)])
def test_no_size(size: Any) -> None:
    with pytest.raises(InputError, match="size: expected width and height from 16 to 4096 pixels, got"):
        check_size(size)
