"""Plain policies: random, constant, a table, a user's function, and past opponents that are kept for a match.

This module loads no JAX: `sparring.mixture.register_policies` makes the classes below pytrees.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sparring.errors import InputError, foreign
from sparring.types import ActionSpace, Array, Box, Decision, Discrete, Key, MultiDiscrete, Policy, Spaces, View


def batch_of(view: View) -> int:
    """B, the number of matches that are shown."""
    observation = view.observation
    while isinstance(observation, dict):
        observation = next(iter(observation.values()))
    return observation.shape[0]


class _Stateless:
    @property
    def traceable(self) -> bool:
        return True

    def initial_state(self, batch: int) -> Any:
        del batch
        return ()


@dataclass(frozen=True)
class RandomPolicy(_Stateless):
    """Uniform over the legal actions: every discrete one, or the whole box of continuous ones."""

    action: ActionSpace

    def act(self, key: Key, view: View, state: Any) -> Decision:
        import jax
        import jax.numpy as jnp

        batch, space = batch_of(view), self.action
        if isinstance(space, Box):
            low, high = space.bounds()
            shape = (batch, *space.shape)
            low, high = jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32)
            return Decision(jax.random.uniform(key, shape, minval=low, maxval=high), state)
        if isinstance(space, Discrete) and view.legal is None:
            return Decision(jax.random.randint(key, (batch,), 0, space.n), state)
        # The largest of independent uniform numbers is at each legal place equally often.
        return Decision(_largest(space, jax.random.uniform(key, (batch, space.size)), view.legal), state)


@dataclass(frozen=True)
class ConstantPolicy(_Stateless):
    """The same action always: `zero` (no torque) of a continuous game, `first` (legal one) of a discrete one."""

    action: ActionSpace

    def act(self, key: Key, view: View, state: Any) -> Decision:
        import jax.numpy as jnp

        del key
        batch, space = batch_of(view), self.action
        if isinstance(space, Box):
            low, high = space.bounds()
            zero = np.clip(np.zeros(space.shape), low, high).astype(np.float32)
            return Decision(jnp.broadcast_to(jnp.asarray(zero), (batch, *space.shape)), state)
        return Decision(_largest(space, jnp.zeros((batch, space.size)), view.legal), state)


@dataclass(frozen=True)
class TabularPolicy(_Stateless):
    """Action probabilities [S, A] of a game whose observation is the one-hot state [B, S]."""

    probabilities: Array

    def act(self, key: Key, view: View, state: Any) -> Decision:
        import jax
        import jax.numpy as jnp

        observation = view.observation
        log_probs = jnp.log(observation @ jnp.asarray(self.probabilities, observation.dtype))  # [B, A]
        action = jax.random.categorical(key, log_probs)
        chosen = jnp.take_along_axis(log_probs, action[:, None], axis=1)[:, 0]
        return Decision(action, state, chosen, jnp.zeros(action.shape, jnp.float32))


@dataclass(frozen=True)
class CallablePolicy:
    """A user's function as a policy: `function(observation [B, ...], rng) -> action [B]` or `[B, A]`.

    The observation is the native one: an array, or a dict of arrays. A function that has a parameter `legal` is given
    the mask of legal actions, bool [B, n], by that name; None where all are.
    """

    function: Callable[..., Array]
    traceable: bool = field(default=False, init=False)

    def initial_state(self, batch: int) -> Any:
        del batch
        return ()

    def act(self, key: Key, view: View, state: Any) -> Decision:
        rng = np.random.default_rng(np.asarray(key))
        given = {"legal": None if view.legal is None else np.asarray(view.legal)} if _wants_legal(self.function) else {}
        with foreign("its policy", "a function (observation, rng) -> actions", self.function):
            action = self.function(_numpy(view.observation), rng, **given)
        try:
            action = np.asarray(action)
        except ValueError as error:
            raise InputError(f"the policy's function returned something that is no array: {error}") from error
        return Decision(action, state)


def _largest(space: Discrete | MultiDiscrete, score: Array, legal: Array | None) -> Array:
    """In each choice the legal action with the largest score [B, n] (none below 0); the first of equals."""
    import jax.numpy as jnp

    if legal is not None:
        score = jnp.where(legal, score, -1.0)
    if isinstance(space, Discrete):
        return jnp.argmax(score, -1)
    parts = jnp.split(score, np.cumsum(space.nvec)[:-1], axis=-1)
    return jnp.stack([jnp.argmax(part, -1) for part in parts], -1)


def _wants_legal(function: Callable[..., Array]) -> bool:
    try:
        return "legal" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions tell nothing
        return False


def _numpy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _numpy(part) for name, part in tree.items()}
    return np.asarray(tree)


class PoolState(NamedTuple):
    drawn: Array  # int32 [B]: UNDRAWN at a match's first step, LIVE, or the number of the past policy that plays
    live: Any
    past: Any


UNDRAWN, LIVE = -2, -1


@dataclass(frozen=True)
class PoolPolicy:
    """The policy of the moment, or one of its past: drawn when a match begins, and kept until it ends (DECISIONS 28).

    By Kuhn's theorem that is playing the average of realisation plans; a draw in the middle of a match is not.
    `controlled` is true where the policy of the moment plays: only there something can be learned from.
    """

    live: Policy
    past: Policy  # all past ones in one pytree, their arrays stacked [N, ...]; policies of the same structure as `live`
    numbers: Array  # int32 [N], ascending; what a match remembers its opponent by
    count: Array  # int32 [], how many of the N are in use
    probability: Array  # float32 [B], of a past policy, for each slot

    @property
    def traceable(self) -> bool:
        return True

    def initial_state(self, batch: int) -> PoolState:
        initial = self.live.initial_state(batch)
        return PoolState(np.full(batch, UNDRAWN, np.int32), initial, initial)

    def act(self, key: Key, view: View, state: PoolState) -> Decision:
        import jax
        import jax.numpy as jnp

        batch = batch_of(view)
        # The folds are beyond the reach of a policy that splits its key (DECISIONS 26).
        coin, choice, past_key = (jax.random.fold_in(key, _POOL + i) for i in range(3))
        use_past = (jax.random.uniform(coin, (batch,)) < self.probability) & (self.count > 0)
        row = jax.random.randint(choice, (batch,), 0, jnp.maximum(self.count, 1))
        fresh = jnp.where(use_past, self.numbers[row], LIVE).astype(jnp.int32)
        drawn = jnp.where(state.drawn == UNDRAWN, fresh, state.drawn)
        live = self.live.act(key, view, state.live)

        def from_past(_: Any) -> tuple[Array, Any]:
            rows = jnp.clip(jnp.searchsorted(self.numbers, drawn), 0, len(self.numbers) - 1)
            decision = _chosen(self.past, rows, past_key, view, state.past)
            return decision.action.astype(live.action.dtype), decision.state

        # Where nobody meets the past, its networks need not be asked.
        action, past_state = jax.lax.cond(
            (drawn != LIVE).any(), from_past, lambda _: (live.action, jax.tree.map(jnp.asarray, state.past)), None
        )
        mine = drawn == LIVE
        where = mine.reshape(mine.shape + (1,) * (live.action.ndim - 1))
        controlled = mine if live.controlled is None else mine & live.controlled
        valued = mine if live.valued is None else mine & live.valued
        return live._replace(
            action=jnp.where(where, live.action, action),
            state=PoolState(drawn, live.state, past_state),
            controlled=controlled,
            valued=valued,
        )


class MixtureState(NamedTuple):
    drawn: Array  # int32 [B]: UNDRAWN at a match's first step, or which of the policies plays it
    own: Any


@dataclass(frozen=True)
class MixturePolicy:
    """One of several policies, drawn when a match begins and kept until it ends: a mixed strategy (DECISIONS 28)."""

    policies: Policy  # all of one structure, in one pytree, their arrays stacked [N, ...]
    weights: Array  # float32 [N], how likely each is

    @property
    def traceable(self) -> bool:
        return True

    def initial_state(self, batch: int) -> MixtureState:
        return MixtureState(np.full(batch, UNDRAWN, np.int32), self.policies.initial_state(batch))

    def act(self, key: Key, view: View, state: MixtureState) -> Decision:
        import jax
        import jax.numpy as jnp

        choice, own_key = (jax.random.fold_in(key, _POOL + i) for i in range(2))
        fresh = jax.random.categorical(choice, jnp.log(self.weights), shape=(batch_of(view),)).astype(jnp.int32)
        drawn = jnp.where(state.drawn == UNDRAWN, fresh, state.drawn)
        decision = _chosen(self.policies, drawn, own_key, view, state.own)
        return Decision(decision.action, MixtureState(drawn, decision.state))


def _chosen(policies: Policy, rows: Array, key: Key, view: View, state: Any) -> Decision:
    """What each match's policy decides: `policies` are stacked [N, ...], `rows` int [B] says which plays a match."""
    import equinox as eqx
    import jax

    def one(policy: Policy, key: Key, view: View, state: Any) -> Decision:
        single = jax.tree.map(lambda x: x[None], (view, state))
        return jax.tree.map(lambda x: x[0], policy.act(key, *single))

    arrays, static = eqx.partition(policies, eqx.is_array)
    chosen = jax.tree.map(lambda x: x[rows], arrays)
    keys = jax.random.split(key, len(rows))
    return jax.vmap(lambda a, k, v, s: one(eqx.combine(a, static), k, v, s))(chosen, keys, view, state)


