"""Certificates: a victim, an attacker, and the values that the two prove; recomputed here by another route.

The oracles that make a certificate respond in sequence form (trees) and by policy iteration (Markov games). `verify`
searches the tree node by node, and checks Bellman's inequality, in which no equation is solved. Both are written once,
for floats and for exact rationals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparring.errors import InputError, check_type
from sparring.exact import markov, rational
from sparring.exact.markov_game import MarkovGame
from sparring.exact.problem import MarkovProblem, Problem, fitting
from sparring.exact.tree import TreeProblem
from sparring.exact.tree_game import CHANCE, TERMINAL


@dataclass(frozen=True, eq=False)
class Certificate:
    """The value of the game under the budget, max over nu of min over alpha of J_eps, lies in [lower, upper].

    Where the two meet, `victim` is a most robust one: its exploitability, -lower, is the least there is (DECISIONS 4).
    """

    problem: Problem
    victim: np.ndarray  # float64 [S, A]
    attacker: np.ndarray  # float64 [T, B], the adversarial policy, before mixing
    lower: float  # what `victim` is worth at least: min over alpha of J_eps(victim, alpha)
    upper: float  # what any victim is worth at most: max over nu of J_eps(nu, attacker)

    @property
    def gap(self) -> float:
        return self.upper - self.lower


class Verification(NamedTuple):
    """What `verify` found; fractions if it computed in rationals, floats else."""

    lower: float | Fraction
    upper: float | Fraction
    gap: float | Fraction
    verified: bool  # the certificate claims no more than this, up to the tolerance
    exact: bool


class _Arithmetic(NamedTuple):
    """How floats are read: as they are, or as rationals."""

    numbers: Callable[[Any], np.ndarray]
    distributions: Callable[[np.ndarray], np.ndarray]


_FLOATS = _Arithmetic(np.asarray, lambda rows: rows / rows.sum(axis=-1, keepdims=True))
_RATIONALS = _Arithmetic(rational.fractions, rational.distributions)


def certificate(problem: Problem, victim: np.ndarray, attacker: np.ndarray) -> Certificate:
    """What a victim and an attacker prove about each other, by the problem's own oracles."""
    lower, upper = problem.best_response(victim).value, problem.victim_response(attacker).value
    return Certificate(problem, victim, attacker, lower, upper)


def verify(certificate: Certificate, exact: bool = False, tolerance: float = 1e-9) -> Verification:
    """Recompute both values of a certificate by a route that trusts nothing of the one that made it.

    Trees are searched node by node; only what fixed players do, and which member of a team knows what, is taken from
    the problem. In Markov games Bellman's inequality bounds the value from one side: what is found errs on the safe
    side. A certificate is verified if it claims no more than was found; whether it is any good, its gap says.

    In rationals (DECISIONS 14) rounding cannot deceive: lower <= value <= upper is a theorem about the game and the
    policies that `sparring.exact.rational` makes of the floats, the same up to the floats' own rounding.

    Args:
      certificate: the claim.
      exact: compute in rationals.
      tolerance: by how much a claim may exceed what was found, as a share of the game's `scale`.

    Raises:
      InputError: no certificate, policies that do not fit the problem, or a problem of another kind than Markov or
        tree.
    """
    if isinstance(certificate, (str, Path)):
        raise InputError(
            f"verify {certificate}: expected a Certificate, as robust_policy returns it; the files of a run folder are "
            "checked by the command sparring verify DIR"
        )
    check_type("verify", certificate, Certificate, "a Certificate, as robust_policy returns it")
    problem = certificate.problem
    nu = fitting(certificate.victim, problem.victim_actions, "certificate's victim")
    alpha = fitting(certificate.attacker, problem.attacker_actions, "certificate's attacker")
    arithmetic = _RATIONALS if exact else _FLOATS
    if isinstance(problem, MarkovProblem):
        lower, upper = _markov(problem, nu, alpha, arithmetic)
    elif isinstance(problem, TreeProblem):
        lower, upper = _tree(problem, nu, alpha, arithmetic)
    else:
        raise InputError(f"verify: expected a MarkovProblem or a TreeProblem, got {type(problem).__name__}")
    slack = tolerance * problem.scale
    holds = certificate.lower <= float(lower) + slack and certificate.upper >= float(upper) - slack
    return Verification(lower, upper, upper - lower, bool(holds), exact)


def _markov(problem: MarkovProblem, nu: np.ndarray, alpha: np.ndarray, arithmetic: _Arithmetic) -> tuple[Any, Any]:
    game, (numbers, distributions) = problem.game, arithmetic
    # A state that no match comes to must not lend its payoffs' rounding to the others.
    states = np.flatnonzero(_closed(game))
    P, r, start = game.P[states][..., states], game.r[states], game.rho[states]
    P, r, start = distributions(P), numbers(r), distributions(start)
    gamma, eps = numbers(game.gamma).item(), numbers(problem.budget).item()
    nu, alpha, benign = (distributions(policy[states]) for policy in (nu, alpha, problem.benign))

    # What the victim leaves to the attacker, and the budget to its choice: r_mix and P_mix of D.3.
    reward, moves = (nu[:, :, None] * r).sum(axis=1), (nu[:, :, None, None] * P).sum(axis=1)
    reward = (1 - eps) * (benign * reward).sum(axis=1)[:, None] + eps * reward
    moves = (1 - eps) * (benign[:, :, None] * moves).sum(axis=1)[:, None] + eps * moves
    lower = _floor(reward, moves, start, gamma, numbers)

    played = (1 - eps) * benign + eps * alpha
    reward, moves = (played[:, None] * r).sum(axis=2), (played[:, None, :, None] * P).sum(axis=2)
    return lower, -_floor(-reward, moves, start, gamma, numbers)


