"""`sparring audit`: how badly can a victim be made to fail, at which budgets, and how visibly?

An audit is a list of jobs (`sparring.commands.audit_jobs`), each with a folder of its own: attacks, one for each
budget, start and training seed, and the plain opponents that they are compared with; then the matches of the strongest
attack at each budget; and, if nothing is found, the positive control. What they leave is judged here.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import tyro

from sparring.answers import AttackResult, AuditResult
from sparring.commands import audit_jobs
from sparring.commands.audit_jobs import Left, Prepared, Task
from sparring.commands.common import accepted, as_config, mean, percent, perform, spawned, who
from sparring.errors import InputError, NoPicture
from sparring.files import write_atomic
from sparring.jobs import JOBS, Job, map_jobs
from sparring.judgement import judged, positive_control_of
from sparring.judgement.rule import check_share, no_winners
from sparring.oracles import seating
from sparring.oracles.base import Attack, Oracle
from sparring.oracles.choose import oracles_for
from sparring.oracles.learned import LearnedOracle, slots
from sparring.oracles.options import PRESETS, Attacks, OptionalFile, OptionalFloat, OptionalInt, OptionalPolicy
from sparring.oracles.preparation import shipped_attackers
from sparring.oracles.seating import Question
from sparring.records import BENIGN, EXACT, BudgetResult, Measure, Rates, fields, replaced
from sparring.report.html import write_report
from sparring.report.summary import check_suffix, write_summary
from sparring.results import plain, read
from sparring.runs import Run
from sparring.types import Box, check_budget

EXACT_BUDGETS = tuple(tenth / 10 for tenth in range(11))
BUDGETS = (0.3, 0.7, 1.0)  # each costs a training
SHIPPED_EPISODES = 96  # where nothing is trained: the whole audit then takes two or three minutes on two cores
ENTRY = "sparring.commands.audit:job"


@dataclass(frozen=True)
class Settings(Attacks):
    """Attack a victim at several budgets and report the damage and the visibility of each attack.

    Exact games are solved. Elsewhere an attacker is trained per budget; without --victim, the agent that comes with the
    package is audited with the attackers that come with it. The report is one HTML file in the run folder.

    Example: sparring audit robosumo/ant-vs-ant --victim robosumo-zoo:ant-mlp-v1.npy --preset smoke
    """

    victim: OptionalPolicy = None
    """The policy that is audited: builtin:NAME, native:FILE, tabular:FILE, robosumo-zoo:FILE.npy, run:DIR, ..."""
    budgets: tuple[float, ...] = ()
    """Attack budgets epsilon in [0, 1]: the probability of control (Eq. 3.2). By default 0.3, 0.7 and 1, and in exact
    games 0, 0.1, ..., 1."""
    seeds: OptionalInt = None
    """Attackers trained per budget and start; the strongest on separate matches is reported. By default the preset's
    number."""
    start: Annotated[tuple[str, ...], tyro.conf.arg(metavar="benign|scratch|POLICY [...]")] = ()
    """Whose weights the attackers begin with: scratch, benign, or any other policy (builtin:NAME, run:DIR, ...). At
    each budget attackers are trained from every start that is given, and the strongest is reported. By default there is
    one: the agent that comes with the package for the attacker's seat, else the benign policy where it has weights."""
    episodes: OptionalInt = None
    """Complete matches per evaluation; by default the preset's, or 96 with shipped attackers. Baselines get half."""
    jobs: int = 1
    """Attacks and evaluations that run side by side, each in a process of its own on one thread; the results are the
    same. As many as there are cores is the best use of them."""
    positive_control: bool = False
    """If nothing is found, attack a victim that is made brittle on purpose (it always does the same) in the same way.
    Where an agent of early in its training comes with the package, that one is attacked in any case."""
    clip: bool = True
    """Put a short film into the report: one match without an attack and at several budgets, side by side."""
    fail_above: OptionalFloat = None
    """Exit with code 1 if the damage is above this at any budget, by the lower end of its interval, and with 4 if that
    cannot be told: in wins above the benign opponent's, in games without winners in the victim's return."""
    fail_measure: Measure | None = None
    """What --fail-above is compared with: the attacker's wins, the victim's losses (fail), its return, or its exact
    value. By default wins where the game has them, else returns; in exact games values."""
    summary: OptionalFile = None
    """Write the audit in short, too: Markdown (.md), JUnit's XML (.xml) or a table (.csv)."""

    def __post_init__(self) -> None:
        given: Any = self.start
        if not isinstance(given, tuple):  # the one start, or none, of a run that was begun when an audit had one
            object.__setattr__(self, "start", () if given is None else (given,))


