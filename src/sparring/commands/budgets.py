"""`sparring budgets`: victims hardened at several budgets under attacks at others, and at which budget to train."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args

import tyro

from sparring.answers import AuditResult, BudgetsResult, DefendResult
from sparring.commands.common import aligned
from sparring.commands.compare import check_alike
from sparring.commands.folder import audited, check_out, written
from sparring.errors import InputError, check_type, unknown
from sparring.files import path_of
from sparring.judgement import damage_of, judged, score_of
from sparring.judgement.budget_choice import choose, comparisons
from sparring.judgement.rule import slack_of
from sparring.matches import MATCHES, read_matches
from sparring.metrics.outcome import Sample
from sparring.records import BENIGN, EXACT, Difference, Measure, Rates, Scale, TrainedRow, damage_in, replaced
from sparring.report.budgets_page import KEYS, NONE, budgets_page, damages, words
from sparring.results import read, read_audit

By: TypeAlias = Literal["damage", "score"]


@dataclass(frozen=True)
class Settings:
    """Audits of victims that were hardened at several budgets: how does each stand attacks at the other budgets?

    Prints what attacks reach, by training budget and budget of attack, and the training budget of least worst-case
    regret.

    Example: sparring budgets runs/A runs/B runs/C --trained-at none 0.3 1
    """

    audits: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="AUDIT [AUDIT ...]")]
    """Run folders of audits of one game, each of another victim, with budgets in common."""
    trained_at: Annotated[tuple[str, ...], tyro.conf.arg(metavar="X [X ...]")] = ()
    """The training budget of each audit's victim, in the same order; `none` for one that was not hardened. By default
    what `sparring defend` has noted beside the victim."""
    by: By = "score"
    """score: what the attack reaches, as in the paper's Table 4. damage: what the attack costs, counted from each
    victim's own clean play; that can prefer a victim that is weak without an attack, too, and then it is said."""
    out: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """A folder for budgets.json, a figure and a page; without it nothing is written."""
    json: bool = False
    """Print one JSON object on standard output and nothing else there."""


class Audited(NamedTuple):
    """A row before it is judged."""

    source: str
    trained_at: str
    folder: Path
    audit: AuditResult


def budgets(
    audits: Sequence[str | Path],
    trained_at: Sequence[str | float] = (),
    out: str | Path | None = None,
    by: By = "score",
) -> dict[str, Any]:
    """Choose a training budget from audits: `sparring budgets` as a function.

    Args:
      audits: run folders of audits, or their `audit.json`; at least two.
      trained_at: the training budget of each audit's victim, or a word such as "none".
      out: a folder for `budgets.json`, `budgets.svg` and `budgets.html`; None: nothing is written.
      by: "score", what the attacks reach, or "damage", counted from each victim's own clean play.

    Returns:
      The JSON result (`answers.BudgetsResult`).

    Raises:
      InputError: fewer than two audits, or audits that cannot be compared: another game, other seats, another oracle,
        other control, no budget that all have, or a training budget that is not known or was given twice;
        or `out` is the folder of a run.
    """
    if by not in get_args(By):
        raise unknown("by", by, get_args(By))
    check_out(out)
    record = _record(_read(audits, trained_at), by)
    words = ["sparring", "budgets", *map(str, audits)]
    words += ["--trained-at", *map(_label, trained_at)] if trained_at else []
    words += ["--by", by, *([] if out is None else ["--out", str(out)])]
    record = replaced(record, command=shlex.join(words))
    return written(record, out, "budgets", budgets_page)


def answer(settings: Settings) -> dict[str, Any]:
    """What the command does: `budgets` of its settings."""
    return budgets(settings.audits, settings.trained_at, settings.out, settings.by)


def text(result: dict[str, Any]) -> str:
    """The result for people."""
    record: BudgetsResult = read(result)
    lines = [record.text, "", *aligned(*damages(record))]
    if record.report is not None:
        lines += ["", f"report: {Path(record.report).resolve()}"]
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------------------
# What the audits have left.


