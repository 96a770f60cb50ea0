"""What an exact answer takes, from the size of a problem: for plans and warnings, before anything is computed."""

from __future__ import annotations

from typing import NamedTuple

from sparring.errors import InputError
from sparring.exact.problem import MarkovProblem, Problem
from sparring.exact.tree import TreeProblem

AFFORDABLE = 2e7  # S^3 A B, for `mismatch_upper`: a few seconds


class Cost(NamedTuple):
    """An estimate, good to a factor of about 3; fitted to the processor time of commands on a machine of two cores."""

    seconds: float
    memory: float  # bytes, at the peak


def certify_cost(problem: Problem, mismatch: bool = False) -> Cost:
    """What a certificate with its verification and bounds takes.

    Args:
      problem: the problem.
      mismatch: whether C of Def. 5.2 is computed.

    Raises:
      InputError: another kind of problem.
    """
    if isinstance(problem, MarkovProblem):
        S, A, B = problem.game.r.shape
        seconds = 1 + 4e-3 * S * (A + B + 1) + 2e-7 * S * A * B * S
        if mismatch:
            seconds += 1e-7 * mismatch_work(problem)
        return Cost(seconds, 1.5e8 + 8 * 6 * S * A * B * S + 250 * S * A * B)
    if isinstance(problem, TreeProblem):
        nodes = len(problem.tree.actor)
        return Cost(2 + 9e-5 * nodes, 1.5e8 + 6e3 * nodes)
    raise InputError(f"expected a problem on a Markov game or a tree, got {type(problem).__name__}")


def answer_cost(problem: Problem, attacks: int, certificates: int) -> Cost:
    """What a command takes that looks at so many attacks and makes so many certificates, its start included.

    Args:
      problem: the problem.
      attacks: best responses, or given adversarial policies, with what becomes of matches under them.
      certificates: most robust victims, each verified.

    Raises:
      InputError: another kind of problem.
    """
    if isinstance(problem, MarkovProblem):
        S, A, B = problem.game.r.shape
        return Cost(
            1.7 + attacks * 2e-7 * S * A * B * S + certificates * _robust_seconds(problem),
            2e8 + 8 * 6 * S * A * B * S + 250 * S * A * B,
        )
    if isinstance(problem, TreeProblem):
        nodes = len(problem.tree.actor)
        seconds = 1.7 + 1e-5 * nodes + attacks * 1e-6 * nodes + certificates * _robust_seconds(problem)
        return Cost(seconds, 2e8 + 2e3 * nodes)
    raise InputError(f"expected a problem on a Markov game or a tree, got {type(problem).__name__}")


def hardening_cost(problem: Problem, updates: int, double_oracle: bool = False) -> Cost:
    """What so many updates of `defend` take at the most, with the optimum that they are compared with.

    A double oracle's populations grow with the updates. In a tree every policy meets every other once, and the matrix
    of their values is solved; in a Markov game each update solves a game of the actions that are in the populations.

    Args:
      problem: what is asked.
      updates: the victim's.
      double_oracle: whether it is the method; most others' updates cost the same as each other's.

    Raises:
      InputError: another kind of problem.
    """
    seconds, memory = answer_cost(problem, 1, 1)
    if isinstance(problem, MarkovProblem):
        S, A, B = problem.game.r.shape
        if double_oracle:  # an update without a new action is the last
            seconds += min(updates, S * (A + B)) * _robust_seconds(problem)
        return Cost(seconds + 1 + updates * (3e-4 + 1e-6 * S * A * B * S), memory)
    assert isinstance(problem, TreeProblem)
    nodes = len(problem.tree.actor)
    if double_oracle:
        seconds += updates**2 * (1e-4 + 1.5e-8 * nodes)
    return Cost(seconds + 1 + updates * (1e-4 + 1.5e-7 * nodes), memory)


def _robust_seconds(problem: MarkovProblem | TreeProblem) -> float:
    if isinstance(problem, TreeProblem):
        return 0.25 + 3e-5 * len(problem.tree.actor)
    S, A, B = problem.game.r.shape
    return 0.25 + 2e-3 * S * (A + B + 1) + 2e-7 * S * A * B * S


def mismatch_work(problem: MarkovProblem) -> float:
    """The size of `mismatch_upper`: one decision process of S states and A B actions for each of S states."""
    S, A, B = problem.game.r.shape
    return 0.0 if problem.game.gamma == 0 else float(S) ** 3 * A * B