def audit(game: Any, **settings: Any) -> dict[str, Any]:
    """Audit a victim: `sparring audit` as a function.

    Args:
      game: a game's id, a game, or a function of `num_games` that makes one.
      **settings: the fields of `Settings`; a policy may also be a `Policy`, a function, a table, or one of these for
        each agent.

    Returns:
      The JSON result (`answers.AuditResult`); `report` is the HTML file's path.

    Raises:
      InputError: bad input.
    """
    return perform("audit", accepted(Settings, game=game, **settings))


def prepare(settings: Settings) -> Prepared:
    budgets = tuple(check_budget(budget) for budget in settings.budgets)
    if twice := [budget for budget in budgets if budgets.count(budget) > 1]:
        raise InputError(f"budgets: expected different ones, got {twice[0]:g} twice")
    if settings.jobs < 1:
        raise InputError(f"jobs: expected at least 1, got {settings.jobs}")
    if settings.summary is not None:
        check_suffix(Path(settings.summary))
    if settings.fail_measure is not None and settings.fail_above is None:
        raise InputError("fail-measure: it is read with --fail-above; give both, or leave it out")
    if settings.fail_above is not None and not math.isfinite(settings.fail_above):
        raise InputError(f"fail-above: expected a number, got {settings.fail_above}")
    if len(set(settings.start)) < len(settings.start):
        raise InputError(f"start: expected starts, each once, got {', '.join(settings.start)}")
    question = seating.ask(settings, settings.victim)
    oracles = oracles_for(settings, question, settings.start or (None,))
    oracle = oracles[0]
    if settings.fail_measure == "value" and isinstance(oracle, LearnedOracle):
        raise InputError("fail-measure value: values are those of exact answers; use win, fail or return")
    if settings.fail_measure in ("win", "fail") and not oracle.winners():
        raise no_winners(settings.fail_measure)
    if settings.fail_above is not None and settings.fail_above >= 1:
        by_wins = settings.fail_measure is None and isinstance(oracle, LearnedOracle) and oracle.winners()
        check_share(settings.fail_above, "win" if by_wins else settings.fail_measure)
    if not isinstance(oracle, LearnedOracle):
        plain = audit_jobs.opponents(("uniform", "first"), (), question.benign)
        return Prepared(oracles, budgets or EXACT_BUDGETS, 1, 0, plain, (None, ""))
    budgets = budgets or BUDGETS
    preset = PRESETS[settings.preset or "standard"]
    seeds = preset.seeds if settings.seeds is None else settings.seeds
    if seeds < 1:
        raise InputError(f"seeds: expected at least 1, got {seeds}")
    starts = tuple(
        found.training.config.start for found in oracles if isinstance(found, LearnedOracle) and found.training
    )
    if shipped := shipped_attackers(settings, budgets):
        oracle = replace(oracle, shipped=shipped)
        oracles, seeds, starts = (oracle,), 1, ()
    matches = (SHIPPED_EPISODES if shipped else preset.episodes) if settings.episodes is None else settings.episodes
    slots(matches)
    control = _control(settings.positive_control, oracle)
    plain = audit_jobs.opponents(_plain(question), starts, question.benign)
    return Prepared(oracles, budgets, seeds, matches, plain, control, starts)


def _plain(question: Question) -> tuple[str, ...]:
    actions = [question.spaces[agent].action for agent in question.threat.attackers]
    return ("zero" if isinstance(actions[0], Box) else "first", "random")


