from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.exact.tree_game import CHANCE, TERMINAL, Tree, check, outcomes
from sparring.games.openspiel import compile_tree


@pytest.fixture(scope="module")
def kuhn() -> Tree:
    return compile_tree("kuhn_poker")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actor": np.where(np.arange(58) < 4, CHANCE, TERMINAL)}, "nobody has a choice"),
        ({"chance": np.ones(58)}, r"node 0: expected chance to have .* got \[1. 1. 1.\] \(sum 3\)"),
        ({"chance": np.full(58, np.nan)}, "node 0: expected chance to have"),
        ({"returns": np.full((58, 2), 1e31)}, r"payoffs of up to 1e\+31: expected at most 1e\+30 in all: multiply all"),
        ({"returns": np.full((58, 2), 1e-31)}, "payoffs of up to 1e-31: expected at least 1e-30, or 0: multiply all"),
        ({"returns": np.full((58, 2), np.nan)}, "node 0: the return of player 0 is nan"),
    ],
)
def test_check(kuhn: Tree, change: dict[str, np.ndarray], message: str) -> None:
    assert check(kuhn) is kuhn
    with pytest.raises(InputError, match=message):
        check(replace(kuhn, **change))  # pyright: ignore[reportArgumentType]  # wrong on purpose


def test_check_sees_imperfect_recall(kuhn: Tree) -> None:
    """Player 0 as if it no longer knew at its second decision that it has been asked before."""
    infoset = kuhn.infoset.copy()
    infoset[infoset == 3] = 0
    with pytest.raises(InputError, match="player 0 has imperfect recall: it can be in '0'"):
        check(replace(kuhn, infoset=np.where(kuhn.actor == 0, infoset, kuhn.infoset)))


def test_chance_that_misses_one_by_rounding_is_divided_by_its_sum(kuhn: Tree) -> None:
    chance = kuhn.chance.copy()
    chance[1:4] = 0.3333335
    np.testing.assert_allclose(check(replace(kuhn, chance=chance)).chance[1:4], 1 / 3, rtol=1e-15)
    chance[1:4] = 1.0, 1e-17, -1e-17
    assert check(replace(kuhn, chance=chance)).chance[1:4].tolist() == [1, 1e-17, 0]
    assert check(replace(kuhn, chance=chance)).returns is kuhn.returns


def test_outcomes_by_hand() -> None:
    returns = np.array(
        [
            [-2.0, 1, 1],  # two share the highest return: both win
            [3, 1, -4],
            [0, 0, 0],
            [1, 1, 1],  # everybody has it
            [-1, -1, -2],  # nobody is paid
            [0, 0, -1],  # the highest return is not positive
        ]
    )
    expected = [[-1, 1, 1], [1, -1, -1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert outcomes(returns).tolist() == expected and outcomes(returns).dtype == np.int8