def _floor(reward: np.ndarray, moves: np.ndarray, start: np.ndarray, gamma: Any, numbers: Callable) -> Any:
    """A number below the least value of a decision process reward [S, B], moves [S, B, S].

    With T V = min_b (reward + gamma moves V): if V <= T V + d everywhere, then T V - d gamma / (1 - gamma) is below
    T (T V), and so on down to the least value, T's fixed point. Any V will do; a good one makes d small.
    """
    values = numbers(markov.optimal_values(float(gamma), reward.astype(float), moves.astype(float)))
    onwards = (reward + gamma * (moves @ values)).min(axis=1)
    short = max((values - onwards).max(), 0)
    return start @ onwards - short * gamma / (1 - gamma)


def _closed(game: MarkovGame) -> np.ndarray:
    """The states that a match can come to, bool [S]: a set that no transition leaves."""
    seen, frontier = game.rho > 0, list(np.flatnonzero(game.rho > 0))
    while frontier:
        following = (game.P[frontier.pop()] > 0).any(axis=(0, 1)) & ~seen
        seen = seen | following
        frontier += np.flatnonzero(following).tolist()
    return seen


def _tree(problem: TreeProblem, nu: np.ndarray, alpha: np.ndarray, arithmetic: _Arithmetic) -> tuple[Any, Any]:
    tree, (numbers, distributions) = problem.tree, arithmetic
    nu, alpha, benign = distributions(nu), distributions(alpha), distributions(problem.benign)
    eps, returns = numbers(problem.budget).item(), numbers(tree.returns[:, problem.victim])
    played = (1 - eps) * benign + eps * alpha

    victim = np.where(tree.actor == problem.victim, tree.infoset, -1)
    attacker = np.where(np.isin(tree.actor, problem.attackers), tree.infoset, -1)
    if len(problem.attackers) > 1:
        # The rows of a team are its own; the sequence that leads on from a node tells which one it belongs to.
        onwards = problem.nodes.attacker[np.minimum(tree.first_child, len(tree.actor) - 1)]
        attacker = np.where(attacker >= 0, (onwards - 1) // problem.attacker_sequences.width, -1)

    given = _given(problem, distributions)
    against_victim, against_attacker = _followed(tree, given, victim, nu), _followed(tree, given, attacker, played)
    lower = _search(tree, attacker, benign, eps, against_victim, returns)
    return lower, -_search(tree, victim, np.zeros_like(nu), 1, against_attacker, -returns)


def _given(problem: TreeProblem, distributions: Callable) -> list[Any]:
    """The probability of each node after its parent [N] where chance or a fixed player decides; 1 elsewhere."""
    tree, weight = problem.tree, problem.nodes.weight
    edge: list[Any] = [1] * len(tree.actor)
    for node in np.flatnonzero((tree.actor != TERMINAL) & ~np.isin(tree.actor, (problem.victim, *problem.attackers))):
        children = range(tree.first_child[node], tree.first_child[node] + tree.count[node])
        if tree.actor[node] == CHANCE:
            edge[children.start : children.stop] = distributions(tree.chance[children]).tolist()
        elif weight[node] > 0:
            edge[children.start : children.stop] = distributions(weight[children] / weight[node]).tolist()
    return edge


def _followed(tree: Any, given: list[Any], rows: np.ndarray, policy: np.ndarray) -> list[Any]:
    """`given`, and the probabilities of a policy [I, A] wherever a node has a row of it (else -1)."""
    edge = given.copy()
    for node in np.flatnonzero(rows >= 0):
        first, count = tree.first_child[node], tree.count[node]
        edge[first : first + count] = policy[rows[node], :count].tolist()
    return edge


def _search(tree: Any, rows: np.ndarray, benign: np.ndarray, eps: Any, edge: list[Any], returns: np.ndarray) -> Any:
    """The least expected return of an agent that moves where `rows` [N] is not -1 and is in control with chance eps.

    An agent that does not know where in its information set it is minimises the sum over the set's nodes, each with the
    probability `edge` that everybody else leads there. Sets are solved latest first, since what an action is worth
    depends on the agent's later choices: by the number of choices that it has made before, which perfect recall makes
    one number for the whole set (DECISIONS 2).
    """
    parents, first, count, own = (a.tolist() for a in (tree.parent, tree.first_child, tree.count, rows))
    value, reach, made = returns.tolist(), [1] * len(own), [0] * len(own)
    for node in range(1, len(own)):
        parent = parents[node]
        reach[node] = reach[parent] * edge[node] if own[parent] < 0 else reach[parent]
        made[node] = made[parent] + (own[parent] >= 0)
    layers: list[tuple[dict[int, list[int]], list[int]]] = [({}, []) for _ in range(max(made) + 1)]
    for node in reversed(range(len(own))):
        sets, others = layers[made[node]]
        if own[node] >= 0:
            sets.setdefault(own[node], []).append(node)
        elif count[node]:
            others.append(node)
    for sets, others in reversed(layers):
        for row, nodes in sets.items():
            worth = [sum(reach[node] * value[first[node] + a] for node in nodes) for a in range(count[nodes[0]])]
            chosen = worth.index(min(worth))
            forced = benign[row].tolist()
            for node in nodes:
                after = value[first[node] : first[node] + count[node]]
                value[node] = eps * after[chosen] + (1 - eps) * sum(p * v for p, v in zip(forced, after, strict=False))
        for node in others:
            value[node] = sum(edge[child] * value[child] for child in range(first[node], first[node] + count[node]))
    return value[0]
