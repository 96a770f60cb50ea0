"""Conformance checks for users' games and policies: what `sparring.types` and `sparring.policy` promise of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.games.hosted import hosted
from sparring.policy import Decision, Policy, act, check_action
from sparring.types import NO_WINNER, AgentID, Array, Continuous, FunctionalGame, Game, Spaces, Step, VectorGame

_MATCHES = 3
_SAVED_AT = 5  # steps played before the state is saved
_MIN_STEPS = 50

Arrays = dict[str, np.ndarray]


def check_game(factory: Callable[..., Game], max_steps: int = 2000) -> None:
    """Play matches with random actions and check the game's promises.

    Names, shapes and types; finite numbers; a match ends in one way only, and has a winner only if it was decided;
    `final_observation` is `observation` where none ended; what was returned stays as it was; the same seed gives the
    same bits; a new game goes on bit for bit from a saved state; and, of a game on the host, a match does not depend
    on those beside it (one within JAX draws all matches from one key).

    Args:
      factory: called with `num_games`, as for the id `package.module:factory`.
      max_steps: within which a match must end.

    Raises:
      InputError: the first promise that is broken.
    """

    def new(num_games: int) -> VectorGame:
        return hosted(_check_names(factory(num_games=num_games), num_games))

    game = new(_MATCHES)
    first = game.reset(0)
    _check_observation(game, "after reset", first)
    first = _named("observation", first)
    returned: list[Step] = []
    played: list[Arrays] = []
    saved: dict[str, np.ndarray] = {}
    for t in range(max_steps):
        returned.append(game.step(_actions(game, t)))
        _check_step(game, f"at step {t}", returned[-1])
        played.append(_flatten(returned[-1]))
        if t == _SAVED_AT:
            saved = game.get_state()
        if t + 1 >= _MIN_STEPS and any(_ended(step).any() for step in returned):
            break
    else:
        raise InputError(f"{game.id}: no match ended within {max_steps} steps of random actions: raise max_steps")
    for t, (step, copy) in enumerate(zip(returned, played, strict=True)):
        _require_equal(game, _flatten(step), copy, f"the arrays returned at step {t}, looked at again later")
    game.close()

    again = new(_MATCHES)
    _check_replay(again, again.reset(0), [first, *played], "a second game with the same seed and actions")
    restored = new(_MATCHES)
    after = [_observations(played[_SAVED_AT]), *played[_SAVED_AT + 1 :]]
    _check_replay(restored, restored.set_state(saved), after, "a new game after set_state", _SAVED_AT + 1)
    if isinstance(factory(num_games=1), VectorGame):
        alone = new(1)
        ours = [{name: values[:1] for name, values in arrays.items()} for arrays in [first, *played]]
        _check_replay(alone, alone.reset(0), ours, "the first match played alone")


def check_policy(policy: Policy, spaces: Spaces, steps: int = 3) -> None:
    """Decide for random observations and check the policy's promises.

    Actions that the space can mean, one for each match; `log_prob`, `value` and `controlled`, where there are any, of
    shape [B] and finite; a state of [B, ...] arrays that keeps its structure, shapes and types; the same key gives the
    same bits; no row depends on the others (only of a policy that does not draw: two different keys give the same
    actions); and a `traceable` policy runs within `jax.jit`.

    Args:
      policy: for one agent.
      spaces: that agent's.
      steps: how many decisions to look at, one after the other.

    Raises:
      InputError: the first promise that is broken.
    """
    who = type(policy).__name__
    if not isinstance(policy, Policy):
        raise InputError(f"{who}: not a Policy: it needs traceable, initial_state and act: see sparring.policy")
    rng = np.random.default_rng(0)
    state = policy.initial_state(_MATCHES)
    like = _state(who, "initial state", state)
    for t in range(steps):
        observation = rng.normal(size=(_MATCHES, spaces.observation)).astype(np.float32)
        key, other = rng.integers(0, 2**32, (2, 2), np.uint32)
        decision = _decide(who, policy, key, observation, state)
        _check_decision(f"{who}, step {t}", decision, spaces)
        after = _state(who, f"state after step {t}", decision.state)
        if {n: (x.shape, x.dtype) for n, x in after.items()} != {n: (x.shape, x.dtype) for n, x in like.items()}:
            raise InputError(f"{who}: the state after step {t} has other names, shapes or types than the initial one")
        if not _same(decision, _decide(who, policy, key, observation, state)):
            raise InputError(f"{who}: step {t}: the same key and observation gave another decision")
        if np.array_equal(decision.action, _decide(who, policy, other, observation, state).action):
            _check_rows(who, t, policy, key, observation, state, decision)
        state = decision.state


def _decide(who: str, policy: Policy, key: np.ndarray, observation: np.ndarray, state: Any) -> Decision:
    """`policy.act`, compiled if the policy says that it can be."""
    try:
        return act(policy, key, observation.copy(), state)
    except InputError:
        raise
    except Exception as error:
        how = "within jax.jit, as it says it can be (traceable)" if policy.traceable else "with NumPy arrays"
        raise InputError(f"{who}: act failed when called {how}: {type(error).__name__}: {error}") from error


def _check_decision(who: str, decision: Decision, spaces: Spaces) -> None:
    check_action(decision.action, spaces.action, who)
    if len(decision.action) != _MATCHES:
        raise InputError(f"{who}: expected {_MATCHES} actions for {_MATCHES} matches, got {len(decision.action)}")
    for name in ("log_prob", "value", "controlled"):
        values = getattr(decision, name)
        if values is None:
            continue
        values = np.asarray(values)
        if values.shape != (_MATCHES,):
            raise InputError(f"{who}: {name}: expected shape [{_MATCHES}], got {list(values.shape)}")
        if not np.isfinite(values).all():
            raise InputError(f"{who}: {name}: expected finite numbers, got NaN or infinity")


def _check_rows(
    who: str, t: int, policy: Policy, key: np.ndarray, observation: np.ndarray, state: Any, decision: Decision
) -> None:
    """Turn the other matches' observations around: the first match's action must not notice."""
    changed = np.concatenate([observation[:1], -observation[1:]])
    alone = _decide(who, policy, key, changed, state).action
    # Not bit for bit: a batched product may add in another order.
    if not np.allclose(np.asarray(decision.action)[0], np.asarray(alone)[0], rtol=1e-4, atol=1e-5):
        raise InputError(f"{who}: step {t}: a match's action depends on the observations of the matches beside it")


def _state(who: str, what: str, state: Any) -> Arrays:
    """The arrays of a policy's state, by name; each must have one row for each match."""
    import jax

    arrays = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path)
        arrays[name] = np.asarray(leaf)
        if arrays[name].shape[:1] != (_MATCHES,) or arrays[name].dtype == object:
            shape = list(arrays[name].shape)
            raise InputError(f"{who}: {what}{name}: expected an array with {_MATCHES} rows, got shape {shape}")
        if not np.isfinite(arrays[name]).all():
            raise InputError(f"{who}: {what}{name}: expected finite numbers, got NaN or infinity")
    return arrays


