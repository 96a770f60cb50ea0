"""Every distance in all resamples at once: what can be computed once per match is, and what is left are sums of it.

Each function takes a `Pool` and the `Draws` of its matches. It gives float64 [S, K], where K is 1 or the number of
features, and NaN for a resample in which the distance does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from sparring.metrics import classifier, joint, neighbours
from sparring.metrics.binned import Binned, binned, even_levels, fine_levels, shares, transport
from sparring.metrics.divergences import divergences
from sparring.metrics.resampling import AGAIN, ATTACKED, BENIGN, Draws, Pool, drawn

_TABLE = 4_000_000  # counts of a block of features: 32 MB
_CHUNK = 500_000  # shares of a block of resamples


def wasserstein2(pool: Pool, draws: Draws) -> np.ndarray:
    """Squared W2 of every column of the pool, [S, D]: exact for the observed samples, in bins for all others.

    What bins get wrong in the observed samples, they are taken to get wrong in every resample.
    """
    levels = fine_levels(len(pool.rows))
    found = _by_feature(pool, draws, levels, lambda p, q, b: transport(p, q, b.low, b.high), gaps=True)
    first, second = (pool.rows[weights[0][pool.match] > 0] for weights in (draws.first, draws.second))
    exact = joint.sorted_squares(first, second)
    return found * np.divide(exact, found[0], out=np.ones_like(exact), where=found[0] > 0)


def histogram(pool: Pool, draws: Draws, name: str, bins: int) -> np.ndarray:
    """A divergence of `divergences` of every feature, [S, D], of the second sample from the first."""
    return _by_feature(pool, draws, even_levels(bins), lambda p, q, b: divergences(q, p)[name])


def sliced(pool: Pool, draws: Draws, rng: np.random.Generator) -> np.ndarray:
    """Sliced squared W2, [S, 1], along as many directions as `joint.DIRECTIONS`."""
    along = joint.directions(pool.rows.shape[1], joint.DIRECTIONS, rng)
    return wasserstein2(pool._replace(rows=pool.rows @ along), draws).mean(axis=1, keepdims=True)


def gaussian(pool: Pool, draws: Draws) -> np.ndarray:
    """Squared W2 of normal distributions, [S, 1], from sums of the features and of their products."""
    matches, features = len(pool.part), pool.rows.shape[1]
    rows = pool.rows - pool.rows.mean(axis=0)
    moments = np.zeros((matches, 1 + features + features**2))
    for match in range(matches):
        part = rows[pool.match == match]
        moments[match] = np.concatenate([[len(part)], part.sum(axis=0), (part.T @ part).reshape(-1)])
    found = np.full((len(draws.first), 1), np.nan)
    for span in _spans(len(found), max(1, _CHUNK // features**2)):
        sides = []
        for weights in (draws.first[span], draws.second[span]):
            sums = weights @ moments
            mean = sums[:, 1 : 1 + features] / sums[:, :1]
            square = sums[:, 1 + features :].reshape(-1, features, features) / sums[:, :1, None]
            sides += [mean, square - mean[:, :, None] * mean[:, None, :]]
        found[span, 0] = joint.bures(*sides)
    return found


def exact(pool: Pool, draws: Draws, reasons: list[str]) -> np.ndarray:
    """Exact squared W2 of the joint distribution, [S, 1]; `reasons` gets why a solution failed."""
    found = np.full((len(draws.first), 1), np.nan)
    for s, first, second in _of_states(pool, draws):
        here, there = np.flatnonzero(first), np.flatnonzero(second)
        answer = joint.wasserstein2_exact(pool.rows[here], pool.rows[there], first[here], second[there])
        found[s] = answer.value
        if answer.reason:
            reasons.append(answer.reason)
    return found


def kernel(pool: Pool, draws: Draws) -> np.ndarray:
    """Unbiased squared MMD, [S, 1], from the kernel's sums over pairs of matches."""
    compared = np.isin(pool.part[pool.match], (BENIGN, ATTACKED))
    width = joint.median_bandwidth(pool.rows[compared])
    matches = len(pool.part)
    sums = joint.kernel_sums(pool.rows, pool.match, matches, width)
    states = np.bincount(pool.match, minlength=matches).astype(np.float64)
    return joint.mmd_of(sums, states, draws.first, draws.second)[:, None]


