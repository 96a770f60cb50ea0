from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact.markov_game import random_game
from sparring.exact.problem import exploitability
from sparring.games import make
from sparring.games.finite import finite, infosets, nash, problem
from sparring.games.hosted import hosted
from sparring.games.markov import SampledMarkovGame


def test_what_can_be_solved_is_found_behind_its_host() -> None:
    rps = make("matrix/rps")
    assert finite(rps) is finite(hosted(rps)) is rps
    assert finite(make("gymnasium/CartPole-v1")) is None


def test_rows_are_states_or_information_sets() -> None:
    markov = SampledMarkovGame(random_game(0, 4, 2, 3, 0.9, 2).game)
    rows = infosets(markov, "attacker")
    assert rows.keys == ("0", "1", "2", "3") and rows.count.tolist() == [3] * 4
    assert rows.actions.tolist() == [[0, 1, 2]] * 4 and rows.names[0] == ("0", "1", "2")
    kuhn = finite(make("openspiel/kuhn_poker"))
    assert kuhn is not None
    assert infosets(kuhn, "player1").names[0] == ("Pass", "Bet")


@given(st.integers(0, 1000), st.floats(0, 1))
def test_the_other_seat_is_the_same_game(seed: int, budget: float) -> None:
    """With the victim in the second seat, the first agent attacks; what one is paid the other pays."""
    arrays, benign, nu, alpha = random_game(seed, 3, 2, 2, 0.8, 2)
    game = SampledMarkovGame(arrays)
    first = problem(game, "victim", ["attacker"], {"attacker": benign}, budget)
    second = problem(game, "attacker", ["victim"], {"victim": nu}, 0.0)
    assert second.value(alpha, nu) == pytest.approx(-problem(game, "victim", ["attacker"], {}, 1.0).value(nu, alpha))
    assert first.value(nu, alpha) == pytest.approx(
        -problem(game, "attacker", ["victim"], {}, 1.0).value((1 - budget) * benign + budget * alpha, nu)
    )


def test_uniform_is_the_benign_policy_of_whoever_has_none() -> None:
    rps = finite(make("matrix/rps"))
    assert rps is not None
    np.testing.assert_allclose(problem(rps, "col", ["row"], {}, 0.5).benign, np.full((1, 3), 1 / 3))


def test_agents_that_do_not_fit_are_refused() -> None:
    rps = finite(make("matrix/rps"))
    assert rps is not None
    for victim, attackers in (("row", ["row"]), ("row", ["nobody"]), ("row", ["col", "row"])):
        with pytest.raises(InputError, match="expected a victim and an attacker out of row and col"):
            problem(rps, victim, attackers, {}, 1.0)


@pytest.mark.parametrize(("agent", "value"), [("player0", -1 / 18), ("player1", 1 / 18)])
def test_nash_of_kuhn_poker_is_worth_its_value(agent: str, value: float) -> None:
    """The value of Kuhn poker is -1/18 for the first player (Kuhn 1950)."""
    kuhn = finite(make("openspiel/kuhn_poker"))
    assert kuhn is not None
    table = nash(kuhn, agent)
    other = next(name for name in kuhn.agents if name != agent)
    assert exploitability(problem(kuhn, agent, [other], {}, 1.0), table) == pytest.approx(-value, abs=1e-9)


def test_nash_is_for_two(tmp_path: Path) -> None:
    kuhn = finite(make("openspiel/kuhn_poker,players=3"))
    assert kuhn is not None
    with pytest.raises(InputError, match="expected a game of two agents"):
        nash(kuhn, "player0")
