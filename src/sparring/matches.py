"""The record of single matches: `matches.csv` in the folder of a run, one line per match."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.files import check_file, write_atomic
from sparring.metrics.outcome import Sample

MATCHES = "matches.csv"
MAX_BYTES = 2**30
_COLUMNS = (
    *("evaluation", "match", "attacker_outcome", "victim_outcome", "length", "invalid"),
    *("budget", "seed", "attacker_return", "victim_return"),
)
_RETURN = "return."  # the prefix of the columns of each agent's return


class Evaluation(NamedTuple):
    """The matches of one evaluation of a run."""

    label: str  # such as "attack, budget 0.3"
    budget: float
    seed: int  # the training seed of the attacker, or 0
    sample: Sample


def write_matches(path: Path, evaluations: Sequence[Evaluation]) -> Path:
    """Write all matches in one atomic step; returns the path.

    The columns: `evaluation` (its label), `match` (number in it), `attacker_outcome` and `victim_outcome` (1, 0, -1;
    empty where the game has no winners), `length` (steps), `invalid` (0 or 1), `budget`, `seed`, `attacker_return` and
    `victim_return` (of each side together), and `return.AGENT` for every agent of the game.

    Raises:
      InputError: no evaluation, two of the same label, agents that differ, or a file that cannot be written.
    """
    if not evaluations:
        raise InputError(f"{path}: there are no evaluations to be written")
    labels = [evaluation.label for evaluation in evaluations]
    if len(set(labels)) < len(labels):
        raise InputError(f"{path}: two evaluations have the same label, among {sorted(labels)}")
    agents = tuple(evaluations[0].sample.returns)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(_RETURN + agent for agent in agents)])
    for label, budget, seed, sample in evaluations:
        if tuple(sample.returns) != agents:
            raise InputError(f"{path}: expected the agents {', '.join(agents)}, got {', '.join(sample.returns)}")
        empty = [""] * len(sample.length)
        columns = [
            empty if sample.attacker is None else sample.attacker.tolist(),
            empty if sample.victim is None else sample.victim.tolist(),
            sample.length.tolist(),
            sample.invalid.astype(int).tolist(),
            [budget] * len(empty),
            [seed] * len(empty),
            sample.attacker_return.tolist(),
            sample.victim_return.tolist(),
            *(sample.returns[agent].tolist() for agent in agents),
        ]
        writer.writerows([label, match, *row] for match, row in enumerate(zip(*columns, strict=True)))
    write_atomic(Path(path), text.getvalue().encode())
    return Path(path)


def read_matches(path: Path) -> list[Evaluation]:
    """What `write_matches` wrote, number for number, in its order.

    Raises:
      InputError: no such file, other columns, or an entry that is no number.
    """
    path = Path(path)
    check_file(path, MAX_BYTES)
    try:
        header, *rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is no table of matches: {error}") from None
    if tuple(header[: len(_COLUMNS)]) != _COLUMNS or not all(
        name.startswith(_RETURN) for name in header[len(_COLUMNS) :]
    ):
        raise InputError(f"{path}: expected the columns {', '.join(_COLUMNS)}, {_RETURN}AGENT, got {', '.join(header)}")
    agents = [name.removeprefix(_RETURN) for name in header[len(_COLUMNS) :]]
    groups: dict[str, list[list[str]]] = {}
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}: expected {len(header)} entries, got {len(row)}")
        groups.setdefault(row[0], []).append(row)
    try:
        return [_evaluation(label, agents, group) for label, group in groups.items()]
    except ValueError as error:
        raise InputError(f"{path}: an entry is no number: {error}") from None


def _evaluation(label: str, agents: Sequence[str], rows: Sequence[Sequence[str]]) -> Evaluation:
    columns = list(zip(*rows, strict=True))
    attacker, victim = (None if "" in columns[i] else np.array(columns[i], np.int8) for i in (2, 3))
    numbers = [np.array(column, np.float64) for column in columns[8:]]
    returns = dict(zip(agents, numbers[2:], strict=True))
    length, invalid = np.array(columns[4], np.int64), np.array(columns[5], np.int64) != 0
    sample = Sample(attacker, victim, length, invalid, numbers[0], numbers[1], returns)
    return Evaluation(label, float(rows[0][6]), int(rows[0][7]), sample)
