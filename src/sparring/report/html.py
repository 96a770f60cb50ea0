"""The report: one HTML file that needs no network and no script."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sparring.checkpoint import check_file, write_atomic
from sparring.errors import InputError
from sparring.report import plots
from sparring.report.schema import BENIGN, Audit, check
from sparring.report.verdict import damage, points, verdict, worst
from sparring.runs import plain, read_json, write_json

AUDIT, REPORT = "audit.json", "report.html"
MAX_CLIP_BYTES = 16 * 2**20
_CLIP_TYPES = {".mp4": "video/mp4", ".webp": "image/webp", ".gif": "image/gif"}


def write_report(audit: Mapping[str, Any], folder: Path) -> Path:
    """Write `audit.json`, `report.html` and its figures (`damage.svg`, ...) into `folder`; returns the report's path.

    Args:
      audit: what `report.schema.Audit` describes; NumPy numbers are welcome.
      folder: the run's folder, in which the clip lies if there is one.

    Raises:
      InputError: the audit is incomplete, the clip cannot be read, or the files cannot be written.
    """
    folder = Path(folder)
    checked = check(plain(audit))
    page = render(checked, folder)
    write_json(folder / AUDIT, audit)
    write_atomic(folder / REPORT, page.encode())
    for name, svg in _figures(checked).items():
        write_atomic(folder / f"{name}.svg", svg.encode())
    return folder / REPORT


def rewrite_report(folder: Path) -> Path:
    """Make the report of a folder anew from its `audit.json`; returns the report's path.

    Raises:
      InputError: the folder holds no audit, or as `write_report`.
    """
    folder = Path(folder)
    write_atomic(folder / REPORT, render(check(read_json(folder / AUDIT)), folder).encode())
    return folder / REPORT


def render(audit: Audit, folder: Path) -> str:
    """The report as HTML; the same audit gives the same text.

    Raises:
      InputError: the clip is not in `folder`, too large, or of an unknown type.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    clip, clip_type = _clip(audit, folder)
    result = worst(audit)
    return environment.get_template("template.html.j2").render(
        audit={"no_clip": None, **audit},
        budgets=sorted(audit["budgets"], key=lambda entry: entry["budget"]),
        worst=result,
        benign=result["baselines"][BENIGN],
        verdict=verdict(audit),
        damage=damage(result),
        damage_of=damage,
        points=points,
        percent=lambda rate: f"{100 * rate:.0f}%",
        interval=lambda ends: f"[{100 * ends[0]:.0f}, {100 * ends[1]:.0f}]",
        duration=_duration(audit["wall_time_s"]),
        settings=list(_flat(audit["settings"])),
        clip=clip,
        clip_type=clip_type,
        figures={name: Markup(plots.on_page(svg)) for name, svg in _figures(audit).items()},
    )


def _figures(audit: Audit) -> dict[str, str]:
    """The figures that the audit has data for, as SVG."""
    drawn = {
        "damage": plots.damage_figure(audit),
        "curves": plots.curves_figure(audit),
        "shift": plots.shift_figure(audit),
    }
    return {name: svg for name, svg in drawn.items() if svg}


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