def kl_neighbours(pool: Pool, draws: Draws) -> np.ndarray:
    """KL(second || first) by nearest neighbours, [S, 1]."""
    k = neighbours.K
    found = np.full((len(draws.first), 1), np.nan)
    part = pool.part[pool.match]
    observed = {which: np.flatnonzero(part == which) for which in (BENIGN, AGAIN, ATTACKED)}
    # With copies of matches, or with others between them, k neighbours lie deeper in the list.
    spans = [(slice(0, draws.bootstrap.stop), observed[ATTACKED], observed[BENIGN], 3 * k + 10)]
    for span, left_out in ((draws.floor, ATTACKED), (draws.null, AGAIN)):
        rows = np.flatnonzero(part != left_out)
        scarce = min(len(observed[BENIGN]), len(observed[ATTACKED])) / max(len(rows), 1)
        spans.append((span, rows, rows, int(3 * k / max(scarce, 0.01)) + 20))
    for span, own, other, depth in spans:
        if span.start == span.stop or not len(own) or not len(other):
            continue
        lists = [
            neighbours.search(pool.rows[own], pool.match[own], pool.rows[to], pool.match[to], depth, keep=True)
            for to in (own, other)
        ]
        for s in range(span.start, span.stop):
            first, second = draws.first[s], draws.second[s]
            asked = np.flatnonzero(second[pool.match[own]])
            if not len(asked):
                continue
            rho, nu = (
                neighbours.kth(near, asked, weights[pool.match[to]], k)
                for near, weights, to in zip(lists, (second, first), (own, other), strict=True)
            )
            weights = second[pool.match[own]]
            by_match = np.bincount(pool.match[own], weights, minlength=len(pool.part))
            others = weights.sum() - by_match[pool.match[own][asked]]
            there = float(first[pool.match[other]].sum())
            found[s] = neighbours.kl_of(pool.rows.shape[1], rho, nu, others, there, weights[asked])
    return found


def total_variation_neighbours(pool: Pool, draws: Draws) -> np.ndarray:
    """Total variation from below by a vote of nearest neighbours, [S, 1]."""
    found = np.full((len(draws.first), 1), np.nan)
    part = pool.part[pool.match]
    k = neighbours.votes(min(int((part == which).sum()) for which in (BENIGN, ATTACKED)))
    sides = {AGAIN: (slice(0, draws.bootstrap.stop), draws.null), ATTACKED: (draws.floor,)}
    for left_out, spans in sides.items():
        if all(span.start == span.stop for span in spans):
            continue
        rows = np.flatnonzero(part != left_out)
        match = pool.match[rows]
        # A pool of benign matches may be larger than both samples that are drawn from it.
        depth = int((k + 10) * max(1.0, len(rows) / max(int((part != AGAIN).sum()), 1)) * 1.2)
        near = neighbours.search(pool.rows[rows], match, pool.rows[rows], match, depth)
        for span in spans:
            for s in range(span.start, span.stop):
                found[s] = neighbours.voted(near, match, draws.first[s][match], draws.second[s][match], k)
    return found


def total_variation_classifier(pool: Pool, draws: Draws, rng: np.random.Generator) -> tuple[np.ndarray, Draws]:
    """Total variation from below by a classifier, [S, 1], and the draws that the values belong to.

    It learns from one half of the benign and attacked matches and is not fitted again. What it answers in the other
    half, and in `AGAIN`, depends on each match alone, so that those answers are resampled. With answers from several
    folds this would not hold: each fold's model has learned from the other folds' matches, and without any attack 12%
    of p-values were below .05.
    """
    learns = np.zeros(len(pool.part), bool)
    for which in (BENIGN, ATTACKED):
        learns[pool.part == which] = classifier.half(int((pool.part == which).sum()), rng)
    draws = drawn(np.where(learns, -1, pool.part), draws.bootstrap.stop - draws.bootstrap.start, rng)
    side = (pool.part[pool.match] == ATTACKED).astype(np.int64)
    said = classifier.answers(pool.rows, side, learns[pool.match])
    matches = len(pool.part)
    states = np.bincount(pool.match, minlength=matches)
    total = np.bincount(pool.match, said, minlength=matches)
    with np.errstate(invalid="ignore"):
        second, first = ((w @ total) / (w @ states) for w in (draws.second, draws.first))
    return (second - first)[:, None], draws


def _by_feature(
    pool: Pool,
    draws: Draws,
    levels: np.ndarray,
    distance: Callable[[np.ndarray, np.ndarray, Binned], np.ndarray],
    gaps: bool = False,
) -> np.ndarray:
    """A distance between binned distributions, [S, D]: in blocks of features and of resamples, to bound the memory."""
    features, matches = pool.rows.shape[1], len(pool.part)
    found = np.zeros((len(draws.first), features))
    for block in _spans(features, max(1, _TABLE // (matches * (len(levels) + 1)))):
        table = binned(pool.rows[:, block], pool.match, matches, levels, gaps)
        for span in _spans(len(found), max(1, _CHUNK // table.low.size)):
            p, q = (shares(table.counts, weights[span]) for weights in (draws.first, draws.second))
            found[span, block] = distance(p, q, table)
    return found


def _of_states(pool: Pool, draws: Draws) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Every resample, and how often it counts each state as one of the first and of the second sample."""
    for s, (first, second) in enumerate(zip(draws.first, draws.second, strict=True)):
        yield s, first[pool.match], second[pool.match]


def _spans(total: int, size: int) -> Iterator[slice]:
    return (slice(begin, min(begin + size, total)) for begin in range(0, total, size))
