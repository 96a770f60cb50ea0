"""Policies: the protocol, the plain ones, and partial control as a combinator (Eq. 3.2).

A policy is a pure function of a key, a batch of observations and its own state. A `traceable` policy is a JAX pytree
whose `act` may run inside `jax.jit`; any other (a user's callable) is called with NumPy arrays, once per batch.
This module loads no JAX: `sparring.nets` registers the classes below as pytrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np

from sparring.errors import InputError, unknown
from sparring.types import Array, Continuous, Control, Discrete, Key, Spaces, check_budget


class Decision(NamedTuple):
    """What a policy decides for B matches. What a policy has no word on is None."""

    action: Array  # int [B] or float32 [B, A]
    state: Any  # for the next step, [B, ...] leaves
    log_prob: Array | None = None  # float32 [B], of `action`
    value: Array | None = None  # float32 [B], the critic's
    controlled: Array | None = None  # bool [B], the adversarial policy chose
    own: Array | None = None  # the learning policy's action, where another is executed even though it is in control


@runtime_checkable
class Policy(Protocol):
    @property
    def traceable(self) -> bool:
        """`act` is made of JAX operations alone."""
        ...

    def initial_state(self, batch: int) -> Any:
        """The state at the first step of a match, for `batch` matches: a pytree of [B, ...] arrays, or ()."""
        ...

    def act(self, key: Key, observation: Array, state: Any) -> Decision:
        """Decide for `observation` [B, D]; the same key gives the same decision."""
        ...


class _Stateless:
    @property
    def traceable(self) -> bool:
        return True

    def initial_state(self, batch: int) -> Any:
        del batch
        return ()


@dataclass(frozen=True)
class RandomPolicy(_Stateless):
    """Uniform over the actions: every discrete one, or the whole box of continuous ones."""

    action: Discrete | Continuous

    def act(self, key: Key, observation: Array, state: Any) -> Decision:
        import jax

        batch = observation.shape[0]
        if isinstance(self.action, Discrete):
            return Decision(jax.random.randint(key, (batch,), 0, self.action.n), state)
        shape = (batch, self.action.size)
        return Decision(jax.random.uniform(key, shape, minval=self.action.low, maxval=self.action.high), state)


@dataclass(frozen=True)
class ConstantPolicy(_Stateless):
    """The same action always: `zero` (no torque) of a continuous game, `first` of a discrete one."""

    action: Discrete | Continuous

    def act(self, key: Key, observation: Array, state: Any) -> Decision:
        import jax.numpy as jnp

        del key
        batch = observation.shape[0]
        if isinstance(self.action, Discrete):
            return Decision(jnp.zeros(batch, jnp.int32), state)
        return Decision(jnp.zeros((batch, self.action.size), jnp.float32), state)


@dataclass(frozen=True)
class TabularPolicy(_Stateless):
    """Action probabilities [S, A] of a game whose observation is the one-hot state [B, S]."""

    probabilities: Array

    def act(self, key: Key, observation: Array, state: Any) -> Decision:
        import jax
        import jax.numpy as jnp

        log_probs = jnp.log(observation @ jnp.asarray(self.probabilities, observation.dtype))  # [B, A]
        action = jax.random.categorical(key, log_probs)
        chosen = jnp.take_along_axis(log_probs, action[:, None], axis=1)[:, 0]
        return Decision(action, state, chosen, jnp.zeros(action.shape, jnp.float32))


@dataclass(frozen=True)
class CallablePolicy:
    """A user's function as a policy: `function(observation [B, D], rng) -> action [B]` or `[B, A]`."""

    function: Callable[[np.ndarray, np.random.Generator], Array]
    traceable: bool = field(default=False, init=False)

    def initial_state(self, batch: int) -> Any:
        del batch
        return ()

    def act(self, key: Key, observation: Array, state: Any) -> Decision:
        rng = np.random.default_rng(np.asarray(key))
        action = self.function(np.asarray(observation), rng)
        try:
            return Decision(np.asarray(action), state)
        except ValueError as error:
            raise InputError(f"the policy's function returned something that is no array: {error}") from error


class MixedState(NamedTuple):
    benign: Any
    adversarial: Any
    coin: Array  # int8 [B]: -1 not yet tossed in this match, else 1 if the match is controlled ("episode" only)


@dataclass(frozen=True)
class MixedPolicy:
    """The attacker's agent under partial control: Eq. 3.2. Made by `mix`.

    Both policies decide with the same key, so that budget 0 replays the benign policy bit for bit and budget 1 the
    adversarial one; the coin has a key of its own. `log_prob` and `value` are the adversarial policy's. If that one is
    mixed itself, its coin is another, and controlled is what both coins leave to it.
    """

    benign: Policy
    adversarial: Policy
    budget: float | Array
    control: Control = "step"

    @property
    def traceable(self) -> bool:
        return self.benign.traceable and self.adversarial.traceable

    def initial_state(self, batch: int) -> MixedState:
        return MixedState(
            self.benign.initial_state(batch), self.adversarial.initial_state(batch), np.full(batch, -1, np.int8)
        )

    def act(self, key: Key, observation: Array, state: MixedState) -> Decision:
        benign = act(self.benign, key, observation, state.benign)
        adversarial = act(self.adversarial, key, observation, state.adversarial)
        if np.shape(benign.action) != np.shape(adversarial.action):
            raise InputError(
                f"mix: the benign policy's actions have shape {list(np.shape(benign.action))}, "
                f"the adversarial policy's {list(np.shape(adversarial.action))}; expected the same"
            )
        uniform, xp = _coin(key, observation.shape[0], self.traceable, _depth(self))
        controlled, coin, own = uniform < self.budget, state.coin, adversarial.own
        if self.control == "episode":
            controlled = xp.where(coin < 0, controlled, coin == 1)
            coin = controlled.astype(np.int8)
        if self.control == "blend":
            if not xp.issubdtype(benign.action.dtype, xp.floating):
                raise InputError(
                    "control: blend combines continuous actions, and these are discrete; use step or episode"
                )
            controlled = xp.broadcast_to(xp.asarray(self.budget > 0), controlled.shape)
            action = (1 - self.budget) * benign.action + self.budget * adversarial.action
            own = adversarial.action if own is None else own
        else:
            where = controlled.reshape(controlled.shape + (1,) * (benign.action.ndim - 1))
            action = xp.where(where, adversarial.action, benign.action)
        if adversarial.controlled is not None:
            controlled = controlled & adversarial.controlled
        state = MixedState(benign.state, adversarial.state, coin)
        return Decision(action, state, adversarial.log_prob, adversarial.value, controlled, own)


