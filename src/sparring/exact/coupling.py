"""The coupling certificate (DECISIONS 25, `sparring.metrics.coupling`) of finite games: expectations, not estimates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sparring.exact import markov
from sparring.exact.problem import MarkovProblem, Problem
from sparring.exact.tree import TreeProblem, plan, reach
from sparring.exact.tree_game import TERMINAL, outcomes
from sparring.metrics.coupling import NON_FAIL, NOT_WON, SAME, VALUE, Certificate, Curve, Range, exact


def coupling(problem: Problem, nu: np.ndarray) -> tuple[Certificate, Range]:
    """What no attacker can do to this victim, from what benign matches are; the problem's own budget is not read.

    In a discounted Markov game the value is the discounted one, and "the match" one that ends after each step with
    probability 1 - gamma, as Def. 2.1 weights its states.

    Returns:
      The certificate, and the least and the largest value of which it was computed: what this victim can be paid.

    Raises:
      InputError: another kind of problem.
    """
    if isinstance(problem, TreeProblem):
        return _tree(replace(problem, budget=0.0), nu)
    assert isinstance(problem, MarkovProblem)
    return _matrix(problem, nu) if problem.game.gamma == 0 else _discounted(problem, nu)


def goes_on(problem: Problem) -> float | None:
    """With which probability a match goes on after each step, where the game is discounted; None: it is not."""
    return problem.game.gamma if isinstance(problem, MarkovProblem) and problem.game.gamma > 0 else None


def _tree(problem: TreeProblem, nu: np.ndarray) -> tuple[Certificate, Range]:
    tree, nodes = problem.tree, problem.nodes
    leaves = tree.actor == TERMINAL
    probability = reach(problem, nu, problem.benign)[leaves]
    free = np.isin(tree.actor, problem.attackers) & (tree.count > 1)
    before = np.zeros(len(tree.actor), np.int64)
    for begin, end in zip(tree.level[1:-1], tree.level[2:], strict=True):  # parents come before their children
        parent = tree.parent[begin:end]
        before[begin:end] = before[parent] + free[parent]
    returns = tree.returns[leaves]
    own, possible = returns[:, problem.victim], _possible(problem, nu, nodes.victim, nodes.weight)[leaves]
    limits = Range(float(own[possible].min()), float(own[possible].max()))
    ends = outcomes(returns)
    won = (ends[:, list(problem.attackers)].max(axis=1) == 1) & (ends[:, problem.victim] != 1)
    kept = {SAME: np.ones(len(own)), NON_FAIL: ends[:, problem.victim] != -1, NOT_WON: ~won, VALUE: _unit(own, limits)}
    numbers = {name: (values.astype(np.float64), probability) for name, values in kept.items()}
    return exact(numbers, before[leaves], limits), limits


def _possible(problem: TreeProblem, nu: np.ndarray, sequence: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Which nodes can be reached with this victim, whatever the attackers do, bool [N]."""
    return (weight > 0) & (plan(problem.victim_sequences, nu)[sequence] > 0)


def _matrix(problem: MarkovProblem, nu: np.ndarray) -> tuple[Certificate, Range]:
    game = problem.game
    chance = (game.rho[:, None, None] * nu[:, :, None] * problem.benign[:, None, :]).ravel()
    paid = game.r.ravel()
    possible = np.broadcast_to((game.rho[:, None, None] > 0) & (nu[:, :, None] > 0), game.r.shape).ravel()
    limits = Range(float(paid[possible].min()), float(paid[possible].max()))
    kept = {SAME: np.ones(len(paid)), NON_FAIL: paid >= 0, NOT_WON: paid >= 0, VALUE: _unit(paid, limits)}
    numbers = {name: (values.astype(np.float64), chance) for name, values in kept.items()}
    return exact(numbers, np.full(len(paid), int(game.r.shape[2] > 1)), limits), limits


def _discounted(problem: MarkovProblem, nu: np.ndarray) -> tuple[Certificate, Range]:
    game = problem.game
    states = markov.reachable(game, nu)
    paid = game.r[states][nu[states] > 0]
    low, high = float(paid.min()), float(paid.max())
    horizon, coins = 1 / (1 - game.gamma), int(game.r.shape[2] > 1)

    def curve(reward: np.ndarray) -> Curve:
        def at(budgets: Any) -> np.ndarray:
            return np.vectorize(one, otypes=[np.float64])(budgets)

        def one(budget: float) -> float:
            # The adversarial policy has not acted up to and with step t with probability (1 - eps)^(t + 1).
            keep = 1 - budget if coins else 1.0
            shorter = replace(game, r=reward, gamma=game.gamma * keep)
            return keep * markov.expected_value(shorter, nu, problem.benign)

        return at

    value, same = curve(game.r - low), curve(np.ones_like(game.r))
    limits = Range(low * horizon, high * horizon)
    certificate = Certificate(
        lambda budgets: np.clip(limits.low + value(budgets), *limits),
        None,
        None,
        lambda budgets: np.clip(same(budgets) / horizon, 0.0, 1.0),
    )
    return certificate, limits


def _unit(values: np.ndarray, limits: Range) -> np.ndarray:
    """Numbers as parts of their range, in [0, 1] where they are possible; where all are equal, 0."""
    low, high = limits
    return np.clip((values - low) / (high - low), 0.0, 1.0) if high > low else np.zeros(len(values))
