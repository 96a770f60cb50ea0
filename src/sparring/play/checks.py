"""What games promise is looked at while they are played: a broken promise stops at its step, with agent and number."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from sparring.errors import InputError, foreign
from sparring.types import (
    AgentID,
    Array,
    Box,
    Dict,
    Discrete,
    Game,
    MultiDiscrete,
    Space,
    Spaces,
    Step,
    Trajectory,
    View,
)


def stepped(game: Any, actions: Mapping[AgentID, Array], step: int) -> Step:
    """`game.step`, checked.

    Raises:
      InputError: the game's code fails, returns something else, NaN, or what its spaces do not allow.
    """
    with foreign(f"game {game.id}, step {step}"):
        result = game.step(actions)
    if not isinstance(result, Step):
        raise InputError(f"{game.id}, step {step}: expected a sparring.types.Step, got {type(result).__name__}")
    check_views(game, result.view, f"step {step}")
    for agent in game.agents:
        reward = np.asarray(result.reward[agent])
        bad = ~np.isfinite(reward) & ~np.asarray(result.invalid)
        if bad.any():
            match = int(bad.argmax())
            raise InputError(
                f"{game.id}: reward of {agent}, step {step}, match {match}: {reward[match]}, expected a number"
            )
    if result.outcome is not None:
        check_outcomes(game, result, f"step {step}")
    return result


def check_views(game: Game, views: Any, when: str) -> None:
    """Refuse views that are not what the game's spaces say.

    Raises:
      InputError: an agent is missing, or `check_view`.
    """
    if not isinstance(views, Mapping):
        raise InputError(f"{game.id}, {when}: expected a View for each agent, got {type(views).__name__}")
    for agent in game.agents:
        if agent not in views:
            raise InputError(f"{game.id}, {when}: no view of {agent}")
        check_view(game.spaces[agent], views[agent], game.num_games, f"{game.id}: {agent}, {when}")


def check_view(spaces: Spaces, view: View, batch: int, who: str) -> None:
    """Refuse what one agent is shown if it is not in its space.

    Raises:
      InputError: no `View`, wrong shapes or types, NaN, out of bounds, or no legal action where the agent moves.
    """
    if not isinstance(view, View):
        raise InputError(f"{who}: expected a View(observation, legal, moves), got {type(view).__name__}")
    check_observation(spaces.observation, view.observation, batch, who)
    moves = None
    if view.moves is not None:
        moves = np.asarray(view.moves)
        if moves.shape != (batch,) or moves.dtype != bool:
            raise InputError(f"{who}: moves: expected bool [{batch}], got {moves.dtype} {list(moves.shape)}")
    if view.legal is None:
        return
    action = spaces.action
    if isinstance(action, Box):
        raise InputError(f"{who}: legal: continuous actions have no mask, expected None")
    legal = np.asarray(view.legal)
    if legal.shape != (batch, action.size) or legal.dtype != bool:
        raise InputError(f"{who}: legal: expected bool {[batch, action.size]}, got {legal.dtype} {list(legal.shape)}")
    edges = [0] if isinstance(action, Discrete) else np.cumsum([0, *action.nvec[:-1]])
    none = ~np.logical_or.reduceat(legal, edges, axis=1).all(axis=1)
    if moves is not None:
        none &= moves
    if none.any():
        raise InputError(f"{who}: legal: match {int(none.argmax())} has no legal action, expected at least one")


def check_observation(space: Space, observation: Any, batch: int, who: str) -> None:
    """Refuse observations that are not in the space: see `check_view`."""
    if isinstance(space, Dict):
        names = {name for name, _ in space.parts}
        if not isinstance(observation, Mapping) or set(observation) != names:
            got = sorted(observation) if isinstance(observation, Mapping) else type(observation).__name__
            raise InputError(f"{who}: observation: expected a dict with {sorted(names)}, got {got}")
        for name, part in space.parts:
            check_observation(part, observation[name], batch, f"{who}, {name!r}")
        return
    array = np.asarray(observation)
    if isinstance(space, Box):
        shape, kind = (batch, *space.shape), space.dtype
        fits = array.dtype.name == kind
    else:
        shape, kind = (batch,) if isinstance(space, Discrete) else (batch, len(space.nvec)), "integers"
        fits = np.issubdtype(array.dtype, np.integer)
    if array.shape != shape or not fits:
        raise InputError(f"{who}: observation: expected {kind} {list(shape)}, got {array.dtype} {list(array.shape)}")
    if isinstance(space, Box) and not np.issubdtype(array.dtype, np.floating) and _limits(space) is None:
        return
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InputError(
            f"{who}: observation: number {where[1:]} of match {where[0]} is {array[tuple(where)]}, expected a number"
        )
    if (limits := _limits(space)) is not None:
        outside = (array < limits[0]) | (array > limits[1])
        if outside.any():
            where = np.argwhere(outside)[0].tolist()
            edge = tuple(where[1:])
            raise InputError(
                f"{who}: observation: number {where[1:]} of match {where[0]} is {array[tuple(where)]}, its space says "
                f"{np.broadcast_to(limits[0], shape[1:])[edge]} to {np.broadcast_to(limits[1], shape[1:])[edge]}"
            )


def check_outcomes(game: Game, step: Step, when: str) -> None:
    """Refuse outcomes that contradict each other or the step.

    Raises:
      InputError: an agent without one, a value that is not 1, 0 or -1, a result of a match that goes on or was cut off
        for broken physics, or a match that one agent has won or lost and another has drawn.
    """
    assert step.outcome is not None
    if missing := [agent for agent in game.agents if agent not in step.outcome]:
        raise InputError(f"{game.id}, {when}: no outcome of {missing[0]}")
    values = np.stack([np.asarray(step.outcome[agent]) for agent in game.agents])
    if not values.any() and values.dtype.kind in "ib":
        return
    if not np.isin(values, (-1, 0, 1)).all():
        raise InputError(f"{game.id}, {when}: outcome: expected 1, 0 or -1, got {np.unique(values).tolist()}")
    over = np.asarray(step.terminated) | np.asarray(step.truncated)
    decided = (values != 0).any(axis=0)
    if (decided & ~over).any():
        match = int((decided & ~over).argmax())
        raise InputError(f"{game.id}, {when}: match {match} has an outcome but did not end (terminated or truncated)")
    mixed = decided & (values == 0).any(axis=0)
    if mixed.any():
        match = int(mixed.argmax())
        got = dict(zip(game.agents, values[:, match].tolist(), strict=True))
        raise InputError(
            f"{game.id}, {when}: match {match}: outcomes contradict each other: {got}; a draw is everybody's"
        )


def check_finite(game: Game, trajectory: Trajectory) -> None:
    """Refuse NaN and infinity in what a functional game has shown or paid; `trajectory.seen` has what was shown.

    Raises:
      InputError: agent, step and match are named.
    """
    for agent, reward in trajectory.reward.items():
        _finite(reward, f"{game.id}: reward of {agent}")
    for agent, observation in trajectory.seen.items():
        _finite(observation, f"{game.id}: observation of {agent}")


def _finite(tree: Any, who: str) -> None:
    if isinstance(tree, Mapping):
        for name, part in tree.items():
            _finite(part, f"{who}, {name!r}")
        return
    array = np.asarray(tree)
    if array.dtype.kind != "f" or np.isfinite(array.sum()):
        return
    if (bad := ~np.isfinite(array)).any():
        step, match = np.argwhere(bad)[0][:2].tolist()
        raise InputError(f"{who}: step {step}, match {match}: {array[bad][0]}, expected a number")


@cache
def _limits(space: Space) -> tuple[Any, Any] | None:
    """The bounds of a space's numbers, with rounding allowed for; None where there are none."""
    if isinstance(space, Discrete):
        return 0, space.n - 1
    if isinstance(space, MultiDiscrete):
        return np.zeros(len(space.nvec)), np.array(space.nvec) - 1
    assert isinstance(space, Box)
    low, high = space.bounds()
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        return None
    info = np.iinfo(space.dtype) if np.dtype(space.dtype).kind in "iu" else None
    if info is not None and (low <= info.min).all() and (high >= info.max).all():
        return None
    slack = 0.0 if info is not None else 1e-5
    with np.errstate(invalid="ignore"):
        room = np.where(np.isfinite(high - low), slack * np.maximum(np.maximum(np.abs(low), np.abs(high)), 1), slack)
    return low - room, high + room
