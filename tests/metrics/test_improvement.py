from __future__ import annotations

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.metrics.improvement import last_third


def share_improving(make, runs: int = 400) -> float:
    """How often a simulated curve is found to be improving, by the lower end of the 95% interval."""
    gains = [make() for _ in range(runs)]
    return float(np.mean([gain is not None and gain.low > 0 for gain in gains]))


@pytest.mark.parametrize(("windows", "matches"), [(30, 20), (30, 100), (12, 40)])
@pytest.mark.parametrize("p", [0.02, 0.5, 1.0])
def test_flat_curves_are_seldom_found_to_be_improving(windows: int, matches: int, p: float) -> None:
    rng = np.random.default_rng(0)
    count = np.full(windows, matches)
    assert share_improving(lambda: last_third(rng.binomial(matches, p, windows) / matches, count, True)) <= 0.04
    # Returns: the same number of matches with a standard deviation of 5.
    assert share_improving(lambda: last_third(rng.normal(0, 5 / matches**0.5, windows), count, False)) <= 0.04


def test_a_policy_that_wobbles_is_not_improving() -> None:
    # Win rates about .5 that follow an autoregressive process (.5 of the last one, standard deviation .1): the matches'
    # own standard deviation is .05 only, so an interval from counts alone would find many of these improving.
    rng = np.random.default_rng(1)

    def wobbling():
        rate = np.zeros(60)
        for t in range(1, 60):
            rate[t] = 0.5 * rate[t - 1] + rng.normal(0, 0.087)
        return last_third(np.clip(0.5 + rate[30:], 0, 1), np.full(30, 100), True)

    assert share_improving(wobbling) <= 0.08


def test_rising_curves_are_found() -> None:
    rng = np.random.default_rng(2)
    rising = np.linspace(0.2, 0.8, 30)
    assert share_improving(lambda: last_third(rng.binomial(100, rising) / 100, np.full(30, 100), True)) > 0.95
    assert share_improving(lambda: last_third(-rising + rng.normal(0, 0.02, 30), np.full(30, 9), False)) == 0


def test_the_gain_by_hand() -> None:
    # Nine windows of equal weight: the last third's mean is .8, that of the third before it .5; each third's blocks are
    # its three windows, whose variances are .01 and .01. The error is sqrt((.01 + .01) / 3), with 4 degrees of freedom.
    values = [0.0, 0.0, 0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    gain = last_third(np.array(values), np.full(9, 10_000), False)
    assert gain is not None
    half = 2.776445 * (0.02 / 3) ** 0.5  # Student's t_4(.975), from tables
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))
    assert gain.p == pytest.approx(0.0106, abs=2e-4)  # t = 3.674 with 4 degrees of freedom, from tables


def test_too_few_windows_cannot_tell() -> None:
    assert last_third(np.arange(8) / 8, np.full(8, 50), True) is None
    assert last_third(np.arange(12) / 12, np.array([50] * 8 + [0] * 4), True) is None
    assert last_third(np.ones(12), np.full(12, 50), False) is None
    with pytest.raises(InputError, match="a curve needs finite values"):
        last_third(np.array([np.nan]), np.ones(1), True)
