"""Models that say how unusual a step is, as plain arrays: each is fitted in closed form, and the same data give the
same model.

Measured on `discs/duel` (budget .7, 400 and 400 matches, windows of 10 steps), the held-out AUC of whole matches is .83
for logistic regression on the features, .84 on the features with squares and products (34 s), .79 for random Fourier
features, .88 for gradient boosting (9 s), and .91 for the ridge discriminant on features, squares and products (3 s):
`Classifier`. It needs no iteration, so a permutation test can fit it anew for every permutation, and is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sparring.errors import InputError
from sparring.metrics.windows import steps_of
from sparring.types import Tracks

RIDGE = 1e-6  # added to the diagonal of a correlation matrix; on `discs/duel` 1e-3 loses 4 to 5 points of AUC
CLIP = 5.0  # standard deviations: what is farther counts as this, so that a square cannot outweigh everything
MOST_PRODUCTS = 600  # numbers that describe a step; with more, only squares are added to the features
_ROUNDING = 32 * float(np.finfo(np.float32).eps)  # what varies less, relative to its size, is constant


@dataclass(frozen=True, eq=False)
class Unit:
    """Features in units of their own deviations, clipped, with squares and products, again in such units."""

    mean: np.ndarray  # float64 [P]
    scale: np.ndarray  # float64 [P]
    products: bool
    centre: np.ndarray  # float64 [Q]
    spread: np.ndarray  # float64 [Q]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float64 [n, P] to float64 [n, Q]."""
        return (_expanded((features - self.mean) / self.scale, self.products) - self.centre) / self.spread

    def dot(self, features: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """`self(features) @ weights`, float64 [n], without the array [n, Q]."""
        z = np.clip((features - self.mean) / self.scale, -CLIP, CLIP)
        own = weights / self.spread
        size = z.shape[1]
        if not self.products:
            return z @ own[:size] + z**2 @ own[size:] - self.centre @ own
        square = np.zeros((size, size))
        square[np.triu_indices(size)] = own[size:]  # row by row, as `_expanded` has the products
        return z @ own[:size] + ((z @ square) * z).sum(axis=1) - self.centre @ own


def unit_of(features: np.ndarray) -> Unit:
    """The units of features [n, P]; all n count alike."""
    mean, scale = _moments(features)
    size = features.shape[1]
    products = size * (size + 3) // 2 <= MOST_PRODUCTS
    centre, spread = _moments(_expanded((features - mean) / scale, products))
    return Unit(mean, scale, products, centre, spread)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column; a column that is constant up to rounding gets a deviation above its noise."""
    mean, largest = features.mean(axis=0), np.abs(features).max(axis=0)
    return mean, np.maximum(features.std(axis=0), np.where(largest > 0, _ROUNDING * largest, 1.0))


def _expanded(z: np.ndarray, products: bool) -> np.ndarray:
    z = np.clip(z, -CLIP, CLIP)
    if not products:
        return np.concatenate([z, z**2], axis=1)
    return np.concatenate([z, *(z[:, i:] * z[:, i : i + 1] for i in range(z.shape[1]))], axis=1)


@dataclass(frozen=True, eq=False)
class Classifier:
    """Fisher's discriminant with a ridge on features, their squares and products: high where play looks attacked."""

    unit: Unit
    weights: np.ndarray  # float64 [Q]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Scores, float64 [n]."""
        return self.unit.dot(features, self.weights)


def classifier(benign: np.ndarray, attacked: np.ndarray) -> Classifier:
    """The discriminant between two samples of features, [n, P] and [m, P]; both samples weigh as they are."""
    unit = unit_of(np.concatenate([benign, attacked]))
    ours, theirs = unit(benign), unit(attacked)
    covariance = (ours.T @ ours + theirs.T @ theirs) / (len(ours) + len(theirs))
    return Classifier(unit, discriminant(covariance, theirs.mean(axis=0) - ours.mean(axis=0)))


def discriminant(covariance: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """The direction, float64 [Q] or [Q, B], that tells two samples with this difference of means apart."""
    from scipy.linalg import cho_factor, cho_solve

    penalised = covariance + RIDGE * np.eye(len(covariance))
    return cho_solve(cho_factor(penalised), difference)


@dataclass(frozen=True, eq=False)
class Distance:
    """Mahalanobis distance from benign play, root mean square over the features: it needs no attacked match."""

    mean: np.ndarray  # float64 [P]
    whitening: np.ndarray  # float64 [P, P]
    scale: np.ndarray  # float64 [P]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Scores, float64 [n]."""
        z = np.clip((features - self.mean) / self.scale, -2 * CLIP, 2 * CLIP) @ self.whitening
        return np.sqrt((z**2).mean(axis=1))


def distance(benign: np.ndarray) -> Distance:
    """The distance from features [n, P]."""
    mean, scale = _moments(benign)
    z = np.clip((benign - mean) / scale, -2 * CLIP, 2 * CLIP)
    values, vectors = np.linalg.eigh(z.T @ z / len(z) + RIDGE * np.eye(z.shape[1]))
    return Distance(mean, vectors / np.sqrt(values), scale)


@dataclass(frozen=True, eq=False)
class Transition:
    """The victim's marginal next state, given its state and its own action, as benign opponents make it (Prop. 3.3).

    A linear map of state, action, their squares and products, by ridge regression: closed form, plain arrays, and exact
    where the dynamics are linear. What an opponent adds is in its residual.
    """

    unit: Unit
    weights: np.ndarray  # float64 [Q + 1, D], the last row is the constant
    whitening: np.ndarray  # float64 [D, D], makes benign residuals uncorrelated, with variance 1

    def residuals(self, rows: np.ndarray, action: np.ndarray, following: np.ndarray) -> np.ndarray:
        """Standardised residuals, float64 [n, D], of states, actions and next states [n, ...]."""
        x = self.unit(np.concatenate([rows, action], axis=1).astype(np.float64))
        error = following - rows - x @ self.weights[:-1] - self.weights[-1]
        return np.clip(error @ self.whitening, -2 * CLIP, 2 * CLIP)

    def tracks(self, tracks: Tracks) -> Tracks:
        """The residuals of whole matches, which have one step fewer: row t is that of the step into state t + 1.

        Raises:
          InputError: a match of one step, which has no transition.
        """
        at = _transitions(tracks)
        found = self.residuals(tracks.rows[at], tracks.action[at], tracks.rows[at + 1].astype(np.float64))
        match = tracks.match[at]
        return Tracks(found, tracks.action[at], tracks.controlled[at], match, steps_of(match))


def transition(benign: Tracks) -> Transition:
    """The model of benign matches.

    Raises:
      InputError: as `Transition.tracks`.
    """
    at = _transitions(benign)
    rows = benign.rows[at].astype(np.float64)
    x = np.concatenate([rows, benign.action[at]], axis=1).astype(np.float64)
    unit = unit_of(x)
    x = unit(x)
    change = benign.rows[at + 1] - rows
    constant = change.mean(axis=0)
    weights = np.linalg.solve(x.T @ x / len(x) + 1e-6 * np.eye(x.shape[1]), x.T @ (change - constant) / len(x))
    error = change - constant - x @ weights
    scale = np.maximum(error.std(axis=0), _ROUNDING * np.maximum(np.abs(rows).max(axis=0), 1e-6))
    values, vectors = np.linalg.eigh((error / scale).T @ (error / scale) / len(error) + RIDGE * np.eye(len(scale)))
    return Transition(unit, np.concatenate([weights, constant[None]]), vectors / scale[:, None] / np.sqrt(values))


def _transitions(tracks: Tracks) -> np.ndarray:
    """The steps that are followed by another one of the same match."""
    at = np.flatnonzero(np.diff(tracks.match) == 0)
    if len(np.unique(tracks.match[at])) < len(np.unique(tracks.match)):
        raise InputError("transition: a match has one step alone, and no transition: leave such matches out")
    return at


def arrays_of(model: object, prefix: str = "") -> dict[str, np.ndarray]:
    """The numbers of a model, by name."""
    found: dict[str, np.ndarray] = {}
    for name, value in vars(model).items():
        found |= arrays_of(value, f"{prefix}{name}.") if isinstance(value, Unit) else {prefix + name: np.array(value)}
    return found


def unit_from(arrays: Mapping[str, np.ndarray], features: int) -> Unit:
    """The units in `arrays_of`, for so many features.

    Raises:
      ValueError: arrays of other sizes or kinds.
    """
    products = bool(arrays["unit.products"])
    size = features * (features + 3) // 2 if products else 2 * features
    shapes = {"mean": (features,), "scale": (features,), "centre": (size,), "spread": (size,)}
    found = {name: checked(arrays, f"unit.{name}", shape) for name, shape in shapes.items()}
    if min(found["scale"].min(), found["spread"].min()) <= 0:
        raise ValueError("a deviation that is not positive")
    return Unit(products=products, **found)


def checked(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of a file, if it is float64 of this shape.

    Raises:
      ValueError: it is missing or something else.
    """
    array = arrays.get(name)
    if array is None or array.dtype != np.float64 or array.shape != shape:
        got = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
        raise ValueError(f"{name}: expected float64 {list(shape)}, got {got}")
    return array
