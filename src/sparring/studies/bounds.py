"""Propositions 3.1 to 3.3 on random games: what is true, what the paper bounds it by, and the sharp constants.

Every instance is a random Markov game with a random victim, a random benign policy (of full support, or of part of the
actions in each state), and an adversary (random, or the best response to the victim) under a random budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparring.exact.bounds import transition_divergences, value_bound, visitation_bound
from sparring.exact.markov_game import random_game
from sparring.exact.problem import MarkovProblem
from sparring.report import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
_PROPOSITIONS = {"3.1": "value", "3.2": "states"}
_KINDS = {"paper": ":", "sharp": "-"}  # line styles
# Of Proposition 3.3, as they are called in the table and by `exact.bounds`.
DIVERGENCES = {"tv": "total variation", "kl": "KL", "chi2": "chi^2", "hellinger": "squared Hellinger"}
# A bound counts as violated beyond rounding in the linear solves, and tells nothing about tightness below that.
RELATIVE, ABSOLUTE = 1e-9, 1e-10
SHARES = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Settings:
    instances: int
    per_cell: int = 20
    states: int = 8  # from 2 to this
    victim_actions: int = 4  # from 1
    attacker_actions: int = 4  # from 2
    horizon: float = 100.0  # 1 / (1 - gamma), its logarithm uniform from 0 to this one's


PRESETS = {"smoke": Settings(20), "standard": Settings(200), "paper": Settings(1000)}


@dataclass(frozen=True)
class Cell:
    seed: int
    first: int  # instance
    instances: int
    states: int
    victim_actions: int
    attacker_actions: int
    horizon: float


def cells(settings: Settings, seed: int) -> list[Cell]:
    """Consecutive instances together; what an instance is depends on the seed and its number alone."""
    sizes = (settings.states, settings.victim_actions, settings.attacker_actions, settings.horizon)
    firsts = range(0, settings.instances, settings.per_cell)
    return [Cell(seed, first, min(settings.per_cell, settings.instances - first), *sizes) for first in firsts]


def run(cell: Cell) -> list[dict[str, Any]]:
    """One row per instance.

    Of Proposition 3.3 the two sides at the state and action where they are nearest by ratio, among the `finite` of the
    `pairs`: elsewhere the adversary leaves the benign policy's support, so that KL and chi^2 are infinite. `violated_*`
    count the comparisons that a proposition, or its sharp constant, gets wrong.
    """
    return [_row(cell, instance) for instance in range(cell.first, cell.first + cell.instances)]


def figure(rows: Sequence[Row]) -> str:
    """For every bound the share of instances whose ratio of truth to bound is at most x."""
    lines = [_Line(f"3.1, {kind}", plots.ATTACKER, style, "value", kind) for kind, style in _KINDS.items()]
    lines += [_Line(f"3.2, {kind}", plots.BASELINE, style, "states", kind) for kind, style in _KINDS.items()]
    colours = ("#009e73", "#cc79a7", "#56b4e9", "#e69f00")
    lines += [
        _Line(f"3.3, {name}", colour, "-", short, "paper")
        for (short, name), colour in zip(DIVERGENCES.items(), colours, strict=True)
    ]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for line in lines:
            if len(ratios := _ratios(rows, line.quantity, line.kind)):
                quantiles = np.quantile(ratios, SHARES, method="inverted_cdf")
                axes.step(quantiles, 100 * SHARES, where="post", color=line.colour, ls=line.style, label=line.label)
        axes.axvline(1, color=plots.INK, lw=1)
        axes.text(1.1, 50, "violated", rotation=90, va="center")
        axes.set_xscale("log")
        axes.set_xlim(1e-4, 2)
        axes.set_xticks(ticks := [0.0001, 0.001, 0.01, 0.1, 1], [f"{tick:g}" for tick in ticks])
        axes.set_ylim(0, 102)
        axes.set_yticks(range(0, 101, 25), [f"{tick}%" for tick in range(0, 101, 25)])
        axes.set_xlabel("truth / bound")
        axes.set_ylabel("instances with at most that")

    caption = f"{len(rows)} random games; a line further to the right is a tighter bound"
    return plots.svg("bounds", "Propositions 3.1 to 3.3 against the truth", caption, 900, 480, draw)


def summary(rows: Sequence[Row]) -> str:
    """Violations, tightness and vacuity, counted in the rows."""
    pairs, finite = (sum(int(row[name]) for row in rows) for name in ("pairs", "finite"))
    compared = 2 * pairs + 2 * finite  # total variation and Hellinger everywhere, KL and chi^2 where they are finite
    violated = {name: sum(int(row[f"violated_{name}"]) for row in rows) for name in ("3.1", "3.2", "3.3")}
    responses, parts = (
        sum(row[c] == v for row in rows) for c, v in (("adversary", "best response"), ("benign", "part"))
    )
    lines = [
        f"{len(rows)} instances: in {responses} the adversary is the best response to the victim, in {parts} the "
        "benign policy leaves actions out.",
        "",
        f"Violations: {violated['3.1']} of {2 * len(rows)} comparisons with Proposition 3.1 or its sharp constant, "
        f"{violated['3.2']} of {2 * len(rows)} with Proposition 3.2 or its own, {violated['3.3']} of {compared} with "
        f"Proposition 3.3 (every state, action of the victim and divergence). Not among these: at {pairs - finite} of "
        f"{pairs} states and actions the adversary leaves the benign policy's support, so that the bounds in KL and "
        "chi^2 are infinite.",
        "",
        "| bound | instances | vacuous | truth / bound: median | 95% below | largest |",
        "|---|---|---|---|---|---|",
    ]
    quantities = [(f"Proposition {n}, {kind}", name, kind) for n, name in _PROPOSITIONS.items() for kind in _KINDS]
    quantities += [(f"Proposition 3.3, {name}", short, "paper") for short, name in DIVERGENCES.items()]
    for label, quantity, kind in quantities:
        ratios = _ratios(rows, quantity, kind)
        shown = [f"{np.quantile(ratios, q):.3g}" if len(ratios) else "-" for q in (0.5, 0.95, 1)]
        lines.append(f"| {label} | {len(ratios)} | {_vacuous(rows, quantity, kind)} | {' | '.join(shown)} |")
    return "\n".join(lines)


class _Line(NamedTuple):
    label: str
    colour: str
    style: str
    quantity: str
    kind: str


def _row(cell: Cell, instance: int) -> dict[str, Any]:
    rng = np.random.default_rng(np.random.SeedSequence(cell.seed, spawn_key=(instance,)))
    # In one state, or with one action of the attacker's, there is nothing to be bounded.
    S, B = (int(rng.integers(2, most + 1)) for most in (cell.states, cell.attacker_actions))
    A, k = int(rng.integers(1, cell.victim_actions + 1)), int(rng.integers(1, S + 1))
    gamma, eps = 1 - cell.horizon ** -rng.random(), rng.random()
    game, benign, nu, alpha = random_game(int(rng.integers(2**63)), S, A, B, gamma, k)
    if part := bool(rng.random() < 0.5):
        kept = rng.random((S, B)) < 0.5
        kept[np.arange(S), rng.integers(B, size=S)] = True
        benign = benign * kept / (benign * kept).sum(axis=1, keepdims=True)
    problem = MarkovProblem(game, benign, eps)
    if responds := bool(rng.random() < 0.5):
        alpha = problem.best_response(nu).policy
    value, states = value_bound(problem, nu, alpha), visitation_bound(problem, nu, alpha)
    transitions = transition_divergences(problem, alpha)
    infinite = np.isinf(np.broadcast_to(transitions["KL"][1], (S, A)))
    row: dict[str, Any] = {
        "instance": instance,
        "S": S,
        "A": A,
        "B": B,
        "k": k,
        "gamma": gamma,
        "eps": eps,
        "benign": "part" if part else "all",
        "adversary": "best response" if responds else "random",
        "pairs": S * A,
        "finite": int((~infinite).sum()),
        "violated_3.1": _violated(value.true, value.paper) + _violated(value.true, value.sharp),
        "violated_3.2": _violated(states.true, states.paper) + _violated(states.true, states.sharp),
        "violated_3.3": sum(_violated(seen, done) for seen, done in transitions.values()),
    }
    for name, bound in (("value", value), ("states", states)):
        row |= {f"{name}_true": bound.true, f"{name}_paper": bound.paper, f"{name}_sharp": bound.sharp}
        row[f"{name}_trivial"] = bound.trivial
    for short, name in DIVERGENCES.items():
        row[f"{short}_true"], row[f"{short}_paper"] = _nearest(*transitions[name])
    return {name: float(f"{x:.9g}") if isinstance(x, float) else x for name, x in row.items()}


def _violated(true: Any, bound: Any) -> int:
    kept = np.asarray(true) <= np.asarray(bound) * (1 + RELATIVE) + ABSOLUTE
    return int((~kept).sum())  # NaN counts as violated


def _nearest(seen: np.ndarray, done: np.ndarray) -> tuple[float | None, float | None]:
    """Both sides of Proposition 3.3 where their ratio is largest; None where none is finite and above rounding."""
    done = np.broadcast_to(done, seen.shape)
    told = np.isfinite(done) & (done > ABSOLUTE)
    if not told.any():
        return None, None
    ratio = np.divide(seen, done, out=np.full(seen.shape, -1.0), where=told)
    place = np.unravel_index(ratio.argmax(), ratio.shape)
    return float(seen[place]), float(done[place])


def _ratios(rows: Sequence[Row], quantity: str, kind: str) -> np.ndarray:
    """Truth / bound of the instances where the bound is above rounding; a table read from a file has "" for None."""
    found = [(row[f"{quantity}_true"], row[f"{quantity}_{kind}"]) for row in rows]
    return np.array([float(t) / float(b) for t, b in found if b not in (None, "") and float(b) > ABSOLUTE])


def _vacuous(rows: Sequence[Row], quantity: str, kind: str) -> str:
    """How many of the bounds say no more than what holds anyway."""
    if quantity not in _PROPOSITIONS.values():
        return "-"
    return str(sum(float(row[f"{quantity}_{kind}"]) >= float(row[f"{quantity}_trivial"]) for row in rows))
