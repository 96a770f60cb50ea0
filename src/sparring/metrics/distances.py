"""How far an attack moves the states that the victim meets: every distance with its floor, interval and p-value."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError, unknown
from sparring.metrics import resampled
from sparring.metrics.features import check_groups, units
from sparring.metrics.resampling import Draws, Pool, drawn, fewer, judge
from sparring.metrics.samples import Prepared, check_states, prepared
from sparring.metrics.shift import histogram_bins
from sparring.types import States

RESAMPLES, COSTLY = 499, 199  # of each kind; of distances that are solved or searched for anew in each resample
ALL = "all features"
_SQUARED = "variances of a feature (even mixture of both samples)"
_CAPS = {  # states of each sample
    "wasserstein2-exact": 128,
    "mmd": 2000,
    "total-variation-classifier": 5000,
    "kl-neighbours": 1000,
    "total-variation-neighbours": 1000,
}


class _Measure(NamedTuple):
    unit: str
    by_feature: bool
    costly: bool = False
    smooth: bool = True  # as `judge` takes them
    quadratic: bool = False
    most: float = math.inf


MEASURES: Mapping[str, _Measure] = {
    "wasserstein2": _Measure(_SQUARED, True, quadratic=True),
    "total-variation": _Measure("probability", True, most=1.0),
    "kl": _Measure("nats", True, quadratic=True),
    "hellinger": _Measure("squared Hellinger distance, at most 1", True, quadratic=True, most=1.0),
    "wasserstein2-exact": _Measure(_SQUARED, False, costly=True, smooth=False, quadratic=True),
    "wasserstein2-sliced": _Measure(_SQUARED, False, quadratic=True),
    "wasserstein2-gaussian": _Measure(_SQUARED, False, costly=True, quadratic=True),
    "kl-neighbours": _Measure("nats", False, costly=True, smooth=False),
    "total-variation-classifier": _Measure("probability, lower bound", False, most=1.0),
    "total-variation-neighbours": _Measure("probability, lower bound", False, costly=True, smooth=False, most=1.0),
    "mmd": _Measure("squared kernel distance, at most 2", False, quadratic=True, most=2.0),
}
_HISTOGRAM = {"total-variation": "total variation", "kl": "KL", "hellinger": "squared Hellinger"}


@dataclass(frozen=True)
class Distance:
    """One distance between benign and attacked states. NaN stands where something is not known, and `reason` says why.

    `judge` in `metrics/resampling.py` defines floor, corrected value, interval and p-value.
    """

    measure: str  # one of MEASURES
    features: str  # "all features", a group's name or a feature's
    unit: str
    value: float  # the estimate, with its bias
    corrected: float  # the value minus the mean floor
    low: float  # 95% interval of the distance without bias
    high: float
    floor: float  # the mean distance of two benign samples of the same sizes (median where some are infinite)
    floor_low: float  # 2.5% quantile
    floor_high: float  # 97.5% quantile
    p: float  # of the hypothesis that the attack changes nothing; of this distance alone
    matches: tuple[int, int]  # benign and attacked
    states: tuple[int, int]  # benign and attacked
    resamples: int  # of each kind
    reason: str = ""
    note: str = ""  # what was done to the samples before

    @property
    def above_floor(self) -> bool:
        """Whether the distance exceeds what benign samples show in 97.5%. False where this is not known."""
        return self.value > self.floor_high


def compare_states(
    benign: States,
    again: States | None,
    attacked: States,
    names: Sequence[str],
    *,
    seed: int,
    measures: Sequence[str] = tuple(MEASURES),
    resamples: int = RESAMPLES,
    groups: Mapping[str, Sequence[int]] | None = None,
    each: bool = False,
) -> tuple[Distance, ...]:
    """Measure how far attacked states are from benign ones, and what benign ones are from each other.

    Features are divided by the standard deviation of the even mixture of benign and attacked states; those that are
    constant up to rounding count for 0. The distances of single features are averaged over all of them, and squared
    transport distances of the joint distribution are divided by their number. KL is D(attacked || benign), as in
    Proposition 3.3. Distances of the joint distribution are computed from at most `_CAPS` states of each sample, which
    are drawn at random. Histograms have `histogram_bins` of the number of matches.

    Matches are drawn as wholes in every resample. More than 500 matches are drawn in bundles of equal sizes.
    Samples of which one has more states a match than another (because it is of fewer matches) are thinned, since
    benign and attacked matches could be told apart by that alone.

    Args:
      benign: the sample that attacked states are compared with.
      again: states of other benign matches, as many as attacked ones at best; None: half of the benign matches are
        taken for them.
      attacked: states of attacked matches.
      names: of the D features, all different.
      seed: of all draws.
      measures: names of MEASURES.
      resamples: of each kind; costly distances have at most 199.
      groups: groups of features by name, each with its indices: the distances of single features are averaged over
        each group, too.
      each: whether there is a record for each single feature, too.

    Returns:
      For each measure one record for all features; then, where it is one of single features, one for each group and
      each feature.

    Raises:
      InputError: samples with different features, other names, no states, a value that is not finite, an unknown
        measure, a bad group, or no resamples.
    """
    check_states(benign, again, attacked, names)
    for measure in measures:
        if measure not in MEASURES:
            raise unknown("measure", measure, MEASURES)
    if resamples < 1:
        raise InputError(f"resamples: expected at least 1, got {resamples}")
    parts = {ALL: tuple(range(len(names))), **check_groups(groups or {}, len(names))}
    if each:
        parts.update({name: (i,) for i, name in enumerate(names)})
    if len(parts) < 1 + len(groups or {}) + each * len(names):
        raise InputError("groups: expected names that are no feature's, and not 'all features'")
    seeds = np.random.SeedSequence(seed).spawn(2 + len(MEASURES))
    samples = prepared(benign, again, attacked, np.random.default_rng(seeds[0]))
    draws = drawn(samples.pool.part, resamples, np.random.default_rng(seeds[1]))
    deviation, moves = units(*samples.compared())
    moving = samples.pool._replace(rows=samples.pool.rows[:, moves] / deviation[moves])
    found: list[Distance] = []
    # The matrices are small and many: threads would wait for each other most of the time.
    with importlib.import_module("threadpoolctl").threadpool_limits(1):
        for measure in dict.fromkeys(measures):
            rng = np.random.default_rng(seeds[2 + list(MEASURES).index(measure)])
            asked = parts if MEASURES[measure].by_feature else {ALL: parts[ALL]}
            found += _distances(measure, samples, moving, moves, draws, asked, names, rng)
    return tuple(found)


def _distances(
    measure: str,
    samples: Prepared,
    moving: Pool,
    moves: np.ndarray,
    draws: Draws,
    parts: Mapping[str, tuple[int, ...]],
    names: Sequence[str],
    rng: np.random.Generator,
) -> list[Distance]:
    """The records of one measure."""
    if MEASURES[measure].costly:
        draws = fewer(draws, COSTLY)
    pool = _thinned(moving, _CAPS.get(measure), rng)
    reasons: list[str] = []
    values = np.zeros((len(draws.first), len(moves) if MEASURES[measure].by_feature else 1))
    if moves.any():
        computed, draws = _computed(measure, pool, draws, min(samples.matches), rng, reasons)
        if MEASURES[measure].by_feature:
            values[:, moves] = computed
        else:
            # Constant features are at distance 0, and count.
            values = computed * (moves.mean() if measure.startswith("wasserstein2") else 1.0)
    present = [int((pool.part[pool.match] == which).sum()) for which in (0, 2)]
    made = []
    for name, indices in parts.items():
        column = values[:, list(indices)].mean(axis=1) if MEASURES[measure].by_feature else values[:, 0]
        kind = MEASURES[measure]
        judged = judge(column, draws, kind.smooth, kind.quadratic, kind.most)
        why = _reasons(column, draws, moves[list(indices)], samples, reasons)
        if math.isinf(judged.value):
            disjoint = [names[i] for i in indices if math.isinf(values[0, i])]
            shown = ", ".join(disjoint[:3]) + (", ..." if len(disjoint) > 3 else "")
            why.insert(0, f"infinite: attacked states lie where no benign one does ({len(disjoint)} features: {shown})")
        made.append(
            Distance(
                measure,
                name,
                MEASURES[measure].unit,
                *judged,
                matches=samples.matches,
                states=(present[0], present[1]),
                resamples=draws.bootstrap.stop - draws.bootstrap.start,
                reason="; ".join(why),
                note="; ".join(samples.notes),
            )
        )
    return made


def _computed(
    measure: str, pool: Pool, draws: Draws, matches: int, rng: np.random.Generator, reasons: list[str]
) -> tuple[np.ndarray, Draws]:
    """The distance in all resamples, float64 [S, moving features] or [S, 1], and what was drawn for it."""
    ways: Mapping[str, Callable[[], np.ndarray]] = {
        "wasserstein2": lambda: resampled.wasserstein2(pool, draws),
        "wasserstein2-exact": lambda: resampled.exact(pool, draws, reasons),
        "wasserstein2-sliced": lambda: resampled.sliced(pool, draws, rng),
        "wasserstein2-gaussian": lambda: resampled.gaussian(pool, draws),
        "kl-neighbours": lambda: resampled.kl_neighbours(pool, draws),
        "total-variation-neighbours": lambda: resampled.total_variation_neighbours(pool, draws),
        "mmd": lambda: resampled.kernel(pool, draws),
    }
    if measure in _HISTOGRAM:
        return resampled.histogram(pool, draws, _HISTOGRAM[measure], histogram_bins(matches)), draws
    if measure == "total-variation-classifier":
        return resampled.total_variation_classifier(pool, draws, rng)
    return ways[measure](), draws


def _reasons(column: np.ndarray, draws: Draws, moves: np.ndarray, samples: Prepared, failed: list[str]) -> list[str]:
    """Why something of a distance is not known, in words."""
    why = []
    if not moves.any():
        why.append("constant" if len(moves) == 1 else "all features are constant")
    if math.isnan(column[0]):
        why.append(failed[0] if failed else f"n too small: {min(samples.matches)} matches")
    elif failed:
        why.append(f"{len(failed)} resamples failed: {failed[0]}")
    if draws.bootstrap.start == draws.bootstrap.stop:
        why.append(f"no interval, floor or p-value: n too small: {min(samples.matches)} matches")
    elif draws.floor.start == draws.floor.stop:
        why.append(f"no floor, so no interval: n too small: {samples.spare} further benign matches")
    elif np.isinf(column[draws.floor]).any():
        why.append("some benign samples lie where others do not, infinitely far apart: the floor is their median")
    return list(dict.fromkeys(why))


def _thinned(pool: Pool, cap: int | None, rng: np.random.Generator) -> Pool:
    """At most `cap` states of each part, drawn at random, and about as many a match in all of them; None: all.

    With more states a match in one part than in another, permutations of matches would not be comparable.
    """
    if cap is None:
        return pool
    part = pool.part[pool.match]
    states, matches = np.bincount(part, minlength=3), np.bincount(pool.part[pool.part >= 0], minlength=3)
    if states.max() <= cap:
        return pool
    density = min(min(cap, n) / m for n, m in zip(states, matches, strict=True) if m)
    kept = []
    for which in range(3):
        there = np.flatnonzero(part == which)
        size = min(len(there), max(1, round(density * matches[which])))
        kept.append(np.sort(rng.choice(there, size, replace=False)) if len(there) > size else there)
    rows = np.concatenate(kept)
    return pool._replace(rows=pool.rows[rows], match=pool.match[rows])
