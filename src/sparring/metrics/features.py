"""Features of states: which of them move, how they are chosen by name, and which vary the most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError, unknown
from sparring.types import Array

# A feature is constant up to rounding in float32 if its standard deviation is below so many of float32's steps at its
# mean; or below 1e-6, or below 1e-6 of the largest value where all values are small.
_CONSTANT, _STEPS = 1e-6, 4 * float(np.finfo(np.float32).eps)


def units(reference: Array, other: Array) -> tuple[np.ndarray, np.ndarray]:
    """The unit of every feature, and whether it moves.

    The unit is the standard deviation of the even mixture of both samples. Each sample counts for one half, whatever
    its size. A feature is constant up to rounding if this deviation is below four of the steps that float32 has at the
    feature's mean, or below 1e-6 (of the largest mean or deviation of any feature, where all are below 1).

    Args:
      reference: float [n, D], finite.
      other: float [m, D], finite.

    Returns:
      The unit, float64 [D], and whether the feature moves, bool [D].
    """
    reference, other = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    apart = reference.mean(axis=0) - other.mean(axis=0)
    deviation = np.sqrt((reference.var(axis=0) + other.var(axis=0)) / 2 + apart**2 / 4)
    mean = (reference.mean(axis=0) + other.mean(axis=0)) / 2
    least = _CONSTANT * min(1.0, float((np.abs(mean) + deviation).max(initial=0.0)))
    return deviation, (deviation > 0) & (deviation >= np.maximum(least, _STEPS * np.abs(mean)))


def chosen(names: Sequence[str], patterns: Sequence[str] | str) -> tuple[int, ...]:
    """The indices of the features that any of the patterns names, in the features' order.

    Args:
      names: of all features.
      patterns: names, or patterns with `*`, `?` and `[...]` as the shell has them, such as `hip * velocity`.

    Raises:
      InputError: a pattern names no feature.
    """
    found: set[int] = set()
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        # A name may contain a bracket: it is itself first, and a pattern only if no feature is called so.
        same = [i for i, name in enumerate(names) if name == pattern]
        matching = same or [i for i, name in enumerate(names) if fnmatchcase(name, pattern)]
        if not matching:
            raise unknown("feature", pattern, names)
        found.update(matching)
    return tuple(sorted(found))


def check_groups(groups: Mapping[str, Sequence[int]], features: int) -> Mapping[str, tuple[int, ...]]:
    """Groups of features as tuples of indices.

    Raises:
      InputError: a group is empty, has an index twice, or one that no feature has.
    """
    for name, indices in groups.items():
        if not len(indices) or len(set(indices)) < len(indices) or not all(0 <= i < features for i in indices):
            raise InputError(
                f"group {name!r}: expected different indices of features from 0 to {features - 1}, got {list(indices)}"
            )
    return {name: tuple(int(i) for i in indices) for name, indices in groups.items()}


def grouped(names: Sequence[str], prefixes: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    """The features whose names begin with each prefix, as a mapping from the prefix to their indices.

    A feature belongs to the longest prefix that it begins with. Features that begin with none belong to no group.

    Raises:
      InputError: no feature belongs to a prefix.
    """
    owner = [max((p for p in prefixes if name.startswith(p)), key=len, default=None) for name in names]
    groups = {prefix: tuple(i for i, own in enumerate(owner) if own == prefix) for prefix in prefixes}
    for prefix, indices in groups.items():
        if not indices:
            raise unknown("feature that begins with", prefix, names)
    return groups


def most_variable(rows: Array, count: int = 10) -> tuple[int, ...]:
    """The indices of the features with the largest variance, the largest first (Tables 1 to 3 of the paper).

    Variances are in the features' own units, as in the paper: no feature is standardised. Equal ones are in the order
    of their indices.

    Args:
      rows: float [n, D], states.
      count: how many; all if there are fewer.

    Raises:
      InputError: no states, a value that is not finite, or a count below 1.
    """
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2 or 0 in rows.shape or not np.isfinite(rows).all():
        raise InputError(f"expected finite states [n, D] with n, D > 0, got {list(rows.shape)}")
    if count < 1:
        raise InputError(f"count: expected at least one feature, got {count}")
    variance = rows.var(axis=0)
    return tuple(int(i) for i in np.lexsort((np.arange(len(variance)), -variance))[:count])


def importance(samples: Mapping[str, Array], count: int = 10) -> Mapping[str, tuple[int, ...]]:
    """`most_variable` of several samples, such as benign, constrained and unconstrained (Tables 1 to 3).

    Args:
      samples: float [n, D] each, by name; n may differ.
      count: how many features of each.

    Raises:
      InputError: samples with different numbers of features, or as `most_variable`.
    """
    widths = {name: np.shape(rows)[-1] for name, rows in samples.items()}
    for name, width in widths.items():
        first = next(iter(widths))
        if width != widths[first]:
            raise InputError(f"{name}: expected {widths[first]} features as in {first}, got {width}")
    return {name: most_variable(rows, count) for name, rows in samples.items()}


class Overlap(NamedTuple):
    """How many features two lists share, and what chance would give."""

    shared: int
    expected: float  # by chance: the mean of the hypergeometric distribution
    low: int  # the 2.5% quantile by chance
    high: int  # the 97.5% quantile by chance
    p: float  # how often chance gives as many as are shared, or more


def overlap(first: Sequence[int], second: Sequence[int], features: int) -> Overlap:
    """Compare two lists of features with lists that are drawn at random.

    If one list of a features is fixed, and the other one, of b features, is drawn from all D without replacement, then
    the number that they share is hypergeometric: P(x) = C(a, x) C(D - a, b - x) / C(D, b), with mean a b / D.

    Args:
      first: different indices.
      second: different indices.
      features: D, how many features there are.

    Raises:
      InputError: an index that is not in 0 .. D - 1, or that is there twice.
    """
    for which in (first, second):
        if len(set(which)) < len(which) or not all(0 <= i < features for i in which):
            raise InputError(f"expected different indices of features from 0 to {features - 1}, got {list(which)}")
    a, b, shared = len(first), len(second), len(set(first) & set(second))
    ways = [math.comb(a, x) * math.comb(features - a, b - x) for x in range(min(a, b) + 1)]
    total = math.comb(features, b)
    below = [sum(ways[: x + 1]) / total for x in range(len(ways))]
    low, high = (next(x for x, share in enumerate(below) if share >= q) for q in (0.025, 0.975))
    return Overlap(shared, a * b / features, low, high, sum(ways[shared:]) / total)