def mix(benign: Policy, adversarial: Policy, budget: float, control: Control = "step") -> MixedPolicy:
    """Eq. 3.2: pi_alpha = (1 - budget) benign + budget adversarial.

    Args:
      benign: what the agent does when it is not controlled.
      adversarial: what the attacker makes it do.
      budget: epsilon in [0, 1], the probability of control.
      control: "step", an independent draw at every decision (the paper; DECISIONS 1); "episode", one draw for a whole
        match; "blend", no draw: the executed action is the convex combination of the two (continuous actions only;
        the noisy-action robust MDP of Tessler et al. 2019).

    Raises:
      InputError: a budget outside [0, 1] or an unknown kind of control.
    """
    if control not in get_args(Control):
        raise unknown("kind of control", control, get_args(Control))
    return MixedPolicy(benign, adversarial, check_budget(budget), control)


def act(policy: Policy, key: Key, observation: Array, state: Any) -> Decision:
    """`policy.act`, compiled where a traceable policy is called with NumPy arrays."""
    if policy.traceable and isinstance(observation, np.ndarray):
        from sparring.nets import jitted_act

        return jitted_act(policy, key, observation, state)
    return policy.act(key, observation, state)


def simple_policy(name: str, spaces: Spaces) -> Policy | None:
    """The plain policy called `name`, or None if no plain policy has that name.

    Raises:
      InputError: the policy does not fit the actions.
    """
    continuous = isinstance(spaces.action, Continuous)
    if name in ("random", "uniform"):
        return RandomPolicy(spaces.action)
    if name in ("zero", "first"):
        if continuous != (name == "zero"):
            kind, other = ("continuous", "zero") if continuous else ("discrete", "first")
            raise InputError(f"policy {name!r} does not fit {kind} actions: use {other}")
        return ConstantPolicy(spaces.action)
    return None


def check_action(action: Array, space: Discrete | Continuous, who: str) -> None:
    """Refuse a batch of actions that no policy of this space can mean.

    A continuous action may leave its box (games clamp it, and Gaussian policies do leave it), but not by a hundred
    times the box's width: that is a wrong unit or a diverged network.

    Raises:
      InputError: wrong shape, NaN or out of range; `who` names the agent and the step.
    """
    action = np.asarray(action)
    if isinstance(space, Discrete):
        if action.ndim != 1 or not np.issubdtype(action.dtype, np.integer):
            raise InputError(f"{who}: expected integer actions of shape [B], got {action.dtype} {list(action.shape)}")
        if action.size and not (action.min() >= 0 and action.max() < space.n):
            bad = action[(action < 0) | (action >= space.n)][0]
            raise InputError(f"{who}: action {bad} is out of range, expected 0 to {space.n - 1}")
        return
    if action.ndim != 2 or action.shape[1] != space.size:
        raise InputError(f"{who}: expected actions of size {space.size}, got shape {list(action.shape)}")
    if action.dtype.kind not in "fiu":
        raise InputError(f"{who}: expected numbers, got {action.dtype}")
    if not np.isfinite(action).all():
        raise InputError(f"{who}: the action is NaN or infinite; look at the policy's weights and observations")
    reach = 100 * (space.high - space.low)
    if np.abs(action - (space.low + space.high) / 2).max(initial=0) > reach:
        bad = action.flat[np.abs(action).argmax()]
        raise InputError(f"{who}: action {bad:.4g} is out of range, expected about [{space.low:g}, {space.high:g}]")


# Beyond the reach of a policy that splits the key which it is given: `split(key, n)[i]` is `fold_in(key, i)`
# (DECISIONS 26).
_COIN = 0x7C011000


def _depth(policy: Policy) -> int:
    """How many mixes it is made of: a mix has more than any that it contains, so that each has a coin of its own."""
    if not isinstance(policy, MixedPolicy):
        return 0
    return 1 + _depth(policy.benign) + _depth(policy.adversarial)


def _coin(key: Key, batch: int, traceable: bool, depth: int) -> tuple[Array, Any]:
    """Uniform numbers [B] of the `depth`-th key derived from `key`, and the array module to go on with."""
    if traceable:
        import jax
        import jax.numpy as jnp

        return jax.random.uniform(jax.random.fold_in(key, _COIN + depth), (batch,)), jnp
    return np.random.default_rng([depth, *np.asarray(key).tolist()]).random(batch), np