def _read(audits: Sequence[str | Path], trained_at: Sequence[str | float]) -> list[Audited]:
    check_type("audits", audits, (list, tuple), "a list of folders")
    check_type("trained-at", trained_at, (list, tuple), "a list of training budgets, one for each audit")
    if len(audits) < 2:
        raise InputError(f"budgets: expected at least two audits, each of another victim, got {len(audits)}")
    if trained_at and len(trained_at) != len(audits):
        raise InputError(f"trained-at: expected one for each of {len(audits)} audits, got {len(trained_at)}")
    found: list[Audited] = []
    for i, source in enumerate(audits):
        folder = audited(source)
        if same := [row.source for row in found if row.folder.resolve() == folder.resolve()]:
            raise InputError(f"budgets: {same[0]} and {source} are the same audit: give each once")
        audit = read_audit(folder)
        audit = judged(audit) if audit.verdict is None else audit
        label = _label(trained_at[i]) if trained_at else _noted(audit, str(source))
        if found:
            check_alike(found[0].audit, audit, found[0].source, str(source), "budgets")
        if same := [row for row in found if row.trained_at == label]:
            raise InputError(
                f"trained-at: two victims were trained at {label}, those of {same[0].source} and {source}: give one"
            )
        found.append(Audited(str(source), label, folder, audit))
    return found


def _label(given: str | float) -> str:
    """A training budget, a range of them (`0.3 to 1`) or a word for none, as it is shown."""
    words = given.split() if isinstance(given, str) else [given]
    ends = [_number(word) for word in (words[::2] if len(words) == 3 and words[1] == "to" else words)]
    if ends and all(end is not None and 0 <= end <= 1 for end in ends):
        return " to ".join(f"{end:g}" for end in ends)
    if isinstance(given, str) and given[:1].isalpha() and None in ends:
        return given
    raise InputError(
        "trained-at: expected budgets in [0, 1], ranges such as '0.3 to 1', or a word such as "
        f"{NONE} for a victim that was not hardened, got {given!r}"
    )


def _number(given: Any) -> float | None:
    if isinstance(given, bool):
        return None
    try:
        return float(given)
    except (TypeError, ValueError):
        return None


def _noted(audit: AuditResult, source: str) -> str:
    """The training budget that `sparring defend` has noted beside the victim, or the range of budgets."""
    form, _, rest = audit.victim.partition(":")
    folder = {"run": Path(path_of(rest)[0]), "native": Path(rest).parent}.get(form)
    path = None if folder is None else folder / "defend.json"
    if path is None or not path.is_file():
        raise InputError(
            f"trained-at: the training budget of {audit.victim}, the victim of {source}, is not noted beside it: give "
            f"--trained-at, one for each audit ({NONE} for a victim that was not hardened)"
        )
    record = read(path)
    if not isinstance(record, DefendResult):
        raise InputError(f"{path}: expected the result of sparring defend, got {record.schema}")
    if record.budget_range is not None:
        return f"{record.budget_range[0]:g} to {record.budget_range[1]:g}"
    return f"{record.budget:g}"