def _control(brittle_too: bool, oracle: LearnedOracle) -> tuple[Oracle | None, str]:
    """The same question about a victim that is known to be exploitable, and what that victim is."""
    question, victims = oracle.question, oracle.question.threat.victims
    early = seating.early_agent(question.game, question.seats(victims)[0]) if len(victims) == 1 else None
    if early is not None and early != question.names.victim:
        return replace(oracle, question=seating.with_victim(question, early)), f"{early}, an early agent, is attacked"
    brittle = "zero" if isinstance(question.spaces[victims[0]].action, Box) else "first"
    if not brittle_too:
        return None, "none: no victim that is known to be exploitable comes with the package for this game"
    return replace(oracle, question=seating.with_victim(question, brittle)), f"{brittle}, a brittle victim, is attacked"


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    oracle, budgets, matches, control = prepared.oracle, prepared.budgets, prepared.matches, prepared.control
    attacks = len(prepared.attacks)
    evaluations = 2 + len(budgets) * (1 + (attacks if attacks > 1 else 0))
    played = matches * evaluations + audit_jobs.few(matches) * len(prepared.plain) * len(budgets)
    planned = oracle.plan(attacks * len(budgets), played)
    if oracle.name != EXACT:
        planned["positive_control"] = control[1] if control[0] is None else f"if nothing is found: {control[1]}"
    counted = {"budgets": list(budgets), "seeds": prepared.seeds}
    if prepared.starts:
        counted["starts"] = list(prepared.starts)
    return {**counted, **planned, "jobs_side_by_side": settings.jobs}


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    begun = time.monotonic()
    queue = _queue(settings, prepared, run)
    folders = queue(audit_jobs.first_tasks(prepared, settings.seed))
    chosen = audit_jobs.choose(prepared, folders, settings.fail_measure)
    folders |= queue(audit_jobs.final_tasks(prepared, settings.seed, chosen))
    left = audit_jobs.collect(prepared, folders, chosen, run.folder, spawned(settings.seed, 8))
    record = _judged_record(settings, prepared, run, left, begun)
    if record.verdict is not None and not record.verdict.beyond_noise and prepared.control[0] is not None:
        queue([audit_jobs.control_task(prepared, settings.seed)])
        record = _with_control(settings, prepared, run, record)
    report = write_report(record, run.folder)
    if settings.summary is not None:
        write_summary(record, Path(settings.summary))
    return {**plain(record), "report": str(report)}


# ---------------------------------------------------------------------------------------------------------------------
# Tasks are done as jobs, here or in other processes.


def job(config: Mapping[str, Any], run: Run) -> None:
    """One job of an audit, in a process of its own: the settings are resolved there anew."""
    audit_jobs.do(_resolved(json.dumps(config["settings"])), config["task"], run)


def _queue(settings: Settings, prepared: Prepared, run: Run) -> Callable[[Sequence[Task]], dict[str, Path]]:
    """What does tasks as jobs of this audit, and returns their folders."""
    # What decides nothing is left out, so that a job is the same however many there are side by side.
    kept = {k: v for k, v in as_config(settings).items() if k not in ("out", "config", "jobs", "json", "threads")}
    number, entry = settings.jobs, ENTRY if prepared.oracle.question.portable else None

    def work(config: Mapping[str, Any], at: Run) -> None:
        audit_jobs.do(prepared, config["task"], at)

    def queue(tasks: Sequence[Task]) -> dict[str, Path]:
        jobs = [Job(name, {"settings": kept, "task": task}) for name, task in tasks]
        return map_jobs(jobs, work, run, number, entry, "audit")

    return queue


@lru_cache(maxsize=1)
def _resolved(settings: str) -> Prepared:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(settings).items()}
    return prepare(Settings(**values, threads=1))


# ---------------------------------------------------------------------------------------------------------------------
# The record of what the jobs have left.


def _judged_record(settings: Settings, prepared: Prepared, run: Run, left: Left, begun: float) -> AuditResult:
    oracle = prepared.oracle
    record = AuditResult(
        **who(settings, oracle.question, run),
        oracle=oracle.name,
        reward=oracle.goal,
        scale=left.scale,
        budgets=left.results,
        curves=left.curves,
        coupling=None if isinstance(left.certain, str) else left.certain,
        no_coupling=left.certain if isinstance(left.certain, str) else None,
        visibility=left.visibility,
        train_game=settings.train_game,
        wall_time_s=time.monotonic() - begun,
    )
    record = judged(record, settings.fail_above, settings.fail_measure)
    assert record.verdict is not None
    worst = record.verdict.budget
    return replaced(record, **_clip(settings, run, oracle, left.strongest, worst))


