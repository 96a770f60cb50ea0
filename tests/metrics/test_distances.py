from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kstest
from state_samples import autoregressive, independent

from sparring.errors import InputError
from sparring.metrics import joint
from sparring.metrics.distances import ALL, MEASURES, Distance, compare_states
from sparring.metrics.shift import wasserstein2_squared
from sparring.types import States

NAMES = ("angle", "velocity", "height")
SLOW = ("wasserstein2-exact", "wasserstein2-sliced", "kl-neighbours", "total-variation-neighbours")
QUICK = tuple(measure for measure in MEASURES if measure not in SLOW)


def trio(seed: int, matches: int = 12, shift: float = 0.0, steps: int = 10) -> tuple[States, States, States]:
    rng = np.random.default_rng(seed)
    first, second, third = (autoregressive(rng, matches, steps, 3, by) for by in (0.0, 0.0, shift))
    return first, second, third


def compared(*samples: States | None, **options) -> dict[str, Distance]:
    benign, again, attacked = samples
    assert benign is not None and attacked is not None
    options = {"seed": 0, "resamples": 19, **options}
    return {d.measure: d for d in compare_states(benign, again, attacked, NAMES, **options) if d.features == ALL}


def test_every_measure_sees_an_attack_that_changes_much() -> None:
    found = compared(*trio(0, shift=4.0))
    assert list(found) == list(MEASURES)
    for measure, distance in found.items():
        assert distance.p == 0.05, measure  # 1 / (1 + 19), the least that 19 permutations can give
        assert distance.above_floor, measure
        assert distance.floor_low <= distance.floor <= distance.floor_high < distance.value, measure
        if measure == "kl":  # no benign state lies where some attacked ones do
            assert math.isinf(distance.value) and math.isnan(distance.low)
        else:
            assert 0 <= distance.low <= distance.high, measure
        # Every number is Python's own, so that it goes into JSON.
        assert {type(getattr(distance, f.name)) for f in fields(distance)} <= {str, float, int, tuple}
    with pytest.raises(FrozenInstanceError):
        found["kl"].value = 0.0  # pyright: ignore[reportAttributeAccessIssue]


def test_the_mean_over_features_is_near_the_exact_distance() -> None:
    benign, again, attacked = trio(1, 40, 1.0, 40)
    found = compared(benign, again, attacked, measures=["wasserstein2"])["wasserstein2"]
    assert found.value == pytest.approx(wasserstein2_squared(benign.rows, attacked.rows).mean(), rel=0.02)


def test_groups_and_single_features() -> None:
    benign, again, attacked = trio(2)
    attacked.rows[:, 1] += 5
    found = compare_states(
        benign,
        again,
        attacked,
        NAMES,
        seed=0,
        resamples=19,
        groups={"joint": (0, 1)},
        each=True,
        measures=["kl", "mmd"],
    )
    assert [(d.measure, d.features) for d in found] == [
        *[("kl", name) for name in (ALL, "joint", *NAMES)],
        ("mmd", ALL),
    ]
    assert math.isinf(found[3].value) and "infinite: attacked states lie where no benign one does" in found[3].reason
    assert "(1 features: velocity)" in found[0].reason and found[0].value == math.inf
    assert math.isfinite(found[2].value) and found[2].reason == ""
    whole = compared(benign, again, attacked, measures=["hellinger"], groups={"joint": (0, 1)}, each=True)
    parts = compare_states(benign, again, attacked, NAMES, seed=0, resamples=19, each=True, measures=["hellinger"])
    assert whole["hellinger"].value == pytest.approx(np.mean([d.value for d in parts if d.features in NAMES]))


@pytest.fixture(scope="module")
def nulls() -> dict[str, list[Distance]]:
    """Audits without an attack, whose matches are strongly correlated in time."""
    found: dict[str, list[Distance]] = {measure: [] for measure in QUICK}
    for audit in range(80):
        rng = np.random.default_rng([11, audit])
        samples = [autoregressive(rng, 16, 10, 2) for _ in range(3)]
        for distance in compare_states(
            samples[0], samples[1], samples[2], ("a", "b"), seed=audit, measures=QUICK, resamples=99
        ):
            found[distance.measure].append(distance)
    return found


def check_calibrated(found: list[Distance]) -> None:
    """At most 5% pass their floor, and p-values are uniform, as far as so few audits can tell (99.9%)."""
    count = len(found)
    assert sum(d.above_floor for d in found) <= binom(count, 0.05).ppf(0.999)
    p = np.array([d.p for d in found])
    for level in (0.05, 0.1, 0.5):
        assert (p <= level).sum() <= binom(count, level).ppf(0.999)
    # p-values are multiples of 1/(1 + R): spread over their steps, they are uniform.
    steps = 1 + found[0].resamples
    assert kstest(p - np.random.default_rng(0).random(count) / steps, "uniform").pvalue > 0.001
    # The floor is the bias where nothing changes: what is left averages 0. A median stands for an infinite mean.
    corrected = np.array([d.corrected for d in found if not d.reason])
    assert abs(corrected.mean()) < 4 * corrected.std() / np.sqrt(len(corrected)) + (
        0.05 if len(corrected) < count else 0
    )