def _same(a: Decision, b: Decision) -> bool:
    import jax

    ours, theirs = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(ours) == len(theirs) and all(np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True))


def _actions(game: VectorGame, t: int) -> dict[AgentID, np.ndarray]:
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


def _check_names(game: Game, num_games: int) -> Game:
    if not isinstance(game, VectorGame | FunctionalGame):
        raise InputError(f"{type(game).__name__}: neither a VectorGame nor a FunctionalGame: see sparring.types")
    if game.num_games != num_games:
        raise InputError(f"{game.id}: called with num_games={num_games}, but has num_games {game.num_games}")
    if len(set(game.agents)) != len(game.agents) or set(game.spaces) != set(game.agents):
        raise InputError(f"{game.id}: agents {game.agents} must be different, and each must have a space")
    return game


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
    if (np.sum([step.terminated, step.truncated, step.invalid], axis=0) > 1).any():
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
    game: VectorGame, first: Mapping[AgentID, Array], wanted: list[Arrays], who: str, start: int = 0
) -> None:
    _require_equal(game, _named("observation", first), wanted[0], f"{who}: first observation")
    for t, arrays in enumerate(wanted[1:], start):
        _require_equal(game, _flatten(game.step(_actions(game, t))), arrays, f"{who}: step {t}")
    game.close()


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
