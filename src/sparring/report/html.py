"""The report: one HTML file that needs no network and no script. It is made from an audit's record and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sparring.answers import AuditResult
from sparring.errors import InputError
from sparring.files import check_file, write_atomic
from sparring.judgement import judged
from sparring.judgement.certain import certain_lines
from sparring.judgement.damage import IGNORED_INVALID
from sparring.judgement.rule import invalid_share, slack_of
from sparring.judgement.seen import seen_line
from sparring.judgement.words import (
    MEASURES,
    amount,
    control_sentence,
    goal,
    interval,
    mean,
    plain_amount,
    rate,
    shown,
)
from sparring.records import BENIGN, EXACT, BudgetResult, Difference, Measure, OverSeeds, Verdict, damage_in
from sparring.report import plots
from sparring.report.stealth_plots import CAPTIONS, bracket_figure, stealth_figures
from sparring.report.templates import rendered
from sparring.results import encode, read_audit

AUDIT, REPORT = "audit.json", "report.html"
MAX_CLIP_BYTES = 16 * 2**20
_CLIP_TYPES = {".mp4": "video/mp4", ".webp": "image/webp", ".gif": "image/gif"}
_DRAWN = {
    "step": "at every decision",
    "episode": "once per match",
    "blend": "not at all: both policies' actions are blended",
}
_Row = tuple[str, str, str, str, Any]
_Improved = tuple[str, str, str, str, str, bool]


def write_report(audit: AuditResult, folder: Path) -> Path:
    """Write `audit.json`, `report.html` and its figures (`damage.svg`, ...) into `folder`; returns the report's path.

    Args:
      audit: the record; one without a verdict gets the one that no threshold was given for.
      folder: the run's folder, in which the clip lies if there is one.

    Raises:
      InputError: the audit is incomplete, the clip cannot be read, or the files cannot be written.
    """
    folder = Path(folder)
    audit = _with_verdict(audit)
    data = encode(audit)
    page, figures = _page(audit, folder)
    write_atomic(folder / AUDIT, data)
    write_atomic(folder / REPORT, page.encode())
    for name, svg in figures.items():
        write_atomic(folder / f"{name}.svg", svg.encode())
    return folder / REPORT


def rewrite_report(folder: Path) -> Path:
    """Make the report of a folder anew from its `audit.json`, of this or an older version; returns the report's path.

    Raises:
      InputError: the folder holds no audit, or as `write_report`.
    """
    folder = Path(folder)
    write_atomic(folder / REPORT, _page(_with_verdict(read_audit(folder / AUDIT)), folder)[0].encode())
    return folder / REPORT


def _with_verdict(audit: AuditResult) -> AuditResult:
    return judged(audit) if audit.verdict is None else audit


def _page(audit: AuditResult, folder: Path) -> tuple[str, dict[str, str]]:
    """The report as HTML and its figures as SVG; the same audit gives the same text."""
    from markupsafe import Markup

    verdict, exact = audit.verdict, audit.oracle == EXACT
    assert verdict is not None
    budgets = sorted(audit.budgets, key=lambda result: result.budget)
    measures: list[Measure] = [
        m for m in MEASURES if any(damage_in(r.damage, m) is not None for r in budgets) or m == verdict.measure
    ]
    figures = plots.figures(audit, verdict)
    if (bracket := bracket_figure(audit, verdict.measure)) is not None:
        figures["bracket"] = bracket
    seen = sorted(audit.visibility, key=lambda one: one.budget)
    if seen and not exact:
        labels = [f"budget {one.budget:g}" for one in seen]
        damage = [damage_in(result.damage, verdict.measure) for result in budgets]
        figures |= stealth_figures(seen, labels, damage, verdict.measure)
    clip, clip_type = _clip(audit, folder)
    values = {
        "damage_in": damage_in,
        "amount": amount,
        "rate": rate,
        "mean": mean,
        "number": shown,
        "audit": audit,
        "exact": exact,
        "verdict": verdict,
        "headline": _headline(verdict),
        "victims": _agents(audit, audit.victims or (audit.victim_seat,)),
        "attackers": _agents(audit, audit.attackers),
        "goal": goal(audit.reward),
        "drawn": _DRAWN[audit.control],
        "tiles": _tiles(audit, verdict),
        "leading": [(name, *words) for name, words in _LEADING.items() if name in figures],
        "measures": measures,
        "measure_names": {measure: name.capitalize() for measure, name in MEASURES.items()},
        "slack": slack_of(budgets, verdict.measure, audit.scale),
        "invalid_rows": [] if exact else list(_invalid_rows(budgets, verdict.measure)),
        "control": control_sentence(audit),
        "clip": clip,
        "clip_type": clip_type,
        "improvements": list(_improvements(budgets)),
        "seed_rows": [(result.budget, row) for result in budgets for row in result.seeds],
        "over_seeds": [(result.budget, start, means) for result in budgets for start, means in _means(result)],
        "starts": any(row.start is not None for result in budgets for row in result.seeds),
        "outcomes": any(rates.win is not None for r in budgets for rates in (r, r.baselines[BENIGN])),
        "duration": None if audit.wall_time_s is None else _duration(audit.wall_time_s),
        "settings": list(_flat(audit.settings)),
        "seen": seen,
        "told": [seen_line(one, f"Budget {one.budget:g}") for one in seen],
        "stealth": [(name, *words) for name, words in CAPTIONS.items() if name in figures],
        "certain": [] if audit.coupling is None else certain_lines(audit.coupling),
        "figures": {name: Markup(plots.on_page(svg)) for name, svg in figures.items()},
        "budgets": budgets,
    }
    return rendered("audit.html.j2", values), figures


_LEADING = {
    "damage": (
        "What the attack does at every attack budget, beside the baselines",
        "The attacker controls its agent with probability equal to the budget; otherwise the benign policy acts. "
        "Bars are 95% intervals, each for itself. Damage beyond the noise is marked.",
    ),
    "exploitability": (
        "Exploitability of the victim and of the most robust victim by attack budget",
        "Exploitability is minus the victim's worst-case value when the attacker controls its agent with probability "
        "equal to the budget at every decision. The lower line is the least that any victim can reach. The space "
        "between the lines is the gap. Both are exact.",
    ),
}


def _headline(verdict: Verdict) -> str:
    if verdict.finding == "finding":
        return "A finding."
    if verdict.finding == "cannot tell":
        return "This audit cannot tell."
    return "No finding." if verdict.fail_above is None else "No finding above what is allowed."


def _tiles(audit: AuditResult, verdict: Verdict) -> list[tuple[str, str, str]]:
    """The numbers at the verdict's budget: name, value, and what is written small below it."""
    result = next(entry for entry in audit.budgets if entry.budget == verdict.budget)
    benign, at = result.baselines[BENIGN], f"budget {result.budget:g}"
    if verdict.measure == "value":
        tiles = [
            (f"Exploitability, {at}", shown(result.expl), f"value {shown(result.victim_value)}"),
            ("Most robust victim", shown(result.robust_expl), "verified" if result.verified else "NOT verified"),
            ("Gap", shown(result.gap), "what hardening can win back"),
        ]
        return tiles if result.shift is None else [*tiles, ("Visibility", shown(result.shift), result.shift_measure)]
    name, write = (
        ("Victim's return", mean) if verdict.measure == "return" else (MEASURES[verdict.measure].capitalize(), rate)
    )
    key = "victim_return" if verdict.measure == "return" else verdict.measure
    tiles = [(f"{name}, {at}", *_split(write(result, key))), (f"{name}, benign", *_split(write(benign, key)))]
    if verdict.damage is not None:
        tiles.append(("Damage", *_split(amount(verdict.measure, verdict.damage).replace(" point", " pt"))))
    allowed = "" if verdict.fail_above is None else f"; allowed: {plain_amount(verdict.measure, verdict.fail_above)}"
    return [*tiles, ("Matches", str(result.episodes), f"against {benign.episodes} benign ones{allowed}")]


