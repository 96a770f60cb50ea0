from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markov_games import games

from sparring.exact.certificate import verify
from sparring.exact.markov import (
    best_response,
    expected_value,
    gradient,
    q_attacker,
    q_victim,
    value,
    visitation,
)
from sparring.exact.markov_game import MarkovGame, RandomGame, random_game
from sparring.exact.problem import MarkovProblem
from sparring.exact.robust import robust

GOLDENS = Path(__file__).parents[1] / "goldens/markov.json"
SPECS = {
    "G1": {"seed": 1, "S": 2, "A": 2, "B": 2, "gamma": 0.5, "k": 2, "rho": "random"},
    "G2": {"seed": 2, "S": 3, "A": 3, "B": 2, "gamma": 0.8, "k": 2, "rho": "random"},
    "G3": {"seed": 3, "S": 5, "A": 3, "B": 3, "gamma": 0.9, "k": 3, "rho": "random"},
}
# Numbers of an independent implementation (linear solves, best responses by linear programming), game and budget given;
# `J` at the drawn policies, `expl` of the drawn victim, of the uniform one, and of the one that takes its first action.
GOLDEN = {
    ("G1", 0.3): {
        "J": 0.8521568823108281,
        "expl_nu0": -0.8034911919126411,
        "expl_uniform": -0.8434268899471118,
        "expl_first": -0.7421892105686078,
        "grad_nu_norm": 1.7626182036840763,
        "grad_al_norm": 0.5254038357559283,
        "grad_nu_00": 0.7425117434468165,
        "grad_al_00": 0.21896456217980645,
    },
    ("G2", 0.5): {
        "J": 2.5511501807362,
        "expl_nu0": -2.3730576600534214,
        "expl_uniform": -2.3420815785598443,
        "expl_first": -1.9384508536373033,
        "grad_nu_norm": 13.19239299621903,
        "grad_al_norm": 5.326381789018943,
        "grad_nu_00": 5.541144216547037,
        "grad_al_00": 2.290497021826488,
    },
    ("G3", 1.0): {
        "J": 5.333443309931245,
        "expl_nu0": -2.6964450260138775,
        "expl_uniform": -3.360248592538477,
        "expl_first": -2.6205037702974816,
        "grad_nu_norm": 43.317600421964784,
        "grad_al_norm": 42.94544695563657,
        "grad_nu_00": 7.70192846523254,
        "grad_al_00": 7.456941748797132,
    },
}
# Expl after k updates of projected gradient ascent with step 0.01 against the best response; same provenance.
GOLDEN_MIN_ORACLE_G3 = {0: -2.6964450260138775, 10: -3.100792261308142, 200: -4.565342895099577}

budgets = st.floats(0, 1)


def drawn(name: str) -> RandomGame:
    return random_game(**SPECS[name])


def uniform(nu: np.ndarray) -> np.ndarray:
    return np.full_like(nu, 1 / nu.shape[1])


def first(nu: np.ndarray) -> np.ndarray:
    return np.eye(nu.shape[1])[np.zeros(len(nu), int)]


def onto_simplex(rows: np.ndarray) -> np.ndarray:
    """Euclidean projection of every row onto the simplex (Duchi et al. 2008)."""
    descending = -np.sort(-rows, axis=1)
    excess = (descending.cumsum(axis=1) - 1) / np.arange(1, rows.shape[1] + 1)
    last = (descending > excess).sum(axis=1) - 1
    return np.maximum(rows - excess[np.arange(len(rows)), last][:, None], 0)


def expl_after_updates(name: str, eps: float, updates: int) -> list[float]:
    """Expl of the victim before each update of gradient ascent against the best response, and after the last."""
    game, benign, nu, _ = drawn(name)
    course = []
    for _ in range(updates):
        response = best_response(game, nu, benign, eps)
        course.append(-response.value)
        nu = onto_simplex(nu + 0.01 * gradient(game, nu, response.policy, benign, eps)[0])
    return [*course, -best_response(game, nu, benign, eps).value]


def check_golden(name: str, eps: float, golden: dict[str, float]) -> None:
    game, benign, nu, alpha = drawn(name)
    nu_gradient, alpha_gradient = gradient(game, nu, alpha, benign, eps)
    ours = {
        "J": expected_value(game, nu, MarkovProblem(game, benign, eps).played(alpha)),
        "expl_nu0": -best_response(game, nu, benign, eps).value,
        "expl_uniform": -best_response(game, uniform(nu), benign, eps).value,
        "expl_first": -best_response(game, first(nu), benign, eps).value,
        "grad_nu_norm": np.linalg.norm(nu_gradient),
        "grad_al_norm": np.linalg.norm(alpha_gradient),
        "grad_nu_00": nu_gradient[0, 0],
        "grad_al_00": alpha_gradient[0, 0],
    }
    assert ours == {key: pytest.approx(golden[key], abs=1e-8) for key in ours}


