"""`sparring render`: a film of a run's attack: the same match without it and at several budgets, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparring.answers import AttackResult, AuditResult, CrossPlayResult, EvaluateResult
from sparring.commands.common import from_config
from sparring.commands.cross_play import attackers_of, victims_of
from sparring.commands.folder import FolderSettings, check_out
from sparring.commands.inputs import check_inputs, inputs_of
from sparring.errors import InputError, NoPicture
from sparring.files import check_target, write_atomic
from sparring.oracles.learned import SLOTS, LearnedOracle
from sparring.oracles.options import OptionalFile, OptionalInt
from sparring.oracles.seating import ask
from sparring.records import EXACT
from sparring.results import read, read_audit
from sparring.runs import read_config, read_status
from sparring.types import AgentID, Policy, check_budget

if TYPE_CHECKING:
    from sparring.report.film import Film

MOST = 3  # attacks that a film shows where it is not said which
BENIGN = "benign opponent"
_CLIPS = 6  # the part of a run's randomness that is its film's
_FILMED = ("audit", "attack", "evaluate")

Attackers = Mapping[AgentID, Policy]


@dataclass(frozen=True)
class Settings(FolderSettings):
    """Make a film of an audit's, an attack's or an evaluation's attacker: one match, at several budgets side by side.

    Every panel shows the same match from the same seed: without an attack, and at each budget. A red border marks the
    steps in which the attacker was controlled; captions say who won. The run itself stays as it is.

    Example: sparring render runs/DIR --out film.mp4
    """

    out: OptionalFile = None
    """The film: a file that ends with .mp4 or .webp. By default it lies beside the run's folder and has its name."""
    budgets: tuple[float, ...] = ()
    """Attack budgets to show besides the benign opponent. By default those of the run, of many three. Of an audit they
    are among those that it attacked at; the one attacker of any other run is shown at any."""
    match: OptionalInt = None
    """Which of the 16 matches of the seed, from 0. By default one that the strongest attack wins."""
    seed: OptionalInt = None
    """Another seed for the matches than the run's."""
    fps: int = 20
    """Steps that are shown in a second."""
    size: tuple[int, int] = (480, 368)
    """Width and height of a panel without its caption, in pixels, at most."""


class Filmed(NamedTuple):
    """What a run has left to film."""

    oracle: LearnedOracle
    attacks: Mapping[float, Attackers]  # by budget, in their order
    strongest: float  # the budget of the attack whose win is looked for
    seed: int


def answer(settings: Settings) -> dict[str, Any]:
    """Make the film; returns `film` (the file), `match`, `seed` and `panels`, what each of them shows.

    Raises:
      InputError: no run that can be filmed, files that changed, a bad option, or the reason why there is no picture.
    """
    folder, out = Path(settings.folder), None if settings.out is None else Path(settings.out)
    if out is not None:
        check_out(out)
        check_target(out, "out")
    found = filmed(folder, settings.budgets)
    seed = found.seed if settings.seed is None else settings.seed
    if seed < 0:
        raise InputError(f"seed: expected a whole number from 0, got {seed}")
    how = {"match": settings.match, "size": settings.size, "fps": settings.fps}
    try:
        film = side_by_side(
            found.oracle, found.attacks, found.strongest, seed, suffix=None if out is None else out.suffix, **how
        )
    except NoPicture as reason:
        raise InputError(str(reason)) from reason
    if out is None:
        here = folder.resolve()
        out = here.parent / f"{here.name}{film.suffix}"
    write_atomic(out, film.data)
    panels = [
        {
            "name": panel.name,
            "steps": len(panel.reel),
            "controlled": int(panel.controlled.sum()),
            "outcome": panel.outcome,
        }
        for panel in film.panels
    ]
    return {"film": str(out), "match": film.match, "seed": seed, "panels": panels}


def text(result: dict[str, Any]) -> str:
    lines = [
        f"{panel['name']}: {panel['outcome']}; controlled in {panel['controlled']} of {panel['steps']} steps"
        for panel in result["panels"]
    ]
    return "\n".join([*lines, result["film"]])


def side_by_side(
    oracle: LearnedOracle,
    attacks: Mapping[float, Attackers],
    strongest: float,
    seed: int,
    **how: Any,
) -> Film:
    """The film of an attack: the benign opponent alone, then each budget.

    Args:
      oracle: of the question that is asked; it seats the policies.
      attacks: by budget, the adversarial policy of every attacker.
      strongest: the budget whose win is looked for.
      seed: of the run.
      how: further arguments of `film`.

    Raises:
      NoPicture, InputError: as `film`.
    """
    from sparring.report.film import Casting, film
    from sparring.types import VectorGame

    threat = oracle.question.threat
    seated = [oracle.seated(threat.benign, 0.0, SLOTS)]
    seated += [oracle.seated(adversarial, budget, SLOTS) for budget, adversarial in attacks.items()]
    # Where one policy is a user's function, all panels are played on the host: they share their random numbers.
    game = next((game for game, _ in seated if isinstance(game, VectorGame)), seated[0][0])
    names = [BENIGN, *(f"budget {budget:g}" for budget in attacks)]
    castings = [Casting(name, policies) for name, (_, policies) in zip(names, seated, strict=True)]
    leading = 1 + list(attacks).index(strongest)
    part = np.random.SeedSequence(seed, spawn_key=(_CLIPS,))
    return film(game, castings, threat.attackers, threat.victims, part, leading, **how)


