from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact.markov import expected_value
from sparring.exact.problem import MarkovProblem, exploitability
from sparring.games.matrix import MATCHING_PENNIES, ROCK_PAPER_SCISSORS, MatrixGame, as_markov, load, make, names
from sparring.testing import check_game
from sparring.types import Box, Discrete, FunctionalGame, Spaces

ONE = Box((1,), 0.0, 1.0)  # the constant observation
# The start x0 of Rock-Paper-Scissors; its exploitability is from an independent implementation.
X0 = np.array([[0.5123456789, 0.2987654321, 0.188888889]])
UNIFORM = np.full((1, 3), 1 / 3)


def test_every_pair_of_actions_of_rock_paper_scissors() -> None:
    game = make("rps", num_games=9, threads=0, options={})
    assert isinstance(game, FunctionalGame)
    assert (game.id, game.num_games) == ("matrix/rps", 9)
    assert game.spaces == {"row": Spaces(ONE, Discrete(3)), "col": Spaces(ONE, Discrete(3))}
    state, views = game.init(jax.random.key(0))
    np.testing.assert_array_equal(views["row"].observation, np.ones((9, 1)))
    assert views["row"].legal is views["row"].moves is None  # everything is legal, both always move
    row, column = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    _, step = jax.jit(game.step)(state, {"row": row, "col": column}, jax.random.key(1))
    np.testing.assert_array_equal(step.reward["row"], ROCK_PAPER_SCISSORS.ravel())
    np.testing.assert_array_equal(step.reward["col"], -ROCK_PAPER_SCISSORS.ravel())
    # Equal actions draw; the payoff's sign decides else.
    assert step.outcome["row"].tolist() == [0, 1, -1, -1, 0, 1, 1, -1, 0]
    assert step.outcome["col"].tolist() == [0, -1, 1, 1, 0, -1, -1, 1, 0]
    assert step.outcome["row"].dtype == step.outcome["col"].dtype == np.int8
    assert step.terminated.all()
    assert not (step.truncated | step.invalid).any()
    assert step.view["col"].observation.shape == step.final_view["col"].observation.shape == (9, 1)


def test_rectangular_payoffs() -> None:
    game = MatrixGame(np.array([[1.0, 2.0, 3.0]]))
    assert game.spaces == {"row": Spaces(ONE, Discrete(1)), "col": Spaces(ONE, Discrete(3))}
    state, _ = game.init(jax.random.key(0))
    _, step = game.step(state, {"row": np.array([0]), "col": np.array([2])}, jax.random.key(1))
    assert step.reward["row"].tolist() == [3]


@pytest.mark.parametrize("name", names())
def test_keeps_the_promises_of_a_game(name: str) -> None:
    check_game(lambda num_games: make(name, num_games, threads=0, options={}))


@pytest.mark.parametrize("payoffs", [ROCK_PAPER_SCISSORS, MATCHING_PENNIES])
def test_the_games_are_fair(payoffs: np.ndarray) -> None:
    uniform = np.full(len(payoffs), 1 / len(payoffs))
    np.testing.assert_array_equal(uniform @ payoffs, 0)
    np.testing.assert_array_equal(payoffs @ uniform, 0)


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        (np.zeros(3), r"expected payoffs \[A, B\], got shape \[3\]"),
        (np.zeros((0, 2)), r"expected payoffs \[A, B\], got shape \[0, 2\]"),
        (np.array([[0.0, 1.0], [np.inf, 0.0]]), "expected finite payoffs, got inf in row 1, column 0"),
    ],
)
def test_refuses_payoffs(payoffs: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MatrixGame(payoffs)


@pytest.mark.parametrize(
    ("payoff", "message"),
    [
        (
            1e308,
            r"matrix/custom: payoffs of up to 1e\+308: expected at most 1e\+30 in all: multiply all payoffs by one",
        ),
        (-1e31, r"payoffs of up to 1e\+31: expected at most 1e\+30 in all"),
        (1e-31, "payoffs of up to 1e-31: expected at least 1e-30, or 0: multiply all payoffs by one positive number"),
    ],
)
def test_refuses_payoffs_of_which_no_sums_can_be_made(payoff: float, message: str) -> None:
    for make_it in (MatrixGame, as_markov):
        with pytest.raises(InputError, match=message.replace("matrix/custom", "(matrix/custom|payoffs)")):
            make_it(np.array([[0.0, payoff]]))
    assert MatrixGame(np.array([[0.0, 1e30], [1e-30, 0.0]])).payoffs.max() == 1e30


def test_refuses_names_options_and_numbers() -> None:
    assert names() == ("rps", "matching-pennies")
    with pytest.raises(InputError, match="did you mean matching-pennies"):
        make("matching-penny", 1, 0, {})
    with pytest.raises(InputError, match="no options"):
        make("rps", 1, 0, {"rounds": "3"})
    with pytest.raises(InputError, match="at least 1 match"):
        make("rps", 0, 0, {})


def test_as_markov_is_worth_the_expected_payoff() -> None:
    payoffs = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
    game = as_markov(payoffs)
    row, column = np.array([0.25, 0.75]), np.array([0.5, 0.2, 0.3])
    # (0.5 1 - 0.2 2 + 0.3 3) / 4 + 3 (0.5 0.5 + 0.2 4 - 0.3 1) / 4 = 0.25 + 0.5625
    assert game.r.shape == (1, 2, 3)
    assert expected_value(game, row[None], column[None]) == pytest.approx(0.8125, abs=1e-15)


def test_rock_paper_scissors() -> None:
    # x0' P = (-0.2987.. + 0.1888.., 0.5123.. - 0.1888.., -0.5123.. + 0.2987..): the last is the minimum.
    problem = MarkovProblem(as_markov(ROCK_PAPER_SCISSORS), UNIFORM, 1.0)
    assert problem.best_response(X0).policy.tolist() == [[0, 0, 1]]
    assert exploitability(problem, X0) == pytest.approx(0.2135802468, abs=1e-12)
    assert exploitability(problem, UNIFORM) == pytest.approx(0, abs=1e-15)


def test_matching_pennies_under_a_budget() -> None:
    # Heads with probability p against heads with q is worth (2p - 1)(2q - 1); the adversary plays tails: -(2p - 1).
    p, q, eps = 0.8, 0.9, 0.25
    expected = (1 - eps) * (2 * p - 1) * (2 * q - 1) - eps * (2 * p - 1)
    problem = MarkovProblem(as_markov(MATCHING_PENNIES), np.array([[q, 1 - q]]), eps)
    policy, value = problem.best_response(np.array([[p, 1 - p]]))
    assert policy.tolist() == [[0, 1]]
    assert value == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("nu", "eps"), [(UNIFORM, 1.0), (X0, 0.0)])
