"""What the studies of hardened victims share: how a victim is hardened, attacked afresh, and what the rows show.

Every method trains for the same number of steps. A training at budget B spreads the budgets of its matches evenly from
0 to B: at B alone a victim that can be attacked hardly ever wins, and learns next to nothing (results/discs-defence).
Then fresh attackers, which the victim never met, are trained from several starts at every budget of the test; the
strongest counts, on matches that it was not chosen by. `none` is the victim as it was, or, where all victims begin with
random weights, one that was trained without attacks.

What a victim loses is the share of its matches where the game has winners, and minus its return where it has none.
What the rows show is in `hardening_tables`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparring.studies.verbs import result_of

Row = Mapping[str, Any]
NONE, TWO, SINGLE = "none", "two-timescale", "single-timescale"
METHODS = (
    NONE,
    TWO,
    SINGLE,
    "alternating",
    "min-oracle",
    "self-play",
    "fictitious-play",
    "retrain",
    "regularised",
)
POOLED = ("self-play", "fictitious-play")  # half of the matches are those of the present victim
SCRATCH = "scratch"
POINTS = 40  # of each curve
BLOCK = 400  # matches, of whose mean score the oscillation is measured
REACHED = 0.0  # score: the victim wins as often as it loses against the attackers that it is trained with
SHARE, RETURN = "share of matches lost", "minus the victim's return"


@dataclass(frozen=True)
class World:
    """Who is hardened where, and how: the same for all methods."""

    game: str
    victim: str  # a policy, or scratch: random weights
    benign: str  # what the attackers' agents do otherwise
    starts: tuple[str, ...]  # of the fresh attackers; equal ones are different seeds
    others: tuple[str, ...] = ()  # attackers at hand, which are tried as they are
    train_game: str | None = None
    victim_seat: str | None = None
    learning_rate: float | None = None  # the victim's
    ratio: float = 3.0  # two-timescale: the attackers' over the victim's
    spread: bool = True  # budgets from 0 to the budget in training, instead of that budget alone
    training: tuple[tuple[str, Any], ...] = ()  # further settings of all trainings, by name

    @property
    def seat(self) -> dict[str, Any]:
        """Which agent the victim is, for verbs; empty: the game's first."""
        return {} if self.victim_seat is None else {"victim_seat": self.victim_seat}


@dataclass(frozen=True)
class Settings:
    world: World
    seeds: int
    steps: int  # of a hardening, all matches together
    attack_steps: int
    matches: int
    methods: tuple[str, ...] = METHODS
    budget: float = 1.0  # of Figure 4: all methods are trained and tested with it
    mismatch: tuple[float, ...] = ()  # of Table 4: two timescales are trained with each; empty: no such table
    tests: tuple[float, ...] = ()  # budgets of the attacks, besides those


@dataclass(frozen=True)
class Cell:
    """One victim: how it is hardened, and the budgets at which it is attacked."""

    world: World
    method: str
    budget: float
    seed: int
    number: int  # which training seed it is
    tests: tuple[float, ...]
    steps: int
    attack_steps: int
    matches: int


def cells(settings: Settings, seed: int) -> list[Cell]:
    """Every method and seed at the budget of Figure 4, and the victims of Table 4."""
    s, found = settings, []
    drawn = np.random.SeedSequence(seed).generate_state(s.seeds).tolist()
    for number, one in enumerate(drawn):
        for method in s.methods:
            table = method in (NONE, TWO) and bool(s.mismatch)
            budgets = s.mismatch if table and method == TWO else (s.budget,)
            tests = tuple(sorted({s.budget, *s.tests, *(s.mismatch if table else ())}))
            found += [
                Cell(s.world, method, budget, one, number, tests, s.steps, s.attack_steps, s.matches)
                for budget in budgets
            ]
    return found


def run(cell: Cell, folder: Path) -> list[dict[str, Any]]:
    """Harden one victim and attack it: a row for the training, for each point of its curve and for each attacker.

    Args:
      folder: keeps the runs of the cell, each in a folder of its own: the hardened victim, the attackers, evaluations.
        A cell that was interrupted goes on with them.
    """
    own = {"method": cell.method, "train_budget": cell.budget, "seed": cell.number}
    victim, found = cell.world.victim, []
    if cell.method != NONE or victim == SCRATCH:
        result = _harden(cell, folder / "defend")
        victim, found = f"native:{result['policy']}", _training_rows(result)
    for test in cell.tests:
        found += _attack_rows(cell, victim, test, folder)
    return [{**own, **row} for row in found]


