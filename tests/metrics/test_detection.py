from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import toys

from sparring.errors import InputError
from sparring.metrics.detection import importance, transitions, two_sample
from sparring.metrics.scorers import Transition, classifier, distance, transition
from sparring.types import Tracks


def test_the_auc_of_states_is_the_closed_form() -> None:
    """Best of all detectors: Phi(d / sqrt 2); of a match of t independent steps Phi(d sqrt t / sqrt 2)."""
    d, steps = 0.5, 4
    made = [toys.wandering(1000, steps, 2, shift, memory=0.0, seed=seed) for seed, shift in ((1, 0.0), (2, d))]
    found = two_sample(*made, window=1, permutations=0, floor=False)
    for one, distance_ in ((found.state, d), (found.match, d * math.sqrt(steps))):
        right = NormalDist().cdf(distance_ / math.sqrt(2))
        assert one.interval[0] <= right <= one.interval[1]
        assert one.value == pytest.approx(right, abs=0.02)
    assert found.state.p_value is None and found.matches == (1000, 1000)


@pytest.mark.slow
def test_without_an_attack_the_interval_covers_one_half() -> None:
    """In at least 93% of repetitions, of dependent steps, with a centre of each match that a classifier may learn."""
    covered, repeats = np.zeros(3), 150
    for k in range(repeats):
        made = [toys.wandering(30, 8, 3, own=0.5, seed=[k, i, 9]) for i in (1, 2)]
        found = two_sample(*made, window=4, permutations=0, floor=False, seed=k)
        covered += [one.interval[0] <= 0.5 <= one.interval[1] for one in (found.state, found.window, found.match)]
    assert (covered >= 0.93 * repeats).all(), covered


def test_without_an_attack_the_p_value_is_uniform() -> None:
    small = 0
    for k in range(80):
        made = [toys.wandering(20, 5, 2, own=0.5, seed=[k, i, 9]) for i in (1, 2)]
        p = two_sample(*made, window=1, permutations=9, floor=False, seed=k).match.p_value
        small += p is not None and p <= 0.2
    assert 6 <= small <= 26  # of 80 at 20%: 16, and 2.8 deviations of 3.6


def test_folds_that_share_a_match_would_find_an_attack_that_there_is_not() -> None:
    """The right unit is the match: states that are dealt to folds one by one let the classifier know the match."""
    grouped, dealt = [], []
    for k in range(10):
        made = [toys.wandering(6, 20, 12, own=1.0, seed=[k, i]) for i in (1, 2)]
        one_by_one = [t._replace(match=np.arange(len(t.match)), step=np.zeros_like(t.step)) for t in made]
        for pair, found in ((made, grouped), (one_by_one, dealt)):
            found.append(two_sample(pair[0], pair[1], window=1, folds=3, permutations=0, floor=False).state)
    assert np.mean([one.value for one in dealt]) > 0.8
    assert sum(one.interval[0] > 0.5 for one in dealt) == 10
    assert sum(one.interval[0] <= 0.5 <= one.interval[1] for one in grouped) >= 9


def test_an_attack_is_found_and_the_floor_stays() -> None:
    made = toys.wandering(60, seed=1), toys.wandering(60, shift=1.0, seed=2)
    found = two_sample(*made, window=5, permutations=39)
    assert found.match.interval[0] > 0.6 and found.match.p_value == 1 / 40
    assert found.match.null is not None and found.match.null[1] < found.match.value
    assert found.floor is not None and found.floor.interval[0] < 0.5 < found.floor.interval[1]
    assert found == two_sample(*made, window=5, permutations=39)  # a seed decides everything


@pytest.mark.slow
def test_boosting_sees_what_squares_and_products_do_not() -> None:
    """-1 and 1 against 0 and +-sqrt 2: mean and variance are the same."""
    rng = np.random.default_rng(0)
    benign, attacked = toys.wandering(40, 20, 1, memory=0.0, seed=1), toys.wandering(40, 20, 1, memory=0.0, seed=2)
    benign.rows[:, 0] = rng.choice([-1.0, 1.0], len(benign.rows))
    attacked.rows[:, 0] = rng.choice([-math.sqrt(2), 0.0, math.sqrt(2)], len(attacked.rows), p=[0.25, 0.5, 0.25])
    found = two_sample(benign, attacked, window=1, permutations=0, floor=False, kind="boosting")
    assert found.state.value > 0.95
    plain = two_sample(benign, attacked, window=1, permutations=0, floor=False)
    assert plain.state.value < 0.6
    with pytest.raises(InputError, match="unknown kind of classifier 'forest'"):
        two_sample(benign, attacked, kind="forest")  # pyright: ignore[reportArgumentType]


