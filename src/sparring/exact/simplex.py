"""Probability distributions as rows of an array: their check, partial control, and the nearest one."""

from __future__ import annotations

import numpy as np

from sparring.errors import InputError
from sparring.exact.compiled import njit
from sparring.types import check_budget

# Rows of float32 networks' probabilities miss one by about 1e-7.
ROW_TOLERANCE = 1e-6


def distributions(array: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """`array` as float64, if it has this shape and its last axis holds probability distributions.

    Raises:
      InputError: another shape, a negative or non-finite number, or a row that does not sum to one; `what` is named.
    """
    array = np.asarray(array, np.float64)
    if array.shape != shape:
        raise InputError(f"{what}: expected shape {list(shape)}, got {list(array.shape)}")
    bad = ~np.isfinite(array).all(axis=-1) | (array < 0).any(axis=-1)
    if bad.any():
        raise InputError(f"{what}{_row(bad)}: expected probabilities (finite, at least 0), got {array[bad][0]}")
    total = array.sum(axis=-1)
    bad = np.abs(total - 1) > ROW_TOLERANCE
    if bad.any():
        raise InputError(f"{what}{_row(bad)}: expected probabilities that sum to 1, got a sum of {total[bad][0]:.9g}")
    return array


def mixed(benign: np.ndarray, alpha: np.ndarray, eps: float) -> np.ndarray:
    """Eq. 3.2 in action probabilities: (1 - eps) benign + eps alpha, row by row (DECISIONS 1).

    Args:
      benign: the agent's own policy, [..., B].
      alpha: the adversarial policy, [..., B].
      eps: the attack budget.

    Raises:
      InputError: a budget outside [0, 1], shapes that differ, or rows that are no distributions.
    """
    eps = check_budget(eps)
    benign = distributions(benign, np.shape(benign), "benign policy")
    return (1 - eps) * benign + eps * distributions(alpha, benign.shape, "adversarial policy")


def lowest_minimiser(costs: np.ndarray, tolerance: float) -> np.ndarray:
    """The lowest index whose cost is within `tolerance` of the minimum along the last axis (DECISIONS 7).

    Without a tolerance, rounding in the last bit would decide between actions that are equally good.
    """
    return (costs <= costs.min(axis=-1, keepdims=True) + tolerance).argmax(axis=-1)


@njit(cache=True)
def project(rows: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The Euclidean projection onto the simplex, row by row: P_Pi of Algorithms 1 and 2.

    max(row - theta, 0) with the one theta that makes it sum to 1 (Held, Wolfe and Crowder 1974), found by Michelot's
    (1986) iteration: Newton's method on the sum, which is exact after at most as many rounds as there are actions.

    Args:
      rows: finite numbers, float64 [S, A].
      actions: number of legal actions in each row, at least 1, int64 [S].

    Returns:
      float64 [S, A]; columns beyond a row's legal actions are 0.
    """
    projected = np.zeros(rows.shape)
    for s in range(len(rows)):
        legal = actions[s]
        top = rows[s, 0]
        for a in range(1, legal):
            top = max(top, rows[s, a])
        # Counted from the largest number, so that numbers far from 0 keep their digits: it stays, so theta >= -1.
        theta, before = -1.0, -2.0
        while theta > before:
            before, kept, total = theta, 0, -1.0
            for a in range(legal):
                above = rows[s, a] - top
                if above > theta:
                    kept += 1
                    total += above
            theta = total / kept
        for a in range(legal):
            projected[s, a] = max(rows[s, a] - top - theta, 0.0)
    return projected


def _row(bad: np.ndarray | np.bool) -> str:
    """The index of the first bad row, as `[0, 1]`; nothing where there is one row only."""
    return str(np.argwhere(bad)[0].tolist()) if bad.ndim else ""
