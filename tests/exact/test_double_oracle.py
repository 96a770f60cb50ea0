from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.exact.double_oracle import double_oracle
from sparring.exact.dynamics import Iterate, restored, saved
from sparring.exact.markov_game import random_game
from sparring.exact.problem import MarkovProblem, Problem, exploitability, uniform
from sparring.exact.robust import robust
from sparring.exact.tree import tree_problem
from sparring.games.matrix import MATCHING_PENNIES, ROCK_PAPER_SCISSORS, as_markov
from sparring.games.openspiel import compile_tree

KUHN = compile_tree("kuhn_poker")
# Least Expl in Kuhn poker, benign uniform, seats 0 and 1; goldens/kuhn.json, linear programs certified by their duals.
OPTIMA = {0.3: (-0.25, -0.22416666666666668), 0.7: (-0.0388888888888889, -0.0872222222222222), 1.0: (1 / 18, -1 / 18)}


def start_of(problem: Problem) -> Iterate:
    return Iterate(uniform(problem.victim_actions), uniform(problem.attacker_actions))


def sizes(iterate: Iterate) -> tuple[int, int]:
    assert iterate.populations is not None
    return len(iterate.populations[0]), len(iterate.populations[1])


def until_it_stands(problem: Problem, most: int) -> list[Iterate]:
    """The iterates up to the first one that nothing was added to; at most so many updates."""
    found: list[Iterate] = []
    for iterate in islice(double_oracle(problem, start_of(problem)), most + 1):
        found.append(iterate)
        if len(found) > 2 and sizes(found[-1]) == sizes(found[-2]):
            return found
    raise AssertionError(f"it still moves after {most} updates")


@pytest.mark.parametrize("payoffs", [MATCHING_PENNIES, ROCK_PAPER_SCISSORS], ids=["pennies", "rps"])
def test_symmetric_games_by_hand(payoffs: np.ndarray) -> None:
    """Against uniform play all is equal, so the first action (DECISIONS 7); then what beats it, till all are there."""
    actions = len(payoffs)
    problem = MarkovProblem(as_markov(payoffs), np.full((1, actions), 1 / actions), 1.0)
    found = until_it_stands(problem, 10)
    np.testing.assert_array_equal(found[1].nu, np.eye(actions)[:1])
    np.testing.assert_array_equal(found[1].alpha, np.eye(actions)[:1])
    np.testing.assert_allclose(found[-1].nu, 1 / actions, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[-1].alpha, 1 / actions, rtol=0, atol=1e-12)
    assert sizes(found[-1]) == (actions, actions)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("budget", list(OPTIMA))
def test_kuhn_poker_ends_at_the_optimum(victim: int, budget: float) -> None:
    problem = tree_problem(KUHN, victim, (1 - victim,), {}, budget)
    found = until_it_stands(problem, 20)
    assert exploitability(problem, found[-1].nu) == pytest.approx(OPTIMA[budget][victim], abs=1e-9)
    # The attacker that it ends with proves it: no victim is worth more against it.
    assert -problem.victim_response(found[-1].alpha).value == pytest.approx(OPTIMA[budget][victim], abs=1e-9)
    assert all(exploitability(problem, iterate.nu) >= OPTIMA[budget][victim] - 1e-12 for iterate in found)
    for before, iterate in pairwise(found):
        assert all(0 <= new - old <= 1 for new, old in zip(sizes(iterate), sizes(before), strict=True))
    np.testing.assert_array_equal(found[-1].nu, found[-2].nu)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("budget", [0.3, 0.7, 1.0])
def test_every_iterate_is_an_equilibrium_of_the_restricted_game(victim: int, budget: float) -> None:
    """So the two policies are worth what the mixtures are, which averages of action probabilities would not be."""
    problem = tree_problem(KUHN, victim, (1 - victim,), {}, budget)
    for iterate in until_it_stands(problem, 20)[1:]:
        assert iterate.populations is not None
        value = problem.value(iterate.nu, iterate.alpha)
        assert min(problem.value(iterate.nu, alpha) for alpha in iterate.populations[1]) >= value - 1e-11
        assert max(problem.value(nu, iterate.alpha) for nu in iterate.populations[0]) <= value + 1e-11


def test_without_a_budget_one_response_is_the_end() -> None:
    problem = tree_problem(KUHN, 0, (1,), {}, 0.0)
    found = until_it_stands(problem, 3)
    assert exploitability(problem, found[1].nu) == pytest.approx(-0.5, abs=1e-12)
    assert sizes(found[-1]) == (1, 1)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.floats(0, 1), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1e-3, 1.0, 1e4]))
@settings(max_examples=30, deadline=None)
def test_matrix_games_end_at_the_optimum(seed: int, budget: float, rows: int, columns: int, unit: float) -> None:
    """Each update but the last adds an action, and the linear program of the whole game tells the optimum."""
    rng = np.random.default_rng(seed)
    payoffs = unit * rng.normal(size=(rows, columns))
    problem = MarkovProblem(as_markov(payoffs), rng.dirichlet(np.ones(columns))[None], budget)
    last = until_it_stands(problem, rows + columns)[-1]
    assert exploitability(problem, last.nu) == pytest.approx(-robust(problem).lower, abs=1e-9 * unit)
    assert -problem.victim_response(last.alpha).value == pytest.approx(-robust(problem).lower, abs=1e-9 * unit)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_markov_games_end_at_the_optimum(seed: int, budget: float) -> None:
    drawn = random_game(seed % 2**31, S=4, A=3, B=4, gamma=0.8, k=2)
    problem = MarkovProblem(drawn.game, drawn.benign, budget)
    found = until_it_stands(problem, 4 * (3 + 4))
    assert exploitability(problem, found[-1].nu) == pytest.approx(-robust(problem).lower, abs=1e-8)
    for iterate in found[1:]:
        assert iterate.populations is not None
        for policy, population in zip((iterate.nu, iterate.alpha), iterate.populations, strict=True):
            np.testing.assert_allclose(policy.sum(axis=1), 1, rtol=0, atol=1e-12)
            assert not policy[~(population > 0).any(axis=0)].any()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tree", "markov"])
def test_from_any_saved_iterate_it_goes_on_bit_for_bit(kind: str) -> None:
    drawn = random_game(1, S=5, A=4, B=3, gamma=0.9, k=2)
    tree = tree_problem(KUHN, 1, (0,), {}, 0.7)
    problem = tree if kind == "tree" else MarkovProblem(drawn.game, drawn.benign, 1.0)
    found = until_it_stands(problem, 20)
    assert len(found) > 5
    for k in range(len(found)):
        for whole, resumed in zip(found[k:], double_oracle(problem, restored(saved(found[k]))), strict=False):
            assert (whole.t, whole.step) == (resumed.t, resumed.step)
            arrays = saved(whole)
            assert arrays.keys() == saved(resumed).keys()
            for name, array in saved(resumed).items():
                np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.long
def test_leduc_poker_ends_at_the_optimum() -> None:
    problem = tree_problem(compile_tree("leduc_poker"), 0, (1,), {}, 0.7)
    last = until_it_stands(problem, 1000)[-1]
    assert exploitability(problem, last.nu) == pytest.approx(-robust(problem).lower, abs=1e-9)
