"""Two-player discounted Markov games solved exactly: values, visitation, gradients and best responses.

The victim nu [S, A] maximises, the attacker alpha [S, B] minimises the victim's value. Arrays of a game are those of
`sparring.games.markov.MarkovGame`: P [S, A, B, S], r [S, A, B], rho [S], gamma.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sparring.exact.simplex import distributions, lowest_minimiser, mixed
from sparring.types import check_budget

if TYPE_CHECKING:
    from sparring.games.markov import MarkovGame


class BestResponse(NamedTuple):
    policy: np.ndarray  # float64 [S, B] of the attacker or [S, A] of the victim, deterministic
    value: float  # the victim's


def value(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """V_s(nu, alpha) of section 2, float64 [S]; `alpha` is what the attacker's agent plays in the end.

    Raises:
      InputError: policies that do not fit the game.
    """
    nu, alpha = _victim(game, nu), _attacker(game, alpha)
    return _solve(game, *_attacker_view(game, nu), alpha)


def expected_value(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> float:
    """V_rho(nu, alpha) of section 2: the mean of `value` over the start distribution.

    Raises:
      InputError: policies that do not fit the game.
    """
    return float(game.rho @ value(game, nu, alpha))


def visitation(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Def. 2.1: the discounted state visitation d_rho, float64 [S], which sums to one.

    Raises:
      InputError: policies that do not fit the game.
    """
    nu, alpha = _victim(game, nu), _attacker(game, alpha)
    chain = np.einsum("sa,sb,sabt->st", nu, alpha, game.P)
    return (1 - game.gamma) * np.linalg.solve(np.eye(len(game.rho)) - game.gamma * chain.T, game.rho)


def q_victim(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Q(s, a), float64 [S, A]: the victim plays a once, then nu; the other agent always alpha.

    Raises:
      InputError: policies that do not fit the game.
    """
    onwards = game.r + game.gamma * game.P @ value(game, nu, alpha)
    return np.einsum("sab,sb->sa", onwards, _attacker(game, alpha))


def q_attacker(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Q(s, b), float64 [S, B], still the victim's value: the attacker plays b once, then alpha.

    Raises:
      InputError: policies that do not fit the game.
    """
    onwards = game.r + game.gamma * game.P @ value(game, nu, alpha)
    return np.einsum("sab,sa->sb", onwards, _victim(game, nu))


def gradient(
    game: MarkovGame, nu: np.ndarray, alpha: np.ndarray, benign: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of J_eps(nu, alpha) in the action probabilities themselves (Lemma D.1).

    The policy gradient theorem at the mixed policy: d(s) Q(s, .) / (1 - gamma), for alpha times eps (DECISIONS 13).

    Args:
      game: the game.
      nu: the victim's policy [S, A].
      alpha: the adversarial policy [S, B], before mixing.
      benign: the attacker's agent's own policy [S, B].
      eps: the attack budget.

    Returns:
      The gradients in nu [S, A] and in alpha [S, B].

    Raises:
      InputError: policies that do not fit the game, or a budget outside [0, 1].
    """
    played = mixed(_attacker(game, benign, "benign policy"), alpha, eps)
    weight = visitation(game, nu, played)[:, None] / (1 - game.gamma)
    return weight * q_victim(game, nu, played), eps * weight * q_attacker(game, nu, played)


def best_response(game: MarkovGame, nu: np.ndarray, benign: np.ndarray, eps: float) -> BestResponse:
    """The adversarial policy that hurts `nu` most under the budget: the minimum in Def. 4.1.

    Policy iteration on the game that the attacker faces once the budget is part of it (r_mix and P_mix of D.3).
    Ties go to the lowest index (DECISIONS 7).

    Args:
      game: the game.
      nu: the victim's policy [S, A].
      benign: the attacker's agent's own policy [S, B].
      eps: the attack budget.

    Raises:
      InputError: policies that do not fit the game, or a budget outside [0, 1].
    """
    eps = check_budget(eps)
    nu, benign = _victim(game, nu), _attacker(game, benign, "benign policy")
    reward, transition = _attacker_view(game, nu)
    reward = (1 - eps) * np.einsum("sb,sb->s", benign, reward)[:, None] + eps * reward
    transition = (1 - eps) * np.einsum("sb,sbt->st", benign, transition)[:, None] + eps * transition
    return _minimiser(game, reward, transition)


def victim_response(game: MarkovGame, alpha: np.ndarray) -> BestResponse:
    """The victim's policy that does best against `alpha` [S, B], what the attacker's agent plays in the end.

    Returns:
      The policy [S, A], deterministic, ties to the lowest index (DECISIONS 7), and its value.

    Raises:
      InputError: a policy that does not fit the game.
    """
    alpha = _attacker(game, alpha)
    reward, transition = np.einsum("sab,sb->sa", game.r, alpha), np.einsum("sabt,sb->sat", game.P, alpha)
    policy, value = _minimiser(game, -reward, transition)
    return BestResponse(policy, -value)


def exploitability(game: MarkovGame, nu: np.ndarray, benign: np.ndarray, eps: float) -> float:
    """Def. 4.1: minus the worst-case value of `nu` under the budget (one-sided, not NashConv: DECISIONS 4).

    Raises:
      InputError: as `best_response`.
    """
    return -best_response(game, nu, benign, eps).value


def _attacker_view(game: MarkovGame, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Markov decision process that a fixed victim leaves to the attacker: r [S, B] and P [S, B, S]."""
    return np.einsum("sab,sa->sb", game.r, nu), np.einsum("sabt,sa->sbt", game.P, nu)


def _solve(game: MarkovGame, reward: np.ndarray, transition: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The value [S] of `alpha` [S, B] in the decision process reward [S, B], transition [S, B, S]."""
    chain = np.einsum("sb,sbt->st", alpha, transition)
    return np.linalg.solve(np.eye(len(chain)) - game.gamma * chain, np.einsum("sb,sb->s", alpha, reward))


def _minimiser(game: MarkovGame, reward: np.ndarray, transition: np.ndarray) -> BestResponse:
    """The policy of least value in the decision process reward [S, B], transition [S, B, S], by policy iteration."""
    deterministic = np.eye(reward.shape[1])
    states = np.arange(len(reward))
    chosen = np.zeros(len(reward), int)
    while True:
        values = _solve(game, reward, transition, deterministic[chosen])
        costs = reward + game.gamma * transition @ values
        # The linear solve is off by about this much: a smaller gain is none, and accepting it could go on for ever.
        tolerance = 64 * np.finfo(np.float64).eps * np.abs(costs).max() / (1 - game.gamma)
        better = costs.min(axis=1) < costs[states, chosen] - tolerance
        if not better.any():
            return BestResponse(deterministic[lowest_minimiser(costs, tolerance)], float(game.rho @ values))
        chosen = np.where(better, costs.argmin(axis=1), chosen)


def _victim(game: MarkovGame, nu: np.ndarray) -> np.ndarray:
    return distributions(nu, game.r.shape[:2], "victim's policy")


def _attacker(game: MarkovGame, alpha: np.ndarray, what: str = "attacker's policy") -> np.ndarray:
    return distributions(alpha, (game.r.shape[0], game.r.shape[2]), what)
