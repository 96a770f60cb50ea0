"""`sparring report`: make an audit's report again, from what the audit recorded, and judge it by another threshold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.commands.folder import FolderSettings, audited
from sparring.errors import InputError
from sparring.files import check_target
from sparring.oracles.options import OptionalFile, OptionalFloat
from sparring.records import Measure

RESULT = "defend.json"


@dataclass(frozen=True)
class Settings(FolderSettings):
    """Write the report of a finished audit or hardening again; nothing is played or trained.

    The exit code is that of the audit; of a hardening it is 0. With --fail-above an audit is judged anew: the exit code
    is 1, 4 or 0 as that of an audit with this threshold, and the run's own audit.json stays as it is.

    Example: sparring report runs/DIR --fail-above 0.1 --summary audit.xml
    """

    fail_above: OptionalFloat = None
    """Exit with code 1 if the damage is above this at any budget, and with 4 if that cannot be told: see audit."""
    fail_measure: Measure | None = None
    """What --fail-above is compared with: see audit."""
    summary: OptionalFile = None
    """Write the audit in short: Markdown (.md), JUnit's XML (.xml) or a table (.csv). Of a hardening: Markdown."""


def answer(settings: Settings) -> dict[str, Any]:
    from sparring.judgement import rejudge
    from sparring.report.html import rewrite_report
    from sparring.report.summary import check_suffix, write_summary
    from sparring.results import read_audit

    if settings.fail_measure is not None and settings.fail_above is None:
        raise InputError("fail-measure: it is read with --fail-above; give both, or leave it out")
    if settings.summary is not None:
        check_suffix(Path(settings.summary))
        check_target(Path(settings.summary), "summary")
    if (Path(settings.folder) / RESULT).exists():
        return _of_hardening(settings, Path(settings.folder))
    folder = audited(settings.folder)
    audit = read_audit(folder)
    if settings.fail_above is not None or audit.verdict is None:
        audit = rejudge(audit, settings.fail_above, settings.fail_measure)
    assert audit.verdict is not None
    report = rewrite_report(folder)
    result = {"report": str(report.resolve()), "verdict": audit.verdict.text, "exit_code": audit.exit_code}
    if settings.summary is not None:
        result["summary"] = str(write_summary(audit, Path(settings.summary)))
    return result


def _of_hardening(settings: Settings, folder: Path) -> dict[str, Any]:
    """The report of `sparring defend`."""
    from sparring.answers import DefendResult
    from sparring.commands.defend import said, write_page
    from sparring.files import write_atomic
    from sparring.report.hardening_page import markdown_of
    from sparring.results import read

    if settings.fail_above is not None:
        raise InputError("fail-above: it is read with audits: audit the hardened victim, or leave it out")
    summary = None if settings.summary is None else Path(settings.summary)
    if summary is not None and summary.suffix != ".md":
        raise InputError(f"summary {summary}: of a hardening there is Markdown alone: give a name that ends with .md")
    record = read(folder / RESULT)
    if not isinstance(record, DefendResult):
        raise InputError(f"{folder / RESULT}: expected the result of sparring defend, got {record.schema}")
    lines = said(record)
    result = {"report": str(write_page(record, folder).resolve()), "verdict": "\n".join(lines), "exit_code": 0}
    if summary is not None:
        write_atomic(summary, markdown_of(record, lines).encode())
        result["summary"] = str(summary)
    return result


def text(result: dict[str, Any]) -> str:
    return f"{result['verdict']}\n{result['report']}"


def exit_code(settings: Settings, result: dict[str, Any]) -> int:
    """That of the verdict which is printed: by the threshold that is given, else by the audit's own."""
    del settings
    return int(result["exit_code"])
