from __future__ import annotations

import pytest

from sparring.errors import InputError
from sparring.exact.cost import answer_cost, certify_cost, hardening_cost, mismatch_work
from sparring.exact.finite import problem
from sparring.exact.markov_game import random_game
from sparring.games.openspiel import compile_tree


def test_larger_games_take_more() -> None:
    small, large = (problem(random_game(0, n, 3, 3, 0.9, 2).game, 0, [1], {}, 0.5) for n in (5, 50))
    for mismatch in (False, True):
        assert certify_cost(small, mismatch).seconds < certify_cost(large, mismatch).seconds
        assert certify_cost(small, mismatch).memory < certify_cost(large, mismatch).memory
    assert certify_cost(large, True).seconds > certify_cost(large).seconds
    kuhn, leduc = (problem(compile_tree(name), 0, [1], {}, 0.5) for name in ("kuhn_poker", "leduc_poker"))
    assert certify_cost(kuhn).seconds < certify_cost(leduc).seconds < 60


def test_answers_and_hardening_take_more_in_larger_games_and_for_more() -> None:
    markov = [problem(random_game(0, n, 3, 3, 0.9, 2).game, 0, [1], {}, 0.5) for n in (5, 50)]
    trees = [problem(compile_tree(name), 0, [1], {}, 0.5) for name in ("kuhn_poker", "leduc_poker")]
    for small, large in (markov, trees):
        assert answer_cost(small, 1, 0).seconds < answer_cost(large, 1, 0).seconds < answer_cost(large, 11, 0).seconds
        assert answer_cost(large, 11, 0).seconds < answer_cost(large, 11, 11).seconds
        assert answer_cost(small, 1, 1).memory < answer_cost(large, 1, 1).memory
        assert hardening_cost(small, 100).seconds < hardening_cost(large, 100).seconds
        assert hardening_cost(large, 100).seconds < hardening_cost(large, 1000).seconds
        # Populations grow with the updates: ten times as many take more than ten times as long.
        few, many = (hardening_cost(large, n, double_oracle=True).seconds for n in (100, 1000))
        assert hardening_cost(large, 100).seconds < few < many
        # As measured on a machine of two cores: seconds of the processor, the start of the program included.
        assert 1 < answer_cost(small, 1, 0).seconds < 3


def test_a_double_oracle_grows_with_the_square_of_the_updates() -> None:
    """As measured in Leduc poker on a machine of two cores: 1, 3 and 10 s for 50, 100 and 200 updates."""
    leduc = problem(compile_tree("leduc_poker"), 0, [1], {}, 1.0)
    without = [hardening_cost(leduc, n).seconds for n in (50, 100, 200)]
    beyond = [hardening_cost(leduc, n, double_oracle=True).seconds for n in (50, 100, 200)]
    extra = [more - less for more, less in zip(beyond, without, strict=True)]
    assert extra[1] == pytest.approx(4 * extra[0]) and extra[2] == pytest.approx(16 * extra[0])
    assert 3 < beyond[2] < 30


def test_without_a_discount_c_costs_nothing() -> None:
    made = problem(random_game(0, 3, 2, 2, 0.0, 2).game, 0, [1], {}, 0.5)
    assert mismatch_work(made) == 0  # pyright: ignore[reportArgumentType]  # a Markov game's problem


def test_another_kind_of_problem_is_refused() -> None:
    with pytest.raises(InputError, match="expected a problem on a Markov game or a tree, got int"):
        certify_cost(3)  # pyright: ignore[reportArgumentType]  # wrong on purpose
    with pytest.raises(InputError, match="expected a problem on a Markov game or a tree, got int"):
        answer_cost(3, 1, 1)  # pyright: ignore[reportArgumentType]  # wrong on purpose
