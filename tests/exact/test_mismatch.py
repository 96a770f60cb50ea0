from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.exact.markov import visitation
from sparring.exact.markov_game import MarkovGame, random_game
from sparring.exact.mismatch import mismatch, mismatch_cheap, mismatch_upper
from sparring.exact.problem import MarkovProblem

GOLDENS = Path(__file__).parents[1] / "goldens/markov.json"


def problem_of(spec: dict, eps: float) -> MarkovProblem:
    game, benign, _, _ = random_game(**spec)
    return MarkovProblem(game, benign, eps)


def forking(reward: tuple[float, float], start: tuple[float, float, float]) -> MarkovProblem:
    """State 0 leads to 1 or 2 as the attacker likes, both absorbing and paid as given; the discount is 1/2."""
    P = np.zeros((3, 1, 2, 3))
    P[0, 0, 0, 1] = P[0, 0, 1, 2] = P[1, 0, :, 1] = P[2, 0, :, 2] = 1
    r = np.zeros((3, 1, 2))
    r[1], r[2] = reward
    return MarkovProblem(MarkovGame(P, r, np.array(start), 0.5), np.full((3, 2), 0.5), 1.0)


@pytest.mark.parametrize("name", ["G1", "G2", "G3"])
def test_upper_estimate_agrees_with_the_certified_values(name: str) -> None:
    """`goldens/markov.json`: an independent implementation."""
    golden = json.loads(GOLDENS.read_text())[name]
    for eps, numbers in golden["by_eps"].items():
        ours = mismatch_upper(problem_of(golden["spec"], float(eps)))
        assert ours == pytest.approx(numbers["C_upper_joint"], abs=1e-8)


@pytest.mark.long
@pytest.mark.parametrize("name", ["G1", "G2", "G3"])
def test_lower_estimates_reach_the_known_ones(name: str) -> None:
    """`goldens/markov.json`: another search. The best of five of ours is as good, to one percent."""
    golden = json.loads(GOLDENS.read_text())[name]
    for eps, numbers in golden["by_eps"].items():
        if known := numbers.get("C_lower_search_nu_al"):
            problem = problem_of(golden["spec"], float(eps))
            found = [mismatch(problem, rng) for rng in np.random.default_rng(0).spawn(5)]
            assert max(f.victims for f in found) >= 0.99 * known[0]
            assert max(f.attackers for f in found) >= 0.99 * known[1]
            assert max(max(f.victims, f.attackers) for f in found) <= found[0].upper + 1e-9


@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 0.95))
def test_upper_estimate_is_the_maximum_over_pure_policies(seed: int, eps: float, gamma: float) -> None:
    game, benign, _, _ = random_game(seed, 3, 2, 2, gamma, 2)
    problem = MarkovProblem(game, benign, eps)
    pure = [np.eye(2)[list(actions)] for actions in itertools.product(range(2), repeat=3)]
    largest = max((visitation(game, nu, problem.played(al)) / game.rho).max() for nu in pure for al in pure)
    assert mismatch_upper(problem) == pytest.approx(largest, rel=1e-9)


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.floats(0, 1))
def test_estimates_enclose(seed: int, S: int, A: int, B: int, eps: float) -> None:
    game, benign, _, _ = random_game(seed, S, A, B, 0.9, min(2, S))
    found = mismatch(MarkovProblem(game, benign, eps), np.random.default_rng(seed), points=20)
    assert 1 - 1e-7 <= found.victims <= found.upper * (1 + 1e-7)
    assert 1 - 1e-7 <= found.attackers <= found.upper * (1 + 1e-7)


def test_the_same_seed_finds_the_same() -> None:
    problem = problem_of({"seed": 3, "S": 5, "A": 3, "B": 3, "gamma": 0.9, "k": 3}, 0.5)
    once, again = (mismatch(problem, np.random.default_rng(7), points=50) for _ in range(2))
    assert once == again


def test_one_best_response_by_hand() -> None:
    # The attacker prefers state 2: d = (1/8, 1/4, 5/8), from rho = (1/4, 1/4, 1/2), so d / rho = (1/2, 1, 5/4);
    # any pair of policies at all may bring 1/8 more to state 1 instead, of ratio (1/4 + 1/8) / (1/4) = 3/2.
    found = mismatch(forking((1.0, 0.0), (0.25, 0.25, 0.5)), np.random.default_rng(0), points=5)
    assert found.victims == pytest.approx(5 / 4, abs=1e-12)
    assert found.upper == pytest.approx(3 / 2, abs=1e-12)


def test_the_least_of_equally_good_best_responses_by_hand() -> None:
    # Nothing is at stake, so all attackers are best. 1/8 of the visits are to be spread over states 1 and 2, which
    # hold 1/4 and 1/2 already: in proportion, as (3/8 + 1/2) / (3/4) = 7/6 of the start in each. 1/4 + 1/24 = 7/24.
    found = mismatch(forking((1.0, 1.0), (0.25, 0.25, 0.5)), np.random.default_rng(0), points=5)
    assert found.victims == pytest.approx(7 / 6, abs=1e-7)
    # For the victim, who has no choice, the attacker who takes state 1 alone is the worst: 3/2.
    assert 7 / 6 < found.attackers <= 3 / 2


def test_a_start_that_does_not_cover_the_states() -> None:
    # Which best response avoids state 1 is known to the linear program; that both states cannot be avoided, too.
    some = mismatch(forking((1.0, 1.0), (0.5, 0.0, 0.5)), np.random.default_rng(0), points=5)
    assert some.victims == pytest.approx((0.5 + 0.25) / 0.5, abs=1e-7)
    assert some.upper == math.inf
    none = mismatch(forking((1.0, 1.0), (1.0, 0.0, 0.0)), np.random.default_rng(0), points=5)
    assert none.victims == none.upper == math.inf


def test_the_cheap_estimate_is_above_the_other_one() -> None:
    for seed in range(20):
        game, benign, _, _ = random_game(seed, 4, 2, 2, 0.9, 2)
        problem = MarkovProblem(game, benign, 0.5)
        assert 1 <= mismatch_upper(problem) <= mismatch_cheap(problem) * (1 + 1e-12)


def test_without_a_discount_nobody_moves_a_match() -> None:
    """d_rho is rho itself (Def. 2.1), so C is 1."""
    game, benign, _, _ = random_game(0, 3, 2, 2, 0.0, 2)
    assert mismatch_upper(MarkovProblem(game, benign, 0.5)) == 1
