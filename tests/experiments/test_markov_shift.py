"""Measured shift stays below Proposition 3.2 and grows with the budget (random Markov games)."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import markov_shift as study


@pytest.mark.slow
def test_measured_shift_is_near_the_truth_below_the_bounds_and_grows(tmp_path: Path) -> None:
    rows = [row for number in range(100, 103) for row in study.measured(number, tmp_path)]
    told = study.summary(rows)
    assert told["comparisons"] == 15
    assert told["value above Proposition 3.2"] == told["corrected above the sharp constant"] == 0
    assert told["steps of the budget with growth"]["exact"] == 1
    assert told["steps of the budget with growth"]["value"] >= 0.8
    mean, largest = told["error of the value: mean, largest"]
    assert mean < 0.04 and largest < 0.15
    assert "Proposition 3.2" in study.figure(rows)
