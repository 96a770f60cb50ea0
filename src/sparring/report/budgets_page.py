"""What `sparring budgets` has found, in sentences, as a table and as a page."""

from __future__ import annotations

from collections.abc import Sequence

from sparring.answers import BudgetsResult
from sparring.judgement.words import MEASURES, amount, mean, rate, shown
from sparring.records import EXACT, Measure, Rates, TrainedRow, same_benign
from sparring.report.matrix_page import Heat, Table, page_of

NONE = "none"  # what a victim that was not hardened is called, by habit
KEYS: dict[Measure, str] = {"win": "win", "fail": "fail", "return": "victim_return", "value": "victim_value"}


def words(record: BudgetsResult) -> list[str]:
    """What the matrix says, one sentence or more a line."""
    measure, exact = record.measure, record.oracle == EXACT
    best = next(row for row in record.rows if row.trained_at == record.advised)
    lines = [
        f"{record.game}: {_what(record)}, by training budget (rows) and budget of attack (columns).",
        f"The least worst-case regret is that of {_who([best.trained_at])}: {amount(measure, best.worst)}, at budget "
        f"{best.worst_at:g}.",
    ]
    if record.alike and exact:
        lines.append(f"That of {_who(record.alike)} is equal.")
    elif record.alike:
        lines.append(f"It cannot be told from that of {_who(record.alike)}: the intervals overlap.")
    else:
        lines.append("No other victim's regret is as small." if exact else "Its interval overlaps with no other one's.")
    lines += _clean(record, best) if record.by == "damage" else []
    if not all(row is best or same_benign(row, best) for row in record.rows):
        lines.append("The victims met different benign opponents: give all audits the same --benign.")
    if record.left_out:
        left = ", ".join(f"{budget:g}" for budget in record.left_out)
        lines.append(f"Left out, because not all audits have them: budgets {left}.")
    if not exact:
        lines.append(f"The {record.by}s are those of learned attacks, lower bounds each: regrets may go either way.")
    lines.append("Each row is one victim: how far other trainings at its budget would be from it is not known.")
    return lines


def _clean(record: BudgetsResult, best: TrainedRow) -> list[str]:
    """A warning where the advised victim does worse without an attack: damage is counted from there."""
    key = KEYS[record.measure]
    sign = 1 if key in ("win", "fail") else -1

    def ends(rates: Rates) -> list[float] | None:
        value = getattr(rates, key)
        found = (value, value) if key == "victim_value" else getattr(rates, f"{key}_ci")
        return None if found is None or None in found else sorted(sign * end for end in found)

    ours = ends(best.clean)
    worse = [
        row.trained_at
        for row in record.rows
        if ours is not None and (theirs := ends(row.clean)) is not None and ours[0] > theirs[1]
    ]
    if not worse:
        return []
    return [
        f"But without an attack it does worse than {_who(worse)}, and damage is counted from each victim's own clean "
        "play: --by score counts what the attacks reach."
    ]


def _what(record: BudgetsResult) -> str:
    """What the matrix shows."""
    if record.by == "damage":
        return f"the damage in the {MEASURES[record.measure]}"
    return f"{'' if record.measure in ('win', 'fail') else 'minus '}the {MEASURES[record.measure]} under attack"


def _who(labels: Sequence[str]) -> str:
    """The victims of these rows."""
    hardened = [label for label in labels if label != NONE]
    said = [f"the victim{'s' if len(hardened) > 1 else ''} trained at {', '.join(hardened)}"] if hardened else []
    return " and ".join([*said, *["the victim that was not hardened"] * (len(hardened) < len(labels))])


def damages(record: BudgetsResult) -> tuple[list[str], list[list[str]]]:
    """The matrix as a table: its head, and its rows."""
    head = ["trained at", "clean", *(f"attacked at {budget:g}" for budget in record.budgets), "worst regret"]
    rows = []
    for row in record.rows:
        cells = [amount(record.measure, harm) for harm in row.harm]
        rows.append([row.trained_at, _reached(record, row.clean), *cells, amount(record.measure, row.worst)])
    return head, rows


def _reached(record: BudgetsResult, rates: Rates) -> str:
    if record.measure in ("win", "fail"):
        return rate(rates, record.measure)
    return shown(rates.victim_value) if record.measure == "value" else mean(rates)


def budgets_page(record: BudgetsResult) -> tuple[str, str]:
    """The page as HTML, and its figure as SVG; the same record gives the same text."""
    measure, share = record.measure, record.measure in ("win", "fail")
    unit = 100.0 if share else 1.0
    values = [[None if d.value is None else unit * d.value for d in row.harm] for row in record.rows]
    columns = [f"{budget:g}" for budget in record.budgets]
    heat = Heat(
        rows=[row.trained_at for row in record.rows],
        columns=columns,
        values=values,
        texts=[["unknown" if v is None else f"{v:+.0f}" if share else f"{v:+.4g}" for v in row] for row in values],
        row_label="training budget",
        column_label="budget of attack",
        unit=f"{_what(record)}{', points' if share else ''}",
    )
    together = "Exact: no intervals." if record.oracle == EXACT else "The intervals are made to hold together."
    levels = [[row.trained_at, *(_reached(record, r) for r in (row.clean, *row.attacked))] for row in record.rows]
    regrets = [[row.trained_at, *(amount(measure, regret) for regret in row.regret)] for row in record.rows]
    tables = [
        Table(record.by.capitalize(), *damages(record), together),
        Table(
            "Regret",
            ["trained at", *columns],
            regrets,
            f"{record.by.capitalize()} above that of the victim that suffers least there.",
        ),
        Table(
            "What the attacks reach",
            ["trained at", "clean", *columns],
            levels,
            f"{MEASURES[measure].capitalize()} themselves; clean is the benign opponent left alone.",
        ),
        Table("Victims", ["trained at", "victim", "audit"], [[r.trained_at, r.victim, r.source] for r in record.rows]),
    ]
    title = f"At which budget to train in {record.game}"
    lines, earlier = record.text.splitlines()[1:], [row.command for row in record.rows]
    return page_of("budgets", "Budget mismatch", title, lines, heat, tables, [record.command], earlier)
