"""Distances between joint distributions of all features: transport and kernels.

Every function takes the states in the unit in which the distance is wanted. `distances.compare_states` divides them by
`features.units` before. Squared transport distances are divided by the number of features D, so that they can be laid
beside the mean of the features' own distances.
"""

from __future__ import annotations

import importlib
import math
import os
import warnings
from types import ModuleType
from typing import NamedTuple

import numpy as np

from sparring.metrics.shift import checked, sorted_squares
from sparring.types import Array

DIRECTIONS = 64  # of the sliced distance
_BACKENDS = ("PYTORCH", "JAX", "CUPY", "TENSORFLOW")
_ITERATIONS = 10_000_000  # of the network simplex: enough for some thousands of states
_BLOCK = 1024  # rows of a kernel matrix at a time


class Answer(NamedTuple):
    """A distance; where it is NaN, why."""

    value: float
    reason: str = ""


def wasserstein2_exact(x: Array, y: Array, weights_x: Array | None = None, weights_y: Array | None = None) -> Answer:
    """Squared Wasserstein-2 distance of the joint distributions over D, exact, by POT's network simplex.

    min over couplings of E |X - Y|^2 / D. It takes a time of order n^3, so give some hundreds of states.
    Bias of finite samples: positive, of order n^(-2/D) for D > 4. In 100 dimensions it exceeds most distances, so only
    the difference from the noise floor means anything.

    POT gives 0 where a cost is NaN, and crashes on empty samples. So the answer is NaN with a reason unless the samples
    are finite and not empty, the solver says that it converged, and its plan has the right margins.

    Args:
      x: float [n, D].
      y: float [m, D].
      weights_x: float [n], not negative, of which the sum is not 0; None: all equal.
      weights_y: float [m].
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or 0 in x.shape + y.shape or x.shape[1] != y.shape[1]:
        return Answer(math.nan, f"transport needs states [n, D] and [m, D], got {list(x.shape)} and {list(y.shape)}")
    a = np.ones(len(x)) if weights_x is None else np.asarray(weights_x, np.float64)
    b = np.ones(len(y)) if weights_y is None else np.asarray(weights_y, np.float64)
    if not (a.sum() > 0 and b.sum() > 0):
        return Answer(math.nan, "transport needs states on both sides, got none on one")
    return _transported(_squares(x, y) / x.shape[1], a / a.sum(), b / b.sum())


def _transported(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> Answer:
    """The least cost of moving `a` to `b`, float64 [n] and [m] with sum 1."""
    if not (np.isfinite(cost).all() and np.isfinite(a).all() and np.isfinite(b).all()):
        return Answer(math.nan, "transport needs finite states, got NaN or infinity")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is in its log, too
        plan, log = _pot().emd(a, b, np.ascontiguousarray(cost), numItermax=_ITERATIONS, log=True)
    if log["warning"] is not None:
        return Answer(math.nan, f"transport did not converge: {log['warning']}")
    missed = max(np.abs(plan.sum(axis=1) - a).max(), np.abs(plan.sum(axis=0) - b).max())
    if not missed < 1e-9:
        return Answer(math.nan, f"transport failed: its plan misses the margins by {missed:.1g}")
    return Answer(float((plan * cost).sum()))


def _pot() -> ModuleType:
    """POT, with its backends switched off while it is imported: it would load PyTorch and JAX for nothing."""
    keys = [f"POT_BACKEND_DISABLE_{name}" for name in _BACKENDS]
    added = {key: "1" for key in keys if key not in os.environ}
    os.environ.update(added)
    try:
        return importlib.import_module("ot")
    finally:
        for key in added:
            del os.environ[key]


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances, float64 [n, m], of points that are moved to their common centre first."""
    centre = (x.mean(axis=0) + y.mean(axis=0)) / 2
    x, y = x - centre, y - centre
    return np.maximum((x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T, 0.0)


def directions(features: int, count: int, seed: int | np.random.Generator) -> np.ndarray:
    """Unit vectors drawn uniformly, float64 [D, count]. In one dimension there is one."""
    if features == 1:
        return np.ones((1, 1))
    drawn = np.random.default_rng(seed).normal(size=(features, count))
    return drawn / np.linalg.norm(drawn, axis=0)


def wasserstein2_sliced(x: Array, y: Array, count: int = DIRECTIONS, seed: int | np.random.Generator = 0) -> float:
    """Sliced squared Wasserstein-2 distance: the mean of squared 1-D distances along random directions.

    SW2^2 = E over unit vectors t of W2^2(t.X, t.Y) (Rabin, Peyre, Delon, Bernot 2011; Bonneel et al. 2015). It takes a
    time of order n log n. It is at most W2^2 / D, and equals it if one sample is the other one moved or scaled.
    Bias: positive, of order 1/n + 1/m in every dimension; the directions add a spread of order 1 / sqrt(count).

    Args:
      x: float [n, D].
      y: float [m, D].
      count: of directions.
      seed: of the directions.

    Raises:
      InputError: shapes that do not fit, no states, or a value that is not finite.
    """
    x, y = checked(x, y)
    along = directions(x.shape[1], count, seed)
    return float(sorted_squares(x @ along, y @ along).mean())


def wasserstein2_gaussian(x: Array, y: Array) -> float:
    """Squared Wasserstein-2 distance over D of the normal distributions with the samples' means and covariances.

    (|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2)) / D (Dowson and Landau 1982; Gelbrich 1990). For
    other distributions it is a lower bound of their squared distance. Covariances divide by n.
    Bias: positive, of order D (1/n + 1/m) for n > D.

    Args:
      x: float [n, D].
      y: float [m, D].

    Raises:
      InputError: as `wasserstein2_sliced`.
    """
    x, y = checked(x, y)
    moments = [(s.mean(axis=0)[None], np.cov(s.T, bias=True).reshape(1, x.shape[1], -1)) for s in (x, y)]
    return float(bures(*moments[0], *moments[1])[0])


def bures(mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`wasserstein2_gaussian` of moments: means [R, D] and covariances [R, D, D], to float64 [R]."""
    features = mean.shape[-1]
    trace = np.trace(covariance, axis1=-2, axis2=-1) + np.trace(other, axis1=-2, axis2=-1)
    # S1 = L L^T by eigenvalues: rounding may make those of a singular covariance negative. The eigenvalues of L^T S2 L
    # are those of S1^(1/2) S2 S1^(1/2).
    spread, axes = np.linalg.eigh(covariance)
    factor = axes * np.sqrt(np.maximum(spread, 0.0))[..., None, :]
    values = np.linalg.eigvalsh(np.swapaxes(factor, -1, -2) @ other @ factor)
    common = np.sqrt(np.maximum(values, 0.0)).sum(axis=-1)
    return (((mean - other_mean) ** 2).sum(axis=-1) + np.maximum(trace - 2 * common, 0.0)) / features


def median_bandwidth(rows: np.ndarray) -> float:
    """The median distance between two of the states [n, D]: the kernel's width (Gretton et al. 2012, section 8).

    Of many states, about 2,000 are asked, evenly spaced in their order.
    """
    rows = rows[:: max(1, len(rows) // 2000)]
    squares = _squares(rows, rows)
    median = float(np.median(squares[np.triu_indices(len(rows), 1)])) if len(rows) > 1 else 0.0
    # More than half of the pairs may be the same state.
    return math.sqrt(median or float(squares.mean()) or 1.0)


def mmd(x: Array, y: Array, match_x: Array, match_y: Array, bandwidth: float | None = None) -> float:
    """Squared maximum mean discrepancy with the kernel exp(-|x - y|^2 / (2 h^2)), unbiased; it may be negative.

    E k(X, X') + E k(Y, Y') - 2 E k(X, Y) (Gretton et al. 2012, Lemma 6). States of one match depend on each other. So
    pairs within a sample are of different matches: with the states of one match the estimate would be too large.
    Bias: none if matches have equally many states, else of order 1 / matches.

    Args:
      x: float [n, D].
      y: float [m, D].
      match_x: int [n], which match each state is of.
      match_y: int [m].
      bandwidth: h; None: the median distance between two states of both samples.

    Returns:
      The estimate; NaN if a sample has one match alone.

    Raises:
      InputError: as `wasserstein2_sliced`.
    """
    x, y = checked(x, y)
    rows = np.concatenate([x, y])
    bandwidth = median_bandwidth(rows) if bandwidth is None else bandwidth
    first, second = (np.unique(np.asarray(m), return_inverse=True)[1] for m in (match_x, match_y))
    matches = int(first.max()) + 1
    match = np.concatenate([first, second + matches])
    total = int(match.max()) + 1
    sums = kernel_sums(rows, match, total, bandwidth)
    side = (np.arange(total) < matches).astype(np.float64)[None]
    return float(mmd_of(sums, np.bincount(match, minlength=total).astype(np.float64), side, 1 - side)[0])


def kernel_sums(rows: np.ndarray, match: np.ndarray, matches: int, bandwidth: float) -> np.ndarray:
    """The sums of the kernel over the states of every pair of matches, float64 [M, M]."""
    order = np.argsort(match, kind="stable")
    rows, match = rows[order], match[order]
    present, starts = np.unique(match, return_index=True)
    sums = np.zeros((matches, matches))
    for begin in range(0, len(rows), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        kernel = _squares(rows[part], rows)
        kernel *= -0.5 / bandwidth**2
        np.exp(kernel, out=kernel)
        here, first = np.unique(match[part], return_index=True)
        sums[np.ix_(here, present)] += np.add.reduceat(np.add.reduceat(kernel, starts, axis=1), first, axis=0)
    return sums


def mmd_of(sums: np.ndarray, states: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """`mmd` of resamples that count the matches with weights `first` and `second` [R, M], to float64 [R]."""
    diagonal = np.diag(sums)

    def within(weights: np.ndarray) -> np.ndarray:
        # Copies of one match in a bootstrap are one match, too.
        total = ((weights @ sums) * weights).sum(axis=1) - weights**2 @ diagonal
        return total / ((weights @ states) ** 2 - weights**2 @ states**2)

    with np.errstate(invalid="ignore", divide="ignore"):
        across = ((first @ sums) * second).sum(axis=1) / ((first @ states) * (second @ states))
        found = within(first) + within(second) - 2 * across
    return np.where(np.isfinite(found), found, np.nan)