def shown(budgets: Sequence[float], strongest: float) -> tuple[float, ...]:
    """Of many budgets the least, the largest and one between them, in their order; the strongest attack's is one."""
    ordered = sorted(budgets)
    if len(ordered) <= MOST:
        return tuple(ordered)
    ends = (ordered[0], ordered[-1])
    between = ordered[len(ordered) // 2] if strongest in ends else strongest
    return (ends[0], between, ends[1])


def filmed(folder: Path, budgets: Sequence[float] = ()) -> Filmed:
    """The policies of a finished run.

    Args:
      folder: of an audit, an attack or an evaluation.
      budgets: those that are wanted; none: those that the run has.

    Raises:
      InputError: another folder, a run that is not finished or was exact, files that changed, or budgets that it does
        not have.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder: give a run's, as sparring audit prints it")
    verb = read_config(folder).get("verb")
    if verb not in _FILMED:
        hint = {
            "job": f": give the audit's own folder, {folder.resolve().parent.parent}",
            "defend": f": audit its victim with --victim run:{folder}, and give that audit",
        }.get(str(verb), "")
        raise InputError(
            f"{folder}: a run of sparring {verb} has no film; expected an audit, an attack or an evaluation{hint}"
        )
    _, settings = from_config(folder)
    if (state := read_status(folder)["state"]) != "done" or not (folder / f"{verb}.json").exists():
        raise InputError(f"{folder}: this run is not finished ({state}): sparring resume {folder} goes on with it")
    record: Any = read_audit(folder) if verb == "audit" else read(folder / f"{verb}.json")
    if isinstance(record, CrossPlayResult):
        raise InputError(
            f"{folder}: several victims or attackers met each other here: evaluate one pair, and give that"
        )
    if record.oracle == EXACT:
        raise InputError(f"{folder}: this run was solved exactly, and played no match that could be shown")
    wanted = tuple(dict.fromkeys(check_budget(budget) for budget in budgets))
    # An evaluation may be of several victims: of one it keeps a tuple of one.
    (victim,) = victims_of(settings.victim)
    question = ask(settings, victim)
    check_inputs(read_config(folder).get("inputs", {}), inputs_of(settings))
    oracle = LearnedOracle(question)
    if isinstance(record, AuditResult):
        return _of_audit(folder, record, oracle, wanted)
    assert isinstance(record, AttackResult | EvaluateResult)
    if isinstance(record, AttackResult):
        adversarial = oracle.found(record.budget, folder).adversarial
    else:
        (column,) = attackers_of(settings.attacker, question.threat.attackers)
        adversarial = oracle.adversarial(column.source)
    chosen = wanted or (record.budget,)
    return Filmed(oracle, dict.fromkeys(chosen, adversarial), max(chosen), record.seed)


def _of_audit(folder: Path, record: AuditResult, oracle: LearnedOracle, wanted: tuple[float, ...]) -> Filmed:
    assert record.verdict is not None or record.budgets
    strongest = max(entry.budget for entry in record.budgets) if record.verdict is None else record.verdict.budget
    kept = {entry.budget: entry.attacker for entry in record.budgets}
    if missing := [budget for budget in wanted if budget not in kept]:
        raise InputError(
            f"budgets: expected some of {', '.join(f'{budget:g}' for budget in sorted(kept))}, at which this audit "
            f"attacked, got {missing[0]:g}"
        )
    chosen = wanted or shown(tuple(kept), strongest)
    attacks = {budget: _attackers(folder, kept[budget], oracle) for budget in chosen}
    return Filmed(oracle, attacks, strongest if strongest in chosen else max(chosen), record.seed)


def _attackers(folder: Path, kept: str | None, oracle: LearnedOracle) -> Attackers:
    """The adversarial policies that an audit has kept: a shipped one's name, or files in its folder."""
    from sparring.loaders import native

    if kept is None:
        raise InputError(f"{folder}: this audit kept no attackers: audit again")
    if kept.startswith("builtin:"):
        return oracle.adversarial(kept)
    attackers, policies = oracle.question.threat.attackers, {}
    for name in kept.split(", "):
        network, about = native.read(folder / name)
        agent = about["provenance"].get("agent", attackers[0])
        policies[agent] = network
    if missing := [agent for agent in attackers if agent not in policies]:
        raise InputError(f"{folder}: expected an attacker's file for {missing[0]}, got {kept}")
    return policies
