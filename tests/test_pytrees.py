from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games.matrix import MatrixGame
from sparring.pytrees import register, traceable


def structure(game: Any) -> Any:
    return jax.tree.structure(traceable(game))


def test_the_games_of_this_package_are_told_apart_by_their_sizes_and_kinds_alone() -> None:
    class Other(MatrixGame):
        TRACED, STATIC = MatrixGame.TRACED, MatrixGame.STATIC

    one, two = MatrixGame(np.eye(2), 3, "one"), MatrixGame(np.ones((2, 2)), 3, "two")
    assert structure(one) == structure(two)
    assert structure(one) != structure(MatrixGame(np.eye(2), 4))
    assert structure(one) != structure(Other(np.eye(2), 3))
    np.testing.assert_array_equal(jax.tree.leaves(traceable(two))[0], np.ones((2, 2)))


def test_an_equinox_module_loses_its_name() -> None:
    class Module(eqx.Module):
        gravity: jax.Array
        id: str = eqx.field(static=True, default="mine")

    games = [Module(jax.numpy.float32(g), name) for g, name in ((1.0, "moon"), (9.81, "earth"))]
    assert structure(games[0]) == structure(games[1])
    assert traceable(games[1]).id == "" and games[1].id == "earth"


def test_any_other_class_is_taken_as_it_is() -> None:
    class Plain:
        id = "plain"

    @dataclass(frozen=True)
    class Frozen:
        id: str = "frozen"

    for game in (Plain(), Frozen()):
        assert traceable(game) is game


def test_what_can_neither_be_traced_nor_hashed_is_refused() -> None:
    @dataclass
    class Loose:
        id: str = "mine/loose"

    with pytest.raises(InputError, match=r"^mine/loose: Loose can neither be traced by JAX nor hashed"):
        traceable(Loose())


def test_what_is_not_named_is_left_out() -> None:
    class Pair:
        def __init__(self) -> None:
            self.numbers, self.size, self.secret = np.arange(3.0), 3, object()

    register(Pair, ("numbers",), ("size",))
    doubled = jax.tree.map(lambda x: 2 * x, Pair())
    assert doubled.size == 3 and not hasattr(doubled, "secret")
    np.testing.assert_array_equal(doubled.numbers, [0, 2, 4])
    assert "numbers" in jax.tree_util.keystr(jax.tree_util.tree_leaves_with_path(doubled)[0][0])
