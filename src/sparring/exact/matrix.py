"""Matrix games solved exactly: the victim's payoffs [A, B] are to the row player, who maximises.

The functions are those of `sparring.exact.markov` for one state and one step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.exact.simplex import distributions, lowest_minimiser, mixed


class BestResponse(NamedTuple):
    alpha: np.ndarray  # float64 [B], the adversarial policy, deterministic
    value: float  # the victim's expected payoff when it is played under the budget


def value(payoffs: np.ndarray, nu: np.ndarray, alpha: np.ndarray) -> float:
    """The victim's expected payoff nu' payoffs alpha; `alpha` [B] is what the attacker's agent plays in the end.

    Raises:
      InputError: payoffs that are no finite matrix, or policies that do not fit them.
    """
    payoffs = _finite(payoffs)
    return float(_victim(payoffs, nu) @ payoffs @ distributions(alpha, payoffs.shape[1:], "attacker's policy"))


def gradient(
    payoffs: np.ndarray, nu: np.ndarray, alpha: np.ndarray, benign: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of J_eps(nu, alpha) = nu' payoffs ((1 - eps) benign + eps alpha), in the probabilities themselves.

    Returns:
      The gradients in nu [A], and in alpha [B] with the factor eps (DECISIONS 13).

    Raises:
      InputError: payoffs that are no finite matrix, policies that do not fit them, or a budget outside [0, 1].
    """
    payoffs = _finite(payoffs)
    nu = _victim(payoffs, nu)
    distributions(benign, payoffs.shape[1:], "benign policy")
    return payoffs @ mixed(benign, alpha, eps), eps * (nu @ payoffs)


def best_response(payoffs: np.ndarray, nu: np.ndarray, benign: np.ndarray, eps: float) -> BestResponse:
    """The adversarial policy that hurts `nu` most under the budget; ties go to the lowest index (DECISIONS 7).

    Raises:
      InputError: payoffs that are no finite matrix, policies that do not fit them, or a budget outside [0, 1].
    """
    payoffs = _finite(payoffs)
    actions = payoffs.shape[1]
    costs = _victim(payoffs, nu) @ payoffs
    benign = distributions(benign, (actions,), "benign policy")
    tolerance = 64 * np.finfo(np.float64).eps * np.abs(payoffs).max()
    alpha = np.eye(actions)[0 if eps == 0 else lowest_minimiser(costs, tolerance)]
    return BestResponse(alpha, float(costs @ mixed(benign, alpha, eps)))


def exploitability(payoffs: np.ndarray, nu: np.ndarray, benign: np.ndarray, eps: float) -> float:
    """Def. 4.1: minus the worst-case value of `nu` under the budget (one-sided, not NashConv: DECISIONS 4).

    Raises:
      InputError: as `best_response`.
    """
    return -best_response(payoffs, nu, benign, eps).value


def _finite(payoffs: np.ndarray) -> np.ndarray:
    payoffs = np.asarray(payoffs, np.float64)
    if payoffs.ndim != 2 or not payoffs.size or not np.isfinite(payoffs).all():
        raise InputError(f"payoffs: expected a finite matrix [A, B], got shape {list(payoffs.shape)} or a NaN/infinity")
    return payoffs


def _victim(payoffs: np.ndarray, nu: np.ndarray) -> np.ndarray:
    return distributions(nu, payoffs.shape[:1], "victim's policy")
