"""Total variation from below, by a classifier that tells two samples of states apart."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sparring.metrics.shift import checked
from sparring.types import Array

FOLDS = 5
_STRENGTH = 0.05  # inverse of the ridge penalty, of features with unit variance; chosen for 100 features, 1,000 states
_SQUARES = 3.0  # a standardised feature beyond this counts as this in its square: one outlier is not everything


def total_variation_classifier(
    x: Array, y: Array, match_x: Array, match_y: Array, seed: int | np.random.Generator = 0
) -> float:
    """A lower bound of the total variation: 2 * balanced accuracy - 1 of a classifier on matches that it has not seen.

    No classifier's balanced accuracy exceeds (1 + TV) / 2. This one is logistic regression on the standardised features
    and their squares, so that it tells means and variances apart, and not how features go together. Folds are of whole
    matches.
    Bias: downwards; it comes near the truth where n is some hundreds of times the number of features and the bound
    between the samples is quadratic. About 0 if both distributions are the same; it may be negative.

    Args:
      x: float [n, D].
      y: float [m, D].
      match_x: int [n], which match each state is of.
      match_y: int [m].
      seed: of the folds.

    Returns:
      The estimate; NaN if a sample has fewer than two matches.

    Raises:
      InputError: shapes that do not fit, no states, or a value that is not finite.
    """
    x, y = checked(x, y)
    first, second = (np.unique(np.asarray(m), return_inverse=True)[1] for m in (match_x, match_y))
    counts = first.max() + 1, second.max() + 1
    if min(counts) < 2:
        return float("nan")
    rng = np.random.default_rng(seed)
    fold = np.concatenate([folds(count, min(FOLDS, *counts), rng) for count in counts])
    match = np.concatenate([first, second + counts[0]])
    side = np.repeat([0, 1], [len(x), len(y)])
    said = held_out(np.concatenate([x, y]), side, fold[match])
    return float(said[side == 1].mean() - said[side == 0].mean())


def folds(matches: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """A fold for every match, int64 [matches], of sizes that differ by one at most."""
    return rng.permutation(np.arange(matches) % count)


def held_out(rows: np.ndarray, side: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """What a classifier says of every state: 1 (it is of the second sample) or 0, by the model of the state's fold.

    Args:
      rows: float64 [n, D].
      side: int [n]: 0 and 1 for the samples that are told apart; -1 for states that no model learns from.
      fold: int [n]; the model of a fold has learned from all others.

    Returns:
      float64 [n]; NaN in a fold without which one of the samples has no states.
    """
    said = np.full(len(rows), np.nan)
    for number in np.unique(fold):
        learn = (fold != number) & (side >= 0)
        if len(np.unique(side[learn])) < 2:
            continue
        model, features = _model(), _features(rows[learn])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says if it stopped early; its accuracy is held out anyway
            model.fit(features(rows[learn]), side[learn])
        here = fold == number
        said[here] = model.predict(features(rows[here]))
    return said


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