def _record(rows: Sequence[Audited], by: By) -> BudgetsResult:
    first = rows[0].audit
    assert first.verdict is not None
    measure = first.verdict.measure
    tested = [{result.budget for result in row.audit.budgets} for row in rows]
    common = sorted(set.intersection(*tested))
    if not common:
        raise InputError("budgets: no budget of attack is in all audits: audit every victim at the same --budgets")
    if first.oracle == EXACT:
        harms = [_exact(row, common, measure, by) for row in rows]
    else:
        harms = _sampled(rows, common, measure, by)
    found = choose(harms, max(slack_of(row.audit.budgets, measure, row.audit.scale) for row in rows))
    results = []
    for i, row in enumerate(rows):
        by_budget = {result.budget: result for result in row.audit.budgets}
        results.append(
            TrainedRow(
                trained_at=row.trained_at,
                source=row.source,
                victim=row.audit.victim,
                benign=row.audit.benign,
                clean=by_budget[common[0]].baselines[BENIGN],
                attacked=tuple(_rates(by_budget[budget]) for budget in common),
                harm=tuple(harms[i]),
                regret=found.regrets[i],
                worst=found.worst[i],
                worst_at=common[found.at[i]],
                command=row.audit.command,
            )
        )
    record = BudgetsResult(
        game=first.game,
        oracle=first.oracle,
        measure=measure,
        by=by,
        budgets=tuple(common),
        left_out=tuple(sorted(set.union(*tested) - set(common))),
        rows=tuple(results),
        advised=rows[found.best].trained_at,
        alike=tuple(rows[i].trained_at for i in found.alike),
    )
    return replaced(record, text="\n".join(words(record)))


def _rates(result: Rates) -> Rates:
    """The rates of a budget's result without what else it holds."""
    return Rates(**{name: getattr(result, name) for name in Rates.__struct_fields__})


def _exact(row: Audited, budgets: Sequence[float], measure: Measure, by: By) -> list[Difference]:
    """What an exact audit has; its intervals have no width."""
    results = {result.budget: result for result in row.audit.budgets}
    if by == "damage":
        return [_there(damage_in(results[budget].damage, measure), row, measure) for budget in budgets]
    sign = 1.0 if measure in ("win", "fail") else -1.0
    found: list[Difference] = []
    for budget in budgets:
        reached = getattr(results[budget], KEYS[measure])
        value = None if reached is None else sign * reached
        found.append(_there(None if value is None else Difference(value=value, low=value, high=value), row, measure))
    return found


def _sampled(rows: Sequence[Audited], budgets: Sequence[float], measure: Measure, by: By) -> list[list[Difference]]:
    """Damages or scores from the matches themselves, with intervals that hold together over the whole matrix."""
    together = comparisons(len(rows), len(budgets))
    scales = [row.audit.scale for row in rows if row.audit.scale is not None]
    seen = any(scale.range_from == "seen" for scale in scales)
    scale = None
    if scales:
        ends = min(scale.low for scale in scales), max(scale.high for scale in scales)
        scale = Scale(low=ends[0], high=ends[1], range_from="seen" if seen else "game")
    found = []
    for row in rows:
        alone, attacks = _matches(row)
        if by == "score":
            cells = [score_of(attacks[budget], measure, scale, together) for budget in budgets]
        else:
            damages = [damage_of(attacks[budget], alone, scale, together) for budget in budgets]
            cells = [damage_in(damage, measure) for damage in damages]
        found.append([_there(cell, row, measure) for cell in cells])
    return found


def _matches(row: Audited) -> tuple[Sample, dict[float, Sample]]:
    """The benign matches of an audit, and those of the attack that it reports at each budget."""
    path = row.folder / MATCHES
    if not path.is_file():
        raise InputError(
            f"{path} is missing: intervals that hold together over several audits are made from it; audit again"
        )
    evaluations = read_matches(path)
    alone = next((one.sample for one in evaluations if one.label == BENIGN), None)
    reported = {one.budget: one.sample for one in evaluations if one.label.partition("-")[0] in ("attack", "final")}
    lacking = [result.budget for result in row.audit.budgets if result.budget not in reported]
    if alone is None or lacking:
        raise InputError(f"{path}: expected the matches of {row.source}, benign and at every budget; audit again")
    return alone, reported


def _there(damage: Difference | None, row: Audited, measure: Measure) -> Difference:
    if damage is None:
        raise InputError(f"budgets: {row.source} has no result in the measure of the first audit ({measure})")
    return damage


# ---------------------------------------------------------------------------------------------------------------------
# What people are told.