@pytest.mark.parametrize("measure", QUICK)
def test_without_an_attack_nothing_is_found(measure: str, nulls: dict[str, list[Distance]]) -> None:
    check_calibrated(nulls[measure])


@pytest.mark.slow
@pytest.mark.parametrize("measure", SLOW)
def test_without_an_attack_slow_measures_find_nothing(measure: str) -> None:
    found = []
    for audit in range(60):
        rng = np.random.default_rng([12, audit])
        samples = [autoregressive(rng, 16, 10, 2) for _ in range(3)]
        found += compare_states(
            samples[0], samples[1], samples[2], ("a", "b"), seed=audit, measures=[measure], resamples=49
        )
    check_calibrated(found)


def test_resampling_single_states_would_find_attacks_everywhere() -> None:
    """The same states, each said to be a match of its own. States of one match are alike, so this is wrong."""
    naive, floors = 0, 0
    for audit in range(20):
        rng = np.random.default_rng([11, audit])
        samples = [autoregressive(rng, 16, 10, 2) for _ in range(3)]
        alone = [s._replace(match=np.arange(len(s.rows))) for s in samples]
        (found,) = compare_states(
            alone[0], alone[1], alone[2], ("a", "b"), seed=audit, measures=["wasserstein2"], resamples=99
        )
        naive, floors = naive + (found.p <= 0.05), floors + found.above_floor
    assert naive >= 10 and floors >= 10


def test_intervals_cover_the_truth() -> None:
    """Means .5 apart, unit variance: squared W2 in units of the mixture is .25 / (1 + .25 / 4)."""
    truth, covered = 0.25 / 1.0625, {"wasserstein2": 0, "wasserstein2-gaussian": 0}
    for audit in range(40):
        rng = np.random.default_rng([13, audit])
        samples = [autoregressive(rng, 40, 10, 2, by) for by in (0.0, 0.0, 0.5)]
        for found in compare_states(
            samples[0], samples[1], samples[2], ("a", "b"), seed=audit, measures=tuple(covered), resamples=99
        ):
            covered[found.measure] += found.low <= truth <= found.high
    assert min(covered.values()) >= binom(40, 0.95).ppf(0.001)


def test_transport_of_one_feature_is_exact_where_nothing_lies_between_two_values() -> None:
    """By `wasserstein2_squared`, which sorts. Bins across the gap had spread their mass over it: 26% too little."""
    rng = np.random.default_rng(0)

    def two_values(share: float) -> States:
        ones = rng.permutation(4000) < 4000 * share
        rows = (ones + 0.001 * rng.normal(size=4000))[:, None]
        return States(rows, np.repeat(np.arange(200), 20), np.tile(np.arange(20), 200))

    benign, again, attacked = two_values(0.51), two_values(0.51), two_values(0.56)
    measures = ("wasserstein2", "wasserstein2-sliced")
    found = compare_states(benign, again, attacked, ["x"], seed=0, measures=measures, resamples=19)
    exact = float(wasserstein2_squared(benign.rows, attacked.rows)[0])
    assert exact == pytest.approx(0.1995, abs=1e-3)
    for one in found:  # with one feature there is one direction
        assert one.value == pytest.approx(exact, rel=1e-9)


