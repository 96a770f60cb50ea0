"""A game's methods, called and looked at: what they return wrongly, or raise, is one line that names agent and step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparring.errors import InputError, foreign
from sparring.exact.payoffs import LARGEST
from sparring.play.checks import EXCLUDE, as_array, check_outcomes, check_views, strange
from sparring.types import AgentID, Array, Game, Step, View


def begun(game: Any, seed: int) -> Mapping[AgentID, View]:
    """`game.reset`, checked: see `stepped`."""
    with foreign(f"game {game.id}, reset", source=game):
        views = game.reset(seed)
    check_views(game, views, "after reset")
    return views


def stepped(game: Any, actions: Mapping[AgentID, Array], step: int) -> Step:
    """`game.step`, checked.

    Raises:
      InputError: the game's code fails, returns something else, NaN, or what its spaces do not allow.
    """
    when = f"step {step}"
    with foreign(f"game {game.id}, {when}", source=game):
        result = game.step(actions)
    result = check_kind(game, result, when)
    for name in ("terminated", "truncated", "invalid"):
        _check_array(game, f"{name}, {when}", getattr(result, name), "b")
    ends = np.sum([result.terminated, result.truncated, result.invalid], axis=0)
    if (ends > 1).any():
        match = int((ends > 1).argmax())
        raise InputError(f"{game.id}, {when}: match {match} ended in two ways: {EXCLUDE}")
    check_views(game, result.view, when)
    if np.any(result.truncated):  # the critic is asked about the last view
        check_views(game, result.final_view, f"{when} (final view)")
    paid = {"reward": result.reward, **{f"info {name!r}": values for name, values in result.info.items()}}
    for name, values in paid.items():
        for agent in game.agents:
            array = _check_array(game, f"{name} of {agent}, {when}", values[agent], "f")
            bad = ~(np.abs(array) <= LARGEST) & ~result.invalid
            if bad.any():
                match = int(bad.argmax())
                raise InputError(f"{game.id}: {name} of {agent}, {when}, match {match}: {strange(array[match])}")
    if result.outcome is not None:
        check_outcomes(game, result, when)
    return result


def name_of(game: Any) -> str:
    """The game's id; while it is traced, only its class may be known (`sparring.pytrees`)."""
    return getattr(game, "id", "") or type(game).__name__


def check_kind(game: Game, result: Any, when: str) -> Step:
    """What a game's step has returned, if it is a `Step` whose parts have an entry for each agent.

    Raises:
      InputError: it is something else.
    """
    if not isinstance(result, Step):
        raise InputError(f"{name_of(game)}, {when}: expected a sparring.types.Step, got {type(result).__name__}")
    if not isinstance(result.info, Mapping):
        got = type(result.info).__name__
        raise InputError(f"{name_of(game)}, {when}: info: expected a dictionary of named terms, or {{}}, got {got}")
    parts = {name: getattr(result, name) for name in ("view", "final_view", "reward", "outcome")}
    for name, values in {**parts, **{f"info {name!r}": values for name, values in result.info.items()}}.items():
        if name == "outcome" and values is None:
            continue
        if not isinstance(values, Mapping):
            entry = "a View" if name.endswith("view") else "a number of each match"
            raise InputError(
                f"{name_of(game)}, {when}: {name}: expected a dictionary with {entry} for each agent, "
                f"got {type(values).__name__}"
            )
        if missing := [agent for agent in game.agents if agent not in values]:
            raise InputError(f"{name_of(game)}, {when}: no {name} of {missing[0]}")
    return result


class NoState(InputError):
    """A game says that it cannot be saved."""


def saved(game: Any) -> Mapping[str, np.ndarray]:
    """`game.get_state`.

    Raises:
      NoState: the game says that it cannot be saved.
      InputError: its code fails, or it returns no dictionary.
    """
    with foreign(f"game {game.id}, get_state", source=game):
        try:
            state = game.get_state()
        except InputError as error:
            raise NoState(str(error)) from error
    if not isinstance(state, Mapping):
        raise InputError(f"{game.id}: get_state: expected a dictionary of arrays, got {type(state).__name__}")
    for name, values in state.items():
        array = as_array(values, f"{game.id}: get_state: {name!r}")
        if not isinstance(name, str) or array.dtype.kind not in "biuf":
            raise InputError(
                f"{game.id}: get_state: expected names and arrays of numbers, got {name!r}: {type(values).__name__} "
                f"of {array.dtype}"
            )
    return state


def restored(game: Any, state: Mapping[str, np.ndarray]) -> Mapping[AgentID, View]:
    """`game.set_state`, its views checked.

    Raises:
      InputError: the game's code fails, or what it shows is not what its spaces say.
    """
    with foreign(f"game {game.id}, set_state", source=game):
        views = game.set_state(state)
    check_views(game, views, "after set_state")
    return views


def closed(game: Any) -> None:
    """`game.close`.

    Raises:
      InputError: the game's code fails.
    """
    with foreign(f"game {game.id}, close", source=game):
        game.close()


def _check_array(game: Game, what: str, array: Any, kind: str) -> np.ndarray:
    array = as_array(array, f"{game.id}: {what}")
    if array.shape != (game.num_games,) or array.dtype.kind != kind:
        expected = f"{'bool' if kind == 'b' else 'float'} [{game.num_games}]"
        raise InputError(f"{game.id}: {what}: expected {expected}, got {array.dtype} {list(array.shape)}")
    return array
