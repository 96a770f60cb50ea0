"""What the studies of stealth share: attacks of several kinds on one victim, what they do, and how visible they are.

- Attackers with a budget b are trained with it and tested with it; that of budget 1 is the unconstrained attack (Gleave
  et al. 2019).
- Attackers that hide are trained at budget 1 with a penalty for moving the states (`learners.stealthy`).
- Matched: for each constrained attack the unconstrained one that wins most nearly as often, by matches of their own
  (DECISIONS 21). It is chosen from those on the way of two trainings: from the strong start, and from the benign
  opponent's own weights. Both are then compared on others.
- Rounds: an attacker adapts (it hides), and then the detector does (it is fitted with the hiding attacker's matches).

Every attack is compared with one sample of benign matches, and another one is the noise floor. Distances are over what
the victim sees. `variable` features are numbered over both agents' observations, the victim's first, as the paper's
are. What is measured of the matches is in `sparring.studies.stealth_matches`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.studies.stealth_matches import Matches
from sparring.studies.verbs import result_of

Row = Mapping[str, Any]
UNCONSTRAINED = 1.0
MARGIN = 0.1  # winning rates are equal where they are no further apart
ZOO = "zoo"  # the folder with the published agents


@dataclass(frozen=True)
class World:
    """Who is attacked where."""

    game: str
    victim: str
    start: str  # of the attackers
    train_game: str | None = None
    benign: str | None = None  # None: the victim's own policy


@dataclass(frozen=True)
class Settings:
    worlds: tuple[World, ...]
    seeds: int
    attack_steps: int
    matches: int  # of each evaluation
    budgets: tuple[float, ...] = (0.3, 0.7, 1.0)
    penalties: tuple[float, ...] = ()  # of attackers that hide, at budget 1
    checkpoints: int = 0  # of the unconstrained attack, for matched pairs; 0: no pairs
    fresh: int = 0  # benign matches that count false alarms, with the first seed


@dataclass(frozen=True)
class Cell:
    world: World
    seed: int
    number: int  # which training seed it is
    attack_steps: int
    matches: int
    budgets: tuple[float, ...]
    penalties: tuple[float, ...]
    checkpoints: int
    fresh: int


@dataclass(frozen=True)
class Attack:
    """One trained attacker."""

    name: str
    budget: float
    penalty: float
    source: str  # its policy
    folder: Path  # of its training


def check(settings: Settings) -> None:
    """Refuse a study whose published agents are not there.

    Raises:
      InputError: one is missing.
    """
    for world in settings.worlds:
        for policy in (world.victim, world.start):
            file = policy.removeprefix("robosumo-zoo:")
            if file != policy and not Path(file).exists():
                raise InputError(
                    f"{policy}: no such file. This preset needs the agents that OpenAI published with RoboSumo "
                    f"(github.com/openai/robosumo) in the folder {ZOO}; --preset smoke does not"
                )


def cells(settings: Settings, seed: int) -> list[Cell]:
    """One for each training seed in each world."""
    s = settings
    drawn = np.random.SeedSequence(seed).generate_state(s.seeds).tolist()
    return [
        Cell(
            *(world, one, number, s.attack_steps, s.matches, s.budgets, s.penalties, s.checkpoints),
            fresh=s.fresh if number == 0 else 0,
        )
        for number, one in enumerate(drawn)
        for world in s.worlds
    ]


def run(cell: Cell, folder: Path) -> list[dict[str, Any]]:
    """Train the attackers of one seed, and look at them: rows of several kinds."""
    attacks = trained(cell, folder)
    table = Matches(cell.world.game, cell.world.victim, cell.world.benign, cell.matches, cell.seed, folder)
    rows: list[dict[str, Any]] = []
    for attack in attacks:
        told = {"attack": attack.name, "budget": attack.budget, "penalty": attack.penalty}
        rows.append({"kind": "attack", **told, **table.row(attack.name, attack.source, attack.budget)})
    plain = next((attack.name for attack in attacks if attack.budget == UNCONSTRAINED and not attack.penalty), None)
    if plain is not None:
        for attack in (attack for attack in attacks if attack.penalty):
            rows += [{"kind": "round", "attack": attack.name, **row} for row in table.rounds(plain, attack.name)]
    if cell.fresh:
        rows += [{"kind": "fresh", **row} for row in table.false_alarms(cell.fresh)]
    if cell.checkpoints:
        rows += _matched(cell, folder, table, attacks)
    return named(cell, rows)


def named(cell: Cell, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the world and the seed that they belong to."""
    return [{"world": cell.world.game, "seed": cell.number, **row} for row in rows]


