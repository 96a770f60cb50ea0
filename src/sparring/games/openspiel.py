"""OpenSpiel's games as trees: `openspiel/NAME`, OpenSpiel's own parameters as options after commas.

OpenSpiel's own strings are names, too: `openspiel/liars_dice(numdice=1,dice_sides=3)`, also with a game within a game.

Every finite game of perfect recall that is small enough to be enumerated. Players who move at once are asked one after
the other, without seeing each other's choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparring.errors import InputError, require, unknown
from sparring.exact.tree_game import CHANCE, TERMINAL, Infosets, Tree, check
from sparring.games.tree import SampledTree

MAX_NODES = 1_000_000


def names() -> tuple[str, ...]:
    """Small games, each compiled within seconds; any other game of OpenSpiel can be given as well."""
    return (
        "kuhn_poker",
        "kuhn_poker,players=3",
        "leduc_poker",
        "liars_dice,dice_sides=4",
        "liars_dice,dice_sides=5",
        "liars_dice",
        "goofspiel,imp_info=True,num_cards=3",
        "goofspiel,imp_info=True,num_cards=4",
        "tiny_bridge_2p",
    )


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> SampledTree:
    """The game `openspiel/<name>`, to be played or, by its `tree`, solved.

    Options are the parameters of OpenSpiel's game, and `max_nodes` (see `compile_tree`).

    Raises:
      InputError: an unknown name or parameter, a bad value, or a game that cannot be compiled.
    """
    del threads
    options = dict(options)
    limit = options.pop("max_nodes", None)
    if limit is None:
        return SampledTree(_compiled(*_load(name, options), MAX_NODES), num_games)
    if not limit.isdecimal():
        raise InputError(f"openspiel/{name}: expected max_nodes=N, a whole number, got {limit!r}")
    tree = _compiled(*_load(name, options), int(limit))
    # The limit is a part of the id, so that a game compiled under a raised one can be made again by its id.
    return SampledTree(tree, num_games, f"{tree.id},max_nodes={int(limit)}")


def compile_tree(game: Any, max_nodes: int = MAX_NODES) -> Tree:
    """Traverse a game once, breadth first, into arrays.

    Args:
      game: a `pyspiel.Game`, or OpenSpiel's own string for one, such as `liars_dice(numdice=1,dice_sides=5)`.
      max_nodes: give up when the tree has more. A million nodes take about 10 seconds and half a gigabyte.

    Raises:
      InputError: an unknown game or parameter; a game that cannot be enumerated (sampled chance, mean field, no
        information states), is too large, or whose players forget what they did.
    """
    if isinstance(game, str):
        return _compiled(*_load(game, {}), max_nodes)
    return _compiled(game, _id(game.get_type().short_name, game.get_parameters()), max_nodes)


def _compiled(game: Any, id: str, max_nodes: int) -> Tree:
    pyspiel = require("pyspiel", "exact")

    kind = game.get_type()
    if kind.chance_mode == pyspiel.GameType.ChanceMode.SAMPLED_STOCHASTIC:
        raise InputError(f"{id}: chance can only be sampled here, its outcomes cannot be enumerated")
    if kind.dynamics == pyspiel.GameType.Dynamics.MEAN_FIELD:
        raise InputError(f"{id}: a mean-field game has no tree: choose a sequential or simultaneous game")
    if not kind.provides_information_state_string:
        raise InputError(f"{id}: OpenSpiel does not say what its players know (no information state strings)")
    try:
        if kind.dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
            game = pyspiel.convert_to_turn_based(game)
        return check(_traverse(game, id, max_nodes))
    except InputError:
        raise
    except Exception as error:  # whatever C++ throws
        raise InputError(f"{id}: OpenSpiel fails: {_one_line(error)}") from error


def policy_table(policy: Any, game: SampledTree, agent: str) -> np.ndarray:
    """OpenSpiel's own policy as a table, float64 [I, A]: it is asked at one state of each information set.

    Args:
      policy: what has `action_probabilities(state) -> {action: probability}`.
      game: the game, made by its id or by the policy's own `pyspiel.Game`.
      agent: whose rows are asked for.

    Raises:
      InputError: the policy fails, or the game cannot be made again to be asked about.
    """
    import pyspiel

    player, sets = game.agents.index(agent), game.tree.infosets[game.agents.index(agent)]
    of_game: Any = getattr(policy, "game", None)
    if not isinstance(of_game, pyspiel.Game):
        name = game.tree.id.removeprefix("openspiel/")
        if name == game.tree.id:
            raise InputError(f"policy of {agent}: {game.id} has no name by which OpenSpiel's states could be made")
        short, *parts = [name] if "(" in name else name.split(",")  # the two forms of an id: see `_id`
        of_game, _ = _load(short, dict(part.split("=", 1) for part in parts))
    if of_game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        of_game = pyspiel.convert_to_turn_based(of_game)
    table, asked = np.zeros(sets.actions.shape), set[str]()
    number = {key: row for row, key in enumerate(sets.keys)}
    frontier = [of_game.new_initial_state()]
    while frontier and len(asked) < len(number):
        state = frontier.pop()
        if state.is_terminal():
            continue
        if not state.is_chance_node() and state.current_player() == player:
            key = state.information_state_string()
            if key not in number:
                raise InputError(f"policy of {agent}: it is for another game: {game.id} has no state {key!r}")
            if key not in asked:
                asked.add(key)
                table[number[key]] = _asked(policy, state, sets.actions[number[key]], f"policy of {agent}, {key!r}")
        frontier += [state.child(action) for action in state.legal_actions()]
    return table


def _asked(policy: Any, state: Any, actions: np.ndarray, what: str) -> list[float]:
    try:
        answer = dict(policy.action_probabilities(state))
    except Exception as error:  # of somebody else's code
        raise InputError(f"{what}: OpenSpiel's policy fails: {_one_line(error)}") from error
    if strange := [a for a, probability in answer.items() if probability > 0 and a not in actions]:
        raise InputError(f"{what}: action {strange[0]} is not legal, expected one of {actions[actions >= 0].tolist()}")
    return [float(answer.get(int(action), 0.0)) if action >= 0 else 0.0 for action in actions]


class _Rows:
    """The information sets of one player, as they are met."""

    def __init__(self, id: str, player: int) -> None:
        self.who = f"{id}: player {player}"
        self.player = player
        self.number: dict[str, int] = {}
        self.actions: list[list[int]] = []
        self.names: list[tuple[str, ...]] = []

    def row(self, state: Any, actions: list[int]) -> int:
        key = state.information_state_string()
        row = self.number.setdefault(key, len(self.actions))
        if row == len(self.actions):
            self.actions.append(actions)
            self.names.append(tuple(state.action_to_string(self.player, action) for action in actions))
        elif actions != self.actions[row]:
            raise InputError(
                f"{self.who} may do {actions} at one and {self.actions[row]} at another history of the information "
                f"state {key!r}: expected the same"
            )
        return row

    def infosets(self) -> Infosets:
        count = np.array([len(actions) for actions in self.actions], np.int64)
        if not len(count):
            raise InputError(f"{self.who} never has a choice: expected a game in which every player decides something")
        actions = np.full((len(count), count.max()), -1, np.int64)
        actions[np.arange(count.max()) < count[:, None]] = np.concatenate(self.actions)
        return Infosets(tuple(self.number), count, actions, tuple(self.names))


def _traverse(game: Any, id: str, max_nodes: int) -> Tree:
    players = [_Rows(id, player) for player in range(game.num_players())]
    actor: list[int] = []
    count: list[int] = []
    infoset: list[int] = []
    chance = [1.0]
    ends: list[int] = []
    returns: list[list[float]] = []
    level = [0]

    def visit(state: Any) -> list[int]:
        """Record the next node; its actions."""
        actions: list[int] = []
        row, mover = -1, TERMINAL
        if state.is_terminal():
            ends.append(len(actor))
            returns.append(state.returns())
        elif state.is_chance_node():
            mover, actions = CHANCE, [outcome for outcome, _ in state.chance_outcomes()]
        else:
            mover, actions = state.current_player(), state.legal_actions()
            row = players[mover].row(state, actions)
        actor.append(mover)
        count.append(len(actions))
        infoset.append(row)
        return actions

    root = game.new_initial_state()
    # Only the states of the level that is being left and of the one that is being entered are alive.
    frontier = [(root, visit(root))]
    while frontier:
        level.append(len(actor))
        reached = len(actor) + sum(len(actions) for _, actions in frontier)
        if reached > max_nodes:
            raise InputError(
                f"{id}: {reached:,} nodes are reached and the tree goes on, its whole size is unknown; expected at "
                f"most {max_nodes:,}: choose a smaller game, or raise the limit with max_nodes=N (a million nodes take "
                "half a gigabyte)"
            )
        below = []
        for state, actions in frontier:
            if state.is_chance_node():
                chance.extend(probability for _, probability in state.chance_outcomes())
            else:
                chance.extend([1.0] * len(actions))
            for action in actions:
                child = state.child(action)
                if further := visit(child):
                    below.append((child, further))
        frontier = below

    counts = np.array(count, np.int64)
    payoffs = np.zeros((len(actor), len(players)))
    payoffs[ends] = returns
    return Tree(
        id=id,
        actor=np.array(actor, np.int8),
        parent=np.concatenate([[-1], np.repeat(np.arange(len(actor)), counts)]),
        first_child=1 + np.cumsum(counts) - counts,
        count=counts,
        infoset=np.array(infoset, np.int64),
        chance=np.array(chance),
        level=np.array([*level, len(actor)], np.int64),
        returns=payoffs,
        infosets=tuple(rows.infosets() for rows in players),
    )


def _load(name: str, options: Mapping[str, str]) -> tuple[Any, str]:
    """OpenSpiel's game, and the id by which `make` finds it again.

    Args:
      name: a name, or OpenSpiel's own string, such as `liars_dice(numdice=1,dice_sides=5)`.
      options: further parameters, as words.
    """
    pyspiel = require("pyspiel", "exact")

    short = name.partition("(")[0]
    _check({"name": short})
    (kind,) = (kind for kind in pyspiel.registered_games() if kind.short_name == short)
    known = kind.parameter_specification
    try:
        values = pyspiel.game_parameters_from_string(name) if name != short else {}
    except Exception as error:
        raise InputError(f"openspiel/{name}: OpenSpiel cannot read this: {_one_line(error)}") from error
    values.pop("name", None)
    for key, word in options.items():
        if key not in known:
            raise unknown(f"option of openspiel/{short}", key, [*known, "max_nodes"])
        if key in values:
            raise InputError(f"openspiel/{name}: {key} is given twice, in the parentheses and as an option")
        values[key] = _value(f"openspiel/{short}: {key}", word, known[key])
    if "filename" in known and not Path(str(values.get("filename", ""))).is_file():
        raise InputError(
            f"openspiel/{short}: it is read from a file: give filename=FILE, got {values.get('filename')!r}"
        )
    _check({"name": short, **values})
    try:
        return pyspiel.load_game(short, values), _id(short, values)
    except Exception as error:  # whatever C++ throws
        raise InputError(f"openspiel/{name}: OpenSpiel refuses the parameters: {_one_line(error)}") from error


def _check(game: Mapping[str, Any]) -> None:
    """Refuse what OpenSpiel does not survive, in a game and in games within it.

    Raises:
      InputError: a name that OpenSpiel does not know, which it answers with its whole list, or, further within, by
        ending the process; a negative number where its default is positive, which breaks its memory.
    """
    import pyspiel

    name = game["name"]
    if name not in pyspiel.registered_names():
        raise unknown("OpenSpiel game", name, pyspiel.registered_names())
    (kind,) = (kind for kind in pyspiel.registered_games() if kind.short_name == name)
    for key, value in game.items():
        default = kind.parameter_specification.get(key)
        if isinstance(value, dict) and "name" in value:
            _check(value)
        elif isinstance(value, (int, float)) and isinstance(default, (int, float)) and value < 0 < default:
            raise InputError(f"openspiel/{name}: {key}: expected a number of at least 0, got {value}")


def _value(what: str, word: str, default: Any) -> Any:
    """A parameter's value, of the type of its default."""
    if isinstance(default, bool):
        if word.lower() not in ("true", "false"):
            raise InputError(f"{what}: expected True or False, got {word!r}")
        return word.lower() == "true"
    if isinstance(default, (int, float)):
        try:
            return type(default)(word)
        except ValueError:
            kind = "a whole number" if isinstance(default, int) else "a number"
            raise InputError(f"{what}: expected {kind}, got {word!r}") from None
    if isinstance(default, dict):
        import pyspiel

        try:
            inner = pyspiel.game_parameters_from_string(word)
        except Exception as error:
            raise InputError(f"{what}: OpenSpiel cannot read this game: {_one_line(error)}") from error
        return inner
    return word


def _id(short: str, parameters: Mapping[str, Any]) -> str:
    """The id of a game, with the parameters that differ from their defaults.

    A game that OpenSpiel does not know by name was made by somebody's program; its id names no family, so that nobody
    takes it for one that can be made again.
    """
    import pyspiel

    if short not in pyspiel.registered_names():
        return f"pyspiel.Game/{short}"
    (kind,) = (kind for kind in pyspiel.registered_games() if kind.short_name == short)
    defaults = kind.parameter_specification
    own = {key: value for key, value in parameters.items() if key not in defaults or value != defaults[key]}
    if any(isinstance(value, dict) for value in own.values()):
        return f"openspiel/{short}{pyspiel.game_parameters_to_string(own)}"
    return ",".join([f"openspiel/{short}", *(f"{key}={value}" for key, value in sorted(own.items()))])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
