"""Gymnasium's spaces and ours: what is converted there and back again means the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from sparring.errors import InputError
from sparring.games.gym_spaces import from_gymnasium, to_gymnasium, to_ours
from sparring.play.checks import check_observation
from sparring.types import Box, Dict, Discrete, MultiDiscrete, Space

OURS = [
    Box((3,)),
    Box((2, 3), -1.0, 1.0),
    Box((2,), (-math.inf, 0.0), (1.0, math.inf)),
    Box((4, 4, 3), 0.0, 255.0, "uint8"),
    Box((), 0.0, 1.0),
    Discrete(5),
    MultiDiscrete((2, 3, 4)),
    Dict((("a", Discrete(2)), ("b", Dict((("c", Box((1,), 0.0, 1.0)),))), ("d", MultiDiscrete((2,))))),
]


@pytest.mark.parametrize("space", OURS, ids=str)
def test_there_and_back_again(space: Space) -> None:
    assert from_gymnasium(to_gymnasium(space), "x") == space


@pytest.mark.parametrize("space", OURS, ids=str)
def test_what_is_drawn_there_is_an_observation_here(space: Space) -> None:
    """Three samples, batched as Gymnasium batches them, are in our space; and Gymnasium takes ours for its own."""
    theirs = to_gymnasium(space)
    theirs.seed(0)
    samples = [theirs.sample() for _ in range(3)]

    def stack(parts: list[Any]) -> Any:
        if isinstance(parts[0], dict):
            return {name: stack([part[name] for part in parts]) for name in parts[0]}
        return np.stack(parts)

    check_observation(space, to_ours(theirs, stack(samples)), 3, "x")
    assert theirs.contains(samples[0])


def test_bounds_are_those_of_each_dimension() -> None:
    low, high = np.array([-1, -2.0], np.float64), np.array([1.0, np.inf], np.float64)
    space = from_gymnasium(spaces.Box(low, high, dtype=np.float64), "x")
    assert space == Box((2,), (-1.0, -2.0), (1.0, math.inf))  # floats become float32
    assert isinstance(space, Box)
    np.testing.assert_array_equal(space.bounds(), [low, high])


def test_a_tuple_is_a_dict_of_its_numbers() -> None:
    theirs = spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (2,), np.float32)])
    assert from_gymnasium(theirs, "x") == Dict((("0", Discrete(2)), ("1", Box((2,), 0.0, 1.0))))
    ours = to_ours(theirs, (np.array([1, 0]), np.zeros((2, 2), np.float64)))
    np.testing.assert_array_equal(ours["0"], [1, 0])
    assert ours["1"].dtype == np.float32


def test_switches_are_choices_of_two() -> None:
    theirs = spaces.MultiBinary(3)
    assert from_gymnasium(theirs, "x") == MultiDiscrete((2, 2, 2))
    np.testing.assert_array_equal(to_ours(theirs, np.array([1, 0, 1], np.int8)), [1, 0, 1])


def test_choices_are_counted_from_0_here() -> None:
    """Observations too: 5 of 5 .. 7 is the first of three choices."""
    theirs = spaces.Discrete(3, start=5)
    assert from_gymnasium(theirs, "x") == Discrete(3)
    np.testing.assert_array_equal(to_ours(theirs, np.array([5, 7])), [0, 2])
    several = spaces.MultiDiscrete([2, 3], start=[4, -1])
    assert from_gymnasium(several, "x") == MultiDiscrete((2, 3))
    np.testing.assert_array_equal(to_ours(several, np.array([[4, 1]])), [[0, 2]])


def test_what_is_converted_is_a_copy() -> None:
    theirs, seen = spaces.Box(0, 1, (2,), np.float32), np.zeros((3, 2), np.float32)
    to_ours(theirs, seen)[:] = 7
    assert not seen.any()


def test_integers_without_bounds_have_the_ends_of_their_type() -> None:
    made = to_gymnasium(Box((2,), dtype="int16"))
    assert made == spaces.Box(-(2**15), 2**15 - 1, (2,), np.int16)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.MultiDiscrete(np.full((2, 2), 2)),
        spaces.MultiBinary([2, 2]),
        spaces.Dict({"good": spaces.Discrete(2), "bad": spaces.Text(5)}),
        spaces.Tuple([spaces.Text(5)]),
    ],
    ids=str,
)
def test_other_spaces_are_refused_in_one_line(space: spaces.Space) -> None:
    with pytest.raises(
        InputError, match=r"^the game's observations.*: expected a Box, Discrete, MultiDiscrete"
    ) as error:
        from_gymnasium(space, "the game's observations")
    assert "\n" not in str(error.value)


def test_the_part_is_named() -> None:
    with pytest.raises(InputError, match=r"^x, 'a', 'b': expected a Box"):
        from_gymnasium(spaces.Dict({"a": spaces.Dict({"b": spaces.Text(5)})}), "x")
