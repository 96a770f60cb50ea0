"""`sparring stealth`: how visible are attacks, and what does hiding cost?"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import tyro

from sparring.answers import StealthResult, StealthRow
from sparring.commands.common import accepted, aligned, percent, perform, spawned, who
from sparring.commands.cross_play import attackers_of
from sparring.console import number, progress
from sparring.errors import InputError
from sparring.files import write_atomic
from sparring.judgement.words import amount, mean
from sparring.metrics.features import chosen
from sparring.oracles import visible
from sparring.oracles.exact import ExactOracle, exact_oracle, refuse_unread
from sparring.oracles.learned import LearnedOracle, duration, slots
from sparring.oracles.match_files import read_matches, save_matches
from sparring.oracles.options import Controlled, OptionalFloat, OptionalInt, OptionalPolicy, refuse
from sparring.oracles.preparation import attacked_victims, shipped_attackers
from sparring.oracles.seating import Question, ask, default_victim
from sparring.play.features import by_quantity, feature_names
from sparring.records import EXACT, SAMPLED, Difference, Measure, damage_in, fields, replaced
from sparring.report.stealth_page import stealth_page
from sparring.results import plain, read, write
from sparring.runs import Run
from sparring.types import AgentID, Outcomes, States, Tracks, check_budget
from sparring.visibility import Area

BUDGETS = (0.3, 0.7, 1.0)
EPISODES, FEWEST = 400, 20
STATES, KEPT = 20_000, 64 * 2**20  # steps, and bytes of whole matches, that are kept of each evaluation
# Seconds of a core to look at an attack: at any, and for each step and squared number of features. Measured with discs
# (40,000 steps, 9 features: 26 s) and ants (77,626 steps, 120 features: 129 s).
LOOKING = 20.0, 1e-7
PAGE, RESULT = "stealth.html", "stealth.json"


@dataclass(frozen=True)
class Settings(Controlled):
    """How visible attacks are: distances of states with noise floors, classifiers, detectors, and what hiding costs.

    Every attacker is played at every budget, beside two samples of benign matches. Without --attacker, those that come
    with the package for its victim are looked at. Detectors are kept in the run folder: `sparring detect` runs them.

    Example: sparring stealth discs/duel --victim builtin:disc-early --episodes 400
    """

    victim: OptionalPolicy = None
    """The policy that is attacked: builtin:NAME, native:FILE, tabular:FILE, robosumo-zoo:FILE.npy, run:DIR, ..."""
    attacker: Annotated[tuple[str, ...], tyro.conf.arg(metavar="POLICY [POLICY ...]")] = ()
    """Adversarial policies: run:DIR, native:FILE, random, ... Of a team: one for all agents, or A+B, one for each."""
    budgets: tuple[float, ...] = ()
    """Attack budgets epsilon in [0, 1]: the probability of control (Eq. 3.2). By default 0.3, 0.7 and 1."""
    oracle: Literal["exact", "sampled"] | None = None
    """exact: distances by enumeration and the paper's bounds beside them, the default in exact games. sampled: from
    matches."""
    episodes: OptionalInt = None
    """Complete matches of each evaluation; by default 400. A detector with at most 1% false alarms needs 299 benign
    ones, and is sharper with 1000."""
    states: Literal["victim", "joint"] = "victim"
    """What is looked at: what the victims see, or what all agents see, one's observation after the other's (the whole
    state in most games; the indices of the paper's Tables 1 to 3)."""
    features: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]")] = ()
    """Look at these features alone: names, or patterns such as 'hip * velocity'."""
    discount: OptionalFloat = None
    """Weight step t by this to the power of t: the distribution of Def. 2.1. By default all steps count alike."""


def stealth(game: Any, **settings: Any) -> dict[str, Any]:
    """How visible attacks are: `sparring stealth` as a function.

    Args:
      game: a game's id, a game, or a function of `num_games` that makes one.
      **settings: the fields of `Settings`.

    Returns:
      The JSON result (`answers.StealthResult`): `rows`, one for each attacker and budget, with `visibility`.

    Raises:
      InputError: bad input.
    """
    return perform("stealth", accepted(Settings, game=game, **settings))


class Attacked(NamedTuple):
    name: str
    budget: float
    adversarial: Any  # as the oracle plays it


class Prepared(NamedTuple):
    oracle: ExactOracle | LearnedOracle
    attacks: tuple[Attacked, ...]
    matches: int
    observers: tuple[AgentID, ...]
    names: tuple[str, ...]  # of all features
    columns: tuple[int, ...]  # of those that are looked at
    discount: float