def trained(cell: Cell, folder: Path) -> list[Attack]:
    """The attackers of a cell."""
    wanted = [(budget, 0.0) for budget in cell.budgets] + [(UNCONSTRAINED, penalty) for penalty in cell.penalties]
    attacks = []
    for budget, penalty in wanted:
        name = f"budget {budget:g}" if not penalty else f"hides, penalty {penalty:g}"
        out = folder / f"attack-{budget!r}-{penalty!r}"
        keeps = cell.checkpoints if budget == UNCONSTRAINED and not penalty else 0
        _train(cell, out, cell.world.start, budget, penalty, keeps)
        attacks.append(Attack(name, budget, penalty, f"run:{out}", out))
    return attacks


def _train(cell: Cell, out: Path, start: str, budget: float, penalty: float, checkpoints: int) -> None:
    result_of(
        "attack",
        out,
        cell.world.game,
        victim=cell.world.victim,
        benign=cell.world.benign,
        start=start,
        train_game=cell.world.train_game,
        budget=budget,
        stealth=penalty,
        steps=cell.attack_steps,
        checkpoints=checkpoints,
        episodes=16,
        seed=cell.seed,
    )


def _matched(cell: Cell, folder: Path, table: Matches, attacks: list[Attack]) -> list[dict[str, Any]]:
    """Each constrained attack, and the unconstrained one that wins most nearly as often."""
    from sparring.commands.attack import on_the_way
    from sparring.metrics.matching import closest, equivalence

    own = folder / "attack-benign"
    _train(cell, own, "benign", UNCONSTRAINED, 0.0, cell.checkpoints)
    strong = next(attack.folder for attack in attacks if attack.budget == UNCONSTRAINED and not attack.penalty)
    # An untrained policy is one on the way, too.
    benign = cell.world.benign or cell.world.victim
    ways = {"benign": (benign, own), "strong": (cell.world.start, strong)}
    sources = {
        (way, steps): policy
        for way, (start, run) in ways.items()
        for steps, policy in [(0, start), *((_steps(path), f"native:{path}") for path in on_the_way(run))]
    }
    counts = {
        (way, steps): table.wins(f"chosen by, {way} {steps}", source, UNCONSTRAINED)
        for (way, steps), source in sources.items()
    }
    rows = []
    for attack in (attack for attack in attacks if attack.budget < UNCONSTRAINED):
        wins, n = table.wins(f"chosen by, {attack.name}", attack.source, attack.budget)
        k = closest([wins for wins, _ in counts.values()], [n for _, n in counts.values()], wins / n)
        way, steps = list(counts)[k]
        ours, theirs = (
            table.row(f"matched, {attack.name}", attack.source, attack.budget),
            table.row(f"matched with {attack.name}", sources[way, steps], UNCONSTRAINED),
        )
        equal = equivalence(ours["wins"], ours["matches"], theirs["wins"], theirs["matches"], MARGIN)
        pair = {"constrained": attack.budget, "way": way, "steps": steps, "equivalent": equal.equivalent}
        pair |= {"difference": equal.difference, "low": equal.low, "high": equal.high}
        rows.append({"kind": "matched", "which": "constrained", **pair, **ours})
        rows.append({"kind": "matched", "which": "unconstrained", **pair, **theirs})
    return rows


def _steps(checkpoint: Path) -> int:
    return int(checkpoint.stem.rpartition("-")[2])
