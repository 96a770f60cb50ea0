"""`sparring study`: make a figure and its table again, cell by cell.

A study is a module of `sparring.studies` with `Settings` (a frozen dataclass), `PRESETS` (by name), `cells(settings,
seed)` (independent pieces of work, frozen dataclasses of plain JSON), `run(cell)` (rows of the table, flat JSON),
`figure(rows)` (SVG) and `summary(rows)` (Markdown). Where a cell is long, it is `run(cell, folder)`: its own folder
keeps what it goes on from when it was interrupted. A study that needs files of the user has `check(settings)`, which
refuses to begin without them. Nothing is registered: a module with these is found by its name.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from sparring.commands.common import Common, Interrupted, accepted, perform
from sparring.console import Stopped
from sparring.errors import InputError, unknown
from sparring.files import plain, read_json, write_atomic, write_json
from sparring.jobs import Job, map_jobs
from sparring.runs import Run

PARTS = ("Settings", "PRESETS", "cells", "run", "figure", "summary")
ESTIMATE = "smoke takes seconds, standard minutes, paper what results/ says; under 10 MB of disk"
ENTRY, ROWS = "sparring.commands.study:cell", "rows.json"
FILES = {"table": "table.csv", "figure": "figure.svg", "summary": "summary.md"}


@dataclass(frozen=True)
class Settings(Common):
    """Regenerate one figure or table: table.csv, figure.svg and summary.md in the run folder.

    Example: sparring study rps-dynamics --preset smoke
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """The study; `sparring list` shows what there is."""
    preset: Literal["smoke", "standard", "paper"] = "standard"
    """How much is done: smoke takes seconds, paper is what lies in results/."""
    jobs: int = 1
    """Cells that are computed side by side, each in a process of its own on one thread."""


def study(name: str, **settings: Any) -> dict[str, Any]:
    """Run a study: `sparring study` as a function.

    Args:
      name: the study's.
      **settings: the fields of `Settings`.

    Returns:
      The JSON result: `table`, `figure` and `summary` (files), `rows` (their number) and the settings of the preset.

    Raises:
      InputError: bad input.
    """
    return perform("study", accepted(Settings, name=name, **settings))


def names() -> tuple[str, ...]:
    """All studies."""
    return tuple(sorted(name.replace("_", "-") for name in _modules() if _is_study(name)))


class Prepared(NamedTuple):
    module: Any
    chosen: Any  # the study's own settings
    cells: Sequence[Any]


def prepare(settings: Settings) -> Prepared:
    name = settings.name.replace("-", "_")
    if name not in _modules() or not _is_study(name):
        raise unknown("study", settings.name, names())
    module = _load(name)
    if settings.jobs < 1:
        raise InputError(f"jobs: expected at least 1, got {settings.jobs}")
    if settings.preset not in module.PRESETS:
        raise unknown("preset", settings.preset, module.PRESETS)
    chosen = module.PRESETS[settings.preset]
    return Prepared(module, chosen, list(module.cells(chosen, settings.seed)))


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    del settings
    return {"study": asdict(prepared.chosen), "cells": len(prepared.cells), "estimate": ESTIMATE}


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    module, chosen, cells = prepared
    getattr(module, "check", lambda _: None)(chosen)
    rows = [row for part in _parts(settings, prepared, run) for row in part]
    if not rows:
        raise InputError(f"study {settings.name}: no cell returned a row")
    write_atomic(run.folder / "table.csv", csv_text(rows).encode())
    write_atomic(run.folder / "figure.svg", module.figure(rows).encode())
    write_atomic(run.folder / "summary.md", (module.summary(rows).strip() + "\n").encode())
    result = {
        "study": settings.name,
        "preset": settings.preset,
        "seed": settings.seed,
        "settings": asdict(chosen),
        "cells": len(cells),
        "rows": len(rows),
        **{name: str(run.folder / file) for name, file in FILES.items()},
    }
    write_json(run.folder / "study.json", result)
    return result


def text(result: dict[str, Any]) -> str:
    lines = [Path(result["summary"]).read_text().strip(), ""]
    return "\n".join([*lines, *(f"{name}: {Path(result[name]).resolve()}" for name in FILES)])


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table, its columns in the order in which rows first name them; numbers to the last bit."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def cell(config: Mapping[str, Any], run: Run) -> None:
    """One cell, in the folder of its own; in a process of its own the study is set up there anew."""
    prepared = prepare(Settings(name=config["study"], preset=config["preset"], seed=config["seed"]))
    one = prepared.cells[config["number"]]
    if plain(asdict(one)) != config["cell"]:
        raise InputError(f"{run.folder}: this cell was another one then; start a new run")
    try:
        does = prepared.module.run
        rows = does(one, run.folder) if len(inspect.signature(does).parameters) > 1 else does(one)
    except Interrupted as stop:  # of a command that the study uses
        raise Stopped from stop
    write_json(run.folder / ROWS, {"cell": asdict(one), "rows": rows})


def _parts(settings: Settings, prepared: Prepared, run: Run) -> list[list[dict[str, Any]]]:
    """The rows of every cell; those of cells that an earlier process has finished are read."""
    name = settings.name.replace("_", "-")
    asked = {"study": name, "preset": settings.preset, "seed": settings.seed}
    jobs = [
        Job(f"{number:05d}", {**asked, "number": number, "cell": plain(asdict(one))})
        for number, one in enumerate(prepared.cells)
    ]
    folders = map_jobs(jobs, cell, run, settings.jobs, ENTRY, f"study {name}")
    # Read back in either case: a row is what its file says, whoever computed it.
    return [read_json(folders[job.name] / ROWS)["rows"] for job in jobs]


def _modules() -> tuple[str, ...]:
    # By name: studies use the commands, so the commands do not import them.
    studies = importlib.import_module("sparring.studies")
    return tuple(module.name for module in pkgutil.iter_modules(studies.__path__))


def _is_study(name: str) -> bool:
    module = _load(name)
    return all(hasattr(module, part) for part in PARTS)


def _load(name: str) -> Any:
    return importlib.import_module(f"sparring.studies.{name}")
