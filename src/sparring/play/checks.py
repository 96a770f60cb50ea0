"""What games promise is looked at while they are played: a broken promise stops at its step, with agent and number."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.exact.payoffs import LARGEST
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

EXCLUDE = "terminated, truncated and invalid exclude each other"


def strange(paid: Any) -> str:
    """What is wrong with a number that a game pays."""
    if np.isfinite(paid):
        return f"{paid:.4g}, expected at most {LARGEST:g} in size: multiply all rewards by one positive number"
    return f"{paid}, expected a number"


def as_array(values: Any, what: str) -> np.ndarray:
    """What a game has returned as an array.

    Raises:
      InputError: it is none, such as rows of different lengths.
    """
    try:
        return np.asarray(values)
    except Exception as error:
        said = " ".join(str(error).split())
        raise InputError(f"{what}: expected an array, got {type(values).__name__} that is none: {said}") from error


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
        moves = as_array(view.moves, f"{who}: moves")
        if moves.shape != (batch,) or moves.dtype != bool:
            raise InputError(f"{who}: moves: expected bool [{batch}], got {moves.dtype} {list(moves.shape)}")
    if view.legal is None:
        return
    action = spaces.action
    if isinstance(action, Box):
        raise InputError(f"{who}: legal: continuous actions have no mask, expected None")
    legal = as_array(view.legal, f"{who}: legal")
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
    array = as_array(observation, f"{who}: observation")
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


def check_outcomes(game: Game, step: Step | Trajectory, before: int | str) -> None:
    """Refuse outcomes that contradict each other or the step; [B] of one step, or [T, B] of several after `before`.

    Args:
      game: the one that is played.
      step: what it returned.
      before: of one step, its name; of several, how many were played before them.

    Raises:
      InputError: an agent without one, a value that is not 1, 0 or -1, a result of a match that goes on or was cut off
        for broken physics, or a match that one agent has won or lost and another has drawn.
    """
    assert step.outcome is not None
    when = before if isinstance(before, str) else "outcomes"
    if missing := [agent for agent in game.agents if agent not in step.outcome]:
        raise InputError(f"{game.id}, {when}: no outcome of {missing[0]}")
    over = np.asarray(step.terminated) | np.asarray(step.truncated)
    each = [as_array(step.outcome[agent], f"{game.id}, {when}: outcome of {agent}") for agent in game.agents]
    for agent, array in zip(game.agents, each, strict=True):
        if array.shape != over.shape or array.dtype.kind not in "biuf":
            got = list(array.shape) if array.dtype.kind in "biuf" else array.dtype
            raise InputError(f"{game.id}, {when}: outcome of {agent}: expected shape {list(over.shape)}, got {got}")
    values = np.stack(each)
    integer = values.dtype.kind in "ib"  # where two comparisons do what `isin` does slowly
    if not values.any() and integer:
        return
    if not (values.min() >= -1 and values.max() <= 1 if integer else np.isin(values, (-1, 0, 1)).all()):
        strange = (np.rint(values) != values) | (np.abs(values) > 1)
        got, place = values[strange][0].item(), _place(strange.any(axis=0), before)
        raise InputError(f"{game.id}, {place}: outcome: expected 1, 0 or -1, got {got}")
    decided = (values != 0).any(axis=0)
    if (early := decided & ~over).any():
        raise InputError(f"{game.id}, {_place(early, before)} has an outcome but did not end (terminated or truncated)")
    if (mixed := decided & (values == 0).any(axis=0)).any():
        got = dict(zip(game.agents, values[(slice(None), *np.argwhere(mixed)[0])].tolist(), strict=True))
        raise InputError(
            f"{game.id}, {_place(mixed, before)}: outcomes contradict each other: {got}; a draw is everybody's"
        )


def _place(bad: np.ndarray, before: int | str) -> str:
    """Step and match of the first entry that is bad: of [T, B] after so many steps, or of [B] at the step so called."""
    *step, match = np.argwhere(bad)[0].tolist()
    return f"{before if isinstance(before, str) else f'step {before + step[0]}'}, match {match}"


class Shown(NamedTuple):
    """What is wrong with what one agent is shown, within JAX."""

    # int32 [B] leaves, as the observation: the first number that is not in the space; -1: none
    number: Any
    value: Any  # [B] leaves, that number


class Fault(NamedTuple):
    """What is wrong with what one agent does at one step and is shown after it, within JAX."""

    shown: Shown | None  # of the view that the step has made; None: not looked at
    final: Shown | None  # of the last view of matches that are cut off, which the critic is asked about
    none_legal: Array  # bool [B], it moves next and a choice has no legal action
    no_action: Array  # bool [B], it moved, and its action was illegal, out of range or NaN


def is_sound(game: Game) -> bool:
    """Whether what a game shows and how it ends fits its spaces by construction: a class says so for itself alone."""
    return vars(type(game)).get("SOUND") is True


def fault(spaces: Spaces, before: View, action: Array, step: Step, agent: AgentID, sound: bool = False) -> Fault:
    """`check_view` within JAX: what `check_faults` looks at when the steps have been played.

    Args:
      spaces: the agent's.
      before: what it was shown.
      action: what it did.
      step: what the game made of it.
      agent: its name.
      sound: see `is_sound`; then the action alone is looked at.
    """
    import jax.numpy as jnp

    never = jnp.zeros(action.shape[:1], bool)
    moved = ~never if before.moves is None else before.moves
    shown = final = None
    none_legal = never
    if not sound:
        after = step.view[agent]
        shown = _look(spaces.observation, after.observation, ~never)
        final = _look(spaces.observation, step.final_view[agent].observation, step.truncated)
        if after.legal is not None and not isinstance(spaces.action, Box):
            edges = np.cumsum([0, *_sizes(spaces.action)]).tolist()
            none = jnp.stack([~after.legal[:, low:high].any(1) for low, high in itertools.pairwise(edges)]).any(0)
            none_legal = none if after.moves is None else none & after.moves
    action = action.reshape(len(action), -1)
    if isinstance(spaces.action, Box):
        return Fault(shown, final, none_legal, moved & ~jnp.isfinite(action).all(1))
    sizes = _sizes(spaces.action)
    wrong = ((action < 0) | (action >= sizes)).any(1)
    if before.legal is not None:
        first = np.cumsum([0, *sizes])[:-1]
        wrong |= ~jnp.take_along_axis(before.legal, action + first, 1, mode="clip").all(1)
    return Fault(shown, final, none_legal, moved & wrong)


def _sizes(space: Discrete | MultiDiscrete) -> np.ndarray:
    return np.array([space.n] if isinstance(space, Discrete) else space.nvec)


def _look(space: Space, observation: Any, where: Array) -> Shown:
    """What is wrong with the observations of the matches `where`, bool [B]."""
    import jax
    import jax.numpy as jnp

    if isinstance(space, Dict):
        parts = {name: _look(part, observation[name], where) for name, part in space.parts}
        return Shown({n: x.number for n, x in parts.items()}, {n: x.value for n, x in parts.items()})
    limits = _limits(space)
    values = observation.reshape(len(observation), -1)
    row = observation.shape[1:]
    low, high = (jnp.broadcast_to(jnp.asarray(x, jnp.float32), row).ravel() for x in limits or (0.0, 0.0))

    def bad(values: Array) -> Array:
        within = jnp.isfinite(values)
        within = within if limits is None else within & (values >= low) & (values <= high)
        return ~within & where[:, None]

    def place(values: Array) -> Shown:
        first = bad(values).argmax(1)
        value = jnp.take_along_axis(values, first[:, None], 1)[:, 0]
        return Shown(jnp.where(bad(values).any(1), first, -1).astype(jnp.int32), value)

    def nowhere(values: Array) -> Shown:
        return Shown(jnp.full(len(values), -1, jnp.int32), jnp.zeros(len(values), values.dtype))

    # Where the first bad number is costs more than whether there is one.
    return jax.lax.cond(bad(values).any(), place, nowhere, values)


def check_faults(game: Game, trajectory: Trajectory, faults: Mapping[AgentID, Fault], before: int = 0) -> None:
    """Refuse what a functional game has shown and paid, [T, B] of several steps, after `before` other ones.

    Raises:
      InputError: NaN or infinity, a number outside the space, no legal action, an illegal one, or outcomes that
        contradict each other; agent, step and match are named.
    """
    paid = {"reward": trajectory.reward, **{f"info {name!r}": values for name, values in trajectory.info.items()}}
    for name, values in paid.items():
        for agent, numbers in values.items():
            array = np.asarray(numbers)
            if (bad := ~(np.abs(array) <= LARGEST) & ~np.asarray(trajectory.invalid)).any():
                got = strange(array[tuple(np.argwhere(bad)[0])])
                raise InputError(f"{game.id}: {name} of {agent}, {_place(bad, before)}: {got}")
    if not is_sound(game):
        ends = np.sum([trajectory.terminated, trajectory.truncated, trajectory.invalid], axis=0)
        if (twice := ends > 1).any():
            raise InputError(f"{game.id}, {_place(twice, before)} ended in two ways: {EXCLUDE}")
    for agent, found in faults.items():
        who = f"{game.id}: {agent}"
        for shown, which in ((found.shown, ""), (found.final, " (final view)")):
            if shown is not None:
                _check_numbers(who, game.spaces[agent].observation, shown, before, which)
        if (bad := np.asarray(found.none_legal)).any():
            raise InputError(f"{who}, {_place(bad, before)} has no legal action, expected at least one")
        if (bad := np.asarray(found.no_action)).any():
            raise InputError(
                f"agent {agent}, {_place(bad, before)}: its action is NaN, out of range or not legal: see View.legal"
            )
    if trajectory.outcome is not None and not is_sound(game):
        check_outcomes(game, trajectory, before)


def _check_numbers(who: str, space: Space, shown: Shown, before: int, which: str) -> None:
    if isinstance(space, Dict):
        for name, part in space.parts:
            _check_numbers(f"{who}, {name!r}", part, Shown(shown.number[name], shown.value[name]), before, which)
        return
    number = np.asarray(shown.number)
    if (bad := number >= 0).any():
        at = tuple(np.argwhere(bad)[0])
        place, got = _place(bad, before), np.asarray(shown.value)[at]
        raise InputError(f"{who}, {place}{which}: observation: number {number[at]} is {got}, expected {space}")


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