def test_what_carries_the_attack_is_the_most_important() -> None:
    made = toys.wandering(60, shift=1.0, seed=1), toys.wandering(60, seed=2)
    found = importance(*made, {"moved": [0], "others": [1, 2]}, window=3)
    assert list(found) == ["moved", "others"]
    (fall, error), (other, other_error) = found.values()
    assert fall > 0.15 and fall > 5 * error and abs(other) < 0.03 and other_error < 0.02


def moved(matches: int, push: float, seed: int) -> Tracks:
    """Next state = .5 state + .3 action + noise of deviation .1 + push."""
    rng = np.random.default_rng(seed)
    steps = 15
    rows, action = np.zeros((matches, steps, 2)), rng.normal(size=(matches, steps, 2))
    rows[:, 0] = rng.normal(0, 0.5, (matches, 2))
    for t in range(1, steps):
        noise = rng.normal(0, 0.1, (matches, 2))
        rows[:, t] = 0.5 * rows[:, t - 1] + 0.3 * action[:, t - 1] + noise + [push, 0]
    match, step = np.repeat(np.arange(matches), steps), np.tile(np.arange(steps), matches)
    flat = [x.reshape(-1, 2).astype(np.float32) for x in (rows, action)]
    return Tracks(flat[0], flat[1], np.full(len(match), push != 0), match, step)


def test_the_transition_model_is_exact_where_the_dynamics_are_linear() -> None:
    model = transition(moved(200, 0.0, 1))
    assert isinstance(model, Transition)
    fresh = model.tracks(moved(50, 0.0, 2))
    assert len(fresh.rows) == 50 * 14 and fresh.step.max() == 13
    assert fresh.rows.std(axis=0) == pytest.approx([1, 1], abs=0.1)  # standardised
    # A push of .2 is two deviations of the noise.
    assert np.linalg.norm(model.tracks(moved(50, 0.2, 3)).rows.mean(axis=0)) == pytest.approx(2, abs=0.2)


def test_an_attack_on_the_dynamics_is_seen_in_the_residuals() -> None:
    found = transitions(moved(80, 0.0, 1), moved(60, 0.2, 2), window=3, permutations=19)
    assert found.residual.interval[0] > 0.6 and found.residual_match.interval[0] > 0.9
    # One step of two deviations: Phi(2 / sqrt 2) = .921 is the best that there is.
    assert found.classifier.state.value == pytest.approx(0.921, abs=0.02)
    assert found.residual.p_value == found.classifier.match.p_value == 0.05
    nothing = transitions(moved(80, 0.0, 1), moved(60, 0.0, 2), window=3, permutations=19)
    assert nothing.residual_match.interval[0] < 0.5 < nothing.residual_match.interval[1]


@pytest.mark.parametrize("features", [3, 40])
def test_scores_are_those_of_the_expanded_features(features: int) -> None:
    rng = np.random.default_rng(0)
    found = classifier(rng.normal(size=(300, features)), rng.normal(0.5, 2, size=(300, features)))
    fresh = rng.normal(0, 3, size=(20, features))
    assert len(found.weights) == (9 if features == 3 else 80)
    assert found(fresh) == pytest.approx(found.unit(fresh) @ found.weights, rel=1e-9, abs=1e-9)


def test_scorers_know_constants_and_many_features() -> None:
    rng = np.random.default_rng(0)
    steady = np.column_stack([np.full(400, 100.0), rng.normal(size=(400, 60))])
    flicker = steady.astype(np.float32).astype(np.float64)
    flicker[:, 0] += 1e-5 * rng.integers(0, 2, 400)  # rounding in float32
    other, elsewhere = flicker.copy(), flicker.copy()
    other[:, 1] += 1
    elsewhere[:, 0] += 50
    found = classifier(flicker, other)
    assert len(found.weights) == 2 * 61  # with products there would be 1952
    assert np.mean(found(other) > np.median(found(flicker))) > 0.7
    apart = distance(flicker)
    assert apart(flicker) == pytest.approx(np.ones(400), abs=0.4)
    assert apart(elsewhere).min() > 1.2  # a constant that is another one, clipped


def test_what_cannot_be_tested() -> None:
    few, other = toys.wandering(8), toys.wandering(30, features=4)
    good = toys.wandering(30)
    with pytest.raises(InputError, match="n is too small: 5 folds need 2 or more, and 10 matches of each kind, got 30"):
        two_sample(good, few)
    with pytest.raises(InputError, match="attacked: expected 3 features, got 4"):
        two_sample(good, other)
    with pytest.raises(InputError, match="floor needs 20 benign matches, got 12"):
        two_sample(toys.wandering(12), good, permutations=0)
    with pytest.raises(InputError, match="group x: expected features from 0 to 2"):
        importance(good, good, {"x": [3]})
    with pytest.raises(InputError, match="one step alone"):
        transitions(toys.wandering(30, steps=1), good)
