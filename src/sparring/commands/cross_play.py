"""Cross-play: every victim against every attacker at one budget, and each victim's clean performance beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sparring.answers import CrossPlayResult
from sparring.commands.common import aligned, spawned
from sparring.errors import InputError
from sparring.files import write_atomic
from sparring.judgement.words import mean, rate, shown
from sparring.oracles.base import Adversarial, Oracle
from sparring.oracles.seating import describe, for_each
from sparring.records import EXACT, CrossCell, CrossRow, Rates, fields, replaced
from sparring.report.matrix_page import Heat, Table, page_of
from sparring.results import write
from sparring.runs import Run
from sparring.types import AgentID

FIGURE, PAGE, RESULT = "cross-play.svg", "cross-play.html", "evaluate.json"
JOINT = "+"  # between the policies of a team's agents


class Column(NamedTuple):
    """An attacker: its name, and what `Oracle.adversarial` loads."""

    name: str
    source: Any


class Victim(NamedTuple):
    """A row: a victim, and all attackers as its oracle plays them."""

    name: str
    oracle: Oracle
    attackers: tuple[tuple[str, Adversarial], ...]


def victims_of(given: Any) -> tuple[Any, ...]:
    """The victims that a user means: a tuple of names are several, anything else is one.

    Raises:
      InputError: none, one twice, or several of which one is no name.
    """
    if not isinstance(given, tuple):
        return (given,)
    if not given:
        raise InputError("victim: expected a policy, or several, got none")
    if len(given) > 1 and (strange := [one for one in given if not isinstance(one, str)]):
        raise InputError(f"victim: expected names, as several victims are given by name, got {describe(strange[0])}")
    _once("victim", given)
    return given


def attackers_of(given: Any, agents: Sequence[AgentID]) -> tuple[Column, ...]:
    """The attackers that a user means.

    Where there is one attacker's agent, every name is an attacker. A team's agents have one name for all of them, or
    one for each in their order. Several attackers of a team are told apart by `+`: if it is in any name, every name is
    an attacker, `A+B` one policy for each agent and `A` one for all of them.

    Raises:
      InputError: none, one twice, or another number of policies than agents.
    """
    names = given if isinstance(given, tuple) and given and all(isinstance(name, str) for name in given) else None
    if names is None or (len(agents) > 1 and not any(JOINT in name for name in names)):
        name = ", ".join(map(describe, given)) if isinstance(given, tuple) else describe(given)
        return (Column(name, for_each(given, agents)),)
    _once("attacker", names)
    if len(agents) == 1:
        return tuple(Column(name, name) for name in names)
    return tuple(Column(name, for_each(tuple(name.split(JOINT)), agents)) for name in names)


def _once(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"{what}: expected policies, each once, got {', '.join(names)}")


def cell_seed(root: int, victim: str, attacker: str | None) -> int:
    """The seed of a cell's matches: it depends on both names alone, not on which other cells there are.

    Args:
      root: of the run.
      victim: its name.
      attacker: its name; None: the benign opponent left alone.
    """
    digest = hashlib.sha256(json.dumps([victim, attacker]).encode()).digest()
    return spawned(root, 1, *(int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4)))


def play(victims: Sequence[Victim], budget: float, matches: int, run: Run, root: int) -> tuple[CrossRow, ...]:
    """Play all cells; what an earlier process has played is read.

    Args:
      victims: the rows, with the same attackers.
      budget: of the attack, in [0, 1].
      matches: of each cell.
      run: in whose folder the matches are kept.
      root: the seed that all cells' seeds come from.
    """
    rows = []
    for i, (name, oracle, attackers) in enumerate(victims):
        alone = oracle.evaluate(None, 0.0, matches, run, f"clean-{i}", cell_seed(root, name, None))
        cells = []
        for j, (attacker, adversarial) in enumerate(attackers):
            seed = cell_seed(root, name, attacker)
            attacked = oracle.evaluate(adversarial, budget, matches, run, f"cell-{i}-{j}", seed)
            scale = oracle.scale([attacked, alone])
            damage = oracle.damage(attacked, alone, scale, 1)
            rates = oracle.rates(attacked, scale)
            cells.append(CrossCell(**fields(rates), attacker=attacker, damage=damage, scale=scale))
        clean = oracle.rates(alone, oracle.scale([alone]))
        rows.append(CrossRow(victim=name, benign=oracle.question.names.benign, clean=clean, cells=tuple(cells)))
    return tuple(rows)


def write_pages(record: CrossPlayResult, folder: Path) -> CrossPlayResult:
    """Write `evaluate.json`, the heat map and the page; returns the record that names them."""
    record = replaced(record, figure=str(folder / FIGURE), report=str(folder / PAGE))
    page, figure = _page(record)
    write_atomic(folder / FIGURE, figure.encode())
    write_atomic(folder / PAGE, page.encode())
    write(record, folder / RESULT)
    return record


def text(record: CrossPlayResult) -> str:
    """The matrix for people."""
    head, rows = _table(record)
    lines = [*_lines(record), "", *aligned(head, rows), ""]
    return "\n".join([*lines, f"report: {Path(record.report or PAGE).resolve()}"])


def _key(record: CrossPlayResult) -> str:
    """What is shown: exact values, else the attackers' wins, in games without winners the victim's return."""
    if record.oracle == EXACT:
        return "victim_value"
    played = [rates for row in record.rows for rates in (row.clean, *row.cells)]
    return "win" if any(rates.win is not None for rates in played) else "victim_return"


_NAMES = {
    "victim_value": "the victim's value",
    "win": "the attacker's wins",
    "victim_return": "the victim's mean return",
}


def _words(key: str, rates: Rates) -> str:
    if key == "victim_value":
        return shown(rates.victim_value)
    return rate(rates) if key == "win" else mean(rates)


def _lines(record: CrossPlayResult) -> list[str]:
    shown_is = _NAMES[_key(record)].capitalize()
    lines = [
        f"{shown_is} at budget {record.budget:g}: every victim (row) against every attacker (column).",
        "Clean is the benign opponent left alone.",
    ]
    if record.oracle == EXACT:
        return [*lines, "All numbers are exact."]
    invalid = sum(rates.invalid for row in record.rows for rates in (row.clean, *row.cells))
    if invalid:
        lines.append(f"Matches cut off for broken physics, which count for nobody: {invalid}.")
    return [*lines, "Each number has its own 95% interval; a cell's does not change with the other cells."]


def _table(record: CrossPlayResult) -> tuple[list[str], list[list[str]]]:
    key = _key(record)
    head = ["victim", "clean", *(cell.attacker for cell in record.rows[0].cells)]
    return head, [[row.victim, *(_words(key, rates) for rates in (row.clean, *row.cells))] for row in record.rows]


def _page(record: CrossPlayResult) -> tuple[str, str]:
    key = _key(record)
    unit = 100.0 if key == "win" else 1.0
    found = [[getattr(rates, key) for rates in (row.clean, *row.cells)] for row in record.rows]
    values = [[None if value is None else unit * value for value in row] for row in found]
    heat = Heat(
        rows=[row.victim for row in record.rows],
        columns=["clean", *(cell.attacker for cell in record.rows[0].cells)],
        values=values,
        texts=[["none" if v is None else f"{v:.0f}" if key == "win" else f"{v:.4g}" for v in row] for row in values],
        row_label="victim",
        column_label="attacker",
        unit=_NAMES[key] + (", %" if key == "win" else ""),
        ends=(0.0, 100.0) if key == "win" else None,
        harm_is_low=key != "win",
    )
    head, rows = _table(record)
    benign = {row.benign for row in record.rows}
    note = "Where it is not controlled, the attacker's agent plays " + " or ".join(sorted(benign)) + "."
    tables = [Table(f"{_NAMES[key].capitalize()}", head, rows, note)]
    if record.oracle != EXACT:
        tables.append(Table("Matches", head, [_counts(row) for row in record.rows], "Valid matches of each cell."))
    title = f"Cross-play in {record.game}"
    return page_of("cross-play", "Victims against attackers", title, _lines(record), heat, tables, [record.command])


def _counts(row: CrossRow) -> list[str]:
    return [row.victim, *(str(rates.episodes) for rates in (row.clean, *row.cells))]
