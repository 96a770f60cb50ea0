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
from sparring.games.finite import FiniteGame, finite, infosets
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
    return TabularPolicy(read(argument, infosets(solvable, agent), agent, others(solvable, agent)))


def read(path: Path | str, sets: Infosets, agent: str = "", others: Mapping[str, Infosets] | None = None) -> np.ndarray:
    """The probabilities in a file, float64 [I, A], bit for bit those that `save` wrote.

    Args:
      path: the file.
      sets: the rows of the policy.
      agent: whose policy it is, for messages.
      others: the other agents' information sets, so that a message can tell whose a state is.

    Raises:
      InputError: a file that is missing, too large or not of this form, or as `from_states`.
    """
    return from_states(_parse(Path(path)), sets, f"{path} for {agent}" if agent else str(path), others)


def from_states(
    states: Mapping[Any, Any], sets: Infosets, what: str, others: Mapping[str, Infosets] | None = None
) -> np.ndarray:
    """A policy float64 [I, A] from {information state: {action: probability}}.

    Raises:
      InputError: a state that is unknown, missing, or whose actions are illegal, given twice or have no probabilities
        that sum to one; `what` and the state are named.
    """
    number = {key: row for row, key in enumerate(sets.keys)}
    rows = np.zeros(sets.actions.shape)
    states = {str(state): given for state, given in states.items()}
    for state, given in states.items():
        where = f"{what}: information state {state!r}"
        if state not in number:
            raise InputError(_strange(state, states, sets, what, others or {}))
        if not isinstance(given, Mapping):
            raise InputError(f"{where}: expected {{action: probability}}, got {str(given)[:80]}")
        row = number[state]
        columns = _columns(sets, row)
        seen = set()
        for action, probability in given.items():
            if (action := str(action)) not in columns:
                raise InputError(f"{where}: {action!r} is no legal action; expected {_legal(sets, row)}")
            if columns[action] in seen:
                raise InputError(f"{where}: action {action!r} is given twice, by its number and by its name")
            seen.add(columns[action])
            rows[row, columns[action]] = _probability(probability, f"{where}, action {action!r}")
        if abs((total := rows[row].sum()) - 1) > ROW_TOLERANCE:
            raise InputError(f"{where}: expected probabilities that sum to 1, got a sum of {total:.9g}")
    if absent := [key for key in sets.keys if key not in states]:
        raise InputError(
            f"{what}: {len(absent)} of {len(sets.keys)} information states are missing, the first is {absent[0]!r}; "
            "give probabilities for every one"
        )
    return rows


def others(game: FiniteGame, agent: AgentID) -> dict[str, Infosets]:
    """The information sets of everybody but one agent."""
    return {other: infosets(game, other) for other in game.agents if other != agent}


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
    number = isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1 + ROW_TOLERANCE:
        raise InputError(f"{where}: expected a probability in [0, 1], got {json.dumps(value, default=str)[:80]}")
    return float(value)


def _strange(state: str, states: Mapping[str, Any], sets: Infosets, what: str, others: Mapping[str, Infosets]) -> str:
    """What is wrong with a state that is not one of the player's."""
    for other, theirs in others.items():
        if state in theirs.keys:
            mine = f"{len(sets.keys)} states, {sets.keys[0]!r} to {sets.keys[-1]!r}"
            if not any(key in states for key in sets.keys):
                return f"{what}: its states, such as {state!r}, are those of {other}; expected this player's {mine}"
            return (
                f"{what}: it holds states of another player too, such as {state!r} of {other}; expected this player's "
                f"{mine}, and nothing else: write one file for each player"
            )
    near = difflib.get_close_matches(state, sets.keys, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected such as {sets.keys[0]!r}"
    return f"{what}: information state {state!r} is not one of this player's: {hint}"
