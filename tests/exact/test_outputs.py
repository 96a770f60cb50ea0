from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.exact.dynamics import Iterate, min_oracle, power
from sparring.exact.outputs import outputs
from sparring.exact.problem import MarkovProblem, exploitability, uniform
from sparring.exact.tree import plan, tree_problem
from sparring.games.matrix import MATCHING_PENNIES, as_markov
from sparring.games.openspiel import compile_tree

KUHN = tree_problem(compile_tree("kuhn_poker"), 0, (1,), {}, 0.6)
PENNIES = MarkovProblem(as_markov(MATCHING_PENNIES), np.array([[0.5, 0.5]]), 1.0)


def heads(p: float, step: float = 1.0) -> Iterate:
    return Iterate(np.array([[p, 1 - p]]), np.array([[0.5, 0.5]]), step=step)


def test_rules_by_hand() -> None:
    # Expl of (p, 1 - p) in matching pennies is |2 p - 1|.
    found = list(outputs(PENNIES, [heads(1.0), heads(0.4), heads(0.0)], np.random.default_rng(0)))
    assert [o.expl for o in found] == pytest.approx([1.0, 0.2, 1.0])
    assert [o.best_expl for o in found] == pytest.approx([1.0, 0.2, 0.2])
    assert [o.mean_expl for o in found] == pytest.approx([1.0, 0.6, 2.2 / 3])
    assert [o.last[0, 0] for o in found] == [1.0, 0.4, 0.0]
    assert [o.best[0, 0] for o in found] == [1.0, 0.4, 0.4]
    assert [o.averaged[0, 0] for o in found] == pytest.approx([1.0, 0.7, 1.4 / 3])
    # The mean of Expl is not Expl of the mean.
    assert exploitability(PENNIES, found[-1].averaged) == pytest.approx(1 / 15)


def test_sampled_in_proportion_to_the_steps() -> None:
    steps = np.array([1.0, 4.0, 0.0, 3.0])
    iterates = [heads(k / 4, step) for k, step in enumerate(steps)]
    rng = np.random.default_rng(1)
    draws = 1000
    chosen = [int(4 * list(outputs(PENNIES, iterates, rng))[-1].sampled[0, 0]) for _ in range(draws)]
    share = np.bincount(chosen, minlength=4) / draws
    expected = steps / steps.sum()
    # Five standard errors of a binomial share.
    assert (np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / draws)).all()


@given(st.integers(0, 2**32), st.integers(1, 12))
@settings(max_examples=30)
def test_trees_average_realisation_plans(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    policies = rng.dirichlet(np.ones(2), size=(count, len(KUHN.victim_actions)))
    iterates = [Iterate(policy, uniform(KUHN.attacker_actions)) for policy in policies]
    *_, found = outputs(KUHN, iterates, rng)
    expected = np.mean([plan(KUHN.victim_sequences, policy) for policy in policies], axis=0)
    np.testing.assert_allclose(plan(KUHN.victim_sequences, found.averaged), expected, rtol=0, atol=1e-12)
    # Expl is convex in the plan, so the average is no worse than the mean of Expl.
    assert exploitability(KUHN, found.averaged) <= found.mean_expl + 1e-12


def test_same_seed_same_bits() -> None:
    def sampled() -> list[np.ndarray]:
        start = Iterate(uniform(KUHN.victim_actions), uniform(KUHN.attacker_actions))
        method = min_oracle(KUHN, start, power(0.1, 0.5))
        return [o.sampled for o in islice(outputs(KUHN, method, np.random.default_rng(7)), 50)]

    np.testing.assert_array_equal(sampled(), sampled())
