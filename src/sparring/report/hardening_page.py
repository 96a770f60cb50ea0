"""The page of `sparring defend`, and the same in short: how a victim was hardened, and what it is worth afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sparring.answers import DefendResult
from sparring.console import number
from sparring.judgement.words import MEASURES, amount, mean, rate
from sparring.records import CurvePoint, Difference, Measure, Rates, damage_in
from sparring.report import plots
from sparring.report.hardening_settings import settings_of
from sparring.report.templates import rendered

Row = tuple[str, str, str, str]  # what, before, after, change


def figure_of(record: DefendResult) -> str:
    """The course of the hardening, as SVG: of Expl where it is known exactly, else of what was seen in training."""
    name = f"Hardening by {record.method}"
    if isinstance(record.curve, dict):
        assert record.robust_expl is not None
        caption = f"{record.game}, budget {record.budget!r}; Expl is exact"
        return plots.defence_figure(record.curve, record.robust_expl, name, caption)
    return plots.hardening_figure(record.curve, name, f"{record.game}, budget {record.budget!r}; trained by PPO")


def page_of(record: DefendResult, lines: Sequence[str]) -> str:
    """The page as HTML; the same record gives the same text.

    Args:
      record: the result.
      lines: what the command says of it, in words.
    """
    from markupsafe import Markup

    values = {
        "record": record,
        "lines": lines,
        "figure": Markup(plots.on_page(figure_of(record))),
        "rows": rows_of(record),
        "exact": record.expl is not None,
        "attacked": record.after is not None and record.after.attacked is not None,
        "settings": settings_of(record),
        "training": _training(record),
    }
    return rendered("hardening.html.j2", values)


def markdown_of(record: DefendResult, lines: Sequence[str]) -> str:
    """The result in short, as Markdown."""
    head = [f"# Hardening of {_cell(record.start or record.victim)} in {_cell(record.game)}", ""]
    said = [f"{_cell(line)}  " for line in lines]
    table = ["", "| | before | after | change |", "|---|---|---|---|"]
    table += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows_of(record)]
    return "\n".join([*head, *said, *table, "", f"`{_cell(record.command)}`", ""])


def rows_of(record: DefendResult) -> list[Row]:
    """What the victim is worth before and after, and the change, each with its interval where it was sampled.

    Intervals are of 95%, those of damages hold together. A change is that of independent matches: its interval adds the
    distances to the ends of both intervals in quadrature (Newcombe).
    """
    if record.expl is not None and record.start_expl is not None:
        change = number(record.expl - record.start_expl, "+.6f")
        return [("exploitability", number(record.start_expl, ".6f"), number(record.expl, ".6f"), change)]
    before, after = record.before, record.after
    if before is None or after is None:
        return []
    rows = _rates_rows("benign opponent", before.clean, after.clean)
    if before.attacked is not None and after.attacked is not None:
        rows += _rates_rows("fresh attacker", before.attacked, after.attacked)
    measures: tuple[Measure, ...] = ("win", "fail", "return")
    for measure in measures:
        first, second = (None if t.damage is None else damage_in(t.damage, measure) for t in (before, after))
        if first is not None and second is not None:
            change = amount(measure, _apart(first, second))
            rows.append((f"damage in the {MEASURES[measure]}", amount(measure, first), amount(measure, second), change))
    return rows


def _rates_rows(who: str, before: Rates, after: Rates) -> list[Row]:
    rows: list[Row] = []
    said: tuple[tuple[str, str, Measure, Callable[..., str]], ...] = (
        ("win", "the attacker wins", "win", rate),
        ("draw", "draws", "win", rate),
        ("fail", "the victim loses", "win", rate),
        ("victim_return", "the victim's mean return", "return", mean),
    )
    for key, words, measure, form in said:
        first, second = _known(before, key), _known(after, key)
        if first is not None and second is not None:
            change = amount(measure, _apart(first, second))
            rows.append((f"{who}: {words}", form(before, key), form(after, key), change))
    return rows


def _known(rates: Rates, key: str) -> Difference | None:
    """A rate or a mean as a number with its interval; None where it is not known."""
    value, ends = getattr(rates, key), getattr(rates, f"{key}_ci")
    return None if value is None or ends is None else Difference(value=value, low=ends[0], high=ends[1])


def _apart(before: Difference, after: Difference) -> Difference:
    if before.value is None or after.value is None:
        return Difference(value=None, low=after.low - before.high, high=after.high - before.low)
    value = after.value - before.value
    low = value - math.hypot(after.value - after.low, before.high - before.value)
    high = value + math.hypot(after.high - after.value, before.value - before.low)
    return Difference(value=value, low=low, high=high)


def _training(record: DefendResult) -> list[tuple[str, str]]:
    """How the training went, in numbers: the last point of the curve, and the oscillation."""
    if isinstance(record.curve, dict):
        return []
    found: list[tuple[str, str]] = []
    last: CurvePoint | None = record.curve[-1] if record.curve else None
    names = {
        "score": "score at the end: the victim's mean return in training",
        "win": "share of the matches in training that an attacker won, at the end",
        "clean": "the victim's mean return at budget 0, at the end",
        "gradient_norm": "norm of the victim's policy gradient at the end",
        "gain": "what the last 5 rounds cost the victim beyond the 5 before",
        "entropy": "entropy of the victim's policy at the end, nats",
        "attacker_entropy": "entropy of the attacker's policy at the end, nats",
        "pool": "past policies of each side",
    }
    if last is not None:
        found += [
            (words, number(value, ".4g")) for name, words in names.items() if (value := getattr(last, name)) is not None
        ]
    moved = record.oscillation
    if moved is not None and moved.variance is not None and moved.total_variation is not None:
        rounds = f"of the score in the last {moved.rounds} rounds"
        found += [(f"variance {rounds}", number(moved.variance, ".4g"))]
        found += [(f"total variation {rounds}", number(moved.total_variation, ".4g"))]
    return found


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