def _split(text: str) -> tuple[str, str]:
    value, bracket, ends = text.partition(" [")
    return value, bracket.strip() + ends


def _invalid_rows(budgets: list[BudgetResult], measure: Measure) -> Iterator[_Row]:
    for result in budgets:
        damage, benign = damage_in(result.damage, measure), result.baselines[BENIGN]
        if damage is None or max(invalid_share(result), invalid_share(benign)) <= IGNORED_INVALID:
            continue
        ends = [interval(measure, ends) if ends else "not known" for ends in (damage.against, damage.favour)]
        counts = f"{result.invalid} of {result.episodes + result.invalid}"
        if benign.invalid:
            counts += f"; benign {benign.invalid} of {benign.episodes + benign.invalid}"
        yield f"{result.budget:g}", counts, amount(measure, damage).partition(" [")[0], ends[0], ends[1]


def _means(result: BudgetResult) -> Iterator[tuple[str, OverSeeds]]:
    """The means over seeds, of each start."""
    if result.over_seeds is not None:
        yield result.seeds[0].start or "", result.over_seeds
    yield from result.by_start.items()


def _improvements(budgets: list[BudgetResult]) -> Iterator[_Improved]:
    for result in budgets:
        rows = [(row.start or "", str(row.seed), row.still_improving) for row in result.seeds]
        for start, seed, found in rows or [("", "", result.still_improving)]:
            if found is not None:
                gain = amount(found.measure, Difference(value=found.gain, low=found.low, high=found.high))
                yield f"{result.budget:g}", start, seed, gain, f"{found.p:.2g}", found.improving


def _agents(audit: AuditResult, seats: tuple[int, ...]) -> str:
    return " and ".join(audit.agents[seat] if audit.agents else f"seat {seat}" for seat in seats)


def _clip(audit: AuditResult, folder: Path) -> tuple[str | None, str]:
    """The clip in base64 and its media type."""
    name = audit.clip
    if name is None:
        return None, ""
    path = folder / name
    if path.name != name:
        raise InputError(f"clip: expected a file name in the audit's folder, got {name!r}")
    if path.suffix not in _CLIP_TYPES:
        raise InputError(f"clip: expected one of {', '.join(_CLIP_TYPES)}, got {name!r}")
    check_file(path, MAX_CLIP_BYTES)
    return base64.b64encode(path.read_bytes()).decode(), _CLIP_TYPES[path.suffix]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as rows of a table: `learner.clip`, `0.2`."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
