"""Actor-critics in Equinox: MLP and LSTM, Gaussian and categorical, with their observation normaliser.

A network is a pytree of its weights; everything else about it (space, architecture) is static. Importing this module
also registers the plain policies of `sparring.policy` as pytrees, so that they can go through `jax.jit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring import policy as policies
from sparring.errors import InputError, unknown
from sparring.games.robosumo.symmetry import Symmetry
from sparring.policy import Decision, Policy
from sparring.types import Array, Continuous, Discrete, Key, Spaces

Architecture = Literal["mlp", "lstm"]
SYMMETRIES = ("robosumo-ant", "robosumo-bug", "robosumo-spider")


def _register(cls: type, data: tuple[str, ...], meta: tuple[str, ...]) -> None:
    """Make a policy class a pytree of its `data` fields.

    Not `jax.tree_util.register_dataclass`: under JAX 0.10 the structures of two classes registered so compare equal if
    their meta fields do, and a compiled function of the one can then be called for the other. Here the class is part
    of the structure.
    """

    def flatten(policy: Any) -> tuple[list[tuple[Any, Any]], Any]:
        children = [(jax.tree_util.GetAttrKey(name), getattr(policy, name)) for name in data]
        return children, (cls, *(getattr(policy, name) for name in meta))

    def unflatten(aux: Any, children: Any) -> Any:
        policy = object.__new__(cls)
        for name, value in (*zip(data, children, strict=True), *zip(meta, aux[1:], strict=True)):
            object.__setattr__(policy, name, value)
        return policy

    jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)


_register(policies.RandomPolicy, (), ("action",))
_register(policies.ConstantPolicy, (), ("action",))
_register(policies.TabularPolicy, ("probabilities",), ())
_register(policies.MixedPolicy, ("benign", "adversarial", "budget"), ("control",))


@eqx.filter_jit
def jitted_act(policy: Policy, key: Key, observation: Array, state: Any) -> Decision:
    """`policy.act` in one compiled call; the policy's arrays are arguments, so new weights do not recompile."""
    return policy.act(key, observation, state)


class Normalizer(eqx.Module):
    """Running mean and variance of observations; what it returns is clipped to [-clip, clip]."""

    mean: Array  # float32 [D]
    var: Array  # float32 [D]
    count: Array  # float32 [], observations seen
    floor: Array  # float32 [], the smallest variance that is divided by
    clip: Array  # float32 []

    def __call__(self, observation: Array) -> Array:
        scaled = (observation - self.mean) / jnp.sqrt(jnp.maximum(self.var, self.floor))
        return jnp.clip(scaled, -self.clip, self.clip)

    def update(self, observation: Array) -> Normalizer:
        """Take in observations [N, D] (Chan et al. 1979: moments of a union of samples)."""
        n = jnp.float32(observation.shape[0])
        mean, var = observation.mean(0), observation.var(0)
        total = self.count + n
        delta = mean - self.mean
        merged = (self.var * self.count + var * n + delta**2 * self.count * n / total) / total
        return eqx.tree_at(lambda s: (s.mean, s.var, s.count), self, (self.mean + delta * n / total, merged, total))


def normalizer(size: int, floor: float = 1e-2, clip: float = 5.0) -> Normalizer:
    """The identity until it has seen observations."""
    zero, one = jnp.zeros(size, jnp.float32), jnp.ones(size, jnp.float32)
    return Normalizer(zero, one, jnp.float32(0), jnp.float32(floor), jnp.float32(clip))


class Feedforward(eqx.Module):
    """tanh MLP without state."""

    mlp: eqx.nn.MLP

    def initial_state(self, batch: int) -> tuple[()]:
        del batch
        return ()

    def __call__(self, x: Array, state: tuple[()]) -> tuple[Array, tuple[()]]:
        return jax.vmap(self.mlp)(x), state


