"""Two-player discounted Markov games solved exactly: values, visitation, gradients and best responses.

The victim nu [S, A] maximises, the attacker alpha [S, B] minimises the victim's value. Arrays of a game are those of
`sparring.exact.markov_game.MarkovGame`: P [S, A, B, S], r [S, A, B], rho [S], gamma. Policies are not checked here,
because dynamics call these functions thousands of times: `sparring.exact.problem.fitting` does it once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparring.exact.markov_game import MarkovGame
from sparring.exact.simplex import lowest_minimiser


class BestResponse(NamedTuple):
    policy: np.ndarray  # float64 [S, B] of the attacker or [S, A] of the victim, deterministic
    value: float  # the victim's


def value(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """V_s(nu, alpha) of section 2, float64 [S]; `alpha` is what the attacker's agent plays in the end."""
    return _solve(game, *_attacker_view(game, nu), alpha)


def expected_value(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> float:
    """V_rho(nu, alpha) of section 2: the mean of `value` over the start distribution."""
    return float(game.rho @ value(game, nu, alpha))


def visitation(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Def. 2.1: the discounted state visitation d_rho, float64 [S], which sums to one."""
    _, transition = _attacker_view(game, nu)
    return _visitation(game, _row_wise(alpha, transition))


def q_victim(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Q(s, a), float64 [S, A]: the victim plays a once, then nu; the other agent always alpha."""
    return _victim_values(game, alpha, value(game, nu, alpha))


def q_attacker(game: MarkovGame, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Q(s, b), float64 [S, B], still the victim's value: the attacker plays b once, then alpha."""
    reward, transition = _attacker_view(game, nu)
    return reward + game.gamma * transition @ _solve(game, reward, transition, alpha)


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
    """
    played = (1 - eps) * benign + eps * alpha
    reward, transition = _attacker_view(game, nu)
    values = _solve(game, reward, transition, played)
    weight = _visitation(game, _row_wise(played, transition))[:, None] / (1 - game.gamma)
    of_attacker = reward + game.gamma * transition @ values
    return weight * _victim_values(game, played, values), eps * weight * of_attacker


def best_response(game: MarkovGame, nu: np.ndarray, benign: np.ndarray, eps: float) -> BestResponse:
    """The adversarial policy that hurts `nu` most under the budget: the minimum in Def. 4.1.

    Policy iteration on the game that the attacker faces once the budget is part of it (r_mix and P_mix of D.3).
    Ties go to the lowest index (DECISIONS 7).

    Args:
      game: the game.
      nu: the victim's policy [S, A].
      benign: the attacker's agent's own policy [S, B].
      eps: the attack budget.
    """
    reward, transition = _attacker_view(game, nu)
    reward = (1 - eps) * (benign * reward).sum(axis=1, keepdims=True) + eps * reward
    transition = (1 - eps) * _row_wise(benign, transition)[:, None] + eps * transition
    return _minimiser(game, reward, transition)


def victim_response(game: MarkovGame, alpha: np.ndarray) -> BestResponse:
    """The victim's policy that does best against `alpha` [S, B], what the attacker's agent plays in the end.

    Returns:
      The policy [S, A], deterministic, ties to the lowest index (DECISIONS 7), and its value.
    """
    reward, transition = (game.r @ alpha[..., None])[..., 0], _row_wise(alpha[:, None], game.P)
    policy, least = _minimiser(game, -reward, transition)
    return BestResponse(policy, -least)


def extremes(game: MarkovGame, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value of each state for `nu`, whatever the other agent does: two float64 [S]."""
    reward, transition = _attacker_view(game, nu)
    worst, best = (_minimiser(game, sign * reward, transition).policy for sign in (1.0, -1.0))
    return _solve(game, reward, transition, worst), _solve(game, reward, transition, best)


def reachable(game: MarkovGame, nu: np.ndarray | None = None) -> np.ndarray:
    """Which states a match can come to, whatever both agents do: bool [S]. Without a discount only the first counts.

    Args:
      nu: the victim's policy [S, A], where only what it may play counts.
    """
    seen = game.rho > 0
    if game.gamma == 0:
        return seen
    edges = np.asarray((game.P > 0).any(axis=2))  # bool [S, A, S]
    edges = np.asarray((edges if nu is None else edges & (nu > 0)[..., None]).any(axis=1))  # bool [S, S]
    while (further := edges[seen].any(axis=0) & ~seen).any():
        seen = seen | further
    return seen


def _attacker_view(game: MarkovGame, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Markov decision process that a fixed victim leaves to the attacker: r [S, B] and P [S, B, S]."""
    states, actions, others = game.r.shape
    return _row_wise(nu, game.r), _row_wise(nu, game.P.reshape(states, actions, -1)).reshape(states, others, states)


def _victim_values(game: MarkovGame, alpha: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Q [S, A] of the victim's actions against `alpha`, when `values` [S] are what follows."""
    return ((game.r + game.gamma * game.P @ values) @ alpha[..., None])[..., 0]


def _row_wise(policy: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Sum over actions of policy [..., A] times array [..., A, n]: [..., n]."""
    return (policy[..., None, :] @ array)[..., 0, :]


def _solve(game: MarkovGame, reward: np.ndarray, transition: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The value [S] of `alpha` [S, B] in the decision process reward [S, B], transition [S, B, S]."""
    return _discounted(game, _row_wise(alpha, transition), (alpha * reward).sum(axis=1))


def _visitation(game: MarkovGame, chain: np.ndarray) -> np.ndarray:
    return (1 - game.gamma) * _discounted(game, chain.T, game.rho)


def _discounted(game: MarkovGame, chain: np.ndarray, earned: np.ndarray) -> np.ndarray:
    """The sum over t of (gamma * chain)^t applied to `earned`, [S]."""
    return np.linalg.solve(np.eye(len(chain)) - game.gamma * chain, earned)


def optimal_values(gamma: float, reward: np.ndarray, transition: np.ndarray) -> np.ndarray:
    """The least values [S] of the decision process reward [S, B], transition [S, B, S], by policy iteration.

    An action is exchanged where another one is better by more than the rounding of that state's own numbers: states
    that never meet may be paid in units that have nothing to do with each other.
    """
    states, chosen = np.arange(len(reward)), reward.argmin(axis=1)
    values, seen = np.full(len(reward), np.inf), set[bytes]()
    while True:
        found = np.linalg.solve(np.eye(len(states)) - gamma * transition[states, chosen], reward[states, chosen])
        # In exact arithmetic every exchange lowers a value and no policy returns.
        if not (found < values).any() or (key := chosen.tobytes()) in seen:
            return values
        values = found
        seen.add(key)
        costs = reward + gamma * transition @ values
        cheapest = costs.argmin(axis=1)
        if (cheapest == chosen).all():
            return values
        saved = costs[states, chosen] - costs[states, cheapest]
        better = saved > rounding(gamma, reward, transition, values)
        if not better.any():
            return values
        chosen = np.where(better, cheapest, chosen)


def rounding(gamma: float, reward: np.ndarray, transition: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How far rounding may move the costs reward + gamma transition values of each state, float64 [S]."""
    sizes = np.abs(reward).max(axis=1) + gamma * (transition @ np.abs(values)).max(axis=1)
    return 64 * np.finfo(np.float64).eps * sizes


def _minimiser(game: MarkovGame, reward: np.ndarray, transition: np.ndarray) -> BestResponse:
    """The policy of least value in the decision process reward [S, B], transition [S, B, S]."""
    values = optimal_values(game.gamma, reward, transition)
    costs = reward + game.gamma * transition @ values
    tolerance = rounding(game.gamma, reward, transition, values)[:, None]
    policy = np.zeros(reward.shape)
    policy[np.arange(len(policy)), lowest_minimiser(costs, tolerance)] = 1.0
    return BestResponse(policy, float(game.rho @ values))