def _with_control(settings: Settings, prepared: Prepared, run: Run, record: AuditResult) -> AuditResult:
    """The audit with what the same settings find on a victim that is known to be exploitable."""
    oracle, budget, folder = prepared.control[0], max(prepared.budgets), run.folder / JOBS / audit_jobs.CONTROL
    assert oracle is not None
    attack = oracle.found(budget, folder)
    attacked, alone = oracle.measured(folder, audit_jobs.MATCHES), oracle.measured(folder, BENIGN)
    scale = oracle.scale([attacked, alone])
    control = AttackResult(
        **who(settings, oracle.question, run),
        **fields(oracle.rates(attacked, scale)),
        oracle=oracle.name,
        budget=budget,
        reward=oracle.goal,
        policy=attack.source or attack.files[0].name,
        baseline=oracle.rates(alone, scale),
        damage=oracle.damage(attacked, alone, scale, 1),
        scale=scale,
    )
    return judged(
        replaced(record, positive_control=positive_control_of(control)),
        settings.fail_above,
        settings.fail_measure,
    )


def _clip(
    settings: Settings, run: Run, oracle: Oracle, strongest: Mapping[float, Attack], worst: float
) -> dict[str, str]:
    """Film one match at several budgets; what cannot be filmed is said, and stops nothing."""
    from sparring.commands.render import shown, side_by_side

    if not isinstance(oracle, LearnedOracle):
        return {}
    if not settings.clip:
        return {"no_clip": "no clip was asked for (--no-clip)"}
    attacks = {budget: strongest[budget].adversarial for budget in shown(tuple(strongest), worst)}
    try:
        film = side_by_side(oracle, attacks, worst, settings.seed)
    except (NoPicture, InputError) as reason:  # a game's own drawing may fail, too
        return {"no_clip": str(reason)}
    write_atomic(run.folder / f"clip{film.suffix}", film.data)
    return {"clip": f"clip{film.suffix}"}


# ---------------------------------------------------------------------------------------------------------------------
# What people and programs are told.


def text(result: Mapping[str, Any]) -> str:
    record = read({name: value for name, value in result.items() if name != "run"})
    lines = [record.verdict.text, ""]
    for entry in record.budgets:
        if record.oracle == EXACT:
            lines.append(
                f"budget {entry.budget!r}: Expl {entry.expl:.6f}; most robust {entry.robust_expl:.6f}"
                f"{'' if entry.verified else ' (NOT verified)'}; gap {entry.gap:.6f}; shift {entry.shift:.3f}"
            )
        else:
            lines.append(f"budget {entry.budget!r}: {_attack_line(entry)}")
    return "\n".join([*lines, "", f"report: {Path(result['report']).resolve()}"])


def _attack_line(entry: BudgetResult) -> str:
    def short(rates: Rates) -> str:
        if rates.win is None:
            return "none valid" if rates.victim_return is None else f"{rates.victim_return:.4g}"
        return f"{rates.win:.1%}"

    head = f"the victim's return is {mean(entry)}" if entry.win is None else f"attacker wins {percent(entry, 'win')}"
    compared = ", ".join(f"{name} {short(rates)}" for name, rates in entry.baselines.items())
    shift = "" if entry.shift is None else f"; shift {entry.shift:.2f}"
    floor = "" if entry.shift_noise_floor is None else f" (noise {entry.shift_noise_floor:.2f})"
    return f"{head}; {compared}{shift}{floor}{_chosen(entry)}"


def _chosen(entry: BudgetResult) -> str:
    """Which of several attackers was the strongest, and whether it might have become stronger yet."""
    best = next((seed for seed in entry.seeds if seed.chosen), None)
    which = ""
    if best is not None and len(entry.seeds) > 1:
        which = f"; the strongest of {len(entry.seeds)} attackers: start {best.start}, seed {best.seed}"
    improving = entry.still_improving is not None and entry.still_improving.improving
    return f"{which}; still improving when its training stopped" if improving else which


def exit_code(settings: Any, result: Mapping[str, Any]) -> int:
    """0, 1 for a finding above --fail-above, or 4 where one cannot tell: what the record says."""
    del settings
    return int(result["exit_code"])
