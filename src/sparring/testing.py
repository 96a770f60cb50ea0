"""Conformance checks for users' games and policies: what `sparring.types` promises of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sparring.errors import InputError, check_type, foreign
from sparring.games.described import check_described, is_game
from sparring.games.hosted import hosted
from sparring.mixture import act
from sparring.play.calls import NoState, begun, closed, restored, stepped
from sparring.play.calls import saved as saved_state
from sparring.play.checks import check_outcomes, check_view
from sparring.play.shapes import check_forms
from sparring.policies import CallablePolicy, check_action
from sparring.types import (
    ActionSpace,
    AgentID,
    Box,
    Decision,
    Dict,
    Discrete,
    Game,
    MultiDiscrete,
    Policy,
    Space,
    Spaces,
    Step,
    VectorGame,
    View,
)

_MATCHES = 3
_SAVED_AT = 5  # steps played before the state is saved
_MIN_STEPS = 50

Arrays = dict[str, np.ndarray]


def check_game(factory: Callable[..., Game], max_steps: int = 2000) -> None:
    """Play matches with random legal actions and check the game's promises.

    Names, shapes, types and bounds; finite numbers; a legal action wherever an agent moves; a match ends in one way
    only, and has outcomes only if it ended, which do not contradict each other; `final_view` is `view` where none
    ended; what was returned stays as it was; the same seed gives the same bits; a new game goes on bit for bit from a
    saved state (a game that cannot be saved says so with an `InputError` from `get_state`, and is checked in all
    else); and, of a game on the host, a match does not depend on those beside it (one within JAX draws all matches from
    one key).

    Args:
      factory: called with `num_games`, as for the id `package.module:factory`.
      max_steps: within which a match must end.

    Raises:
      InputError: the first promise that is broken.
    """

    if not callable(factory):
        raise InputError(
            f"check_game: expected a function that makes a game, called with num_games, got {type(factory).__name__}"
        )

    check_type("check_game: max_steps", max_steps, (int, np.integer), "a whole number")

    def made(num_games: int) -> Game:
        with foreign("check_game", "a function that takes num_games and returns a game", factory):
            return factory(num_games=num_games)

    def new(num_games: int) -> VectorGame:
        return hosted(_check_names(made(num_games), num_games))

    game = new(_MATCHES)
    views = begun(game, 0)
    first = _named("view", views)
    returned: list[Step] = []
    played: list[Arrays] = []
    taken: list[dict[AgentID, np.ndarray]] = []
    saved: dict[str, np.ndarray] | None = None
    for t in range(max_steps):
        taken.append(_actions(game, views, t))
        returned.append(stepped(game, taken[-1], t))
        check_forms(game, views, returned[-1], f"step {t}")
        _check_step(game, f"at step {t}", returned[-1])
        views = returned[-1].view
        played.append(_flatten(returned[-1]))
        if t == _SAVED_AT:
            saved = _saved(game)
        if t + 1 >= _MIN_STEPS and any(_ended(step).any() for step in returned):
            break
    else:
        raise InputError(f"{game.id}: no match ended within {max_steps} steps of random actions: raise max_steps")
    for t, (step, copy) in enumerate(zip(returned, played, strict=True)):
        _require_equal(game, _flatten(step), copy, f"the arrays returned at step {t}, looked at again later")
    closed(game)

    again = new(_MATCHES)
    _check_replay(again, begun(again, 0), taken, [first, *played], "a second game with the same seed and actions")
    if saved is not None:
        later = new(_MATCHES)
        after = [_shown(played[_SAVED_AT]), *played[_SAVED_AT + 1 :]]
        _check_replay(
            later, restored(later, saved), taken[_SAVED_AT + 1 :], after, "a new game after set_state", _SAVED_AT + 1
        )
    if isinstance(made(1), VectorGame):
        alone = new(1)
        ours = [{name: values[:1] for name, values in arrays.items()} for arrays in [first, *played]]
        single = [{agent: action[:1] for agent, action in actions.items()} for actions in taken]
        _check_replay(alone, begun(alone, 0), single, ours, "the first match played alone")


def check_policy(policy: Any, spaces: Spaces, steps: int = 3, masked: bool = False) -> None:
    """Decide for random observations and check the policy's promises.

    Actions that the space can mean, one for each match; `log_prob`, `value` and `controlled`, where there are any, of
    shape [B] and finite; a state of [B, ...] arrays that keeps its structure, shapes and types; the same key gives the
    same bits; no row depends on the others (only of a policy that does not draw: two different keys give the same
    actions); and a `traceable` policy runs within `jax.jit`.

    Args:
      policy: for one agent, or a function `(observation, rng) -> actions`.
      spaces: that agent's.
      steps: how many decisions to look at, one after the other.
      masked: some actions are not legal, as in games whose views say so; the policy is to follow the mask.

    Raises:
      InputError: the first promise that is broken.
    """
    who = getattr(policy, "__name__", type(policy).__name__)
    if not isinstance(policy, Policy):
        if not callable(policy):
            raise InputError(
                f"{who}: expected a function (observation, rng) -> actions, or a Policy with traceable, initial_state "
                "and act: see sparring.types"
            )
        policy = CallablePolicy(policy)
    check_type(f"{who}: spaces", spaces, Spaces, "the Spaces of its agent, such as game.spaces[agent]")
    check_type(f"{who}: steps", steps, (int, np.integer), "a whole number")
    rng = np.random.default_rng(0)
    with foreign(f"{who}: initial_state", "a state for so many matches", policy):
        state = policy.initial_state(_MATCHES)
    like = _state(who, "initial state", state)
    for t in range(steps):
        view = View(_drawn(spaces.observation, rng), _mask(spaces.action, rng) if masked else None)
        key, other = rng.integers(0, 2**32, (2, 2), np.uint32)
        decision = _decide(who, policy, key, view, state)
        _check_decision(f"{who}, step {t}", decision, spaces, view)
        after = _state(who, f"state after step {t}", decision.state)
        if {n: (x.shape, x.dtype) for n, x in after.items()} != {n: (x.shape, x.dtype) for n, x in like.items()}:
            raise InputError(f"{who}: the state after step {t} has other names, shapes or types than the initial one")
        if not _same(decision, _decide(who, policy, key, view, state)):
            raise InputError(f"{who}: step {t}: the same key and observation gave another decision")
        if np.array_equal(decision.action, _decide(who, policy, other, view, state).action):
            _check_rows(who, t, policy, key, view, state, decision)
        state = decision.state


def _decide(who: str, policy: Policy, key: np.ndarray, view: View, state: Any) -> Decision:
    """`policy.act`, compiled if the policy says that it can be."""
    try:
        return act(policy, key, _copied(view), state)
    except InputError:
        raise
    except Exception as error:
        how = "within jax.jit, as it says it can be (traceable)" if policy.traceable else "with NumPy arrays"
        raise InputError(f"{who}: act failed when called {how}: {type(error).__name__}: {error}") from error


def _check_decision(who: str, decision: Decision, spaces: Spaces, view: View) -> None:
    check_action(decision.action, spaces.action, who, view.legal)
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


def _check_rows(who: str, t: int, policy: Policy, key: np.ndarray, view: View, state: Any, decision: Decision) -> None:
    """Give all matches but the first what the first one sees: the first match's action must not notice."""
    changed = _copied(view)

    def spread(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {name: spread(part) for name, part in tree.items()}
        return None if tree is None else np.repeat(tree[:1], _MATCHES, axis=0)

    alone = _decide(who, policy, key, View(spread(changed.observation), spread(changed.legal)), state).action
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


def _saved(game: VectorGame) -> dict[str, np.ndarray] | None:
    """The game's state, or None if it says that it cannot be saved."""
    try:
        return {name: np.array(array) for name, array in saved_state(game).items()}
    except NoState:
        return None


def _actions(game: VectorGame, views: Mapping[AgentID, View], t: int) -> dict[AgentID, np.ndarray]:
    """Random legal actions of step t; a match gets the same ones whatever the number of matches."""
    actions = {}
    for place, agent in enumerate(game.agents):
        rng = np.random.default_rng([t, place])
        space = game.spaces[agent].action
        if isinstance(space, Box):
            low, high = (np.nan_to_num(bound, posinf=1.0, neginf=-1.0) for bound in space.bounds())
            actions[agent] = rng.uniform(low, high, (game.num_games, *space.shape)).astype(np.float32)
            continue
        score = rng.random((game.num_games, space.size))
        legal = views[agent].legal
        if legal is not None:
            score = np.where(np.asarray(legal), score, -1.0)
        actions[agent] = _largest(space, score)
    return actions


def _largest(space: Discrete | MultiDiscrete, score: np.ndarray) -> np.ndarray:
    if isinstance(space, Discrete):
        return score.argmax(-1).astype(np.int32)
    parts = np.split(score, np.cumsum(space.nvec)[:-1], axis=-1)
    return np.stack([part.argmax(-1) for part in parts], -1).astype(np.int32)


def _drawn(space: Space, rng: np.random.Generator) -> Any:
    """Observations of `_MATCHES` matches, anywhere in the space."""
    if isinstance(space, Dict):
        return {name: _drawn(part, rng) for name, part in space.parts}
    if isinstance(space, Discrete):
        return rng.integers(space.n, size=_MATCHES)
    if isinstance(space, MultiDiscrete):
        return rng.integers(space.nvec, size=(_MATCHES, len(space.nvec)))
    low, high = space.bounds()
    normal = rng.normal(size=(_MATCHES, *space.shape))
    bounded = np.isfinite(low) & np.isfinite(high)
    uniform = rng.random((_MATCHES, *space.shape))
    with np.errstate(invalid="ignore"):
        inside = np.where(bounded, low + uniform * (high - low), np.clip(normal, low, high))
    return inside.astype(space.dtype)


def _mask(space: ActionSpace, rng: np.random.Generator) -> np.ndarray | None:
    """A mask with at least one legal action in every choice; None of continuous actions."""
    if isinstance(space, Box):
        return None
    legal = rng.random((_MATCHES, space.size)) < 0.5
    first = [0] if isinstance(space, Discrete) else np.cumsum([0, *space.nvec[:-1]])
    legal[:, first] = True
    return legal


def _copied(view: View) -> View:
    def copy(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {name: copy(part) for name, part in tree.items()}
        return None if tree is None else np.array(tree)

    return View(*(copy(part) for part in view))


def _check_names(game: Game, num_games: int) -> Game:
    if not is_game(game):
        raise InputError(f"{type(game).__name__}: neither a VectorGame nor a FunctionalGame: see sparring.types")
    check_described(game)
    if game.num_games != num_games:
        raise InputError(f"{game.id}: called with num_games={num_games}, but has num_games {game.num_games}")
    return game


def _check_views(game: Game, when: str, views: Mapping[AgentID, Any]) -> None:
    for agent in game.agents:
        check_view(game.spaces[agent], views[agent], _MATCHES, f"{game.id}: {agent} {when}")


def _check_step(game: Game, when: str, step: Step) -> None:
    _check_views(game, f"{when} (final)", step.final_view)
    for name, values in {"reward": step.reward, **{f"info {k!r}": v for k, v in step.info.items()}}.items():
        for agent in game.agents:
            _check_array(game, f"{name} of {agent} {when}", values[agent], (_MATCHES,), np.float32)
    for name in ("terminated", "truncated", "invalid"):
        _check_array(game, f"{name} {when}", getattr(step, name), (_MATCHES,), np.bool_)
    if (np.sum([step.terminated, step.truncated, step.invalid], axis=0) > 1).any():
        raise InputError(f"{game.id}: a match ended in two ways {when}: terminated, truncated and invalid exclude")
    if step.outcome is not None:
        for agent in game.agents:
            _check_array(game, f"outcome of {agent} {when}", step.outcome[agent], (_MATCHES,), np.int8)
        check_outcomes(game, step, when)
    ours, final = _named("view", step.view), _named("view", step.final_view)
    for name, values in ours.items():
        # XLA may compute the two separately, and then they may differ in their last bits.
        if not np.allclose(values[~_ended(step)], final[name][~_ended(step)], rtol=1e-5, atol=1e-6):
            raise InputError(f"{game.id}: {name} {when}: no match ended, but final_view is not view")


def _check_array(game: Game, what: str, array: Any, shape: tuple[int, ...], dtype: type) -> None:
    array = np.asarray(array)
    if array.shape != shape or array.dtype != dtype:
        expected = f"{np.dtype(dtype).name} {list(shape)}"
        raise InputError(f"{game.id}: {what}: expected {expected}, got {array.dtype} {list(array.shape)}")
    if not np.isfinite(array).all():
        raise InputError(f"{game.id}: {what}: expected finite numbers, got NaN or infinity")


def _check_replay(
    game: VectorGame,
    views: Mapping[AgentID, View],
    taken: list[dict[AgentID, np.ndarray]],
    wanted: list[Arrays],
    who: str,
    start: int = 0,
) -> None:
    _require_equal(game, _named("view", views), wanted[0], f"{who}: first view")
    for t, (actions, arrays) in enumerate(zip(taken, wanted[1:], strict=True), start):
        _require_equal(game, _flatten(stepped(game, actions, t)), arrays, f"{who}: step {t}")
    closed(game)


def _require_equal(game: Game, got: Arrays, wanted: Arrays, who: str) -> None:
    for name, values in wanted.items():
        if name not in got or not np.array_equal(got[name], values):
            raise InputError(f"{game.id}: {who}: {name} is not what it was, bit for bit")


def _ended(step: Step) -> np.ndarray:
    return np.asarray(step.terminated) | np.asarray(step.truncated) | np.asarray(step.invalid)


def _flatten(step: Step) -> Arrays:
    """Copies of all arrays, by name."""
    flat = {name: np.array(getattr(step, name)) for name in ("terminated", "truncated", "invalid")}
    for name in ("view", "final_view", "reward"):
        flat |= _named(name, getattr(step, name))
    if step.outcome is not None:
        flat |= _named("outcome", step.outcome)
    for name, values in step.info.items():
        flat |= _named(f"info/{name}", values)
    return flat


def _named(name: str, tree: Any) -> Arrays:
    """Copies of the arrays of a tree of mappings and records, by their paths."""
    if tree is None:
        return {}
    if isinstance(tree, View):
        tree = tree._asdict()
    if isinstance(tree, Mapping):
        return {key: array for part in tree for key, array in _named(f"{name}/{part}", tree[part]).items()}
    return {name: np.array(tree)}


def _shown(arrays: Arrays) -> Arrays:
    return {name: values for name, values in arrays.items() if name.startswith("view/")}