def prepare(settings: Settings) -> Prepared:
    budgets = tuple(check_budget(budget) for budget in settings.budgets or BUDGETS)
    if twice := [budget for budget in budgets if budgets.count(budget) > 1]:
        raise InputError(f"budgets: expected different ones, got {twice[0]:g} twice")
    question = ask(settings, settings.victim)
    exact = settings.oracle == "exact" or (settings.oracle is None and question.finite is not None)
    if exact:
        unread = ("episodes", "states", "features", "discount")
        refuse(settings, unread, "the answer is exact, which does not read it: use --oracle sampled")
        oracle: ExactOracle | LearnedOracle = exact_oracle(question)
        refuse_unread(settings, "sampled")
    else:
        oracle = LearnedOracle(question)
    matches = EPISODES if settings.episodes is None else settings.episodes
    if not exact and matches < FEWEST:
        raise InputError(f"episodes: expected at least {FEWEST}, got {matches}: with fewer matches nothing can be told")
    slots(matches)
    discount = 1.0 if settings.discount is None else settings.discount
    if not (math.isfinite(discount) and 0 < discount <= 1):
        raise InputError(f"discount: expected a number above 0 and at most 1, got {discount}")
    observers = question.agents if settings.states == "joint" else question.threat.victims
    names = () if exact else feature_names(question.first, observers)
    columns = chosen(names, settings.features) if settings.features else tuple(range(len(names)))
    return Prepared(oracle, _attacks(settings, question, oracle, budgets), matches, observers, names, columns, discount)


def _attacks(settings: Settings, question: Question, oracle: Any, budgets: Sequence[float]) -> tuple[Attacked, ...]:
    if settings.attacker:
        columns = attackers_of(settings.attacker, question.threat.attackers)
        return tuple(
            Attacked(column.name, budget, oracle.adversarial(column.source)) for column in columns for budget in budgets
        )
    shipped = shipped_attackers(settings, budgets)
    if not shipped:
        raise InputError(
            f"{question.game}: give --attacker POLICY ...: no attackers come with the package for "
            f"{default_victim(settings) if settings.victim is None else settings.victim} at these budgets (some do for "
            f"{', '.join(attacked_victims())}); `sparring attack` trains one"
        )
    return tuple(Attacked(shipped[budget], budget, oracle.adversarial(shipped[budget])) for budget in budgets)


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    del settings
    evaluations, attacks = len(prepared.attacks) + 2, len(prepared.attacks)
    planned = {**prepared.oracle.plan(0, evaluations * prepared.matches), "attacks": attacks}
    if isinstance(prepared.oracle, LearnedOracle):
        steps = min(prepared.matches * planned["mean_length"], KEPT / (4 * max(len(prepared.columns), 1)))
        looking = attacks * (LOOKING[0] + LOOKING[1] * steps * len(prepared.columns) ** 2)
        planned["estimate"] += f"; looking at the matches takes about {duration(looking)} more"
    return planned


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    begun = time.monotonic()
    oracle = prepared.oracle
    rows = _exact(prepared, oracle, run) if isinstance(oracle, ExactOracle) else _sampled(settings, prepared, run)
    result = StealthResult(
        **who(settings, oracle.question, run),
        oracle=EXACT if isinstance(oracle, ExactOracle) else SAMPLED,
        features=tuple(prepared.names[i] for i in prepared.columns),
        discount=prepared.discount,
        baseline=rows.baseline,
        scale=rows.scale,
        rows=rows.rows,
        wall_time_s=time.monotonic() - begun,
    )
    page, figures = stealth_page(result)
    for name, svg in figures.items():
        write_atomic(run.folder / f"{name}.svg", svg.encode())
    write_atomic(run.folder / PAGE, page.encode())
    result = replaced(result, report=str(run.folder / PAGE))
    write(result, run.folder / RESULT)
    return plain(result)


class _Rows(NamedTuple):
    rows: tuple[StealthRow, ...]
    baseline: Any
    scale: Any


def _exact(prepared: Prepared, oracle: ExactOracle, run: Run) -> _Rows:
    from sparring.commands.certify import as_bound
    from sparring.exact.bounds import bounds

    alone = oracle.evaluate(None, 0.0, 0, run, "benign", 0)
    scale = oracle.scale([alone])
    rows = []
    for k, (name, budget, adversarial) in enumerate(prepared.attacks):
        known = oracle.evaluate(adversarial, budget, 0, run, f"attack-{k}", 0)
        (seen,) = oracle.visibility(alone, alone, {budget: known}, 0)
        found = bounds(oracle.problem(budget), oracle.nu, adversarial, mismatch=False)
        rows.append(
            StealthRow(
                **fields(oracle.rates(known, scale)),
                attacker=name,
                budget=budget,
                damage=oracle.damage(known, alone, scale, len(prepared.attacks)),
                visibility=seen,
                bounds=tuple(as_bound(bound) for bound in found if bound.name.startswith("Proposition")),
            )
        )
    return _Rows(tuple(rows), oracle.rates(alone, scale), scale)


