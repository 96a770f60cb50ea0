"""An audit in short, for people and for build servers: Markdown, JUnit's XML or CSV, by the suffix of the file."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

from sparring.answers import AuditResult, Result
from sparring.errors import InputError
from sparring.files import write_atomic
from sparring.judgement import judged
from sparring.judgement.rule import slack_of, state_at
from sparring.judgement.words import MEASURES, amount, mean, rate
from sparring.records import BENIGN, BudgetResult, Finding, Measure, Verdict, damage_in

_NUMBERS = ("win", "draw", "loss", "fail", "victim_return", "attacker_return")


def write_summary(record: Result, path: Path) -> Path:
    """Write an audit in short; returns the path.

    `.md`: the verdict and a table of the budgets. `.xml`: JUnit, one test case per budget, which fails where the exit
    code would be 1 and has an error where it would be 4; without a threshold no case fails. `.csv`: one row per budget.

    Raises:
      InputError: another suffix, another result than an audit, or a file that cannot be written.
    """
    path = Path(path)
    check_suffix(path)
    if not isinstance(record, AuditResult):
        raise InputError(f"summary {path}: expected an audit, got {record.schema}; use --json")
    audit = judged(record) if record.verdict is None else record
    assert audit.verdict is not None
    write_atomic(path, _WRITERS[path.suffix](audit, audit.verdict).encode())
    return path


def check_suffix(path: Path) -> None:
    """Find out before anything is started whether a summary can be written.

    Raises:
      InputError: the suffix is none of those known.
    """
    if Path(path).suffix not in _WRITERS:
        raise InputError(f"summary {path}: expected a file name that ends with one of {', '.join(sorted(_WRITERS))}")


def _states(audit: AuditResult, verdict: Verdict) -> list[tuple[BudgetResult, Finding, str | None]]:
    """The finding at each budget; where no match was decided at all, none can tell."""
    slack = slack_of(audit.budgets, verdict.measure, audit.scale)
    states = []
    for result in sorted(audit.budgets, key=lambda entry: entry.budget):
        finding, reason = state_at(result, verdict.measure, verdict.fail_above, slack)
        if finding == "none" and verdict.finding == "cannot tell" and (verdict.reason or "").startswith("no match"):
            finding, reason = "cannot tell", verdict.reason
        states.append((result, finding, reason))
    return states


def _damages(result: BudgetResult) -> list[tuple[Measure, str]]:
    said: list[tuple[Measure, str]] = []
    for measure in MEASURES:
        if (difference := damage_in(result.damage, measure)) is not None:
            said.append((measure, amount(measure, difference)))
    return said


def _markdown(audit: AuditResult, verdict: Verdict) -> str:
    measures: list[Measure] = [
        m for m in MEASURES if any(damage_in(result.damage, m) is not None for result in audit.budgets)
    ]
    head = [
        "budget",
        "finding",
        *(f"damage in the {MEASURES[m]}{' *' if m == verdict.measure else ''}" for m in measures),
    ]
    head += ["attacker wins", "victim's return", "matches", "invalid"]
    lines = [
        f"# Audit of {_cell(audit.victim)} in {_cell(audit.game)}",
        "",
        f"**{verdict.finding}**: {_cell(verdict.text)}",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
    ]
    for result, finding, _ in _states(audit, verdict):
        damages = dict(_damages(result))
        cells = [f"{result.budget:g}", finding, *(damages.get(m, "not known") for m in measures)]
        cells += [rate(result), mean(result), str(result.episodes), str(result.invalid)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"\\* the measure of the verdict; exit code {audit.exit_code}. `{_cell(audit.command)}`", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text that stays inside of its place: no new line, no bar, no code of another program's."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _junit(audit: AuditResult, verdict: Verdict) -> str:
    name = f"sparring audit {audit.game}, victim {audit.victim}"
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(audit.budgets)))
    failures = errors = 0
    for result, finding, reason in _states(audit, verdict):
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=f"budget {result.budget:g}")
        said = "; ".join(f"{MEASURES[measure]}: {text}" for measure, text in _damages(result))
        if verdict.fail_above is not None and finding == "finding":
            failures += 1
            message = f"the damage is above {verdict.fail_above:g}: {said}"
            ElementTree.SubElement(case, "failure", message=message).text = verdict.text
        elif verdict.fail_above is not None and finding == "cannot tell":
            errors += 1
            ElementTree.SubElement(case, "error", message=f"cannot tell: {reason}").text = verdict.text
        ElementTree.SubElement(case, "system-out").text = f"{finding}; damage in the {said}"
    suite.set("failures", str(failures))
    suite.set("errors", str(errors))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _csv(audit: AuditResult, verdict: Verdict) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["budget", "finding", "fail_above", "measure"]
    columns += [f"damage_{m}{end}" for m in MEASURES for end in ("", "_low", "_high")]
    columns += [f"{key}{end}" for key in _NUMBERS for end in ("", "_low", "_high")]
    columns += ["victim_value", "episodes", "invalid", "mean_length", "benign_win", "benign_victim_return"]
    writer.writerow([*columns, "expl", "robust_expl", "gap", "attacker"])
    for result, finding, _ in _states(audit, verdict):
        benign = result.baselines[BENIGN]
        row: list[object] = [result.budget, finding, verdict.fail_above, verdict.measure]
        for measure in MEASURES:
            found = damage_in(result.damage, measure)
            row += [None] * 3 if found is None else [found.value, found.low, found.high]
        for key in _NUMBERS:
            row += [getattr(result, key), *(getattr(result, f"{key}_ci") or (None, None))]
        row += [result.victim_value, result.episodes, result.invalid, result.mean_length]
        row += [benign.win, benign.victim_return, result.expl, result.robust_expl, result.gap, result.attacker]
        writer.writerow(row)
    return text.getvalue()


_WRITERS: dict[str, Callable[[AuditResult, Verdict], str]] = {".md": _markdown, ".xml": _junit, ".csv": _csv}