def test_ties_go_to_the_lowest_action(nu: np.ndarray, eps: float) -> None:
    problem = MarkovProblem(as_markov(ROCK_PAPER_SCISSORS), UNIFORM, eps)
    assert problem.best_response(nu).policy.tolist() == [[1, 0, 0]]


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_quantities_of_a_matrix_game_are_plain_products(seed: int, eps: float) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 5, 2)
    payoffs = rng.normal(size=(rows, columns))
    nu, alpha, benign = (rng.dirichlet(np.ones(n)) for n in (rows, columns, columns))
    played = (1 - eps) * benign + eps * alpha
    problem = MarkovProblem(as_markov(payoffs), benign[None], eps)
    assert problem.value(nu[None], alpha[None]) == pytest.approx(nu @ payoffs @ played, abs=1e-12)
    of_nu, of_alpha = problem.gradient(nu[None], alpha[None])
    np.testing.assert_allclose(of_nu[0], payoffs @ played, rtol=0, atol=1e-12)
    np.testing.assert_allclose(of_alpha[0], eps * (nu @ payoffs), rtol=0, atol=1e-12)
    worst = min(nu @ payoffs @ ((1 - eps) * benign + eps * action) for action in np.eye(columns))
    assert exploitability(problem, nu[None]) == pytest.approx(-worst, abs=1e-12)
    assert problem.victim_response(alpha[None]).value == pytest.approx((payoffs @ played).max(), abs=1e-12)


def test_as_markov_refuses() -> None:
    with pytest.raises(InputError, match="payoffs: expected finite payoffs"):
        as_markov(np.array([[np.nan]]))


def test_payoffs_from_a_file(tmp_path: Path) -> None:
    payoffs = np.array([[0.1, -2.0, 3e-7], [1e6, 0.0, 1 / 3]])
    np.save(tmp_path / "game.npy", payoffs)
    (tmp_path / "game.csv").write_text("\n".join(", ".join(map(str, row)) for row in payoffs.tolist()) + "\n\n")
    for name in ("game.npy", "game.csv"):
        game = make(str(tmp_path / name), 3, 0, {})
        np.testing.assert_array_equal(game.payoffs, payoffs)
        assert game.id == f"matrix/{tmp_path / name}"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("words.csv", b"rock,paper\n1,2\n", "cannot be read as a matrix of numbers: could not convert string"),
        ("ragged.csv", b"1,2\n3\n", "cannot be read as a matrix of numbers"),
        ("nan.csv", b"1,nan\n", "expected finite payoffs, got nan in row 0, column 1"),
        ("empty.csv", b"", r"expected payoffs \[A, B\], got shape \[0\]"),
        ("text.csv", b"\xff\xfe1,2", "cannot be read as a matrix of numbers"),
        ("short.npy", b"\x93NUMPY", "cannot be read as a matrix of numbers"),
        ("zip.npy", b"PK\x03\x04 and so on", "cannot be read as a matrix of numbers"),
    ],
)
def test_refuses_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_refuses_arrays_and_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "complex.npy", np.ones((2, 2), complex))
    with pytest.raises(InputError, match="expected real numbers"):
        load(tmp_path / "complex.npy")
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as a matrix of numbers"):
        load(tmp_path / "objects.npy")
    monkeypatch.setattr("sparring.games.matrix.MAX_BYTES", 100)
    with pytest.raises(InputError, match="expected at most 100"):
        load(tmp_path / "complex.npy")
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path / "absent.csv")
