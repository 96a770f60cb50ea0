from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.metrics.binned import binned, counts_of, cuts_of, even_levels, fine_levels, shares, transport
from sparring.metrics.shift import histogram_bins, histogram_divergences, sorted_squares

values = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-10, 10, width=16))


def by_bins(x: np.ndarray, y: np.ndarray) -> float:
    """Squared W2 of two samples by way of bins."""
    columns = np.concatenate([x, y])[:, None]
    table = binned(columns, np.repeat([0, 1], [len(x), len(y)]), 2, fine_levels(len(columns)))
    p, q = (shares(table.counts, np.eye(2)[side : side + 1]) for side in (0, 1))
    return float(transport(p, q, table.low, table.high)[0, 0])


@given(values, values)
def test_transport_between_few_values_is_exact(x: np.ndarray, y: np.ndarray) -> None:
    assert by_bins(x, y) == pytest.approx(sorted_squares(x[:, None], y[:, None])[0], abs=1e-9)


@pytest.mark.parametrize("shift", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "flag", "mostly zero"])
def test_transport_between_many_values_is_near_the_exact_one(kind: str, shift: float) -> None:
    rng = np.random.default_rng(3)
    draws = {
        "normal": lambda n, by: rng.normal(size=n) + by,
        "heavy tails": lambda n, by: rng.standard_t(3, size=n) + by,
        "flag": lambda n, by: (rng.random(n) < 0.3 + by / 6) * 1.0,
        "mostly zero": lambda n, by: np.where(rng.random(n) < 0.6, 0.0, 3 * rng.normal(size=n) + 4 * by),
    }
    x, y = draws[kind](8000, 0.0), draws[kind](6000, shift)
    exact = sorted_squares(x[:, None], y[:, None])[0]
    assert by_bins(x, y) == pytest.approx(exact, rel=0.05, abs=1e-3 * np.concatenate([x, y]).var())


def test_a_value_that_fills_bins_has_one_of_its_own() -> None:
    zeros_and_more = np.concatenate([np.zeros(60), np.linspace(-1, -0.1, 20), np.linspace(0.1, 1, 20)])
    cuts = cuts_of(zeros_and_more, even_levels(10))
    counts = counts_of(zeros_and_more, cuts, np.zeros(100, int), 1)[0]
    assert counts.sum() == 100 and counts.max() == 60 and sorted(counts)[-2] <= 10


@given(values, st.integers(2, 20))
def test_every_value_is_in_one_bin(x: np.ndarray, bins: int) -> None:
    table = binned(x[:, None], np.zeros(len(x), int), 1, even_levels(bins))
    assert table.counts.sum() == len(x)
    assert (table.low <= table.high).all() and (table.low[0, 1:] >= table.high[0, :-1]).all()


def test_a_resample_without_states_is_nan_and_leaves_the_others_alone() -> None:
    rng = np.random.default_rng(0)
    table = binned(rng.normal(size=(30, 2)), np.arange(30) % 3, 4, even_levels(4))
    p, q = shares(table.counts, np.eye(4)[[3, 0]]), shares(table.counts, np.eye(4)[[1, 1]])
    found = transport(p, q, table.low, table.high)
    assert np.isnan(found[0]).all() and (found[1] > 0).all()


def test_histograms_of_normal_distributions() -> None:
    """N(0, 1) and N(1, 1): TV = 2 Phi(1/2) - 1, KL = 1/2, squared Hellinger = 1 - exp(-1/8)."""
    rng = np.random.default_rng(0)
    found = histogram_divergences(rng.normal(size=(40_000, 1)), rng.normal(size=(40_000, 1)) + 1)
    assert found["total variation"][0] == pytest.approx(0.3829, abs=0.01)
    assert found["KL"][0] == pytest.approx(0.5, abs=0.02)
    assert found["squared Hellinger"][0] == pytest.approx(0.1175, abs=0.005)


def test_histograms_of_disjoint_supports_and_constants() -> None:
    x = np.stack([np.linspace(0, 1, 50), np.full(50, 7.0)], axis=1)
    y = np.stack([np.linspace(2, 3, 50), np.full(50, 7.0)], axis=1)
    found = histogram_divergences(x, y, 10)
    assert found["KL"].tolist() == [np.inf, 0.0]
    assert found["total variation"].tolist() == [1.0, 0.0]
    assert found["squared Hellinger"] == pytest.approx([1.0, 0.0])


def test_kl_is_of_the_attacked_from_the_benign_states() -> None:
    # Attacked states keep to one half of the benign ones: KL(attacked || benign) = log 2, the reverse is infinite.
    x, y = np.repeat([0.0, 1.0], 50)[:, None], np.zeros((50, 1))
    assert histogram_divergences(x, y)["KL"][0] == pytest.approx(np.log(2))
    assert histogram_divergences(y, x)["KL"][0] == np.inf


def test_the_number_of_bins_is_rices_rule() -> None:
    assert [histogram_bins(n) for n in (1, 8, 96, 1000, 10**6)] == [4, 4, 9, 20, 32]


@given(values, values, st.floats(0.1, 10), st.floats(-5, 5))
def test_histograms_do_not_depend_on_unit_and_origin(x: np.ndarray, y: np.ndarray, scale: float, origin: float) -> None:
    x, y = x[:, None].round(2), y[:, None].round(2)
    both = np.concatenate([x, y])
    if both.std() < 1e-2:
        return
    ours = histogram_divergences(x, y, 5)
    theirs = histogram_divergences(x * scale * 4 + origin, y * scale * 4 + origin, 5)
    if len(np.unique(both)) == len(np.unique(both * scale * 4 + origin)):
        for name, value in ours.items():
            np.testing.assert_allclose(theirs[name], value, atol=1e-9)
