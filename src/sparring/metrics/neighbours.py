"""Distances between joint distributions by nearest neighbours that come from other matches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparring.metrics.shift import checked
from sparring.types import Array

K = 5  # the neighbour whose distance tells the density
_LEAST = 1e-6  # two states closer than this, in the states' unit, are at this distance: float32 does not resolve less
_BLOCK = 512  # states at a time


class Neighbours(NamedTuple):
    """For each of n states the nearest ones of other matches among m, the nearest first."""

    index: np.ndarray  # int64 [n, L], rows of the sample that was searched
    distance: np.ndarray  # float64 [n, L], infinite where a state of its own match would stand
    squares: np.ndarray | None  # float64 [n, m], squared distances to all, infinite within a match; None: not kept


def search(
    rows: np.ndarray, match: np.ndarray, among: np.ndarray, match_among: np.ndarray, depth: int, keep: bool = False
) -> Neighbours:
    """The `depth` nearest states of other matches, by comparing all.

    Args:
      rows: float64 [n, D].
      match: int [n].
      among: float64 [m, D], the sample that is searched.
      match_among: int [m].
      depth: L, at most m.
      keep: whether all distances are kept, which takes 8 n m bytes.
    """
    centre = among.mean(axis=0)
    rows, among = rows - centre, among - centre
    depth = min(depth, len(among))
    norms, indices, distances, kept = (among**2).sum(axis=1), [], [], []
    for begin in range(0, len(rows), _BLOCK):
        part = rows[begin : begin + _BLOCK]
        squares = np.maximum((part**2).sum(axis=1)[:, None] + norms - 2 * part @ among.T, _LEAST**2)
        squares[match[begin : begin + _BLOCK, None] == match_among] = np.inf
        near = np.argpartition(squares, depth - 1, axis=1)[:, :depth]
        near = np.take_along_axis(near, np.argsort(np.take_along_axis(squares, near, axis=1), axis=1), axis=1)
        indices.append(near)
        distances.append(np.sqrt(np.take_along_axis(squares, near, axis=1)))
        if keep:
            kept.append(squares)
    return Neighbours(np.concatenate(indices), np.concatenate(distances), np.concatenate(kept) if keep else None)


def kth(near: Neighbours, rows: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    """The distance to the k-th neighbour, states counting with `weights` [m]; float64, one for each of `rows`.

    It is infinite where other matches have fewer than k states, or the list is too short and nothing else was kept.
    """
    index, distance = near.index[rows], near.distance[rows]
    reached = np.cumsum(np.where(np.isfinite(distance), weights[index], 0.0), axis=1)
    found = distance[np.arange(len(rows)), np.minimum((reached < k).sum(axis=1), reached.shape[1] - 1)]
    # The list is too short where the nearest states are of matches that do not count: then all states are asked.
    short = np.flatnonzero(reached[:, -1] < k)
    found[short] = np.inf
    if len(short) and near.squares is not None:
        there = np.flatnonzero(weights)
        squares = near.squares[np.ix_(rows[short], there)]
        order = np.argsort(squares, axis=1)
        squares = np.take_along_axis(squares, order, axis=1)
        reached = np.cumsum(np.where(np.isfinite(squares), weights[there][order], 0.0), axis=1)
        at = np.minimum((reached < k).sum(axis=1), len(there) - 1)
        found[short] = np.where(reached[:, -1] < k, np.inf, np.sqrt(squares[np.arange(len(short)), at]))
    return found


def kl_neighbours(p: Array, q: Array, match_p: Array, match_q: Array, k: int = K) -> float:
    """KL divergence D(p || q) in nats by k-nearest neighbours (Wang, Kulkarni, Verdu 2009, Eq. 5).

    (D/n) sum_i log(nu_k(i) / rho_k(i)) + log(m / (n - 1)): rho_k is the distance of the i-th state of p to its k-th
    neighbour in p, nu_k to that in q. Neighbours are of other matches, and n - 1 counts those. The estimate may be
    negative.
    Bias: vanishes as n grows, but slowly: the estimate is too low in many dimensions if the distributions are far apart
    (of order n^(-1/D) relative to the truth). It needs densities: states that are repeated exactly are held 1e-6 apart.

    Args:
      p: float [n, D].
      q: float [m, D].
      match_p: int [n], which match each state is of.
      match_q: int [m], other matches than those of p whatever their numbers.
      k: which neighbour.

    Returns:
      The estimate; NaN if other matches of p have fewer than k states, or q has.

    Raises:
      InputError: shapes that do not fit, no states, or a value that is not finite.
    """
    p, q = checked(p, q)
    own = np.unique(np.asarray(match_p), return_inverse=True)[1]
    others = len(p) - np.bincount(own)[own]
    within = search(p, own, p, own, k)
    across = search(p, np.full(len(p), -1), q, np.zeros(len(q), np.int64), k)
    rows = np.arange(len(p))
    rho, nu = kth(within, rows, np.ones(len(p)), k), kth(across, rows, np.ones(len(q)), k)
    return kl_of(p.shape[1], rho, nu, others, len(q), None)


def kl_of(
    features: int,
    rho: np.ndarray,
    nu: np.ndarray,
    others: np.ndarray,
    there: float,
    weights: np.ndarray | None,
) -> float:
    """The estimate from distances to neighbours in the own sample (`rho`) and in the other one (`nu`), float64 [n].

    Args:
      features: D.
      rho: float64 [n].
      nu: float64 [n].
      others: float64 [n], how many states of other matches the own sample has.
      there: how many states the other sample has.
      weights: float64 [n], how often each state counts; None: once.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = features * (np.log(nu) - np.log(rho)) + np.log(there / others)
    return float(np.average(terms, weights=weights)) if np.isfinite(terms).all() else float("nan")


