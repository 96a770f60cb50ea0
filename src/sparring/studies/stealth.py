"""What the studies of stealth share: attacks of several kinds on one victim, what they do, and how visible they are.

- Attackers with a budget b are trained with it and tested with it; that of budget 1 is the unconstrained attack (Gleave
  et al. 2019). Its policies on the way are kept.
- Attackers that hide are trained at budget 1 with a penalty for moving the states (`learners.stealthy`).
- Matched: for each constrained attack the policy on the way of the unconstrained one that wins most nearly as often, by
  matches of their own (DECISIONS 21). Both are then compared on others.

Every attack is compared with one sample of benign matches, and another one is the noise floor. Distances are over what
the victim sees. `joint` features are numbered over both agents' observations, the victim's first, as the paper's are.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparring.runs import CONFIG

Row = Mapping[str, Any]
UNCONSTRAINED = 1.0
MARGIN = 0.1  # winning rates are equal where they are no further apart
TOP = 10


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
    world: World
    seeds: int
    attack_steps: int
    matches: int  # of each evaluation
    budgets: tuple[float, ...] = (0.3, 0.7, 1.0)
    penalties: tuple[float, ...] = ()  # of attackers that hide, at budget 1
    checkpoints: int = 16  # of the unconstrained attack


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


def cells(settings: Settings, seed: int) -> list[Cell]:
    """One for each training seed."""
    s = settings
    drawn = np.random.SeedSequence(seed).generate_state(s.seeds).tolist()
    return [
        Cell(s.world, one, number, s.attack_steps, s.matches, s.budgets, s.penalties, s.checkpoints)
        for number, one in enumerate(drawn)
    ]


def run(cell: Cell, folder: Path) -> list[dict[str, Any]]:
    """Train the attackers of one seed, and look at them: rows of attacks, of matched pairs and of features."""
    attacks = _attacks(cell, folder)
    table = _Matches(cell, folder)
    rows = []
    for name, (budget, penalty, source) in attacks.items():
        seen = {"attack": name, "budget": budget, "penalty": penalty}
        rows.append({"kind": "attack", **seen, **table.row(name, source, budget)})
        rows += [{"kind": "variable", **seen, **row} for row in table.variable(name)]
    rows += [{"kind": "variable", "attack": "benign", **row} for row in table.variable(None)]
    for budget in (b for b in cell.budgets if b < UNCONSTRAINED):
        rows += _matched(cell, folder, table, attacks, budget)
    return [{"seed": cell.number, **row} for row in rows]


def _attacks(cell: Cell, folder: Path) -> dict[str, tuple[float, float, str]]:
    """Name: budget, penalty and policy of each trained attacker."""
    found: dict[str, tuple[float, float, str]] = {}
    wanted = [(budget, 0.0) for budget in cell.budgets] + [(UNCONSTRAINED, penalty) for penalty in cell.penalties]
    for budget, penalty in wanted:
        name = f"budget {budget:g}" if not penalty else f"hides, penalty {penalty:g}"
        out = folder / f"attack-{budget!r}-{penalty!r}"
        _found(
            "attack",
            out,
            cell.world.game,
            victim=cell.world.victim,
            benign=cell.world.benign,
            start=cell.world.start,
            train_game=cell.world.train_game,
            budget=budget,
            stealth=penalty,
            steps=cell.attack_steps,
            checkpoints=cell.checkpoints if budget == UNCONSTRAINED and not penalty else 0,
            episodes=16,
            seed=cell.seed,
        )
        found[name] = (budget, penalty, f"run:{out}")
    return found


def _found(verb: str, folder: Path, game: str, **settings: Any) -> Mapping[str, Any]:
    """The result of a verb whose run folder is `folder`: begun, gone on with, or read where it is finished."""
    from sparring.commands.common import accepted, perform, verb_module

    if not (folder / CONFIG).exists():
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed before it had begun
    given = accepted(verb_module(verb).Settings, game=game, out=str(folder), **settings)
    return perform(verb, given, resume=folder if (folder / CONFIG).exists() else None)


def _matched(
    cell: Cell, folder: Path, table: _Matches, attacks: Mapping[str, tuple[float, float, str]], budget: float
) -> list[dict[str, Any]]:
    """A constrained attack, and a policy on the way of the unconstrained one that wins as often."""
    from sparring.commands.attack import on_the_way
    from sparring.metrics.matching import closest, equivalence

    _, _, constrained = attacks[f"budget {budget:g}"]
    wins, n = table.wins(f"chosen by, budget {budget:g}", constrained, budget)
    paths = on_the_way(folder / f"attack-{UNCONSTRAINED!r}-{0.0!r}")
    sources = [cell.world.start, *(f"native:{path}" for path in paths)]  # untrained is a policy on the way, too
    counts = [table.wins(f"chosen by, checkpoint {k}", source, UNCONSTRAINED) for k, source in enumerate(sources)]
    k = closest([wins for wins, _ in counts], [n for _, n in counts], wins / n)
    steps = 0 if k == 0 else int(paths[k - 1].stem.rpartition("-")[2])
    ours, theirs = (
        table.row(f"matched, budget {budget:g}", constrained, budget),
        table.row(f"matched, checkpoint for {budget:g}", sources[k], UNCONSTRAINED),
    )
    equal = equivalence(ours["wins"], ours["matches"], theirs["wins"], theirs["matches"], MARGIN)
    pair = {"constrained": budget, "steps": steps, "equivalent": equal.equivalent}
    pair |= {"difference": equal.difference, "low": equal.low, "high": equal.high}
    return [
        {"kind": "matched", "which": "constrained", **pair, **ours},
        {"kind": "matched", "which": "unconstrained", **pair, **theirs},
    ]


class _Matches:
    """Matches of one victim, played or read, and what they show against the benign ones."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        from sparring.oracles.learned import LearnedOracle
        from sparring.oracles.options import Seats
        from sparring.oracles.seating import ask
        from sparring.oracles.visible import STUDY, benign
        from sparring.play.features import feature_names

        self.cell, self.folder = cell, folder
        world = cell.world
        self.oracle = LearnedOracle(ask(Seats(game=world.game, benign=world.benign), world.victim))
        question = self.oracle.question
        self.victims = question.threat.victims
        self.observers = (*self.victims, *(agent for agent in question.agents if agent not in self.victims))
        self.names = feature_names(question.first, self.observers)
        self.own = feature_names(question.first, self.victims)
        first, again = (self.played(f"benign {k}", None, 0.0) for k in range(2))
        self.joint: dict[str | None, Any] = {None: first}
        self.without = benign(self.seen(first), self.seen(again), self.own, STUDY, cell.seed)
        self.benign_fails = self.fails(first)

    def played(self, name: str, source: str | None, budget: float) -> Any:
        """Matches with what all agents saw, the victim first."""
        from sparring.oracles.match_files import read_matches, save_matches

        path = self.folder / f"{name.replace(' ', '-').replace(',', '')}.matches.safetensors"
        if not path.exists():
            oracle = self.oracle
            adversarial = oracle.question.threat.benign if source is None else oracle.adversarial(source)
            digest = [self.cell.seed, *name.encode()]
            seed = int(np.random.SeedSequence(digest).generate_state(1)[0])
            outcomes = oracle.play(
                adversarial, budget, self.cell.matches, seed, name, 8_000, tracks=32 * 2**20, watch=self.observers
            )
            save_matches(path, outcomes)
        return read_matches(path)

    def seen(self, outcomes: Any) -> Any:
        """The same matches as the victim saw them."""
        width, acts = len(self.own), sum(self.oracle.question.spaces[agent].action.size for agent in self.victims)
        states = outcomes.states._replace(rows=np.ascontiguousarray(outcomes.states.rows[:, :width]))
        tracks = outcomes.tracks._replace(
            rows=np.ascontiguousarray(outcomes.tracks.rows[:, :width]),
            action=np.ascontiguousarray(outcomes.tracks.action[:, :acts]),
        )
        return outcomes._replace(states=states, tracks=tracks)

    def won(self, outcomes: Any) -> np.ndarray:
        flags = self.oracle.sample(outcomes).flags()
        assert flags is not None, "the studies of stealth are about games with winners"
        return flags["win"] & ~outcomes.invalid

    def fails(self, outcomes: Any) -> int:
        flags = self.oracle.sample(outcomes).flags()
        assert flags is not None
        return int((flags["fail"] & ~outcomes.invalid).sum())

    def wins(self, name: str, source: str, budget: float) -> tuple[int, int]:
        """Won and valid matches."""
        outcomes = self.played(name, source, budget)
        return int(self.won(outcomes).sum()), int((~outcomes.invalid).sum())

    def row(self, name: str, source: str, budget: float) -> dict[str, Any]:
        """What an attack does and how visible it is."""
        from sparring.oracles.visible import STUDY, visibility

        outcomes = self.played(name, source, budget)
        self.joint[name] = outcomes
        seen = visibility(self.without, self.seen(outcomes), self.won(outcomes), depth=STUDY, seed=self.cell.seed)
        valid = int((~outcomes.invalid).sum())
        found: dict[str, Any] = {"matches": valid, "wins": int(self.won(outcomes).sum()), "fails": self.fails(outcomes)}
        found |= {"benign_fails": self.benign_fails}
        for d in seen.distances:
            if d.features == "all features":
                found |= {f"{d.measure}": d.value, f"{d.measure}_corrected": d.corrected, f"{d.measure}_p": d.p}
                found |= {f"{d.measure}_floor": d.floor, f"{d.measure}_floor_high": d.floor_high}
        for name_ in ("auc_state", "auc_window", "auc_match", "auc_floor"):
            area = getattr(seen, name_)
            found[name_] = None if area is None else area.value
        if seen.online:
            found |= {"caught": seen.online[0].caught, "in_time": seen.online[0].in_time}
        return found

    def variable(self, name: str | None) -> list[dict[str, Any]]:
        """The features of all agents that vary the most, by their numbers in the joint observation."""
        from sparring.metrics.features import most_variable

        best = most_variable(self.joint[name].states.rows, TOP)
        return [{"rank": k + 1, "index": i, "feature": self.names[i]} for k, i in enumerate(best)]
