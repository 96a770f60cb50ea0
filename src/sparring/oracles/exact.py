"""The exact oracle: best responses and values by enumeration, in games that can be enumerated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from sparring.errors import InputError, require
from sparring.files import read_json, write_json
from sparring.oracles import certificate, tables
from sparring.oracles.base import Attack
from sparring.oracles.learned import duration
from sparring.oracles.options import TRAINING, refuse
from sparring.oracles.seating import Question
from sparring.records import EXACT, Damage, Goal, OracleName, Rates, Scale, fields
from sparring.runs import Run
from sparring.types import ThreatModel
from sparring.visibility import Apart, Coupling, Visibility

if TYPE_CHECKING:
    from sparring.exact.cost import Cost
    from sparring.exact.finite import FiniteProblem
    from sparring.games.finite import FiniteGame

ATTACKER, VICTIM, ROBUST = "attacker.json", "robust-victim.json", "robust.json"
UNREAD = (*TRAINING, "checkpoints", "seeds", "episodes", "positive_control")  # options about training and about matches


_UNITS = {
    "total variation": "probability",
    "KL": "nats",
    "chi^2": "chi-squared divergence",
    "squared Hellinger": "at most 1",
}


class Known(NamedTuple):
    """What becomes of matches under one attack: no match was played."""

    rates: Rates
    shift: float  # total variation of where the victim decides, from that under the benign opponent
    distances: Mapping[str, float]  # the same and other divergences, of the attacked distribution from the benign one


@dataclass(frozen=True, eq=False)
class ExactOracle:
    """Made by `exact_oracle`."""

    question: Question
    game: FiniteGame
    base: FiniteProblem  # at budget 1
    nu: np.ndarray  # the victim as a table

    @property
    def name(self) -> OracleName:
        return EXACT

    @property
    def goal(self) -> Goal:
        return Goal(weights={self.question.threat.victim: -1.0})

    @property
    def trains(self) -> bool:
        return False

    def winners(self) -> bool:
        from sparring.exact.problem import MarkovProblem

        # As `exact.outcome.outcome` says: a discounted game has no end.
        return not (isinstance(self.base, MarkovProblem) and self.base.game.gamma > 0)

    def problem(self, budget: float) -> FiniteProblem:
        return replace(self.base, budget=budget)

    def plan(self, attacks: int, matches: int, certificates: bool = True) -> dict[str, Any]:
        from sparring.exact.cost import answer_cost

        del matches
        cost = answer_cost(self.base, max(attacks, 1), attacks if certificates else 0)
        return {"oracle": EXACT, "best_responses": attacks, "victim_rows": len(self.nu), **planned(cost)}

    def adversarial(self, source: Any) -> np.ndarray:
        return tables.adversarial_table(source, self.game, self.question.threat.attackers, self.base)

    def attack(self, budget: float, run: Run, seed: int) -> Attack:
        del seed
        problem = self.problem(budget)
        best = problem.best_response(self.nu)
        path = run.folder / ATTACKER
        tables.save_attacker(path, self.game, self.question.threat.attackers, problem, best.policy)
        return Attack(best.policy, (path,))

    def found(self, budget: float, folder: Path) -> Attack:
        from sparring.loaders import tabular

        rows = tables.attacker_rows(self.game, self.question.threat.attackers, self.problem(budget))
        return Attack(tabular.read(folder / ATTACKER, rows), (folder / ATTACKER,))

    def evaluate(
        self,
        adversarial: np.ndarray | None,
        budget: float,
        matches: int,
        run: Run,
        name: str,
        seed: int,
        whole: bool = False,
    ) -> Known:
        from sparring.exact.outcome import outcome, shift, visits
        from sparring.judgement import exact_rates
        from sparring.metrics.divergences import divergences

        del matches, seed, whole
        path = run.folder / f"{name}.json"
        if path.exists():
            return self.measured(run.folder, name)
        problem = self.problem(0.0 if adversarial is None else budget)
        alpha = problem.benign if adversarial is None else adversarial
        found = outcome(problem, self.nu, alpha)
        rates = exact_rates(
            win=found.win,
            draw=found.draw,
            loss=found.loss,
            fail=found.fail,
            victim_value=found.victim_value,
            attacker_value=found.attacker_value,
            mean_decisions=found.mean_decisions,
            discounted=found.mean_decisions is None,
        )
        apart = divergences(visits(problem, self.nu, alpha), visits(problem, self.nu, problem.benign))
        known = Known(rates, shift(problem, self.nu, alpha), {name: float(value) for name, value in apart.items()})
        finite = {name: value if math.isfinite(value) else None for name, value in known.distances.items()}
        write_json(path, {"rates": fields(rates), "shift": known.shift, "distances": finite})
        return known

    def measured(self, folder: Path, name: str) -> Known:
        saved = read_json(folder / f"{name}.json")
        distances = {name: math.inf if v is None else v for name, v in saved.get("distances", {}).items()}
        return Known(msgspec.convert(saved["rates"], Rates), saved["shift"], distances)

    def write_matches(self, path: Path, evaluations: Sequence[tuple[str, float, int, Known]]) -> None:
        del path, evaluations

    def scale(self, measured: list[Known]) -> Scale | None:
        del measured
        return Scale(**self.base.met(self.nu)._asdict(), range_from="game")

    def rates(self, measured: Known, scale: Scale | None) -> Rates:
        del scale
        return measured.rates

    def damage(self, attacked: Known, reference: Known, scale: Scale | None, together: int) -> Damage:
        from sparring.judgement import exact_damage

        del together
        return exact_damage(attacked.rates, reference.rates, scale)

    def shift(self, benign: Known, attacked: Known) -> float | None:
        del benign
        return attacked.shift

    def visibility(
        self, benign: Known, again: Known, attacked: Mapping[float, Known], seed: int
    ) -> tuple[Visibility, ...]:
        del benign, again, seed
        return tuple(
            Visibility(
                budget=budget,
                distances=tuple(
                    Apart(
                        measure=name,
                        features="where the victim decides",
                        unit=_UNITS[name],
                        value=value if math.isfinite(value) else None,
                        above_floor=value > 0,
                        reason="" if math.isfinite(value) else "infinite: the attack leads where no benign match does",
                    )
                    for name, value in known.distances.items()
                ),
            )
            for budget, known in attacked.items()
        )

    def certificate(self, benign: Sequence[Known], budgets: Sequence[float]) -> Coupling | str:
        from sparring.exact.coupling import coupling, goes_on

        del benign
        certain, limits = coupling(self.base, self.nu)
        what, lasts = "return" if self.winners() else "value", goes_on(self.base)
        return certificate.record(
            certain, budget=min(budgets), limits=limits, what=what, budgets=budgets, goes_on=lasts
        )

    def robust(self, budget: float, folder: Path) -> dict[str, Any]:
        from sparring.exact.certificate import verify
        from sparring.exact.robust import robust

        if (folder / ROBUST).exists():
            return read_json(folder / ROBUST)
        problem = self.problem(budget)
        pair = robust(problem)
        best = problem.best_response(self.nu).value
        tables.save_victim(folder / VICTIM, self.game, self.question.threat.victim, pair.victim)
        found = {
            "expl": -best,
            "robust_expl": -pair.lower,
            "gap": pair.lower - best,
            "verified": verify(pair).verified,
        }
        write_json(folder / ROBUST, found)
        return found


def planned(cost: Cost) -> dict[str, Any]:
    """The fields of a plan that say how much an exact answer takes."""
    estimate = f"{in_words(cost)}; under 10 MB of disk"
    return {"seconds": cost.seconds, "memory_bytes": cost.memory, "estimate": estimate}


def in_words(cost: Cost) -> str:
    """An estimate for people."""
    return f"about {duration(cost.seconds)} on one core and {cost.memory / 1e9:.1f} GB of memory"


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Tell in one line when memory ends.

    Raises:
      InputError: it did.
    """
    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{what}: there is not enough memory for an exact answer ({str(error) or 'out of memory'}): choose a "
            "smaller game or a machine with more memory; --dry-run tells how much it takes"
        ) from error