class Recurrent(eqx.Module):
    """Dense, ReLU, LSTM cell, dense: the architecture of RoboSumo's published recurrent agents."""

    embed: eqx.nn.Linear
    cell: eqx.nn.LSTMCell
    head: eqx.nn.Linear

    def initial_state(self, batch: int) -> tuple[Array, Array]:
        zeros = jnp.zeros((batch, self.cell.hidden_size), jnp.float32)
        return zeros, zeros

    def __call__(self, x: Array, state: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        hidden = jax.vmap(lambda row, s: self.cell(jax.nn.relu(self.embed(row)), s))(x, state)
        return jax.vmap(self.head)(hidden[0]), hidden


class ActorCritic(eqx.Module):
    """A stochastic policy and a critic with separate networks, the normaliser stored beside the weights.

    Gaussian actions are `mean(observation) + exp(log_std) * noise` and are not clamped: the game does that.
    With a `symmetry`, the networks see and act in one description of the many equivalent ones of each situation.
    """

    normalizer: Normalizer
    actor: Feedforward | Recurrent
    critic: Feedforward | Recurrent
    log_std: Array  # float32 [A]; empty for discrete actions
    action: Discrete | Continuous = eqx.field(static=True)
    greedy: bool = eqx.field(static=True, default=False)
    symmetry: str = eqx.field(static=True, default="")

    @property
    def traceable(self) -> bool:
        return True

    @property
    def recurrent(self) -> bool:
        return isinstance(self.actor, Recurrent)

    def initial_state(self, batch: int) -> Any:
        return self.actor.initial_state(batch), self.critic.initial_state(batch)

    def act(self, key: Key, observation: Array, state: Any) -> Decision:
        """Sample (or, if `greedy`, take the mode) for observations [B, D]."""
        observation, turned_back = self._view(observation)
        head, value, state = self.forward(self.normalizer(observation), state)
        if isinstance(self.action, Discrete):
            action = jnp.argmax(head, -1) if self.greedy else jax.random.categorical(key, head)
        else:
            noise = 0.0 if self.greedy else jnp.exp(self.log_std) * jax.random.normal(key, head.shape)
            action = head + noise
        return Decision(turned_back(action), state, self.log_prob(head, action), value)

    def turned(self, observation: Array, action: Array) -> tuple[Array, Array]:
        """Observations [..., D] and the actions taken there [..., A], as the networks see them."""
        if not self.symmetry:
            return observation, action
        symmetry = _symmetry(self.symmetry)
        view = symmetry.view(observation)
        return symmetry.turned(view, observation), symmetry.turned_joints(view, action)

    def _view(self, observation: Array) -> tuple[Array, Callable[[Array], Array]]:
        """The observations [B, D] as the networks see them, and what turns their actions back."""
        if not self.symmetry:
            return observation, lambda action: action
        symmetry = _symmetry(self.symmetry)
        view = symmetry.view(observation)
        return symmetry.turned(view, observation), lambda action: symmetry.turned_back(view, action)

    def forward(self, normalized: Array, state: Any) -> tuple[Array, Array, Any]:
        """For normalised observations [B, D]: the head (means or logits) [B, A], values [B], the next state."""
        head, actor_state = self.actor(normalized, state[0])
        value, critic_state = self.critic(normalized, state[1])
        return head, value[:, 0], (actor_state, critic_state)

    def unroll(self, normalized: Array, first: Array, state: Any) -> tuple[Array, Array]:
        """Heads [T, B, A] and values [T, B] along sequences, the state renewed where `first` [T, B]."""
        initial = self.initial_state(normalized.shape[1])

        def step(state: Any, inputs: tuple[Array, Array]) -> tuple[Any, tuple[Array, Array]]:
            head, value, state = self.forward(inputs[0], reset_state(inputs[1], initial, state))
            return state, (head, value)

        return jax.lax.scan(step, state, (normalized, first))[1]

    def log_prob(self, head: Array, action: Array) -> Array:
        """Log-probability (density) [...] of actions [..., A] or [...] under heads [..., A]."""
        if isinstance(self.action, Discrete):
            return jnp.take_along_axis(jax.nn.log_softmax(head), action[..., None], -1)[..., 0]
        z = (action - head) * jnp.exp(-self.log_std)
        return -0.5 * (z**2).sum(-1) - self.log_std.sum() - 0.5 * math.log(2 * math.pi) * self.log_std.size

    def entropy(self, head: Array) -> Array:
        """Entropy [...] (differential for Gaussians), in nats."""
        if isinstance(self.action, Discrete):
            log_probs = jax.nn.log_softmax(head)
            return -(jnp.exp(log_probs) * log_probs).sum(-1)
        entropy = self.log_std.sum() + 0.5 * math.log(2 * math.pi * math.e) * self.log_std.size
        return jnp.broadcast_to(entropy, head.shape[:-1])


def reset_state(first: Array, initial: Any, state: Any) -> Any:
    """The policy's state with the rows of new matches (`first` [B]) set to the initial ones."""
    return jax.tree.map(lambda i, s: jnp.where(first.reshape((-1,) + (1,) * (s.ndim - 1)), i, s), initial, state)


@dataclass(frozen=True)
class NetworkConfig:
    """What a new actor-critic looks like; saved beside its weights."""

    architecture: Architecture = "mlp"
    hidden: tuple[int, ...] = (64, 64)  # the LSTM uses the first entry alone
    initial_std: float = 1.0
    variance_floor: float = 1e-2
    observation_clip: float = 5.0
    symmetry: str = ""  # one of `SYMMETRIES`


def actor_critic(spaces: Spaces, config: NetworkConfig, key: Key) -> ActorCritic:
    """A new actor-critic: orthogonal weights (gain sqrt 2; 0.01 for the policy's head, 1 for the value's), no bias.

    Raises:
      InputError: an unknown architecture or symmetry, hidden layers of unequal width, or a symmetry with an LSTM.
    """
    if config.symmetry:
        _check_symmetry(config.symmetry, config.architecture, spaces.observation)
    size = spaces.action.n if isinstance(spaces.action, Discrete) else spaces.action.size
    keys = jax.random.split(jnp.asarray(key), 2)
    actor = _network(spaces.observation, size, config, keys[0], gain=0.01)
    critic = _network(spaces.observation, 1, config, keys[1], gain=1.0)
    width = 0 if isinstance(spaces.action, Discrete) else size
    log_std = jnp.full(width, math.log(config.initial_std), jnp.float32)
    norm = normalizer(spaces.observation, config.variance_floor, config.observation_clip)
    return ActorCritic(norm, actor, critic, log_std, spaces.action, symmetry=config.symmetry)


def _symmetry(name: str) -> Symmetry:
    if name not in SYMMETRIES:
        raise unknown("symmetry", name, SYMMETRIES)
    return Symmetry(name.removeprefix("robosumo-"))


def _check_symmetry(name: str, architecture: str, size: int) -> None:
    expected = _symmetry(name).observation
    if architecture != "mlp":
        raise InputError(f"symmetry {name}: expected an MLP; an LSTM would remember what it saw from other sides")
    if size != expected:
        raise InputError(f"symmetry {name}: expected observations of size {expected}, got {size}")


def _network(size_in: int, size_out: int, config: NetworkConfig, key: Key, gain: float) -> Feedforward | Recurrent:
    if config.architecture not in get_args(Architecture):
        raise unknown("architecture", config.architecture, get_args(Architecture))
    keys = jax.random.split(key, 4)
    if config.architecture == "lstm":
        width = config.hidden[0]
        cell = eqx.nn.LSTMCell(width, width, key=keys[1])
        # The forget gate starts open (bias 1), as in the published agents; Equinox orders the gates i, f, g, o.
        bias = jnp.zeros(4 * width).at[width : 2 * width].set(1.0)
        cell = eqx.tree_at(lambda c: c.bias, cell, bias)
        embed = _orthogonal(eqx.nn.Linear(size_in, width, key=keys[0]), math.sqrt(2), keys[2])
        return Recurrent(embed, cell, _orthogonal(eqx.nn.Linear(width, size_out, key=keys[0]), gain, keys[3]))
    if len(set(config.hidden)) != 1:
        raise unknown("hidden layers (all must have one width)", str(config.hidden), ["64,64", "128,128"])
    mlp = eqx.nn.MLP(size_in, size_out, config.hidden[0], len(config.hidden), jnp.tanh, key=keys[0])
    gains = [math.sqrt(2)] * len(config.hidden) + [gain]
    layer_keys = jax.random.split(keys[1], len(gains))
    layers = tuple(_orthogonal(layer, g, k) for layer, g, k in zip(mlp.layers, gains, layer_keys, strict=True))
    return Feedforward(eqx.tree_at(lambda m: m.layers, mlp, layers))


def _orthogonal(layer: eqx.nn.Linear, gain: float, key: Key) -> eqx.nn.Linear:
    weight = jax.nn.initializers.orthogonal(gain)(key, layer.weight.shape, jnp.float32)
    assert layer.bias is not None
    return eqx.tree_at(lambda m: (m.weight, m.bias), layer, (weight, jnp.zeros_like(layer.bias)))


def set_std(network: ActorCritic, std: float) -> ActorCritic:
    """The same network with the Gaussian's standard deviation set anew in every dimension."""
    return eqx.tree_at(lambda n: n.log_std, network, jnp.full_like(network.log_std, math.log(std)))


def in_view(network: ActorCritic, symmetry: str, choice: int) -> ActorCritic:
    """The network, made to act in the view of a symmetry everywhere as it now acts in one of the situations there.

    A description changes observations and actions by a signed permutation each, so the result has the same weights in
    another order and with other signs.

    Args:
      network: an MLP.
      symmetry: one of `SYMMETRIES`.
      choice: which situations, 0 .. `choices` - 1 of the symmetry; 0 are those of the view itself.

    Raises:
      InputError: the symmetry does not fit, the network has one already, or there is no such choice.
    """
    _check_symmetry(symmetry, "lstm" if network.recurrent else "mlp", network.normalizer.mean.size)
    sides = _symmetry(symmetry)
    if network.symmetry or not 0 <= choice < sides.choices:
        raise InputError(
            f"symmetry {symmetry}: expected a network without one and a choice from 0 to {sides.choices - 1}, "
            f"got a network {'with' if network.symmetry else 'without'} one and choice {choice}"
        )
    view = sides.choice(choice)
    # Quaternions are given a sign besides, for which an orientation near none is needed to be linear: ones are.
    sees = jax.jacobian(lambda o: sides.turned(view, o))(jnp.ones(network.normalizer.mean.size))
    back = jax.jacobian(lambda a: sides.turned_back(view, a))(jnp.ones(network.log_std.size))
    norm = network.normalizer

    def first(net: Any) -> Any:
        return eqx.tree_at(lambda n: n.mlp.layers[0].weight, net, net.mlp.layers[0].weight @ sees)

    assert isinstance(network.actor, Feedforward)
    last = network.actor.mlp.layers[-1]
    actor = eqx.tree_at(
        lambda n: (n.mlp.layers[-1].weight, n.mlp.layers[-1].bias),
        first(network.actor),
        (back @ last.weight, back @ last.bias),
    )
    return replace(
        network,
        normalizer=replace(norm, mean=norm.mean @ sees, var=norm.var @ jnp.abs(sees)),
        actor=actor,
        critic=first(network.critic),
        log_std=jnp.abs(back) @ network.log_std,
        symmetry=symmetry,
    )


def config_of(network: ActorCritic) -> NetworkConfig:
    """The architecture from which a network of the same shape can be made again."""
    floor, clip = float(network.normalizer.floor), float(network.normalizer.clip)
    if isinstance(network.actor, Recurrent):
        return NetworkConfig("lstm", (network.actor.cell.hidden_size,), 1.0, floor, clip)
    widths = tuple(int(np.shape(layer.weight)[0]) for layer in network.actor.mlp.layers[:-1])
    return NetworkConfig("mlp", widths, 1.0, floor, clip, network.symmetry)
