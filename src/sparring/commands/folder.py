"""What the commands have in common that look at a run which exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from sparring.answers import BudgetsResult, CompareResult
from sparring.errors import InputError, check_type
from sparring.files import made, write_atomic
from sparring.records import replaced
from sparring.results import plain, write
from sparring.runs import CONFIG, STATUS, read_config, read_status

AUDIT = "audit.json"
R = TypeVar("R", CompareResult, BudgetsResult)


@dataclass(frozen=True)
class FolderSettings:
    """Arguments of the commands that look at a run."""

    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """A run folder, as audit, attack and the others print it."""
    json: bool = False
    """Print one JSON object on standard output and nothing else there."""


def written(record: R, out: str | Path | None, stem: str, page_of: Callable[[R], tuple[str, str]]) -> dict[str, Any]:
    """A record as JSON; where a folder is given, its page, its figure and itself are written there.

    Args:
      record: with `figure` and `report`, which become those files.
      out: the folder; None: nothing is written.
      stem: the files' name, without an ending.
      page_of: the record's HTML and SVG.
    """
    if out is None:
        return plain(record)
    folder = made(out)
    figure, page = folder / f"{stem}.svg", folder / f"{stem}.html"
    record = replaced(record, figure=str(figure), report=str(page))
    html, svg = page_of(record)
    write_atomic(figure, svg.encode())
    write_atomic(page, html.encode())
    write(record, folder / f"{stem}.json")
    return plain(record)


def check_out(out: str | Path | None) -> None:
    """Find out before any work whether `--out` would change another run, whose files are listed in its manifest.

    Raises:
      InputError: the folder is that of a run, or is inside of one.
    """
    if out is None:
        return
    check_type("out", out, (str, Path), "the name of a folder")
    folder = Path(out).resolve()
    for path in (folder, *folder.parents):
        if (path / CONFIG).is_file() and (path / STATUS).is_file():
            where = "is the folder of a run" if path == folder else f"is in the folder of a run, {path}"
            raise InputError(f"out {out}: this {where}, whose files stay as they are: choose another folder")


def audited(source: str | Path) -> Path:
    """The folder of a finished audit.

    Args:
      source: that folder, or the `audit.json` in it.

    Raises:
      InputError: it is another folder, or the audit is not finished; the message says what it is, and what shows it.
    """
    check_type("audit", source, (str, Path), "the folder of one")
    path = Path(source)
    if path.is_file():
        if path.name != AUDIT:
            raise InputError(f"{path}: expected the folder of an audit, or the {AUDIT} in it")
        return path.parent
    if (path / AUDIT).exists():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder: give that of an audit, as sparring audit prints it")
    if (path / "compare.json").exists():
        raise InputError(f"{path}: this is a comparison, not an audit: sparring compare has made its compare.html")
    if not (path / CONFIG).exists():
        raise InputError(f"{path}: this is no audit: expected a folder with {AUDIT} in it, as sparring audit makes it")
    verb = read_config(path).get("verb")
    if verb == "audit":
        state = read_status(path)["state"]
        raise InputError(f"{path}: this audit is not finished ({state}): sparring resume {path} goes on with it")
    if verb == "job":
        raise InputError(f"{path}: this is one job of an audit: give the audit's own folder, {path.parent.parent}")
    if verb == "defend":
        raise InputError(
            f"{path}: this is a hardening, not an audit: audit its victim with --victim run:{path}, and give that audit"
        )
    raise InputError(
        f"{path}: this is a run of sparring {verb}, not an audit: its result is {path / f'{verb}.json'}; only audits "
        "have a report"
    )
