from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from sparring.errors import InputError
from sparring.metrics.features import (
    check_groups,
    chosen,
    grouped,
    importance,
    most_variable,
    overlap,
    units,
)

NAMES = ("hip 1 angle", "hip 1 velocity", "hip 2 angle", "hip 2 velocity", "torso height", "force [3]")


def test_the_unit_is_the_deviation_of_the_even_mixture_and_rounding_is_constant() -> None:
    rng = np.random.default_rng(0)
    step = float(np.spacing(np.float32(100)))
    x = np.stack([rng.normal(0, 1, 1000), np.full(1000, 100.0), np.full(1000, 3.0)], axis=1)
    y = np.stack([rng.normal(2, 3, 500), 100 + step * rng.integers(0, 2, 500), np.full(500, 4.0)], axis=1)
    deviation, moves = units(x, y)
    assert moves.tolist() == [True, False, True]  # one float32 step of flicker at 100 is no movement
    # Variance of an even mixture: the mean variance, and a quarter of the squared difference of the means.
    both = np.concatenate([x[:500, 0], y[:, 0]])
    assert units(x[:500], y)[0][0] == pytest.approx(both.std())
    assert deviation[2] == pytest.approx(0.5)


def test_features_are_chosen_by_name_and_by_pattern() -> None:
    assert chosen(NAMES, "hip * velocity") == (1, 3)
    assert chosen(NAMES, ["torso height", "hip 1*"]) == (0, 1, 4)
    assert chosen(NAMES, "force [3]") == (5,)  # a name before a pattern: [3] would be the letter 3
    assert chosen(NAMES, "*") == tuple(range(6))
    with pytest.raises(InputError, match=r"unknown feature 'hip 1 velocit': did you mean hip 1 velocity") as refused:
        chosen(NAMES, "hip 1 velocit")
    assert "\n" not in str(refused.value)


def test_groups_by_prefix() -> None:
    assert grouped(NAMES, ["hip", "hip 2", "force"]) == {"hip": (0, 1), "hip 2": (2, 3), "force": (5,)}
    with pytest.raises(InputError, match="unknown feature that begins with 'knee'"):
        grouped(NAMES, ["knee"])


@pytest.mark.parametrize("indices", [[], [0, 0], [6], [-1]])
def test_groups_that_are_none(indices: list[int]) -> None:
    with pytest.raises(InputError, match=r"group 'legs': expected different indices of features from 0 to 5"):
        check_groups({"legs": indices}, 6)


def test_the_most_variable_features_by_hand() -> None:
    # Variances 0, 4, 1, 4: the two of 4 in the order of their indices.
    rows = np.array([[5.0, 2.0, 1.0, -2.0], [5.0, -2.0, -1.0, 2.0]])
    assert most_variable(rows, 3) == (1, 3, 2)
    assert most_variable(rows, 10) == (1, 3, 2, 0)
    assert importance({"benign": rows, "attacked": rows[:, ::-1]}, 2) == {"benign": (1, 3), "attacked": (0, 2)}
    with pytest.raises(InputError, match=r"attacked: expected 4 features as in benign, got 3"):
        importance({"benign": rows, "attacked": rows[:, :3]})
    with pytest.raises(InputError, match="expected finite states"):
        most_variable(np.array([[np.nan]]))
    with pytest.raises(InputError, match="count: expected at least one"):
        most_variable(rows, 0)


def test_overlap_of_the_papers_lists() -> None:
    # Table 2 of the paper, "Original" and "Local"; robosumo's ant sees 120 features and two robots' are 240.
    original = (25, 145, 26, 146, 24, 142, 144, 22, 143, 23)
    local = (25, 26, 145, 24, 22, 146, 23, 143, 27, 142)
    found = overlap(original, local, 240)
    assert found.shared == 9
    assert found.expected == pytest.approx(100 / 240)
    assert (found.low, found.high) == (0, 2)
    assert found.p == pytest.approx(hypergeom(240, 10, 10).sf(8), rel=1e-9)


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30), st.randoms(use_true_random=False))
def test_overlap_is_hypergeometric(features: int, a: int, b: int, random) -> None:
    a, b = min(a, features), min(b, features)
    first, second = random.sample(range(features), a), random.sample(range(features), b)
    found, law = overlap(first, second, features), hypergeom(features, a, b)
    assert found.shared == len(set(first) & set(second))
    assert found.expected == pytest.approx(sum(x * hypergeom.pmf(x, features, a, b) for x in range(features + 1)))
    assert found.p == pytest.approx(law.sf(found.shared - 1))
    # Quantiles by their definition, as long as no probability stands on the level itself.
    assert law.cdf(found.high) >= 0.975 - 1e-12 and law.cdf(found.high - 1) < 0.975 + 1e-12
    assert law.cdf(found.low) >= 0.025 - 1e-12 and law.cdf(found.low - 1) < 0.025 + 1e-12


def test_overlap_of_lists_that_are_none() -> None:
    for first in ((0, 0), (5,), (-1,)):
        with pytest.raises(InputError, match="expected different indices of features from 0 to 4"):
            overlap(first, (1,), 5)


def test_small_features_move_where_all_are_small() -> None:
    """The same states in another unit: 1e-30 of it is no rounding. Beside features of size 1 it is."""
    rows = np.random.default_rng(0).normal(size=(200, 2)) * 1e-30
    assert units(rows[:100], rows[100:])[1].tolist() == [True, True]
    mixed = np.concatenate([rows, np.random.default_rng(1).normal(size=(200, 1))], axis=1)
    assert units(mixed[:100], mixed[100:])[1].tolist() == [False, False, True]
