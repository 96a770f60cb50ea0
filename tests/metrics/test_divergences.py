from __future__ import annotations

import math

import numpy as np
import pytest

from sparring.metrics.divergences import divergences


def test_divergences_by_hand() -> None:
    # p = (3/4, 1/4), q = (1/4, 3/4): KL = (3/4 - 1/4) log 3, chi^2 = (1/4) / (1/4) + (1/4) / (3/4) = 4/3, and the
    # squared Hellinger distance is 1 - sum sqrt(p q) = 1 - 2 sqrt(3) / 4.
    found = divergences(np.array([0.75, 0.25]), np.array([0.25, 0.75]))
    assert {name: float(d) for name, d in found.items()} == {
        "total variation": pytest.approx(0.5, abs=1e-15),
        "KL": pytest.approx(0.5 * math.log(3), abs=1e-15),
        "chi^2": pytest.approx(4 / 3, abs=1e-15),
        "squared Hellinger": pytest.approx(1 - math.sqrt(3) / 2, abs=1e-15),
    }


def test_divergences_where_support_is_left() -> None:
    whole, half = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    left, kept = divergences(whole, half), divergences(half, whole)
    assert left["KL"] == left["chi^2"] == math.inf
    assert kept["KL"] == pytest.approx(math.log(2), abs=1e-15)
    assert kept["chi^2"] == pytest.approx(1, abs=1e-15)  # (1/4) / (1/2) twice
    for found in (left, kept):
        assert found["total variation"] == 0.5
        assert found["squared Hellinger"] == pytest.approx(1 - math.sqrt(0.5), abs=1e-15)