@pytest.mark.parametrize(("name", "eps"), GOLDEN)
def test_golden_numbers(name: str, eps: float) -> None:
    check_golden(name, eps, GOLDEN[name, eps])


def test_golden_course_of_the_min_oracle() -> None:
    course = expl_after_updates("G3", 1.0, 200)
    assert {k: course[k] for k in GOLDEN_MIN_ORACLE_G3} == {
        k: pytest.approx(expl, abs=1e-8) for k, expl in GOLDEN_MIN_ORACLE_G3.items()
    }


@pytest.mark.parametrize("name", SPECS)
def test_all_golden_numbers(name: str) -> None:
    golden = json.loads(GOLDENS.read_text())[name]
    assert golden["spec"] == SPECS[name]
    for eps, numbers in golden["by_eps"].items():
        check_golden(name, float(eps), numbers)
        if course := numbers.get("alg1_eta0.01"):
            ours = expl_after_updates(name, float(eps), 200)
            assert [ours[int(k)] for k in course] == pytest.approx(list(course.values()), abs=1e-8)
            assert min(ours) >= numbers["min_expl"] - 1e-8


def test_two_states_by_hand() -> None:
    # From state 0 the attacker's b=1 leads to the absorbing state 1, b=0 stays; staying in 0 pays 1, in 1 nothing.
    # V(0) = 1 + gamma (1 - p) V(0) with p the probability of b=1, and d(0) = (1 - gamma) V(0).
    P = np.zeros((2, 1, 2, 2))
    P[0, 0, 0, 0] = P[0, 0, 1, 1] = P[1, 0, :, 1] = 1
    r = np.zeros((2, 1, 2))
    r[0] = 1
    game = MarkovGame(P, r, np.array([1.0, 0.0]), 0.5)
    nu, p = np.ones((2, 1)), 0.4
    alpha = np.array([[1 - p, p], [1.0, 0.0]])
    expected = 1 / (1 - 0.5 * (1 - p))
    np.testing.assert_allclose(value(game, nu, alpha), [expected, 0], atol=1e-15)
    np.testing.assert_allclose(visitation(game, nu, alpha), [0.5 * expected, 1 - 0.5 * expected], atol=1e-15)
    np.testing.assert_allclose(q_attacker(game, nu, alpha), [[1 + 0.5 * expected, 1], [0, 0]], atol=1e-15)
    # The benign agent stays, so under budget eps the attacker can only leave with probability eps.
    benign = np.array([[1.0, 0.0], [1.0, 0.0]])
    response = best_response(game, nu, benign, 0.3)
    assert response.policy.tolist() == [[0, 1], [1, 0]]
    assert response.value == pytest.approx(1 / (1 - 0.5 * 0.7), abs=1e-14)