def stacked(policies: Sequence[Policy]) -> Any:
    """Policies of one structure as one pytree, their arrays stacked [N, ...]."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    parts = [eqx.partition(policy, eqx.is_array) for policy in policies]
    return eqx.combine(jax.tree.map(lambda *x: jnp.stack(x), *(arrays for arrays, _ in parts)), parts[0][1])


_POOL = 0x7C022000


def simple_policy(name: str, spaces: Spaces) -> Policy | None:
    """The plain policy called `name`, or None if no plain policy has that name.

    Raises:
      InputError: the policy does not fit the actions.
    """
    continuous = isinstance(spaces.action, Box)
    if name in ("random", "uniform"):
        if isinstance(spaces.action, Box) and not np.isfinite(spaces.action.bounds()).all():
            raise InputError(f"policy {name!r} needs bounded actions, and these have no bounds: use zero")
        return RandomPolicy(spaces.action)
    if name in ("zero", "first"):
        if continuous != (name == "zero"):
            kind, other = ("continuous", "zero") if continuous else ("discrete", "first")
            raise InputError(f"policy {name!r} does not fit {kind} actions: use {other}")
        return ConstantPolicy(spaces.action)
    return None


def check_action(action: Array, space: ActionSpace, who: str, legal: Array | None = None) -> None:
    """Refuse a batch of actions that no policy of this space can mean.

    A continuous action may leave its box (games clamp it, and Gaussian policies do leave it), but not by a hundred
    times the box's width: that is a wrong unit or a diverged network.

    Args:
      action: of B matches.
      space: the agent's.
      who: names the agent and the step.
      legal: bool [B, n], rows of agents that do not move all true; None: every action is legal.

    Raises:
      InputError: wrong shape, NaN, out of range or illegal.
    """
    action = np.asarray(action)
    if isinstance(space, Box):
        _check_box(action, space, who)
        return
    tops = np.array([space.n] if isinstance(space, Discrete) else space.nvec)
    shape = "[B]" if isinstance(space, Discrete) else f"[B, {len(tops)}]"
    wanted = 1 if isinstance(space, Discrete) else 2
    fits = action.ndim == wanted and (wanted == 1 or action.shape[1] == len(tops))
    if not fits or not np.issubdtype(action.dtype, np.integer):
        raise InputError(f"{who}: expected integer actions of shape {shape}, got {action.dtype} {list(action.shape)}")
    choices = action.reshape(len(action), -1)
    outside = (choices < 0) | (choices >= tops)
    if outside.any():
        _, column = np.argwhere(outside)[0]
        bad = choices[outside][0]
        raise InputError(f"{who}: action {bad} is out of range, expected 0 to {tops[column] - 1}")
    if legal is not None:
        chosen = np.take_along_axis(np.asarray(legal), choices + np.cumsum([0, *tops[:-1]]), axis=1)
        if not chosen.all():
            match, column = np.argwhere(~chosen)[0]
            raise InputError(f"{who}: action {choices[match, column]} is not legal in match {match}: see View.legal")


def _check_box(action: np.ndarray, space: Box, who: str) -> None:
    if action.shape[1:] != space.shape or action.ndim != 1 + len(space.shape):
        size = space.shape[0] if len(space.shape) == 1 else list(space.shape)
        raise InputError(f"{who}: expected actions of size {size}, got shape {list(action.shape)}")
    if action.dtype.kind not in "fiu":
        raise InputError(f"{who}: expected numbers, got {action.dtype}")
    if not np.isfinite(action).all():
        raise InputError(f"{who}: the action is NaN or infinite; look at the policy's weights and observations")
    low, high = space.bounds()
    with np.errstate(invalid="ignore"):
        far = np.abs(action - (low + high) / 2) > 100 * (high - low)  # never true of infinite bounds
    if far.any():
        where = np.argwhere(far)[0]
        edge = tuple(where[1:])
        raise InputError(
            f"{who}: action {action[tuple(where)]:.4g} is out of range, expected about [{low[edge]:g}, {high[edge]:g}]"
        )
