"""`sparring compare`: two audits of one game side by side, and the change of the damage with its interval.

Damage is counted from the benign opponent. Audits with different ones have no damages to compare: then what the attacks
reach is compared instead, and nothing is judged.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from sparring.answers import AuditResult, CompareResult
from sparring.commands.folder import AUDIT, audited, check_out, written
from sparring.console import SETTLED
from sparring.errors import InputError
from sparring.judgement import judged
from sparring.judgement.rule import slack_of
from sparring.judgement.words import amount, level
from sparring.records import (
    EXACT,
    BudgetChange,
    BudgetResult,
    Change,
    Difference,
    Interval,
    Measure,
    Rates,
    Side,
    benign_name,
    damage_in,
    replaced,
    same_benign,
)
from sparring.report.compare_page import page_of, shown_in
from sparring.results import read_audit

MEASURES: tuple[Measure, ...] = ("win", "fail", "return", "value")
DAMAGES: dict[Measure, str] = {
    "win": "damage in wins",
    "fail": "damage in losses",
    "return": "damage in return",
    "value": "damage in value",
}
REACHED: dict[Measure, str] = {
    "win": "the attacker wins",
    "fail": "the victim loses",
    "return": "the victim's return under attack",
    "value": "the victim's value under attack",
}


@dataclass(frozen=True)
class Settings:
    """Two audits of one game side by side: damage before and after, and its change with the interval.

    Give both audits the same --benign: damage is counted from the benign opponent, which by default is each victim's
    own policy. Of audits with different ones no damage is compared, but what the attacks reach. Of victims that were
    hardened at several budgets, `sparring budgets` says which training budget to choose.

    Example: sparring compare runs/BEFORE runs/AFTER --out compared
    """

    before: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BEFORE")]
    """The run folder of an audit, or its audit.json."""
    after: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="AFTER")]
    """That of the other audit, of the hardened victim, say."""
    out: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """A folder for compare.json, a figure and a page; without it nothing is written."""
    json: bool = False
    """Print one JSON object on standard output and nothing else there."""


def compare(before: str | Path, after: str | Path, out: str | Path | None = None) -> dict[str, Any]:
    """Compare two audits: `sparring compare` as a function.

    Args:
      before: the run folder of an audit, or its `audit.json`.
      after: that of the other one, of the hardened victim, say.
      out: a folder for `compare.json`, `compare.svg` and `compare.html`; None: nothing is written.

    Returns:
      The JSON result (`answers.CompareResult`).

    Raises:
      InputError: one of them is no audit, or they cannot be compared: twice the same one, another game, other
        attackers or seats, another oracle, other control, or no budget that both have; or `out` is the folder of a run.
    """
    check_out(out)
    first, second = _read(before), _read(after)
    if _folder(before) == _folder(after):
        raise InputError(f"compare: {before} and {after} are the same audit: give two")
    words = ["sparring", "compare", str(before), str(after), *([] if out is None else ["--out", str(out)])]
    record = replaced(compared(first, second, str(before), str(after)), command=shlex.join(words))
    return written(record, out, "compare", page_of)


def compared(before: AuditResult, after: AuditResult, source: str = "before", other: str = "after") -> CompareResult:
    """The record of a comparison.

    The change of the damage is that of independent audits. Its interval adds the distances to the ends of both damages'
    intervals in quadrature, as Newcombe's does. These hold together over the budgets of their own audit, so the changes
    do as well. What the attacks reach is compared in the same way, with intervals of 95% for each number by itself.

    Raises:
      InputError: as `compare`.
    """
    check_alike(before, after, source, other)
    first, second = (audit if audit.verdict is not None else judged(audit) for audit in (before, after))
    assert first.verdict is not None and second.verdict is not None
    results = [{result.budget: result for result in audit.budgets} for audit in (first, second)]
    common = sorted(results[0].keys() & results[1].keys())
    if not common:
        budgets = [", ".join(f"{budget:g}" for budget in sorted(found)) for found in results]
        raise InputError(f"compare: no budget is in both audits: {source} has {budgets[0]}, {other} has {budgets[1]}")
    same, measure, rounding = same_benign(first, second), first.verdict.measure, _rounding(first, second)
    changes = tuple(_change(results[0][budget], results[1][budget], same, rounding) for budget in common)
    if all(shown_in(change, measure, same) is None for change in changes):
        raise InputError(f"compare: {other} has no result in the measure of {source} ({measure})")
    record = CompareResult(
        game=first.game,
        oracle=first.oracle,
        before=_side(first, source),
        after=_side(second, other),
        measure=measure,
        same_benign=same,
        budgets=changes,
        only_before=tuple(sorted(results[0].keys() - results[1].keys())),
        only_after=tuple(sorted(results[1].keys() - results[0].keys())),
    )
    slack = max(slack_of(audit.budgets, measure, audit.scale) for audit in (first, second))
    return replaced(record, text=_words(record, slack))


def answer(settings: Settings) -> dict[str, Any]:
    """What the command does: `compare` of its settings."""
    return compare(settings.before, settings.after, settings.out)


def text(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [result["text"]]
    if result["report"] is not None:
        lines += ["", f"report: {Path(result['report']).resolve()}"]
    return "\n".join(lines)


def _read(source: str | Path) -> AuditResult:
    """The audit in a run folder, or in a file of any name."""
    given = isinstance(source, (str, Path)) and Path(source).is_file()
    return read_audit(source if given else audited(source))


def _folder(source: str | Path) -> Path:
    path = Path(source).resolve()
    return path.parent if path.name == AUDIT else path


def check_alike(before: AuditResult, after: AuditResult, source: str, other: str, verb: str = "compare") -> None:
    """Refuse audits that cannot be set against each other.

    Raises:
      InputError: another game, other seats, another oracle or other control.
    """
    for what, ours, theirs in (
        ("game", before.game, after.game),
        ("oracle", before.oracle, after.oracle),
        ("victim's seat", before.victim_seat, after.victim_seat),
        ("attackers' seats", sorted(before.attackers), sorted(after.attackers)),
        ("control", before.control, after.control),
    ):
        if ours != theirs:
            raise InputError(f"{verb}: another {what}: {source} has {ours}, {other} has {theirs}")


def _rounding(before: AuditResult, after: AuditResult) -> dict[Measure, float]:
    """How far exact numbers of each measure may be apart that are equal; sampled: 0."""
    if before.oracle != EXACT:
        return dict.fromkeys(MEASURES, 0.0)
    most = max(0.0 if audit.scale is None else audit.scale.rounding for audit in (before, after))
    return {measure: SETTLED if measure in ("win", "fail") else most for measure in MEASURES}


def _side(audit: AuditResult, source: str) -> Side:
    assert audit.verdict is not None
    benign = benign_name(audit.benign, audit.victim)
    finding, command = audit.verdict.finding, audit.command
    return Side(source=source, victim=audit.victim, benign=benign, finding=finding, command=command)


def _change(before: BudgetResult, after: BudgetResult, same: bool, rounding: dict[Measure, float]) -> BudgetChange:
    found: dict[str, Change] = {}
    reached: dict[Measure, Change] = {}
    for measure in MEASURES:
        first, second = damage_in(before.damage, measure), damage_in(after.damage, measure)
        if same and first is not None and second is not None:
            found["return_" if measure == "return" else measure] = _apart(first, second, rounding[measure])
        first, second = _reached(before, measure), _reached(after, measure)
        if first is not None and second is not None:
            reached[measure] = _apart(first, second, rounding[measure])
    return BudgetChange(budget=before.budget, **found, reached=reached)


def _reached(rates: Rates, measure: Measure) -> Difference | None:
    """A number with its own 95% interval, that of an exact value its one value; None where one of them is not known."""
    value: float | None
    ends: Interval | None
    if measure == "value":
        value = rates.victim_value
        ends = None if value is None else (value, value)
    else:
        key = "victim_return" if measure == "return" else measure
        value, ends = getattr(rates, key), getattr(rates, f"{key}_ci")
    return None if value is None or ends is None else Difference(value=value, low=ends[0], high=ends[1])


def _apart(before: Difference, after: Difference, rounding: float) -> Change:
    # Where no match was valid, the middle of the interval stands for the damage.
    first, second = (d.value if d.value is not None else (d.low + d.high) / 2 for d in (before, after))
    value = 0.0 if abs(second - first) <= rounding else second - first
    low = value - math.hypot(second - after.low, before.high - first)
    high = value + math.hypot(after.high - second, first - before.low)
    known = before.value is not None and after.value is not None
    return Change(before=before, after=after, change=Difference(value=value if known else None, low=low, high=high))


def _words(record: CompareResult, slack: float) -> str:
    lines = [f"{record.game}: {record.before.victim} -> {record.after.victim}"]
    if not record.same_benign:
        lines += _of_others(record)
    for entry in record.budgets:
        for measure in MEASURES:
            change = shown_in(entry, measure, record.same_benign)
            if change is not None and (measure == record.measure or measure in ("return", "value")):
                say, names = (amount, DAMAGES) if record.same_benign else (level, REACHED)
                first, second = (say(measure, number) for number in (change.before, change.after))
                change = amount(measure, change.change)
                lines.append(f"budget {entry.budget:g}: {names[measure]} {first} -> {second}; change {change}")
    lines += [_judged(record, slack)] if record.same_benign else []
    if record.oracle != "exact":
        what = "damages by learned attacks" if record.same_benign else "learned attacks"
        lines.append(f"Both are {what}: each is a lower bound on what an attacker can do.")
    if left := sorted({*record.only_before, *record.only_after}):
        lines.append(
            f"Not compared, because only one of the audits has them: budgets {', '.join(map('{:g}'.format, left))}."
        )
    return "\n".join(lines)


def _judged(record: CompareResult, slack: float) -> str:
    changes = [found for entry in record.budgets if (found := shown_in(entry, record.measure, True)) is not None]
    better = [found for found in changes if found.change.high < -slack]
    worse = [found for found in changes if found.change.low > slack]
    if better and not worse:
        return f"The damage fell, beyond the noise, at {len(better)} of {len(changes)} budgets."
    if worse:
        return f"The damage rose, beyond the noise, at {len(worse)} of {len(changes)} budgets."
    return "No change of the damage is beyond the noise."


def _of_others(record: CompareResult) -> list[str]:
    """Why no damage is compared, and what is compared instead."""
    ours, theirs = record.before.benign, record.after.benign
    which = f"{ours} and {theirs}" if ours != theirs else "each victim's own policy"
    lines = [
        f"The audits have different benign opponents ({which}), so their damages cannot be compared: give both audits "
        "the same --benign.",
    ]
    alone = "" if record.oracle == "exact" else " Each interval is of 95% for itself."
    lines.append(f"What the attacks reach is compared instead, and nothing is judged.{alone}")
    if any(entry.budget < 1 for entry in record.budgets):
        lines.append("Below budget 1 the benign opponents have a part in that, too.")
    return lines