def without_horizon(game: FiniteGame) -> None:
    """Refuse a game whose matches are cut off: it has another value than the discounted game without an end.

    Raises:
      InputError: its id has a horizon of the user's.
    """
    if ",horizon=" in game.id:
        raise InputError(
            f"{game.id}: horizon= is for matches that are sampled, an exact answer is that of the discounted game "
            "without an end: leave it out, or use --oracle learned or sampled"
        )


def exact_oracle(question: Question) -> ExactOracle:
    """The oracle for a question about a game that can be enumerated.

    Raises:
      InputError: a game that can only be simulated, control that has no exact answer here, several victims, or a
        package that is not installed.
    """
    from sparring.games.finite import problem
    from sparring.games.tree import SampledTree

    threat, game = question.threat, question.finite
    if game is None:
        raise InputError(
            f"{question.game} can only be simulated: an exact answer needs a matrix, Markov or openspiel game"
        )
    check_answerable(threat)
    without_horizon(game)
    if isinstance(game, SampledTree):
        require("numba", "exact")  # what solves trees; before anything is begun
    with enough_memory(question.game):
        benign = {agent: tables.table(threat.benign[agent], game, agent) for agent in threat.attackers}
        others = {agent: tables.table(policy, game, agent) for agent, policy in (threat.others or {}).items()}
        base = problem(game, threat.victim, threat.attackers, benign, 1.0, others)
        return ExactOracle(question, game, base, tables.table(question.victims[threat.victim], game, threat.victim))


def check_answerable(threat: ThreatModel) -> None:
    """Refuse a threat that the exact solvers do not know.

    Raises:
      InputError: control that is not drawn at every step, one coin for a team of several, or several victims.
    """
    if threat.control != "step":
        raise InputError(
            f"control={threat.control}: exact answers are for control drawn at every step; use a sampled oracle"
        )
    if threat.coin != "agent" and len(threat.attackers) > 1:
        raise InputError("coin=team: exact answers are for a coin of each attacker's own; use a sampled oracle")
    if len(threat.victims) > 1:
        raise InputError(
            f"victim-seat: exact answers are for one victim, got {len(threat.victims)}; use a sampled oracle"
        )


def refuse_unread(settings: Any, other: str = "learned") -> None:
    """Refuse options about training and matches where the answer is exact; `other` is the oracle that reads them.

    Raises:
      InputError: one of them was given.
    """
    names = [name for name in UNREAD if hasattr(settings, name)]
    refuse(settings, names, f"the answer is exact, which does not read it: use --oracle {other}")