def test_a_sample_that_is_one_state_has_a_gaussian_distance() -> None:
    """Closed form: squared difference of the means plus the other variance, in units of the even mixture's variance."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 2))
    match, step = np.repeat(np.arange(40), 10), np.tile(np.arange(10), 40)
    still = States(np.full((400, 2), 0.3), match, step)
    (found,) = compare_states(
        still, still, States(rows, match, step), ["x", "y"], seed=0, measures=("wasserstein2-gaussian",), resamples=19
    )
    apart, variance = (rows.mean(axis=0) - 0.3) ** 2, rows.var(axis=0)
    assert found.value == pytest.approx(float(((apart + variance) / (variance / 2 + apart / 4)).mean()), rel=1e-6)
    assert found.low <= found.value <= found.high


def test_with_a_cap_every_sample_keeps_as_many_states_a_match() -> None:
    """60 benign and 15 attacked matches of 20 steps, of which 128 states are asked: 128 and 32."""
    rng = np.random.default_rng(2)

    def matches(count: int) -> States:
        return States(rng.normal(size=(count * 20, 3)), np.repeat(np.arange(count), 20), np.tile(np.arange(20), count))

    (found,) = compare_states(
        matches(60), matches(15), matches(15), ["x", "y", "z"], seed=0, measures=("wasserstein2-exact",), resamples=9
    )
    assert found.states == (128, 32)


def test_probabilities_are_at_most_one() -> None:
    rng = np.random.default_rng(3)
    match, step = np.repeat(np.arange(12), 5), np.tile(np.arange(5), 12)
    near, far = (States(rng.normal(size=(60, 2)) + shift, match, step) for shift in (0.0, 9.0))
    measures = ("total-variation", "total-variation-neighbours", "hellinger", "mmd")
    for one in compare_states(near, near, far, ["x", "y"], seed=0, measures=measures, resamples=49):
        assert one.high <= (2 if one.measure == "mmd" else 1)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "shift"), [(10, 0.5), (40, 0.25), (100, 0.25)])
def test_intervals_hold_where_states_follow_each_other_and_little_changes(count: int, shift: float) -> None:
    """60 sets each: the 1% quantile of the binomial at 95% is 52. Without the root 76 to 87% held the truth."""
    held = 0
    for seed in range(60):
        rng = np.random.default_rng([count, seed])
        benign, again, attacked = (autoregressive(rng, count, 20, 1, correlation=0.97) for _ in range(3))
        moved = attacked._replace(rows=attacked.rows + np.float32(shift))
        (found,) = compare_states(benign, again, moved, ["x"], seed=seed, measures=("wasserstein2",), resamples=199)
        held += found.low <= shift**2 / (1 + shift**2 / 4) <= found.high
    assert held >= 52


def test_constant_features_count_for_nothing_and_flicker_is_no_movement() -> None:
    benign, again, attacked = trio(3, shift=1.0)
    step = float(np.spacing(np.float32(1000)))
    rng = np.random.default_rng(0)
    for sample in (benign, again, attacked):
        sample.rows[:, 2] = 1000
    attacked.rows[:, 2] += step * rng.integers(0, 2, len(attacked.rows))
    found = compare_states(benign, again, attacked, NAMES, seed=0, resamples=19, each=True)
    values = {(d.measure, d.features): d for d in found}
    for measure in ("wasserstein2", "kl", "total-variation", "hellinger"):
        assert (values[measure, "height"].value, values[measure, "height"].reason) == (0.0, "constant")
        # The mean is over all three features.
        both = values[measure, "angle"].value + values[measure, "velocity"].value
        assert values[measure, ALL].value == pytest.approx(both / 3)
    for measure in ("wasserstein2-gaussian", "wasserstein2-sliced", "wasserstein2-exact"):
        two = [s._replace(rows=s.rows[:, :2]) for s in (benign, again, attacked)]
        (without,) = compare_states(two[0], two[1], two[2], NAMES[:2], seed=0, resamples=19, measures=[measure])
        assert values[measure, ALL].value == pytest.approx(without.value * 2 / 3)


def test_states_that_never_move_are_at_distance_zero_and_it_is_said() -> None:
    same = independent(np.ones((60, 3)), 6)
    for distance in compare_states(same, same, same, NAMES, seed=0, resamples=19):
        assert (distance.value, distance.p) == (0.0, 1.0)
        assert distance.reason == "all features are constant" and not distance.above_floor


@pytest.mark.parametrize("measure", MEASURES)
def test_too_few_matches_have_no_interval_and_the_reason_is_said(measure: str) -> None:
    rng = np.random.default_rng(0)
    benign, again, attacked = (autoregressive(rng, n, 20, 3) for n in (9, 9, 3))
    found = compared(benign, again, attacked, measures=[measure])[measure]
    assert all(math.isnan(x) for x in (found.low, found.high, found.floor, found.floor_high, found.corrected, found.p))
    assert found.reason == "no interval, floor or p-value: n too small: 3 matches"
    assert math.isfinite(found.value) and found.value != 0 and not found.above_floor
    assert found.matches == (9, 3)


def test_one_match_is_too_few_for_estimates_that_ask_other_matches() -> None:
    rng = np.random.default_rng(0)
    benign, again, attacked = (autoregressive(rng, n, 20, 3) for n in (9, 9, 1))
    found = compared(benign, again, attacked)
    for measure in ("mmd", "kl-neighbours", "total-variation-neighbours", "total-variation-classifier"):
        assert math.isnan(found[measure].value) and found[measure].reason.startswith("n too small: 1 matches")
    assert found["wasserstein2"].value > 0


def test_without_a_second_benign_sample_the_first_is_split() -> None:
    benign, _, attacked = trio(5, 24)
    found = compared(benign, None, attacked, measures=["wasserstein2"])["wasserstein2"]
    assert found.note.startswith(
        "no second benign sample: 12 of 24 benign matches were taken for it; 12 of 24 attacked"
    )
    assert found.matches == (12, 12) and found.floor > 0
    few = compared(*(trio(5, 8)[0], None, trio(5, 8)[2]), measures=["wasserstein2"])["wasserstein2"]
    assert few.matches == (8, 8) and few.note == "" and few.p > 0
    assert few.reason == "no floor, so no interval: n too small: 0 further benign matches"


def test_denser_samples_are_thinned_and_many_matches_are_bundled() -> None:
    rng = np.random.default_rng(0)
    benign, again, attacked = (autoregressive(rng, n, 20, 3) for n in (30, 30, 30))
    sparse = attacked._replace(rows=attacked.rows[::4], match=attacked.match[::4], step=attacked.step[::4])
    found = compared(benign, again, sparse, measures=["mmd"])["mmd"]
    assert found.states == (150, 150) and found.note == "thinned to 5 states a match in every sample"
    many = [independent(rng.normal(size=(1200, 3))) for _ in range(3)]
    found = compared(*many, measures=["wasserstein2"])["wasserstein2"]
    assert found.note == "matches are drawn in bundles of 3" and found.matches == (1200, 1200)
    assert found.states == (1200, 1200) and found.p > 0.05


def test_transport_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "_ITERATIONS", 2)
    found = compared(*trio(6), measures=["wasserstein2-exact"])["wasserstein2-exact"]
    assert math.isnan(found.value) and math.isnan(found.p)
    assert found.reason.startswith("transport did not converge")


@settings(max_examples=15)
@given(st.permutations(range(3)), st.integers(0, 100))
def test_units_origins_and_the_order_of_features_do_not_matter(order: list[int], seed: int) -> None:
    samples = trio(7, shift=0.5)
    rng = np.random.default_rng(seed)
    scale, origin = 2.0 ** rng.integers(-3, 4, 3), rng.integers(-2, 3, 3)
    moved = [
        s._replace(rows=(s.rows.astype(np.float64) * scale + origin)[:, order], match=s.match * 3 + 7) for s in samples
    ]
    measures = ("wasserstein2", "total-variation", "wasserstein2-gaussian", "mmd")
    ours, theirs = compared(*samples, measures=measures), compared(*moved, measures=measures)
    for measure in measures:
        for name in ("value", "low", "high", "floor", "p"):
            assert getattr(theirs[measure], name) == pytest.approx(getattr(ours[measure], name), rel=1e-6, abs=1e-9)


def test_the_same_seed_gives_the_same_answer_for_any_choice_of_measures() -> None:
    samples = trio(8, shift=0.3)
    everything = compared(*samples)
    for measure in ("total-variation", "total-variation-classifier", "wasserstein2-exact"):
        assert compared(*samples, measures=[measure])[measure] == everything[measure]
    assert compared(*samples, seed=1, measures=["mmd"])["mmd"].floor != everything["mmd"].floor


def bad(**changes) -> States:
    return independent(np.zeros((20, 3)), 5)._replace(**changes)


@pytest.mark.parametrize(
    ("attacked", "options", "message"),
    [
        (bad(rows=np.zeros((20, 2))), {}, r"attacked: expected 3 features \(angle, \.\.\.\), got 2"),
        (
            bad(rows=np.full((20, 3), np.nan)),
            {},
            r"attacked: feature angle of state 0 is nan: leave invalid matches out",
        ),
        (bad(rows=np.zeros((0, 3)), match=np.zeros(0)), {}, "attacked: expected at least one state"),
        (bad(rows=np.zeros(20)), {}, r"attacked: expected states \[n, D\] and their matches \[n\], got \[20\] and"),
        (bad(match=np.zeros(19)), {}, r"attacked: expected states \[n, D\] and their matches \[n\]"),
        (bad(), {"measures": ["emd"]}, "unknown measure 'emd'"),
        (bad(), {"resamples": 0}, "resamples: expected at least 1, got 0"),
        (bad(), {"groups": {"legs": [3]}}, "group 'legs': expected different indices"),
        (bad(), {"groups": {"angle": [0]}, "each": True}, "groups: expected names that are no feature's"),
        (bad(), {"groups": {ALL: [0]}}, "groups: expected names that are no feature's"),
    ],
)
def test_bad_input_is_one_line(attacked: States, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        compared(bad(), bad(), attacked, **options)
    assert "\n" not in str(refused.value)


def test_names_that_are_equal_are_refused() -> None:
    with pytest.raises(InputError, match="names: expected at least one, and all different, got 'a' twice"):
        compare_states(bad(), bad(), bad(), ("a", "a", "b"), seed=0)
