"""Every estimator keeps the error that is stated for it (closed forms: `experiments/shift_estimators.py`)."""

from __future__ import annotations

import pytest

from experiments import shift_estimators as study


@pytest.mark.parametrize("features", study.DIMENSIONS)
@pytest.mark.parametrize("name", study.ESTIMATORS)
def test_a_thousand_states(name: str, features: int) -> None:
    row = study.accuracy(name, features, 1_000, 1, seed=1)
    assert row["within"] == 1, row


@pytest.mark.slow
@pytest.mark.parametrize("features", study.DIMENSIONS)
@pytest.mark.parametrize("name", study.ESTIMATORS)
def test_ten_thousand_states(name: str, features: int) -> None:
    row = study.accuracy(name, features, 10_000, 1, seed=1)
    assert row["within"] == 1, row


def test_lower_bounds_are_not_above_the_truth() -> None:
    for name in ("total-variation-classifier", "total-variation-neighbours"):
        row = study.accuracy(name, 10, 1_000, 4, seed=2)
        assert row["value"] < row["truth"] + 0.02


def test_the_table_and_the_figure_show_every_estimator() -> None:
    rows = [study.accuracy("kl", d, n, 2, seed=3) for n in study.SIZES for d in (1, 10)]
    nulls = [study.null_rate("kl", 2, seed=3)]
    intervals = study.coverage(10, 0.5, 2, seed=3)
    assert [one["measure"] for one in intervals] == list(study.TRUTHS)
    text = study.table(rows, nulls, intervals)
    assert text.count("| kl |") == 8 and "| kl | 2 | " in text
    svg = study.figure(rows)
    assert "<svg" in svg and "D = 10" in svg