def _harden(cell: Cell, folder: Path) -> Mapping[str, Any]:
    world, attacked = cell.world, cell.method != NONE
    given: dict[str, Any] = {**dict(world.training), **world.seat}
    if world.learning_rate is not None and cell.method != "retrain":
        given["learning_rate"] = world.learning_rate
    if cell.method == TWO:
        given["ratio"] = world.ratio
    if world.spread and attacked:
        given["budget_range"] = (0.0, cell.budget)
    return result_of(
        "defend",
        folder,
        world.game,
        victim=world.victim,
        benign=world.benign,
        method=cell.method if attacked else SINGLE,
        budget=cell.budget if attacked else 0.0,
        train_game=world.train_game,
        steps=cell.steps,
        attack_steps=cell.attack_steps if cell.method == "retrain" else 0,
        episodes=16,
        seed=cell.seed,
        **given,
    )


def _training_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    points = [p for p in result["curve"] if p["score"] is not None]
    score = np.array([p["score"] for p in points])
    # A running mean over a twentieth of the training: one round ends few matches.
    width = max(len(score) // 20, 1)
    smooth = np.convolve(score, np.ones(width) / width, "valid") if len(score) else score
    reached = np.flatnonzero(smooth >= REACHED)
    last = [p["gradient_norm"] for p in points[len(points) // 2 :] if p["gradient_norm"] is not None]
    rows: list[dict[str, Any]] = [
        {
            "kind": "training",
            "steps": result["steps"],
            **oscillation(points),
            "gradient_norm": float(np.mean(last)) if last else None,
            "reached": int(points[reached[0] + width - 1]["steps"]) if len(reached) else None,
        }
    ]
    for chunk in np.array_split(np.array(points, object), max(1, min(POINTS, len(points)))):
        if len(chunk):
            norms = [p["gradient_norm"] for p in chunk if p["gradient_norm"] is not None]
            rows.append(
                {
                    "kind": "curve",
                    "steps": int(chunk[-1]["steps"]),
                    "score": float(np.mean([p["score"] for p in chunk])),
                    "gradient_norm": float(np.mean(norms)) if norms else None,
                }
            )
    return rows


def oscillation(points: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Variance and total variation of the score in the last half of a training, between blocks of equally many matches.

    A method with past opponents has half as many matches of the present victim in a round, and so twice the noise;
    blocks of at least `BLOCK` matches make methods comparable. None: there are fewer than two blocks.
    """
    means, total, matches = [], 0.0, 0
    for point in points[len(points) // 2 :]:
        total, matches = total + point["matches"] * point["score"], matches + point["matches"]
        if matches >= BLOCK:
            means.append(total / matches)
            total, matches = 0.0, 0
    if len(means) < 2:
        return {"variance": None, "total_variation": None}
    return {"variance": float(np.var(means, ddof=1)), "total_variation": float(np.abs(np.diff(means)).sum())}


def _attack_rows(cell: Cell, victim: str, test: float, folder: Path) -> list[dict[str, Any]]:
    """Attackers of one victim at one budget, and the strongest of them on matches of its own; then clean play."""
    world = cell.world
    cast: dict[str, Any] = {"victim": victim, "benign": world.benign, **world.seat}

    def lost(attacker: str, budget: float, stream: int) -> float:
        seed = int(np.random.SeedSequence([cell.seed, stream]).generate_state(1)[0])
        out = folder / f"evaluate-{test!r}-{stream}"
        asked = {"attacker": attacker, "budget": budget, "episodes": cell.matches, "seed": seed}
        return lost_of(result_of("evaluate", out, world.game, **asked, **cast))

    attackers = [(f"{other}, untrained", other) for other in world.others]
    for number, start in enumerate(world.starts):
        out = folder / f"attack-{test!r}-{number}"
        result_of(
            "attack",
            out,
            world.game,
            budget=test,
            start=start,
            train_game=world.train_game,
            steps=cell.attack_steps,
            episodes=16,
            seed=cell.seed + number + 1,
            **cast,
        )
        attackers.append((start, f"run:{out}"))
    found = [lost(attacker, test, stream) for stream, (_, attacker) in enumerate(attackers)]
    rows: list[dict[str, Any]] = [
        {"kind": "attack", "test_budget": test, "start": name, "lost": value}
        for (name, _), value in zip(attackers, found, strict=True)
    ]
    name, best = attackers[int(np.argmax(found))]
    own = {"kind": "strongest", "test_budget": test, "start": name, "matches": cell.matches}
    return [*rows, {**own, "lost": lost(best, test, 100), "clean_lost": lost(world.benign, 0.0, 101)}]


def lost_of(found: Mapping[str, Any]) -> float:
    """What the victim loses in an evaluation: its share of lost matches, or minus its return where nobody wins."""
    return -float(found["victim_return"]) if found["fail"] is None else float(found["fail"])