def votes(states: int) -> int:
    """How many neighbours vote: the odd number next to the root of the number of states in the smaller sample."""
    return 2 * (int(np.sqrt(states)) // 2) + 1


def total_variation_neighbours(x: Array, y: Array, match_x: Array, match_y: Array, k: int | None = None) -> float:
    """A lower bound of the total variation: 2 * balanced accuracy - 1 of classification by k nearest neighbours.

    No classifier's balanced accuracy exceeds (1 + TV) / 2, and this one's approaches it as n and k grow with k / n to 0
    (Cover and Hart 1967; Stone 1977). Neighbours are of other matches; their votes are divided by how many such states
    each sample has. A tie counts half.
    Bias: downwards, more so in many dimensions. The mean is 0 if both distributions are the same; it may be negative.

    Args:
      x: float [n, D].
      y: float [m, D].
      match_x: int [n].
      match_y: int [m], other matches than those of x whatever their numbers.
      k: how many vote; None: `votes` of the smaller sample.

    Returns:
      The estimate; NaN if a sample has one match alone.

    Raises:
      InputError: as `kl_neighbours`.
    """
    x, y = checked(x, y)
    first, second = (np.unique(np.asarray(m), return_inverse=True)[1] for m in (match_x, match_y))
    if first.max() == 0 or second.max() == 0:
        return float("nan")
    rows = np.concatenate([x, y])
    match = np.concatenate([first, second + first.max() + 1])
    side = np.repeat([1.0, 0.0], [len(x), len(y)])
    k = votes(min(len(x), len(y))) if k is None else k
    return voted(search(rows, match, rows, match, k), match, side, 1 - side, k)


def voted(near: Neighbours, match: np.ndarray, first: np.ndarray, second: np.ndarray, k: int) -> float:
    """`total_variation_neighbours` of a resample.

    Args:
      near: of all states among all states.
      match: int [n].
      first: float64 [n], how often each state counts as one of the first sample.
      second: float64 [n], as one of the second.
      k: how many vote.
    """
    usable = np.isfinite(near.distance)
    reached = np.cumsum(np.where(usable, (first + second)[near.index], 0.0), axis=1)
    asked = usable & (np.concatenate([np.zeros((len(reached), 1)), reached[:, :-1]], axis=1) < k)
    outside = [side.sum() - np.bincount(match, side)[match] for side in (first, second)]
    with np.errstate(invalid="ignore", divide="ignore"):
        for_first, for_second = (
            np.where(asked, side[near.index], 0.0).sum(axis=1) / there
            for side, there in zip((first, second), outside, strict=True)
        )
        says_second = np.where(for_second > for_first, 1.0, np.where(for_second == for_first, 0.5, 0.0))
        found = (says_second @ second) / second.sum() - (says_second @ first) / first.sum()
    return float(found) if min(map(np.min, outside)) > 0 else float("nan")
