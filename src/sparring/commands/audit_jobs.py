"""The jobs of an audit: which there are, what each of them does, and what all of them have left.

A task says what is done, at which budget, from which start and with which seed; the job's folder has the task's name.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from sparring.commands.common import spawned
from sparring.jobs import JOBS
from sparring.judgement import by_start, outcome_measure, over_seeds
from sparring.oracles.base import Attack, Measured, Oracle
from sparring.oracles.learned import slots
from sparring.records import BENIGN, EXACT, BudgetResult, Curve, Damage, Measure, Scale, SeedResult, damage_in, fields
from sparring.runs import Run
from sparring.visibility import Coupling, Visibility

SCRATCH = "scratch"  # the start of new weights
MATCHES, AGAIN, CONTROL = "matches", "benign-again", "positive-control"
Task: TypeAlias = tuple[str, dict[str, Any]]  # a job's name, and what is done


class Opponent(NamedTuple):
    """A policy that an attack is compared with: it plays in the attackers' place at the same budget."""

    name: str  # what the result calls it
    source: str  # what it is loaded from
    job: str  # the first part of its jobs' names, which are names of folders


class Prepared(NamedTuple):
    """What decides which jobs there are, and what they need."""

    oracles: tuple[Oracle, ...]  # one for each start of training; they differ in nothing else
    budgets: tuple[float, ...]
    seeds: int  # attackers for each budget and start
    matches: int
    plain: tuple[Opponent, ...]  # that an attack is compared with, besides the benign one
    # Of a victim that is known to be exploitable, attacked from the first start; else why there is none.
    control: tuple[Oracle | None, str]
    starts: tuple[str, ...] = ()  # what the starts are called; none where nothing is trained

    @property
    def oracle(self) -> Oracle:
        """The one that plays the matches and judges them, which no start changes."""
        return self.oracles[0]

    @property
    def attacks(self) -> list[tuple[int, int]]:
        """The start and the seed of every attack at one budget, by number."""
        return [(start, seed) for start in range(len(self.oracles)) for seed in range(self.seeds)]

    def attack_name(self, budget: float, start: int, seed: int) -> str:
        """The name of an attack's job: where there is one start, it is not in the name."""
        which = f"start{start}-" if len(self.oracles) > 1 else ""
        return f"attack-{budget!r}-{which}{seed}"


def first_tasks(prepared: Prepared, root: int) -> list[Task]:
    """Attacks, the longest jobs, first; then the opponents that they are compared with."""
    budgets, matches, others, several = prepared.budgets, prepared.matches, prepared.plain, len(prepared.attacks) > 1
    tasks: list[Task] = []
    for i, budget in enumerate(budgets):
        for start, k in prepared.attacks:
            # The first start has the randomness that it has alone, so that further starts leave its attackers as they
            # are.
            key = (i, k, start) if start else (i, k)
            task = {
                "kind": "attack",
                "budget": budget,
                "start": start,
                "seed": spawned(root, 4, *key),
                "matches": matches,
                # Chosen on matches of its own, so that the reported rate is not the luckiest of several.
                "matches_seed": spawned(root, 5, *key) if several else spawned(root, 2, i),
            }
            tasks.append((prepared.attack_name(budget, start, k), task))
    for number, name in enumerate((BENIGN,) if prepared.oracle.name == EXACT else (BENIGN, AGAIN)):
        task = {"kind": "plain", "opponent": BENIGN, "budget": 0.0, "matches": matches}
        tasks.append((name, {**task, "matches_seed": spawned(root, number)}))
    for i, budget in enumerate(budgets):
        for j, other in enumerate(others):
            task = {"kind": "plain", "opponent": other.source, "budget": budget, "matches": few(matches)}
            tasks.append((_plain_name(other, budget), {**task, "matches_seed": spawned(root, 3, i, j)}))
    return tasks


def final_tasks(prepared: Prepared, root: int, chosen: Sequence[str]) -> list[Task]:
    """New matches of the attackers that were chosen among several; one that was the only one has played them."""
    if len(prepared.attacks) == 1:
        return []
    tasks = []
    for i, budget in enumerate(prepared.budgets):
        task = {"kind": "final", "budget": budget, "attacker": chosen[i], "matches": prepared.matches}
        tasks.append((_final_name(budget), {**task, "matches_seed": spawned(root, 2, i)}))
    return tasks


def control_task(prepared: Prepared, root: int) -> Task:
    """The same attack on a victim that is known to be exploitable."""
    seeds = {name: spawned(root, 7, i) for i, name in enumerate(("seed", "matches_seed", "benign_seed"))}
    return CONTROL, {"kind": "control", "budget": max(prepared.budgets), "matches": prepared.matches, **seeds}


