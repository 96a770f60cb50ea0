from __future__ import annotations

import numpy as np
import pytest
import toys

from experiments.discs.detection import duel
from sparring.errors import InputError
from sparring.metrics.detection import two_sample
from sparring.metrics.online import STATISTICS, Detector, Stream, fit_detector, trial
from sparring.metrics.sequential import Statistic
from sparring.metrics.windows import View, numbered
from sparring.types import Tracks

BENIGN, ATTACKED = toys.wandering(700, seed=1), toys.wandering(200, shift=1.5, seed=2)
VIEWS: tuple[View, ...] = ("state", "transition")


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("known", [True, False])
def test_false_alarms_on_fresh_matches_and_power(statistic: Statistic, known: bool) -> None:
    """At the 1% setting: at most 1.5% of 2,000 fresh benign matches, whose steps depend on each other."""
    # What was never learned from has to be farther away to be seen.
    attacked = toys.wandering(200, shift=1.5 if known else 5.0, seed=3)
    detector = fit_detector(BENIGN, ATTACKED if known else None, window=3, statistic=statistic)
    assert detector.rate == 0.01 and len(detector.calibration) == 350
    found = trial(detector, toys.wandering(2000, seed=4), attacked, np.arange(200) % 2 == 0, orders=2)
    assert found.false_alarms <= 0.015 and found.benign_matches == 2000
    if statistic == "cusum-two-sided" and known:
        return  # low scores of a classifier are no attack; looking for them costs power
    assert found.caught > 0.25 and found.caught_interval[0] < found.caught < found.caught_interval[1]
    assert found.in_time is not None and 0 < found.in_time <= found.caught + 0.1
    assert found.steps_of_caught is not None and 1 <= found.steps_of_caught <= 20
    assert found.matches is not None and found.matches <= 20


def stepped(detector: Detector, tracks: Tracks) -> list[float]:
    stream, values = Stream(detector), []
    for row, action, step in zip(tracks.rows, tracks.action, tracks.step, strict=True):
        if step == 0:
            stream.begin()
        values.append(stream.add(row, action).value)
    return values


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("known", [True, False])
def test_a_stream_gives_step_by_step_what_whole_matches_give(view: View, known: bool) -> None:
    benign, attacked = toys.wandering(40, seed=1), toys.wandering(40, shift=1.0, seed=2)
    for window in (1, 4):
        detector = fit_detector(benign, attacked if known else None, view=view, window=window, statistic="betting")
        fresh = toys.wandering(6, shift=1.0, seed=3)
        assert stepped(detector, fresh) == pytest.approx(detector.paths(fresh).reshape(-1), abs=1e-9)


def test_alarms_of_a_stream_are_raised_once_in_a_match_and_across_matches() -> None:
    detector = fit_detector(BENIGN, ATTACKED, window=3)
    fresh, stream = toys.wandering(30, shift=4.0, seed=5), Stream(detector)
    alarms, across = [], 0
    for row, step, match in zip(fresh.rows, fresh.step, fresh.match, strict=True):
        if step == 0:
            across += stream.finish()
            stream.begin()
        seen = stream.add(row)
        assert seen.step == step
        if seen.alarm:
            alarms.append(match)
    right = (detector.paths(fresh).max(axis=1) > detector.threshold).nonzero()[0]
    assert alarms == right.tolist() and len(alarms) > 15
    assert stream.matches == 30 and stream.caught == len(alarms)
    assert across + stream.finish() == 1 and stream.across


def test_a_detector_adapts_to_the_second_attacker() -> None:
    first, second = ATTACKED, toys.wandering(200, seed=6)
    second.rows[:, 1] += 3.0
    before, after = fit_detector(BENIGN, first, window=3), fit_detector(BENIGN, (first, second), window=3)
    fresh = toys.wandering(100, seed=7)
    fresh.rows[:, 1] += 3.0
    benign = toys.wandering(200, seed=8)
    caught = [trial(detector, benign, fresh, orders=1).caught for detector in (before, after)]
    assert caught[0] < 0.1 and caught[1] > 0.5
    assert np.array_equal(before.calibration, fit_detector([BENIGN], [first], window=3).calibration)


def test_too_few_matches_are_said_in_a_sentence() -> None:
    detector = fit_detector(toys.wandering(40), window=1)
    assert len(detector.calibration) == 30 and detector.threshold == detector.calibration[-1]
    # 1 - .05^(1/30) = .0950.
    assert detector.rate == pytest.approx(0.0950, abs=1e-4) and "30 benign matches certify" in detector.certified
    with pytest.raises(InputError, match="n is too small: expected 8 or more benign matches"):
        fit_detector(toys.wandering(20))


def test_what_no_detector_can_be_made_from() -> None:
    good = toys.wandering(40)
    for call, message in (
        (lambda: fit_detector(good, toys.wandering(40, features=4)), "attacked: expected 3 features, got 4"),
        (lambda: fit_detector(good, view="pixels"), "unknown view of a detector 'pixels'"),  # pyright: ignore
        (lambda: fit_detector(good, statistic="sum"), "unknown statistic of a detector 'sum'"),  # pyright: ignore
        (lambda: fit_detector(good, alpha=0.0), "alpha: expected a rate"),
        (lambda: fit_detector(good, window=0), "window: expected a whole number"),
        (lambda: fit_detector(good, names=["x"]), "names: expected 3 different names"),
        (lambda: fit_detector([]), "expected at least one record"),
        (lambda: fit_detector(good).scores(toys.wandering(2, features=4)), "detector: expected 3 features, got 4"),
        (lambda: trial(fit_detector(good), good, good, np.zeros(3, bool)), "won: expected 40 entries"),
    ):
        with pytest.raises(InputError, match=message) as refused:
            call()
        assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_discs() -> None:
    """Whole matches of a shipped victim: full control is visible, its own mirror image is not."""
    victim = "builtin:disc-early"
    benign = duel(victim, None, 0.0, 400, 1).tracks
    attacked, fresh = (duel(victim, f"{victim}-attack-1", 1.0, 100, seed) for seed in (2, 3))
    assert attacked.tracks.controlled.all() and not benign.controlled.any()
    assert int(numbered(benign.match)[-1]) + 1 == 400
    found = two_sample(benign, attacked.tracks, window=1, permutations=9)
    assert found.match.interval[0] > 0.6 and found.match.p_value == 0.1
    assert found.floor is not None and found.floor.interval[0] < 0.5 < found.floor.interval[1]
    detector = fit_detector(benign, attacked.tracks, game="discs/duel", window=5)
    assert detector.rate == 0.01
    measured = trial(detector, duel(victim, None, 0.0, 400, 4).tracks, fresh.tracks, fresh.won, orders=1)
    assert measured.false_alarms <= 0.02 and measured.caught > 0.05
