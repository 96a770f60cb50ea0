"""How often a coupling certificate from n benign matches is wrong, and how tight it is, in games whose truth is known.

A certificate bounds several numbers at all budgets. It is wrong if any of its bounds at any of 160 budgets lies above

- `expectation`: what it estimates, the expectation over benign matches (in finite games it is computed exactly), or
- `worst case`: the victim's value under the worst attack that there is, and 1 minus the largest winning rate.

The matches are drawn from the exact law of benign matches. In the Markov game a match is a walk of 60 steps.

Run: python experiments/certificates.py [--certificates 1000] [--out results/certificates]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparring.exact.coupling import coupling
from sparring.exact.markov_game import random_game
from sparring.exact.problem import MarkovProblem, uniform
from sparring.exact.tree import TreeProblem, reach, tree_problem
from sparring.exact.tree_game import TERMINAL, outcomes
from sparring.games.openspiel import compile_tree
from sparring.metrics.coupling import GRID, Certificate, Range, certified_budget, from_matches, from_rewards

NUMBERS = (50, 200, 1000)
BUDGETS = np.unique([*GRID, *np.linspace(0, 1, 101), *np.geomspace(1e-4, 1, 30)])
STEPS = 60  # of a walk in the Markov game


class Case(NamedTuple):
    draw: Callable[[np.random.Generator, int], Certificate]  # from n matches
    expected: Certificate
    worst: dict[str, np.ndarray]  # what no bound may be above, at `BUDGETS`


def tree_case(name: str, seat: int) -> Case:
    """Both players play uniformly; the victim has the seat."""
    tree = compile_tree(name)
    benign = {1 - seat: uniform(tree.infosets[1 - seat].count)}
    problem = tree_problem(tree, seat, (1 - seat,), benign, 0.0)
    nu = uniform(problem.victim_actions)
    expected, limits = coupling(problem, nu)
    leaves = tree.actor == TERMINAL
    probability, returns = reach(problem, nu, problem.benign)[leaves], tree.returns[leaves, seat]
    lost = outcomes(tree.returns[leaves])[:, seat] == -1
    free = np.zeros(len(tree.actor), np.int64)
    for node in range(1, len(tree.actor)):  # parents come before their children
        parent = tree.parent[node]
        free[node] = free[parent] + (tree.actor[parent] == 1 - seat and tree.count[parent] > 1)
    coins = free[leaves]

    def draw(rng: np.random.Generator, n: int) -> Certificate:
        rows = rng.choice(len(coins), n, p=probability / probability.sum())
        kept = ~lost[rows]
        sound = np.zeros(n, bool)
        return from_matches(
            coins[rows], non_fail=kept, not_won=kept, returns=returns[rows], limits=limits, invalid=sound
        )

    worst = {"value": worst_values(problem, nu), "not_won": worst_values(paying(problem, ~lost), nu)}
    return Case(draw, expected, {**worst, "non_fail": worst["not_won"]})


def paying(problem: TreeProblem, worth: np.ndarray) -> TreeProblem:
    """The same game, in which a match is worth what `worth` says."""
    returns = np.zeros_like(problem.tree.returns)
    returns[problem.tree.actor == TERMINAL, problem.victim] = worth
    tree = replace(problem.tree, returns=returns)
    benign = {problem.attackers[0]: problem.benign}
    return tree_problem(tree, problem.victim, problem.attackers, benign, 0.0)


def worst_values(problem: Any, nu: np.ndarray) -> np.ndarray:
    return np.array([replace(problem, budget=float(eps)).best_response(nu).value for eps in BUDGETS])


def markov_case(seed: int) -> Case:
    """A random Markov game of 4 states, 3 actions each and gamma .9; both play uniformly."""
    game = random_game(seed, 4, 3, 3, 0.9, 3).game
    benign = np.full((4, 3), 1 / 3)
    problem = MarkovProblem(game, benign, 0.0)
    expected, _ = coupling(problem, benign)
    low, high = float(game.r.min()), float(game.r.max())
    keep, gamma = 1 - np.asarray(GRID), game.gamma

    def draw(rng: np.random.Generator, n: int) -> Certificate:
        state = rng.choice(4, n, p=game.rho)
        sums = np.zeros((len(keep), n))
        for step in range(STEPS):
            a, b = rng.integers(3, size=(2, n))
            unit = (game.r[state, a, b] - low) / (high - low)
            sums += (1 - gamma) * gamma**step * keep[:, None] ** (step + 1) * unit
            chance = np.cumsum(game.P[state, a, b], axis=-1)
            state = np.minimum((rng.random(n)[:, None] > chance).sum(axis=-1), 3)
        return from_rewards(sums, Range(low / (1 - gamma), high / (1 - gamma)), np.full(n, STEPS))

    # Whole matches are walks of `STEPS` steps here, in `expected` they end by chance: only the value is compared.
    return Case(
        draw,
        expected._replace(same=lambda budgets: np.ones(np.shape(budgets))),
        {"value": worst_values(problem, benign)},
    )


CASES: dict[str, Callable[[], Case]] = {
    "Kuhn, seat 0": lambda: tree_case("kuhn_poker", 0),
    "Kuhn, seat 1": lambda: tree_case("kuhn_poker", 1),
    "Leduc, seat 0": lambda: tree_case("leduc_poker", 0),
    "Markov game": lambda: markov_case(5),
}


def coverage(case: Case, n: int, certificates: int, rng: np.random.Generator) -> dict[str, Any]:
    wrong = {"expectation": 0, "worst case": 0}
    at, budgets = [], []
    half = None
    for _ in range(certificates):
        found = case.draw(rng, n)
        beyond = {"expectation": False, "worst case": False}
        for name, curve, truth in zip(Certificate._fields, found, case.expected, strict=True):
            if curve is None:
                continue
            assert truth is not None
            bounds = curve(BUDGETS)
            tolerance = 1e-9 * (1 + np.abs(bounds))
            beyond["expectation"] |= bool((bounds > truth(BUDGETS) + tolerance).any())
            if name in case.worst:
                beyond["worst case"] |= bool((bounds > case.worst[name] + tolerance).any())
        for name, was in beyond.items():
            wrong[name] += was
        assert found.value is not None and case.expected.value is not None
        start, least = float(case.expected.value(0.0)), float(case.expected.value(1.0))
        half = least + (start - least) / 2
        at.append(float(found.value(0.01)))
        budgets.append(certified_budget(found.value, half) or 0.0)
    assert case.expected.value is not None and half is not None
    return {
        "matches": n,
        "certificates": certificates,
        **{f"wrong ({name})": count / certificates for name, count in wrong.items()},
        "value at .01, mean bound": float(np.mean(at)),
        "value at .01, expectation": float(case.expected.value(0.01)),
        "value at .01, worst case": float(np.interp(0.01, BUDGETS, case.worst["value"])),
        "certified budget for half, mean": float(np.mean(budgets)),
        "certified budget for half, expectation": certified_budget(case.expected.value, half),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificates", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("results/certificates"))
    given = parser.parse_args()
    rows = []
    for number, (name, make) in enumerate(CASES.items()):
        case = make()
        for n in NUMBERS:
            begun = time.monotonic()
            rng = np.random.default_rng([n, number])
            rows.append({"game": name, **coverage(case, n, given.certificates, rng)})
            print(f"{name}, n = {n}: {rows[-1]} in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            given.out.mkdir(parents=True, exist_ok=True)
            (given.out / "coverage.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
