"""Pictures of discs: where the rules say that they are."""

from __future__ import annotations

import numpy as np
import pytest

from sparring.games import make
from sparring.games.discs.duel import Duel
from sparring.games.discs.render import COLOURS, SIZE, picture
from sparring.games.discs.settings import RADIUS
from sparring.games.export import make_parallel_env
from sparring.games.hosted import Hosted
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame


def at(image: np.ndarray, x: float, y: float, ring: float) -> tuple[int, ...]:
    """The colour at a place in metres: the picture reaches two radii beyond the ring."""
    half = ring + 2 * RADIUS
    column, row = int((x + half) / (2 * half) * SIZE), int((half - y) / (2 * half) * SIZE)
    return tuple(image[row, column].tolist())


@pytest.mark.parametrize("ring", [1.0, 3.0])
def test_both_discs_are_where_they_are(ring: float) -> None:
    image = picture(np.array([[0.5, 0.25], [-0.25, -0.5]]), ring)
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
    for (x, y), colour in zip(((0.5, 0.25), (-0.25, -0.5)), COLOURS, strict=True):
        near, far = 0.8 * RADIUS, 1.3 * RADIUS
        assert at(image, x, y, ring) == at(image, x + near, y, ring) == at(image, x, y - near, ring) == colour
        assert at(image, x - far, y, ring) not in COLOURS and at(image, x, y + far, ring) not in COLOURS
    assert at(image, 0, ring + RADIUS, ring) == (255, 255, 255) != at(image, 0, 0.9 * ring, ring)


@pytest.mark.parametrize("size", [64, 368])
def test_a_picture_of_another_size_shows_the_same(size: int) -> None:
    places = np.array([[0.5, 0.25], [-0.25, -0.5]])
    image = picture(places, 1.0, size)
    assert image.shape == (size, size, 3)
    for x, y, colour in ((0.5, 0.25, COLOURS[0]), (-0.25, -0.5, COLOURS[1])):
        assert tuple(image[int((1.4 - y) / 2.8 * size), int((x + 1.4) / 2.8 * size)].tolist()) == colour


@pytest.mark.slow
def test_a_hosted_duel_shows_the_moment_and_the_match() -> None:
    duel = make("discs/duel", num_games=2)
    assert isinstance(duel, Duel)
    game = Hosted(duel)
    game.reset(0)
    first, second = game.frame(0), game.frame(1)
    assert (first != second).any() and (game.frame(0) == first).all()
    game.step({agent: np.ones((2, 2), np.float32) for agent in game.agents})
    assert (game.frame(0) != first).any()
    assert not hasattr(Hosted(MatrixGame(ROCK_PAPER_SCISSORS)), "frame")


def test_other_libraries_see_it_too() -> None:
    env = make_parallel_env("discs/duel", "rgb_array")
    env.reset(0)
    image = env.render()
    assert isinstance(image, np.ndarray) and image.shape == (SIZE, SIZE, 3)
