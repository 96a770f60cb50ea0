"""Rows of numbers: the best action, and the nearest distribution."""

from __future__ import annotations

import numpy as np

from sparring.exact.compiled import njit


def lowest_minimiser(costs: np.ndarray, tolerance: float | np.ndarray) -> np.ndarray:
    """The lowest index whose cost is within `tolerance` of the minimum along the last axis (DECISIONS 7).

    `tolerance` is one number, or one for each row [S, 1]. Without it, rounding in the last bit would decide between
    actions that are equally good.
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
