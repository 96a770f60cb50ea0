"""Total variation from below, by a classifier that tells two samples of states apart."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sparring.metrics.shift import checked
from sparring.types import Array

_STRENGTH = 0.05  # inverse of the ridge penalty, of features with unit variance; chosen for 100 features, 1,000 states
_SQUARES = 3.0  # a standardised feature beyond this counts as this in its square: one outlier is not everything


def total_variation_classifier(
    x: Array, y: Array, match_x: Array, match_y: Array, seed: int | np.random.Generator = 0
) -> float:
    """A lower bound of the total variation: 2 * balanced accuracy - 1 of a classifier on matches that it has not seen.

    No classifier's balanced accuracy exceeds (1 + TV) / 2. This one is logistic regression on the standardised features
    and their squares, so that it tells means and variances apart, and not how features go together. It learns from one
    half of the matches, and its accuracy is that in the other half.
    Bias: downwards; it comes near the truth where n is some hundreds of times the number of features and the bound
    between the samples is quadratic. The mean is 0 if both distributions are the same; the estimate may be negative.

    Args:
      x: float [n, D].
      y: float [m, D].
      match_x: int [n], which match each state is of.
      match_y: int [m].
      seed: of the halves.

    Returns:
      The estimate; NaN if a sample has fewer than two matches.

    Raises:
      InputError: shapes that do not fit, no states, or a value that is not finite.
    """
    x, y = checked(x, y)
    rng = np.random.default_rng(seed)
    numbers = [np.unique(np.asarray(m), return_inverse=True)[1] for m in (match_x, match_y)]
    learns = np.concatenate([half(int(match.max()) + 1, rng)[match] for match in numbers])
    side = np.repeat([0, 1], [len(x), len(y)])
    said = answers(np.concatenate([x, y]), side, learns)
    shares = [said[(side == which) & ~learns] for which in (0, 1)]
    return float(shares[1].mean() - shares[0].mean()) if min(map(len, shares)) else float("nan")


def half(matches: int, rng: np.random.Generator) -> np.ndarray:
    """A random half of the matches, the smaller one of an odd number: bool [matches]."""
    return rng.permutation(matches) < matches // 2


def answers(rows: np.ndarray, side: np.ndarray, learns: np.ndarray) -> np.ndarray:
    """What a classifier says of every state: 1 (it is of the second sample) or 0.

    Args:
      rows: float64 [n, D].
      side: int [n], 0 or 1.
      learns: bool [n], the states that it learns from.

    Returns:
      float64 [n]; NaN if it would learn from one sample alone.
    """
    if len(np.unique(side[learns])) < 2:
        return np.full(len(rows), np.nan)
    model, features = _model(), _features(rows[learns])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says if it stopped early; its accuracy is held out anyway
        model.fit(features(rows[learns]), side[learns])
    return model.predict(features(rows)).astype(np.float64)


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=200, tol=1e-3)


def _features(rows: np.ndarray) -> Any:
    """Standardised features and their squares, as these rows have them."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)

    def made(part: np.ndarray) -> np.ndarray:
        standard = (part - mean) / deviation
        return np.concatenate([standard, np.minimum(standard**2, _SQUARES**2)], axis=1)

    return made
