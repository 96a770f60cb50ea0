"""The report: one HTML file that needs no network and no script."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sparring.errors import InputError
from sparring.files import check_file, plain, read_json, write_atomic, write_json
from sparring.report import plots
from sparring.report.schema import BENIGN, Audit, ExactAudit, check, check_exact, is_exact
from sparring.report.verdict import ROUNDING, damage, exact_verdict, exact_worst, lost, points, verdict, worst

AUDIT, REPORT = "audit.json", "report.html"
MAX_CLIP_BYTES = 16 * 2**20
_CLIP_TYPES = {".mp4": "video/mp4", ".webp": "image/webp", ".gif": "image/gif"}


def write_report(audit: Mapping[str, Any], folder: Path) -> Path:
    """Write `audit.json`, `report.html` and its figures (`damage.svg`, ...) into `folder`; returns the report's path.

    Args:
      audit: what `report.schema.Audit` or `ExactAudit` describes; NumPy numbers are welcome.
      folder: the run's folder, in which the clip lies if there is one.

    Raises:
      InputError: the audit is incomplete, the clip cannot be read, or the files cannot be written.
    """
    folder = Path(folder)
    page, figures = _page(plain(audit), folder)
    write_json(folder / AUDIT, audit)
    write_atomic(folder / REPORT, page.encode())
    for name, svg in figures.items():
        write_atomic(folder / f"{name}.svg", svg.encode())
    return folder / REPORT


def rewrite_report(folder: Path) -> Path:
    """Make the report of a folder anew from its `audit.json`; returns the report's path.

    Raises:
      InputError: the folder holds no audit, or as `write_report`.
    """
    folder = Path(folder)
    write_atomic(folder / REPORT, _page(read_json(folder / AUDIT), folder)[0].encode())
    return folder / REPORT


def _page(audit: Mapping[str, Any], folder: Path) -> tuple[str, dict[str, str]]:
    """The report as HTML and its figures as SVG; the same audit gives the same text."""
    if is_exact(audit):
        checked = check_exact(audit)
        figures = {"exploitability": plots.exploitability_figure(checked), "shift": plots.exact_shift_figure(checked)}
        result = exact_worst(checked)
        values = {
            "worst": result,
            "found": lost(result) > ROUNDING,
            "verdict": exact_verdict(checked),
            "number": lambda value: f"{value:.4g}",
            "percent": lambda chance: "none" if chance is None else f"{100 * chance:.1f}%",
        }
        return _render("exact.html.j2", checked, figures, values), figures
    checked = check(audit)
    drawn = {
        "damage": plots.damage_figure(checked),
        "curves": plots.curves_figure(checked),
        "shift": plots.shift_figure(checked),
    }
    figures = {name: svg for name, svg in drawn.items() if svg}
    clip, clip_type = _clip(checked, folder)
    result = worst(checked)
    values = {
        "worst": result,
        "benign": result["baselines"][BENIGN],
        "verdict": verdict(checked),
        "damage": damage(checked, result),
        "damage_of": partial(damage, checked),
        "points": points,
        "percent": lambda rate: f"{100 * rate:.0f}%",
        "interval": lambda ends: f"[{100 * ends[0]:.0f}, {100 * ends[1]:.0f}]",
        "no_clip": checked.get("no_clip"),
        "clip": clip,
        "clip_type": clip_type,
    }
    return _render("learned.html.j2", checked, figures, values), figures


def _render(template: str, audit: Audit | ExactAudit, figures: Mapping[str, str], values: Mapping[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        audit=audit,
        budgets=sorted(audit["budgets"], key=lambda entry: entry["budget"]),
        duration=_duration(audit["wall_time_s"]),
        settings=list(_flat(audit["settings"])),
        figures={name: Markup(plots.on_page(svg)) for name, svg in figures.items()},
        **values,
    )


def _clip(audit: Audit, folder: Path) -> tuple[str | None, str]:
    """The clip in base64 and its media type."""
    name = audit.get("clip")
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