def _sampled(settings: Settings, prepared: Prepared, run: Run) -> _Rows:
    oracle, attacks = prepared.oracle, prepared.attacks
    assert isinstance(oracle, LearnedOracle)
    first, again = (_played(prepared, run, f"benign-{k}", None, 0.0, spawned(settings.seed, k)) for k in range(2))
    played = [
        _played(prepared, run, f"attack-{k}", attack.adversarial, attack.budget, spawned(settings.seed, 2, k))
        for k, attack in enumerate(attacks)
    ]
    scale = oracle.scale([first, again, *played])
    names = [prepared.names[i] for i in prepared.columns]
    groups = by_quantity(names)
    with progress(1 + len(attacks), "looking at the matches") as advance:
        without = visible.benign(first, again, names, visible.FULL, spawned(settings.seed, 3))
        advance(1)
        rows = []
        for k, ((name, budget, _), outcomes) in enumerate(zip(attacks, played, strict=True)):
            flags = oracle.sample(outcomes).flags()
            folder = run.folder if len(attacks) == 1 else run.folder / f"attack-{k}"
            folder.mkdir(exist_ok=True)
            seen = visible.visibility(
                without,
                outcomes,
                None if flags is None else flags["win"],
                depth=visible.FULL,
                seed=spawned(settings.seed, 4, k),
                groups=groups,
                detectors=folder,
                game=oracle.question.game,
            )
            rows.append(
                StealthRow(
                    **fields(oracle.rates(outcomes, scale)),
                    attacker=name,
                    budget=budget,
                    damage=oracle.damage(outcomes, first, scale, len(attacks)),
                    visibility=replaced(seen, budget=budget),
                )
            )
            advance(2 + k)
    return _Rows(tuple(rows), oracle.rates(first, scale), scale)


def _played(prepared: Prepared, run: Run, name: str, adversarial: Any, budget: float, seed: int) -> Outcomes:
    """Matches with what is looked at, played or read."""
    oracle, path = prepared.oracle, run.folder / f"{name}.matches.safetensors"
    assert isinstance(oracle, LearnedOracle)
    of = {"budget": budget, "matches": prepared.matches, "seed": seed, "discount": prepared.discount}
    if not path.exists():
        outcomes = oracle.play(
            adversarial or oracle.question.threat.benign,
            budget,
            prepared.matches,
            seed,
            f"matches, {name}",
            states=STATES,
            tracks=KEPT,
            watch=prepared.observers,
            discount=prepared.discount,
        )
        save_matches(path, outcomes, of)
    outcomes, columns = read_matches(path, of), list(prepared.columns)
    if len(columns) == len(prepared.names) or outcomes.states is None or outcomes.tracks is None:
        return outcomes
    states: States = outcomes.states._replace(rows=np.ascontiguousarray(outcomes.states.rows[:, columns]))
    tracks: Tracks = outcomes.tracks._replace(rows=np.ascontiguousarray(outcomes.tracks.rows[:, columns]))
    return outcomes._replace(states=states, tracks=tracks)


def text(result: dict[str, Any]) -> str:
    found: StealthResult = read({k: v for k, v in result.items() if k != "run"})
    measure: Measure = "value" if found.oracle == EXACT else "win" if found.baseline.win is not None else "return"
    moved = "total variation" if found.oracle == EXACT else "squared W2"
    head = [
        "attacker",
        "budget",
        "reaches",
        "damage",
        moved,
        "p",
        "AUC, step",
        "AUC, match",
        "caught",
        "in time",
    ]
    rows = [[row.attacker, f"{row.budget:g}", _reached(row), *_seen(row, measure)] for row in found.rows]
    told = [i for i in range(len(head)) if any(row[i] for row in rows)]
    lines = aligned([head[i] for i in told], [[row[i] for i in told] for row in rows])
    if found.rows[0].visibility.auc_floor is not None:
        lines.append(f"benign against benign: AUC of whole matches {_area(found.rows[0].visibility.auc_floor)}")
    lines += [
        f"{row.attacker} at {row.budget:g}: {row.visibility.reason}" for row in found.rows if row.visibility.reason
    ]
    return "\n".join([*lines, "", f"report: {Path(found.report or PAGE).resolve()}"])


def _reached(row: StealthRow) -> str:
    if row.victim_value is not None:
        return f"value {number(row.victim_value, '.4g')}"
    return f"wins {percent(row, 'win')}" if row.win is not None else f"return {mean(row)}"


def _seen(row: StealthRow, measure: Measure) -> list[str]:
    seen = row.visibility
    cost: Difference | None = damage_in(row.damage, measure)
    shift = next((d for d in seen.distances if d.measure in ("wasserstein2", "total variation")), None)
    online = seen.online[0] if seen.online else None
    return [
        "not known" if cost is None else amount(measure, cost),
        "" if shift is None or shift.value is None else f"{shift.value:.3g}",
        "" if shift is None or shift.p is None else f"{shift.p:.3f}",
        "" if seen.auc_state is None else _area(seen.auc_state),
        "" if seen.auc_match is None else _area(seen.auc_match),
        "" if online is None else f"{online.caught:.0%}",
        "" if online is None or online.in_time is None else f"{online.in_time:.0%}",
    ]


def _area(area: Area) -> str:
    return f"{area.value:.2f} [{area.low:.2f}, {area.high:.2f}]"
