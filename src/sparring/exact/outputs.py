"""Output rules: which of the policies that a method passed through it hands over (DECISIONS 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from sparring.exact.dynamics import Iterate
from sparring.exact.problem import Problem, exploitability


class Outputs(NamedTuple):
    """The victim's policies that the rules choose after t updates, float64 [S, A], and how exploitable iterates are."""

    last: np.ndarray  # the iterate itself
    sampled: np.ndarray  # one of the iterates so far, drawn with a probability proportional to its step size
    best: np.ndarray  # the least exploitable of them
    averaged: np.ndarray  # plays each of them alike, by realisation plans in trees (DECISIONS 4)
    expl: float  # Expl of `last`
    best_expl: float  # Expl of `best`
    mean_expl: float  # mean of Expl over the iterates: what Theorem 5.3 bounds, and not Expl of `averaged`
    seen: int  # iterates so far
    steps: float  # the sum of their step sizes


def outputs(
    problem: Problem, iterates: Iterable[Iterate], rng: np.random.Generator, state: Outputs | None = None
) -> Iterator[Outputs]:
    """What each output rule would choose if the method stopped here, after every iterate; memory does not grow.

    Args:
      problem: the problem.
      iterates: of a method of `sparring.exact.dynamics`, from its start on.
      rng: draws `sampled`.
      state: what was yielded last, to go on from there with the iterates that follow; None begins anew.
    """
    sampled = best = averaged = np.zeros(0)
    steps = mean_expl = 0.0
    best_expl, begun = np.inf, 0
    if state is not None:
        sampled, best, averaged = state.sampled, state.best, state.averaged
        best_expl, mean_expl, begun, steps = state.best_expl, state.mean_expl, state.seen, state.steps
    for seen, iterate in enumerate(iterates, begun):
        nu = iterate.nu
        expl = exploitability(problem, nu)
        steps += iterate.step
        # Kept with probability step / steps, an iterate outlives the later ones in proportion to its step.
        if seen == 0 or rng.random() * steps < iterate.step:
            sampled = nu
        if expl < best_expl:
            best, best_expl = nu, expl
        averaged = nu if seen == 0 else problem.average([averaged, nu], np.array([seen, 1.0]))
        mean_expl += (expl - mean_expl) / (seen + 1)
        yield Outputs(nu, sampled, best, averaged, expl, best_expl, mean_expl, seen + 1, steps)