def _final_name(budget: float) -> str:
    return f"final-{budget!r}"


def opponents(plain: Sequence[str], starts: Sequence[str], benign: str) -> tuple[Opponent, ...]:
    """The plain policies, and as they are the policies that attackers start from: what was training worth?

    New weights are nobody's policy, and the benign policy is measured anyway.

    Args:
      plain: names of policies.
      starts: whose weights attackers begin with, as `AttackConfig.start` says it.
      benign: the benign policy.
    """
    begun = [start for start in starts if start not in (SCRATCH, BENIGN, benign)]
    untrained = [Opponent(f"untrained {start}", start, f"untrained{i}") for i, start in enumerate(begun)]
    return (*(Opponent(name, name, name) for name in plain), *untrained)


def _plain_name(opponent: Opponent, budget: float) -> str:
    return f"{opponent.job}-{budget!r}"


def few(matches: int) -> int:
    """Matches of a plain opponent."""
    return max(min(matches, slots(matches)), matches // 2) if matches else 0


def do(prepared: Prepared, task: Mapping[str, Any], run: Run) -> None:
    """Do what a task says, in the folder of its job."""
    oracle, budget = prepared.oracle, task["budget"]
    match task["kind"]:
        case "attack":
            attack = prepared.oracles[task["start"]].attack(budget, run, task["seed"])
            oracle.robust(budget, run.folder)
            # Of several attacks the chosen one plays its final matches, and these are looked at.
            whole = len(prepared.attacks) == 1
            oracle.evaluate(attack.adversarial, budget, task["matches"], run, MATCHES, task["matches_seed"], whole)
        case "final":
            attack = oracle.found(budget, run.folder.parent / task["attacker"])
            oracle.evaluate(attack.adversarial, budget, task["matches"], run, MATCHES, task["matches_seed"], True)
        case "plain":
            benign = task["opponent"] == BENIGN
            adversarial = None if benign else oracle.adversarial(task["opponent"])
            oracle.evaluate(adversarial, budget, task["matches"], run, MATCHES, task["matches_seed"], benign)
        case "control":
            control = prepared.control[0]
            assert control is not None
            attack = control.attack(budget, run, task["seed"])
            control.evaluate(attack.adversarial, budget, task["matches"], run, MATCHES, task["matches_seed"])
            control.evaluate(None, 0.0, task["matches"], run, BENIGN, task["benign_seed"])


# ---------------------------------------------------------------------------------------------------------------------
# What the jobs have left.


class Seed(NamedTuple):
    """One attack, on the matches that it was chosen by."""

    name: str  # its job's
    start: str | None
    seed: int
    attack: Attack
    measured: Measured


def _seeds_at(prepared: Prepared, folders: Mapping[str, Path], budget: float) -> list[Seed]:
    oracle, seeds = prepared.oracle, []
    for start, k in prepared.attacks:
        folder = folders[name := prepared.attack_name(budget, start, k)]
        called = prepared.starts[start] if prepared.starts else None
        seeds.append(Seed(name, called, k, oracle.found(budget, folder), oracle.measured(folder, MATCHES)))
    return seeds


def choose(prepared: Prepared, folders: Mapping[str, Path], measure: Measure | None) -> list[str]:
    """At each budget the job of the strongest attack."""
    oracle = prepared.oracle
    benign = oracle.measured(folders[BENIGN], MATCHES)
    candidates = {budget: _seeds_at(prepared, folders, budget) for budget in prepared.budgets}
    plain = [_plain_name(other, budget) for budget in prepared.budgets for other in prepared.plain]
    seen = [oracle.measured(folders[name], MATCHES) for name in plain if name in folders]
    seen += [benign, *(seed.measured for seeds in candidates.values() for seed in seeds)]
    outcome = outcome_measure([oracle.rates(one, None) for one in seen])
    measures: tuple[Measure, ...] = ("value", outcome, "return") if measure is None else (measure,)
    chosen = []
    for seeds in candidates.values():
        scale = oracle.scale([benign, *(seed.measured for seed in seeds)])
        damages = [oracle.damage(seed.measured, benign, scale, 1) for seed in seeds]
        strength = [_strength(damage, measures) for damage in damages]
        chosen.append(seeds[max(range(len(seeds)), key=lambda k: (strength[k], -k))].name)
    return chosen


def _strength(damage: Damage, measures: Sequence[Measure]) -> float:
    """Damage in the measure that the audit is judged by, the first that there is (DECISIONS 29)."""
    for measure in measures:
        if (difference := damage_in(damage, measure)) is not None:
            return -math.inf if difference.value is None else difference.value
    return 0.0  # all returns are equal


class Left(NamedTuple):
    """What all jobs of an audit have left, put together."""

    scale: Scale | None
    results: tuple[BudgetResult, ...]
    curves: tuple[Curve, ...]
    strongest: Mapping[float, Attack]  # by budget
    certain: Coupling | str  # what no attacker can do, or why nothing is known
    visibility: tuple[Visibility, ...]  # of the attack at each budget


def collect(
    prepared: Prepared, folders: Mapping[str, Path], chosen: Sequence[str], folder: Path, seed: int = 0
) -> Left:
    """Put together what the jobs have left, and copy what is kept into the audit's folder; `chosen` as by `choose`."""
    oracle, budgets, others = prepared.oracle, prepared.budgets, prepared.plain
    names = chosen if len(prepared.attacks) == 1 else [_final_name(budget) for budget in budgets]
    plain_names = [_plain_name(other, budget) for budget in budgets for other in others]
    evaluations = [BENIGN, *(name for name in folders if name == AGAIN), *names, *plain_names]
    measured = {name: oracle.measured(folders[name], MATCHES) for name in evaluations}
    scale = oracle.scale(list(measured.values()))
    benign, again = measured[BENIGN], measured.get(AGAIN)
    results, curves, strongest = [], [], {}
    for i, budget in enumerate(budgets):
        attacked, beside = measured[names[i]], {one.name: measured[_plain_name(one, budget)] for one in others}
        seeds = _seeds_at(prepared, folders, budget)
        best = next(seed for seed in seeds if seed.name == chosen[i])
        strongest[budget] = best.attack
        curves += [seed.attack.curve for seed in seeds if seed.attack.curve is not None]
        rows = _seed_rows(oracle, seeds, best, scale) if oracle.trains else ()
        results.append(
            BudgetResult(
                **fields(oracle.rates(attacked, scale)),
                budget=budget,
                attacker=_keep(best.attack, folder, f"-budget-{budget!r}"),
                attack_steps=best.attack.steps,
                damage=oracle.damage(attacked, benign, scale, len(budgets)),
                baselines={
                    BENIGN: oracle.rates(benign, scale),
                    **{name: oracle.rates(one, scale) for name, one in beside.items()},
                },
                versus={
                    name: oracle.damage(attacked, one, scale, len(budgets) * len(others))
                    for name, one in beside.items()
                },
                seeds=rows,
                over_seeds=over_seeds(rows, scale),
                by_start=by_start(rows, scale),
                shift=oracle.shift(benign, attacked),
                shift_noise_floor=None if again is None else oracle.shift(benign, again),
                shift_measure="total variation" if oracle.name == EXACT else "wasserstein-2",
                still_improving=best.attack.still_improving,
                **oracle.robust(budget, folders[chosen[i]]),
            )
        )
        for path in folders[chosen[i]].glob("robust-victim.json"):
            shutil.copyfile(path, folder / f"robust-victim-budget-{budget!r}.json")
    at = {name: budget for budget, name in zip(budgets, names, strict=True)}
    at |= {_plain_name(other, budget): budget for budget in budgets for other in others}
    played = [(name, at.get(name, 0.0), 0, one) for name, one in measured.items()]
    oracle.write_matches(folder / "matches.csv", played)
    certain = oracle.certificate([benign] if again is None else [benign, again], budgets)
    attacks = {budget: measured[name] for budget, name in zip(budgets, names, strict=True)}
    seen = oracle.visibility(benign, benign if again is None else again, attacks, seed)
    return Left(scale, tuple(results), tuple(curves), strongest, certain, seen)


def _seed_rows(oracle: Oracle, seeds: Sequence[Seed], best: Seed, scale: Scale | None) -> tuple[SeedResult, ...]:
    return tuple(
        SeedResult(
            start=seed.start,
            seed=seed.seed,
            attacker=f"{JOBS}/{seed.name}/{seed.attack.files[0].name}",
            attack_steps=seed.attack.steps or 0,
            rates=oracle.rates(seed.measured, scale),
            chosen=seed is best,
            still_improving=seed.attack.still_improving,
        )
        for seed in seeds
    )


def _keep(attack: Attack, folder: Path, suffix: str) -> str:
    """Copy the attack's files beside the report; what they are called there, or a shipped attack's name."""
    if attack.source is not None:
        return attack.source
    kept = [folder / f"{path.stem}{suffix}{path.suffix}" for path in attack.files]
    for path, copy in zip(attack.files, kept, strict=True):
        shutil.copyfile(path, copy)
    return ", ".join(copy.name for copy in kept)
