from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact import markov, matrix
from sparring.games.markov import MarkovGame
from sparring.games.matrix import MATCHING_PENNIES, ROCK_PAPER_SCISSORS

# The start x0 of Rock-Paper-Scissors; its exploitability is from an independent implementation.
X0 = np.array([0.5123456789, 0.2987654321, 0.188888889])
UNIFORM = np.full(3, 1 / 3)


def random_matrix(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Payoffs, victim, adversarial and benign policy, of random sizes."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 5, 2)
    return (
        rng.normal(size=(rows, columns)),
        rng.dirichlet(np.ones(rows)),
        rng.dirichlet(np.ones(columns)),
        rng.dirichlet(np.ones(columns)),
    )


def test_rock_paper_scissors() -> None:
    # x0' P = (-0.2987.. + 0.1888.., 0.5123.. - 0.1888.., -0.5123.. + 0.2987..): the last is the minimum.
    response = matrix.best_response(ROCK_PAPER_SCISSORS, X0, UNIFORM, 1.0)
    assert response.alpha.tolist() == [0, 0, 1]
    assert matrix.exploitability(ROCK_PAPER_SCISSORS, X0, UNIFORM, 1.0) == pytest.approx(0.2135802468, abs=1e-12)
    assert matrix.exploitability(ROCK_PAPER_SCISSORS, UNIFORM, X0, 1.0) == pytest.approx(0, abs=1e-15)


def test_matching_pennies_under_a_budget() -> None:
    # Heads with probability p against heads with q is worth (2p - 1)(2q - 1); the adversary plays tails: -(2p - 1).
    p, q, eps = 0.8, 0.9, 0.25
    expected = (1 - eps) * (2 * p - 1) * (2 * q - 1) - eps * (2 * p - 1)
    response = matrix.best_response(MATCHING_PENNIES, np.array([p, 1 - p]), np.array([q, 1 - q]), eps)
    assert response.alpha.tolist() == [0, 1]
    assert response.value == pytest.approx(expected, abs=1e-15)


def test_ties_go_to_the_lowest_action() -> None:
    assert matrix.best_response(ROCK_PAPER_SCISSORS, UNIFORM, UNIFORM, 1.0).alpha.tolist() == [1, 0, 0]
    assert matrix.best_response(ROCK_PAPER_SCISSORS, X0, UNIFORM, 0.0).alpha.tolist() == [1, 0, 0]


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_is_the_markov_game_of_one_step(seed: int, eps: float) -> None:
    payoffs, nu, alpha, benign = random_matrix(seed)
    game = MarkovGame(np.ones((1, *payoffs.shape, 1)), payoffs[None], np.ones(1), 0.0)
    assert matrix.value(payoffs, nu, alpha) == pytest.approx(
        markov.expected_value(game, nu[None], alpha[None]), abs=1e-12
    )
    ours, theirs = (
        matrix.best_response(payoffs, nu, benign, eps),
        markov.best_response(game, nu[None], benign[None], eps),
    )
    assert ours.value == pytest.approx(theirs.value, abs=1e-12)
    for one, other in zip(
        matrix.gradient(payoffs, nu, alpha, benign, eps),
        markov.gradient(game, nu[None], alpha[None], benign[None], eps),
        strict=True,
    ):
        np.testing.assert_allclose(one, other[0], rtol=0, atol=1e-12)


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_exploitability_is_the_worst_of_all_actions(seed: int, eps: float) -> None:
    payoffs, nu, _, benign = random_matrix(seed)
    values = [nu @ payoffs @ ((1 - eps) * benign + eps * action) for action in np.eye(payoffs.shape[1])]
    assert matrix.exploitability(payoffs, nu, benign, eps) == pytest.approx(-min(values), abs=1e-12)


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="victim's policy: expected shape"):
        matrix.value(ROCK_PAPER_SCISSORS, np.array([1.0]), UNIFORM)
    with pytest.raises(InputError, match="payoffs: expected a finite matrix"):
        matrix.value(np.array([[np.nan]]), np.array([1.0]), np.array([1.0]))
    with pytest.raises(InputError, match="benign policy: expected shape"):
        matrix.gradient(ROCK_PAPER_SCISSORS, UNIFORM, np.array([1.0]), np.array([1.0]), 0.5)
