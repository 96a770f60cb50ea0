from __future__ import annotations

import math

import numpy as np
import pytest
import toys

from sparring.errors import InputError
from sparring.metrics.sequential import BOUND, Martingale, Statistic, needed, paths, threshold

AR = {"features": 1, "steps": 40, "memory": 0.8}
STATISTICS: tuple[Statistic, ...] = ("cusum", "cusum-two-sided", "betting")


def scores(matches: int, shift: float, seed: int) -> np.ndarray:
    """[M, T], standard normal and dependent within a match."""
    return toys.wandering(matches, shift=shift, seed=seed, **AR).rows.reshape(matches, -1).astype(np.float64)


def test_cusum_by_hand() -> None:
    given = np.array([[1.0, 2.0, -3.0, math.nan, 1.0]])
    assert paths("cusum", given).tolist() == [[0.5, 2.0, 0.0, 0.0, 0.5]]
    # The other side: max(0, sum - score - 1/2) is 0, 0, 2.5, 2.5, 1.
    assert paths("cusum-two-sided", given).tolist() == [[0.5, 2.0, 2.5, 2.5, 1.0]]


def test_betting_by_hand() -> None:
    given = np.array([[2.0, 2.0, -2.0]])
    # Before the first step the mean is 0 and so is the bet; then mean 1/4 of (0, 1/2) and variance
    # (1/4 + 1/4) / 2 - 1/16 = 3/16, so the bet is 1/4 / (3/16 + 1/16) = 1, of which 1/2 is allowed.
    assert paths("betting", given) == pytest.approx(np.log([[1, 1.25, 1.25 * 0.75]]))


def test_bets_come_from_the_past_alone() -> None:
    given = scores(4, 0.5, 1)
    whole = paths("betting", given)
    changed = given.copy()
    changed[:, 20:] = -BOUND
    np.testing.assert_array_equal(paths("betting", changed)[:, :20], whole[:, :20])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_false_alarms_and_power_of_dependent_steps(statistic: Statistic) -> None:
    """At the 1% setting, on 2,000 fresh benign matches, whenever one looks within the match."""
    limit = threshold(paths(statistic, scores(1000, 0, 1)).max(axis=1), 0.01)
    assert limit.certified and limit.rate == 0.01
    false = (paths(statistic, scores(2000, 0, 2)).max(axis=1) > limit.value).mean()
    assert false <= 0.015
    caught = (paths(statistic, scores(300, 2.5, 3)).max(axis=1) > limit.value).mean()
    assert caught > 0.5


def test_villes_threshold_does_not_hold_for_dependent_steps() -> None:
    """A wealth of 100 would be reached in 1% of the matches if the bets were fair, as of independent steps they are."""
    reached = []
    for memory in (0.0, 0.97):
        given = toys.wandering(2000, 40, 1, memory=memory, seed=2).rows.reshape(2000, 40).astype(np.float64)
        reached.append((paths("betting", given).max(axis=1) > math.log(100)).mean())
    assert reached[0] <= 0.01 < 0.05 < reached[1]


def test_a_threshold_holds_with_its_confidence() -> None:
    """Of uniform numbers the rate above a threshold is 1 - threshold: in 95% of calibrations it is at most alpha."""
    rng = np.random.default_rng(4)
    for n in (299, 1000):
        rates = np.array([1 - threshold(rng.uniform(size=n), 0.01).value for _ in range(600)])
        assert 0.93 <= (rates <= 0.01).mean() <= 0.99  # no more careful than it has to be
    assert threshold(np.arange(299.0), 0.01).value == 298
    assert threshold(np.arange(473.0), 0.01).value == 471  # Wilks' second: n = 473 for k = 2 at 99% / 95%


def test_too_few_matches_say_what_they_certify() -> None:
    assert needed(0.01) == 299 and needed(0.05) == 59
    few = threshold(np.arange(100.0), 0.01)
    # 1 - .05^(1/100) = .02951.
    assert (few.certified, few.value) == (False, 99) and few.rate == pytest.approx(0.029513, abs=1e-6)
    assert few.text == (
        "100 benign matches certify at most 0.0295 false alarms per match with 95% confidence, not 0.01, "
        "which takes 299"
    )
    with pytest.raises(InputError, match="expected the largest values"):
        threshold(np.array([]), 0.01)
    with pytest.raises(InputError, match="between 0 and 1"):
        threshold(np.arange(3.0), 1.5)


def test_the_martingale_of_whole_matches_is_valid_at_any_stopping_time() -> None:
    """Ville: wealth 20 is ever reached in at most 5% of exchangeable sequences, here of 100 matches."""
    reached, sequences = 0, 250
    for seed in range(sequences):
        rng = np.random.default_rng(seed)
        values = np.round(rng.normal(size=200) + rng.normal(), 1)  # exchangeable, dependent, with ties
        bets = Martingale(values[:100], seed)
        wealth = np.array([bets.add(value) for value in values[100:]])
        reached += wealth.max() >= math.log(20)
    assert 0 < reached <= sequences * 0.05 + 2.33 * math.sqrt(sequences * 0.05 * 0.95)


def test_the_martingale_finds_attacked_matches() -> None:
    rng = np.random.default_rng(5)
    bets = Martingale(rng.normal(size=300))
    wealth = [bets.add(value) for value in rng.normal(2, 1, 20)]
    assert max(wealth) >= math.log(100)
