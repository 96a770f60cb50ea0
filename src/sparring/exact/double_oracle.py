"""The double oracle (McMahan, Gordon and Blum 2003): PSRO (Lanctot et al. 2017) with exact best responses.

Each side has a population of pure strategies. The game restricted to the two populations is solved exactly; then each
side's exact best response to the other's solution joins its population. When no response gains anything, the solution
of the restricted game is one of the whole game, so that the gap to the optimum is 0 up to rounding. That happens after
finitely many updates, because a game has finitely many pure strategies; in large trees they can be many.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparring.exact.dynamics import Iterate
from sparring.exact.markov_game import MarkovGame
from sparring.exact.problem import MarkovProblem, Problem
from sparring.exact.robust import matrix_games, robust

TOLERANCE = 1e-11  # a gain of less than this share of the game's scale is rounding


def double_oracle(problem: Problem, start: Iterate) -> Iterator[Iterate]:
    """The double oracle as one of the methods of `sparring.exact.dynamics`, endless and restartable like them.

    An update adds each side's best response to its population and solves the restricted game. The first responses
    answer the start, which is in no population itself. Both policies yielded are the solution of the restricted game,
    and nothing moves any more once neither side gains.

    - Trees: the restricted game is the matrix of values J_eps of all pairs, solved by a linear program. The mixture is
      one policy, by realisation plans (DECISIONS 4), of what is played in the attacker's case.
    - Matrix and Markov games: in the restricted game each side chooses, in every state, among the actions that its
      population plays there. In a matrix game that is the same as the above. In a Markov game of several states it is
      instead of it: no stationary policy is worth what a mixture of several is worth, and so no best response to a
      mixture would be a stationary one either.

    Args:
      problem: the problem.
      start: where to begin; with `populations`, where to go on.

    Yields:
      Iterates with `populations`: [k, S, A] and [m, T, B], which are all that a restart needs besides.

    Raises:
      InputError: a problem that `robust` does not know.
      RuntimeError: a linear program could not be solved.
    """
    nu, alpha, t = start.nu, start.alpha, start.t
    victims, attackers = start.populations or (np.empty((0, *nu.shape)), np.empty((0, *alpha.shape)))
    payoffs = np.empty((0, 0))
    tolerance = TOLERANCE * problem.scale
    while True:
        yield Iterate(nu, alpha, t, populations=(victims, attackers))
        sizes = len(victims), len(attackers)
        value, up, down = problem.value(nu, alpha), problem.victim_response(alpha), problem.best_response(nu)
        if not len(victims) or up.value - value > tolerance:
            victims = _joined(problem, victims, up.policy)
        if not len(attackers) or value - down.value > tolerance:
            attackers = _joined(problem, attackers, down.policy)
        if (len(victims), len(attackers)) != sizes:
            if isinstance(problem, MarkovProblem):
                nu, alpha = _restricted(problem, _played(victims), _played(attackers))
            else:
                payoffs = _values(problem, victims, attackers, payoffs)
                nu, alpha = _mixture(problem, victims, attackers, payoffs)
        t += 1


def _joined(problem: Problem, population: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """The population with one more, unless it holds that already: then the gain was rounding."""
    if isinstance(problem, MarkovProblem):
        known = not (policy[~_played(population)] > 0).any()
    else:
        known = bool((population == policy).all(axis=(1, 2)).any())
    return population if known else np.concatenate([population, policy[None]])


def _played(population: np.ndarray) -> np.ndarray:
    """Which actions any policy of a population [k, S, A] plays, bool [S, A]."""
    return np.asarray((population > 0).any(axis=0))


def _values(problem: Problem, victims: np.ndarray, attackers: np.ndarray, known: np.ndarray) -> np.ndarray:
    """J_eps of every pair, float64 [k, m]; `known` holds those of the first ones of each population."""
    values = np.empty((len(victims), len(attackers)))
    rows, columns = known.shape
    values[:rows, :columns] = known
    for i, nu in enumerate(victims):
        for j in range(columns if i < rows else 0, len(attackers)):
            values[i, j] = problem.value(nu, attackers[j])
    return values


def _mixture(
    problem: Problem, victims: np.ndarray, attackers: np.ndarray, payoffs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The optimal mixtures of two populations as one policy each."""
    (weights,), (others,) = matrix_games(payoffs[None])
    mine, theirs = weights > 0, others > 0
    return (
        problem.average(list(victims[mine]), weights[mine]),
        problem.average_attacker(list(attackers[theirs]), others[theirs]),
    )


def _restricted(problem: MarkovProblem, mine: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Optimal policies of the Markov game in which the agents may take these actions alone, bool [S, A] and [S, B].

    The benign policy keeps all of its actions: it is in the game's own numbers (r_mix and P_mix of D.3), under which
    the attacker is always in control.
    """
    game, eps = problem.game, problem.budget
    mine, theirs = _numbers(mine), _numbers(theirs)
    reward = np.take_along_axis(game.r, mine[:, :, None], axis=1)
    moves = np.take_along_axis(game.P, mine[:, :, None, None], axis=1)
    benign_reward = np.einsum("sb,sab->sa", problem.benign, reward)[:, :, None]
    benign_moves = np.einsum("sb,sabt->sat", problem.benign, moves)[:, :, None]
    reward = (1 - eps) * benign_reward + eps * np.take_along_axis(reward, theirs[:, None], axis=2)
    moves = (1 - eps) * benign_moves + eps * np.take_along_axis(moves, theirs[:, None, :, None], axis=2)
    benign = np.full(theirs.shape, 1 / theirs.shape[1])
    solved = robust(MarkovProblem(MarkovGame(moves, reward, game.rho, game.gamma), benign, 1.0))
    nu, alpha = np.zeros(game.r.shape[:2]), np.zeros(problem.benign.shape)
    for policy, numbers, found in ((nu, mine, solved.victim), (alpha, theirs, solved.attacker)):
        np.add.at(policy, (np.arange(len(policy))[:, None], numbers), found)
    return nu, alpha


def _numbers(allowed: np.ndarray) -> np.ndarray:
    """The allowed actions of each row, int64 [S, K]; rows of fewer than K repeat their first one."""
    count = allowed.sum(axis=1, keepdims=True)
    first = np.argsort(~allowed, axis=1, kind="stable")[:, : count.max()]
    return np.where(np.arange(first.shape[1]) < count, first, first[:, :1])
