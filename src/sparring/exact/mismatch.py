"""The mismatch coefficient C of Def. 5.2: how far best responses move a match from where it starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sparring.exact import markov
from sparring.exact.problem import MarkovProblem, uniform

_UNREACHED = 1e-14  # a visitation below this is rounding in the linear solve
_TIE = 1e-9  # relative: actions this close count as equally good, which can only lower a lower estimate


class Mismatch(NamedTuple):
    """Estimates of C of Def. 5.2, the larger of a maximum over victims and one over attackers."""

    victims: float  # the largest found of the first, so at most C
    attackers: float  # the largest found of the second, so at most C
    upper: float  # the largest d / rho of any pair of policies, so at least C


def mismatch_upper(problem: MarkovProblem) -> float:
    """An upper estimate of C of Def. 5.2: the maximum of d(s) / rho(s) over states and all pairs of policies.

    Both agents together face one decision process, of transition P_mix of D.3; its best value, paid in s alone, is the
    largest d(s) / (1 - gamma). Infinite where a state can be reached that the match never starts in (DECISIONS 9).
    """
    game, states = problem.game, len(problem.game.rho)
    if game.gamma == 0:
        return 1.0  # nobody moves a match from where it starts
    joint = _mixed_transition(problem).reshape(states, -1, states)
    largest = np.empty(states)
    for s in range(states):
        cost = np.zeros(joint.shape[:2])
        cost[s] = game.gamma - 1
        largest[s] = -(game.rho @ markov.optimal_values(game.gamma, cost, joint))
    return largest_ratio(largest, game.rho)


def mismatch_cheap(problem: MarkovProblem) -> float:
    """A rougher upper estimate of C, at no cost: no visitation exceeds 1, so C is at most the largest 1 / rho(s)."""
    return largest_ratio(markov.reachable(problem.game).astype(float), problem.game.rho)


def mismatch(problem: MarkovProblem, rng: np.random.Generator, points: int = 1000) -> Mismatch:
    """C of Def. 5.2 from both sides: a search over `points` policies of each agent below it, `mismatch_upper` above it.

    The inner minimum, over all of the best responses, is a linear program where there are several. The search stops at
    local maxima: repeat it with other `rng` and take the largest.
    """
    game, joint = problem.game, _mixed_transition(problem)

    def of_victim(nu: np.ndarray) -> float:
        played = problem.played(problem.best_response(nu).policy)
        costs = problem.budget * markov.q_attacker(game, nu, played)
        return _least_mismatch(problem, np.einsum("sabt,sa->sbt", joint, nu), costs)

    def of_attacker(alpha: np.ndarray) -> float:
        costs = -markov.q_victim(game, problem.victim_response(alpha).policy, problem.played(alpha))
        return _least_mismatch(problem, np.einsum("sabt,sb->sat", joint, alpha), costs)

    victims = _search(of_victim, problem.victim_actions, rng, points)
    attackers = _search(of_attacker, problem.attacker_actions, rng, points)
    return Mismatch(victims, attackers, mismatch_upper(problem))


def largest_ratio(d: np.ndarray, reference: np.ndarray) -> float:
    """|d / reference|_inf over the states that d reaches."""
    reached = d > _UNREACHED
    with np.errstate(divide="ignore"):
        return float((d[reached] / np.maximum(reference[reached], 0.0)).max())


def _mixed_transition(problem: MarkovProblem) -> np.ndarray:
    """P_mix of D.3, float64 [S, A, B, S]."""
    P, eps = problem.game.P, problem.budget
    mixed = (1 - eps) * np.einsum("sb,sabt->sat", problem.benign, P)[:, :, None] + eps * P
    return mixed / mixed.sum(axis=-1, keepdims=True)  # the rows of a network's policy miss 1 by rounding


def _least_mismatch(problem: MarkovProblem, transition: np.ndarray, costs: np.ndarray) -> float:
    """The least |d / rho|_inf of all best responses: transition [S, N, S], costs [S, N] of the one who responds."""
    from scipy.optimize import linprog

    gamma, rho = problem.game.gamma, problem.game.rho
    best = costs <= costs.min(axis=1, keepdims=True) + _TIE * max(1.0, np.abs(costs).max())
    state, action = np.nonzero(best)
    at = (state == np.arange(len(rho))[:, None]).astype(float)
    flow = at - gamma * transition[state, action].T  # Bellman flow: flow @ x = (1 - gamma) rho for occupancies x
    if len(state) == len(rho):
        return largest_ratio(np.linalg.solve(flow, (1 - gamma) * rho), rho)
    found = linprog(
        np.append(np.zeros(len(state)), 1.0),
        np.column_stack([at, -rho]),
        np.zeros(len(rho)),
        np.column_stack([flow, np.zeros(len(rho))]),
        (1 - gamma) * rho,
    )
    return math.inf if found.status == 2 else float(found.fun)  # 2: none avoids a state without a start


def _search(score: Callable[[np.ndarray], float], actions: np.ndarray, rng: np.random.Generator, points: int) -> float:
    """The largest score found: of the uniform policy, of random ones, then of steps away from the best so far."""
    best = uniform(actions)
    highest = score(best)
    shape = (len(actions), int(actions.max()))
    for point in range(points):
        if point < points // 4:
            weight = rng.gamma(10 ** rng.uniform(-2, 0), size=shape) + 1e-300  # from nearly deterministic to uniform
            candidate = weight / weight.sum(axis=1, keepdims=True)
        else:
            moved = rng.random((len(actions), 1)) < rng.uniform(1 / len(actions), 1)
            step = 10 ** rng.uniform(-4, 0, moved.shape) * moved
            candidate = (1 - step) * best + step * np.eye(shape[1])[rng.integers(actions)]
        if (found := score(candidate)) > highest:
            best, highest = candidate, found
    return highest
