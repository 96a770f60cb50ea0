"""`tabular:FILE.json`: action probabilities at every information set, `{information state: {action: probability}}`.

Information states are the game's own strings (in Markov and matrix games the state's number, "0", "1", ...). An action
is the game's own number for it, as a string, or its name; legal actions that are left out have probability 0.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.exact.problem import fitting
from sparring.exact.rows import ROW_TOLERANCE
from sparring.exact.tree_game import Infosets
from sparring.files import check_file, write_atomic
from sparring.games.finite import finite, infosets
from sparring.policies import TabularPolicy
from sparring.types import AgentID, Game

MAX_BYTES = 256 * 2**20


def load(argument: str, game: Game, agent: AgentID) -> TabularPolicy:
    """The policy in a file, for one agent of a game that can be enumerated.

    Raises:
      InputError: another kind of game, or as `read`.
    """
    solvable = finite(game)
    if solvable is None:
        raise InputError(
            f"tabular:{argument}: {game.id} has no information sets to look up: expected a matrix, Markov or OpenSpiel "
            "game"
        )
    return TabularPolicy(read(argument, infosets(solvable, agent)))


def read(path: Path | str, sets: Infosets) -> np.ndarray:
    """The probabilities in a file, float64 [I, A], bit for bit those that `save` wrote.

    Raises:
      InputError: a file that is missing, too large or not of this form; a state that is unknown, missing or given
        twice, or whose actions are illegal, given twice or have no probabilities that sum to one.
    """
    return table(_parse(Path(path)), sets, str(path))


def table(states: Mapping[str, Any], sets: Infosets, path: str) -> np.ndarray:
    """The probabilities in `{information state: {action: probability}}`, float64 [I, A]; `path` names it in errors.

    Raises:
      InputError: as `read`.
    """
    number = {key: row for row, key in enumerate(sets.keys)}
    rows = np.zeros(sets.actions.shape)
    for state, given in states.items():
        where = f"{path}: information state {state!r}"
        if state not in number:
            raise InputError(f"{where} is not one of this player's: {_nearest(state, sets.keys)}")
        if not isinstance(given, dict):
            raise InputError(f"{where}: expected {{action: probability}}, got {json.dumps(given)[:80]}")
        row = number[state]
        columns = _columns(sets, row)
        seen = set()
        for action, probability in given.items():
            if action not in columns:
                raise InputError(f"{where}: {action!r} is no legal action; expected {_legal(sets, row)}")
            if columns[action] in seen:
                raise InputError(f"{where}: action {action!r} is given twice, by its number and by its name")
            seen.add(columns[action])
            rows[row, columns[action]] = _probability(probability, f"{where}, action {action!r}")
        if abs((total := rows[row].sum()) - 1) > ROW_TOLERANCE:
            raise InputError(f"{where}: expected probabilities that sum to 1, got a sum of {total:.9g}")
    if absent := [key for key in sets.keys if key not in states]:
        raise InputError(
            f"{path}: {len(absent)} of {len(sets.keys)} information states are missing, the first is {absent[0]!r}; "
            "give probabilities for every one"
        )
    return rows


def save(path: Path | str, sets: Infosets, table: np.ndarray) -> None:
    """Write a policy [I, A], sorted by state; an earlier file stays intact if that fails.

    Raises:
      InputError: a policy that does not fit, or a file that cannot be written.
    """
    table = fitting(table, sets.count, f"{path}: policy")
    states = {
        key: {str(int(action)): float(p) for action, p in zip(ids[:count], row[:count], strict=True)}
        for key, ids, count, row in zip(sets.keys, sets.actions, sets.count, table, strict=True)
    }
    # Python writes the shortest digits that read back as the same float.
    write_atomic(Path(path), (json.dumps(states, indent=1, sort_keys=True) + "\n").encode())


def _parse(path: Path) -> dict[str, Any]:
    check_file(path, MAX_BYTES)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{path}: the information state or action {twice!r} is given twice")
        return entries

    try:
        states = json.loads(path.read_bytes(), object_pairs_hook=once)
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, {{information state: {{action: probability}}}}: {error}") from None
    if not isinstance(states, dict):
        raise InputError(f"{path}: expected one JSON object, {{information state: {{action: probability}}}}")
    return states


def _columns(sets: Infosets, row: int) -> dict[str, int]:
    """Every word for the legal actions of an information set; a number that is another action's name is a number."""
    count = sets.count[row]
    by_name = {name: column for column, name in enumerate(sets.names[row][:count])}
    return by_name | {str(action): column for column, action in enumerate(sets.actions[row, :count].tolist())}


def _legal(sets: Infosets, row: int) -> str:
    """The first legal actions of an information set, for people."""
    count = int(sets.count[row])
    pairs = zip(sets.actions[row].tolist(), sets.names[row][:6], strict=False)
    words = [name if name == str(action) else f"{action} ({name})" for action, name in pairs]
    return ", ".join(words) + (f" or {count - 6} others" if count > 6 else "")


def _probability(value: Any, where: str) -> float:
    # Python's own words for NaN and infinity are read as floats.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1 + ROW_TOLERANCE:
        raise InputError(f"{where}: expected a probability in [0, 1], got {json.dumps(value)[:80]}")
    return float(value)


def _nearest(state: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(state, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected such as {known[0]!r}"
