"""Conformance checks for users' games: what `sparring.types` promises of every game."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.types import NO_WINNER, AgentID, Continuous, FunctionalGame, Game, Step, VectorGame

_MATCHES = 3
_SAVED_AT = 5  # steps played before the state is saved
_MIN_STEPS = 50

Arrays = dict[str, np.ndarray]


def check_game(factory: Callable[..., Game], max_steps: int = 2000) -> None:
    """Play matches with random actions and check the game's promises.

    Of every game: names, shapes and types; finite numbers; a match ends in one way only, and has a winner only if it
    was decided; `final_observation` is `observation` where none ended; the same seed gives the same bits.
    Of a game on the host also: what it returned stays as it was; a new game goes on bit for bit from a saved state;
    a match does not depend on those beside it.

    Args:
      factory: called with `num_games`, as for the id `package.module:factory`.
      max_steps: within which a match must end.

    Raises:
      InputError: the first promise that is broken.
    """
    game = factory(num_games=_MATCHES)
    _check_names(game)
    first, step = _begin(game)
    _check_observation(game, "after reset", first)
    first = _named("observation", first)
    returned: list[Step] = []
    played: list[Arrays] = []
    saved: dict[str, np.ndarray] = {}
    for t in range(max_steps):
        returned.append(step(_actions(game, t), t))
        _check_step(game, f"at step {t}", returned[-1])
        played.append(_flatten(returned[-1]))
        if t == _SAVED_AT and isinstance(game, VectorGame):
            saved = game.get_state()
        if t + 1 >= _MIN_STEPS and any(_ended(step).any() for step in returned):
            break
    else:
        raise InputError(f"{game.id}: no match ended within {max_steps} steps of random actions: raise max_steps")

    again = factory(num_games=_MATCHES)
    _check_replay(again, *_begin(again), [first, *played], "a second game with the same seed and actions")
    if isinstance(game, VectorGame):
        for t, (result, copy) in enumerate(zip(returned, played, strict=True)):
            _require_equal(game, _flatten(result), copy, f"the arrays returned at step {t}, looked at again later")
        restored = factory(num_games=_MATCHES)
        assert isinstance(restored, VectorGame)
        observation = restored.set_state(saved)
        wanted = [_observations(played[_SAVED_AT]), *played[_SAVED_AT + 1 :]]
        _check_replay(restored, observation, _stepper(restored), wanted, "a new game after set_state", _SAVED_AT + 1)
        alone = factory(num_games=1)
        wanted = [{name: values[:1] for name, values in arrays.items()} for arrays in [first, *played]]
        _check_replay(alone, *_begin(alone), wanted, "the first match played alone")
        for opened in (game, again, restored, alone):
            opened.close()


def _begin(game: Game) -> tuple[Mapping[AgentID, Any], Callable[[Mapping[AgentID, Any], int], Step]]:
    """The first observations, and the function that plays step t."""
    if isinstance(game, VectorGame):
        return game.reset(0), _stepper(game)
    import jax

    key = jax.random.key_data(jax.random.key(0))
    state, observation = game.init(key)
    compiled = jax.jit(game.step)

    def step(actions: Mapping[AgentID, Any], t: int) -> Step:
        nonlocal state
        state, result = compiled(state, actions, jax.random.fold_in(key, t))
        return result

    return observation, step


def _stepper(game: VectorGame) -> Callable[[Mapping[AgentID, Any], int], Step]:
    return lambda actions, t: game.step(actions)


def _actions(game: Game, t: int) -> dict[AgentID, np.ndarray]:
    """Random actions of step t; a match gets the same ones whatever the number of matches."""
    rng, actions = np.random.default_rng(t), {}
    for agent in game.agents:
        space = game.spaces[agent].action
        if isinstance(space, Continuous):
            batch = rng.uniform(space.low, space.high, (_MATCHES, space.size)).astype(np.float32)
        else:
            batch = rng.integers(space.n, size=_MATCHES, dtype=np.int32)
        actions[agent] = batch[: game.num_games]
    return actions


def _check_names(game: Game) -> None:
    if not isinstance(game, VectorGame | FunctionalGame):
        raise InputError(f"{type(game).__name__}: neither a VectorGame nor a FunctionalGame: see sparring.types")
    if game.num_games != _MATCHES:
        raise InputError(f"{game.id}: called with num_games={_MATCHES}, but has num_games {game.num_games}")
    if len(set(game.agents)) != len(game.agents) or set(game.spaces) != set(game.agents):
        raise InputError(f"{game.id}: agents {game.agents} must be different, and each must have a space")


def _check_observation(game: Game, when: str, observation: Mapping[AgentID, Any]) -> None:
    for agent in game.agents:
        if agent not in observation:
            raise InputError(f"{game.id}: no observation of {agent} {when}")
        shape = (_MATCHES, game.spaces[agent].observation)
        _check_array(game, f"observation of {agent} {when}", observation[agent], shape, np.float32)


def _check_step(game: Game, when: str, step: Step) -> None:
    _check_observation(game, when, step.observation)
    _check_observation(game, f"{when} (final)", step.final_observation)
    for name, values in {"reward": step.reward, **{f"info {k!r}": v for k, v in step.info.items()}}.items():
        for agent in game.agents:
            if agent not in values:
                raise InputError(f"{game.id}: no {name} of {agent} {when}")
            _check_array(game, f"{name} of {agent} {when}", values[agent], (_MATCHES,), np.float32)
    for name in ("terminated", "truncated", "invalid"):
        _check_array(game, f"{name} {when}", getattr(step, name), (_MATCHES,), np.bool_)
    _check_array(game, f"winner {when}", step.winner, (_MATCHES,), np.int8)
    ways = sum(np.asarray(x).astype(int) for x in (step.terminated, step.truncated, step.invalid))
    if (ways > 1).any():
        raise InputError(f"{game.id}: a match ended in two ways {when}: terminated, truncated and invalid exclude")
    winner = np.asarray(step.winner)
    if ((winner < NO_WINNER) | (winner >= len(game.agents))).any():
        raise InputError(f"{game.id}: winner {when}: expected {NO_WINNER} to {len(game.agents) - 1}, got {winner}")
    if ((winner != NO_WINNER) & ~np.asarray(step.terminated)).any():
        raise InputError(f"{game.id}: a match has a winner {when} but is not terminated")
    for agent in game.agents:
        now, final = np.asarray(step.observation[agent]), np.asarray(step.final_observation[agent])
        if not np.array_equal(now[~_ended(step)], final[~_ended(step)]):
            raise InputError(f"{game.id}: {agent} {when}: no match ended, but final_observation is not observation")


def _check_array(game: Game, what: str, array: Any, shape: tuple[int, ...], dtype: type) -> None:
    array = np.asarray(array)
    if array.shape != shape or array.dtype != dtype:
        expected = f"{np.dtype(dtype).name} {list(shape)}"
        raise InputError(f"{game.id}: {what}: expected {expected}, got {array.dtype} {list(array.shape)}")
    if not np.isfinite(array).all():
        raise InputError(f"{game.id}: {what}: expected finite numbers, got NaN or infinity")


def _check_replay(
    game: Game,
    first: Mapping[AgentID, Any],
    step: Callable[[Mapping[AgentID, Any], int], Step],
    wanted: list[Arrays],
    who: str,
    start: int = 0,
) -> None:
    _require_equal(game, _named("observation", first), wanted[0], f"{who}: first observation")
    for t, arrays in enumerate(wanted[1:], start):
        _require_equal(game, _flatten(step(_actions(game, t), t)), arrays, f"{who}: step {t}")


def _require_equal(game: Game, got: Arrays, wanted: Arrays, who: str) -> None:
    for name, values in wanted.items():
        if name not in got or not np.array_equal(got[name], values):
            raise InputError(f"{game.id}: {who}: {name} is not what it was, bit for bit")


def _ended(step: Step) -> np.ndarray:
    return np.asarray(step.terminated) | np.asarray(step.truncated) | np.asarray(step.invalid)


def _flatten(step: Step) -> Arrays:
    """Copies of all arrays, by name."""
    flat = {name: np.array(getattr(step, name)) for name in ("terminated", "truncated", "invalid", "winner")}
    for name in ("observation", "final_observation", "reward"):
        flat |= _named(name, getattr(step, name))
    for name, values in step.info.items():
        flat |= _named(f"info/{name}", values)
    return flat


def _named(name: str, values: Mapping[AgentID, Any]) -> Arrays:
    return {f"{name}/{agent}": np.array(array) for agent, array in values.items()}


def _observations(arrays: Arrays) -> Arrays:
    return {name: values for name, values in arrays.items() if name.startswith("observation/")}