def test_partial_control_mixes_the_rows() -> None:
    """Eq. 3.2. Row 0: 0.75 (0.2, 0.8) + 0.25 (1, 0) = (0.4, 0.6); row 1: 0.75 (1, 0) + 0.25 (0, 1) = (0.75, 0.25)."""
    game = MarkovGame(np.full((2, 1, 2, 2), 0.5), np.zeros((2, 1, 2)), np.array([1.0, 0.0]), 0.5)
    problem = MarkovProblem(game, np.array([[0.2, 0.8], [1.0, 0.0]]), 0.25)
    played = problem.played(np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(played, [[0.4, 0.6], [0.75, 0.25]], rtol=0, atol=1e-15)


@given(games, budgets)
def test_values_agree_with_each_other(drawn: RandomGame, eps: float) -> None:
    game, benign, nu, alpha = drawn
    played = MarkovProblem(game, benign, eps).played(alpha)
    v, d = value(game, nu, played), visitation(game, nu, played)
    tolerance = 1e-11 / (1 - game.gamma)
    np.testing.assert_allclose((nu * q_victim(game, nu, played)).sum(axis=1), v, atol=tolerance)
    np.testing.assert_allclose((played * q_attacker(game, nu, played)).sum(axis=1), v, atol=tolerance)
    assert d.sum() == pytest.approx(1, abs=1e-12)
    reward = np.einsum("sab,sa,sb->s", game.r, nu, played)
    assert d @ reward / (1 - game.gamma) == pytest.approx(game.rho @ v, abs=tolerance)


@given(games, budgets)
def test_gradient_by_finite_differences(drawn: RandomGame, eps: float) -> None:
    """Along a segment between two policies, which never leaves the simplex."""
    game, benign, nu, alpha = drawn
    other_nu, other_alpha = uniform(nu), uniform(alpha)
    h = 1e-5

    def along(t: float, move_nu: bool) -> float:
        a, b = (t, 0.5) if move_nu else (0.5, t)
        attacker = MarkovProblem(game, benign, eps).played((1 - b) * alpha + b * other_alpha)
        return expected_value(game, (1 - a) * nu + a * other_nu, attacker)

    middle = gradient(game, (nu + other_nu) / 2, (alpha + other_alpha) / 2, benign, eps)
    for move_nu, slope, direction in ((True, middle[0], other_nu - nu), (False, middle[1], other_alpha - alpha)):
        difference = (along(0.5 + h, move_nu) - along(0.5 - h, move_nu)) / (2 * h)
        assert difference == pytest.approx((slope * direction).sum(), rel=1e-5, abs=1e-5)


@given(games, budgets)
def test_no_adversary_does_better_than_the_best_response(drawn: RandomGame, eps: float) -> None:
    game, benign, nu, alpha = drawn
    response = best_response(game, nu, benign, eps)
    tolerance = 1e-11 / (1 - game.gamma)
    played = MarkovProblem(game, benign, eps).played(response.policy)
    assert expected_value(game, nu, played) == pytest.approx(response.value, abs=tolerance)
    for other in (alpha, uniform(alpha), *np.eye(alpha.shape[1])[:, None].repeat(len(alpha), axis=1)):
        assert expected_value(game, nu, MarkovProblem(game, benign, eps).played(other)) >= response.value - tolerance


@given(games, budgets, budgets)
def test_exploitability_grows_with_the_budget(drawn: RandomGame, one: float, other: float) -> None:
    game, benign, nu, _ = drawn
    small, large = sorted((one, other))
    assert best_response(game, nu, benign, small).value >= best_response(game, nu, benign, large).value - 1e-9


@given(games)
def test_no_budget_no_attack(drawn: RandomGame) -> None:
    game, benign, nu, _ = drawn
    response = best_response(game, nu, benign, 0.0)
    assert response.value == pytest.approx(expected_value(game, nu, benign), abs=1e-11 / (1 - game.gamma))
    assert response.policy[:, 0].tolist() == [1] * len(nu)  # all are equally good: the lowest action


@pytest.mark.parametrize("other", [1.0, 1e6, 1e12, 1e15, 1e17, 1e28])
def test_a_component_that_is_never_met_hides_no_improvement(other: float) -> None:
    """State 0 pays `other` for ever and is never met. By hand, from state 1 on: 1.5 + 0.9 1.5, then nothing: 2.85.

    In states 1 and 2 staying pays the victim 1 for ever, leaving pays it 1.5 once; nothing is paid in state 3. So the
    attacker must give in twice, and sees that it pays in two rounds of policy iteration.
    """
    P, r = np.zeros((4, 1, 2, 4)), np.zeros((4, 1, 2))
    P[0, :, :, 0] = P[1, :, 0, 1] = P[1, :, 1, 2] = P[2, :, 0, 1] = P[2, :, 1, 3] = P[3, :, :, 3] = 1
    r[0], r[1:3] = other, (1.0, 1.5)
    game = MarkovGame(P, r, np.array([0.0, 1.0, 0.0, 0.0]), 0.9)
    found = best_response(game, np.ones((4, 1)), np.full((4, 2), 0.5), 1.0)
    assert found.value == pytest.approx(2.85, abs=1e-12)
    assert found.policy[1:3].tolist() == [[0, 1], [0, 1]]
    made = robust(MarkovProblem(game, np.full((4, 2), 0.5), 1.0))
    assert made.lower == pytest.approx(2.85, abs=1e-12) and made.upper == pytest.approx(2.85, abs=1e-12)
    assert verify(made).verified and float(verify(made).lower) == pytest.approx(2.85, abs=1e-7)
    assert not verify(replace(made, lower=10.0)).verified
    assert made.problem.scale == pytest.approx(15)  # what can be met pays 0 to 1.5, 1 / (1 - 0.9) times over


def test_a_victim_meets_what_its_own_actions_lead_to() -> None:
    """By hand: action 0 pays 1 or 2 and stays in state 0, action 1 pays 7 and leads to state 1, which pays -40."""
    P, r = np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2))
    P[0, 0, :, 0] = P[0, 1, :, 1] = P[1, :, :, 1] = 1
    r[0, 0], r[0, 1], r[1] = (1, 2), 7, -40
    problem = MarkovProblem(MarkovGame(P, r, np.array([1.0, 0.0]), 0.5), np.full((2, 2), 0.5), 0.3)
    assert problem.met(np.array([[1.0, 0.0], [0.5, 0.5]]))[:2] == pytest.approx((2.0, 4.0), abs=1e-12)
    assert problem.met(np.array([[0.0, 1.0], [0.5, 0.5]]))[:2] == pytest.approx((-33.0, -33.0), abs=1e-12)
    # Half of each: v = (1 or 2 + v / 2) / 2 + (7 - 80 / 2) / 2, so v = -64 / 3 or -62 / 3.
    low, high, rounding = problem.met(np.full((2, 2), 0.5))
    assert (low, high) == pytest.approx((-64 / 3, -62 / 3), abs=1e-12)
    assert rounding == pytest.approx(80 * 1e-13)  # state 1 is worth -80
