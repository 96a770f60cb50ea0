"""Actor-critics in Equinox: MLP and LSTM, Gaussian and categorical, with their observation normaliser.

A network is a pytree of its weights; everything else about it (spaces, architecture) is static.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.errors import InputError, unknown
from sparring.nets import heads
from sparring.nets.encoders import encode
from sparring.nets.normalizer import Normalizer, normalizer
from sparring.types import ActionSpace, Array, Box, Decision, Key, Space, Spaces, View

Architecture = Literal["mlp", "lstm"]


@runtime_checkable
class Frame(Protocol):
    """A game's symmetry: one of several equivalent descriptions of a situation, in which a network sees and acts.

    Hashable (it is static under jit). Observations [..., D] are flat, as `encoders.encode` makes them; a `turn` is
    whatever `turn` returns, an array or a tuple of arrays with the leading dimensions.
    """

    @property
    def name(self) -> str:
        """What the family's module makes it from again."""
        ...

    @property
    def observation(self) -> int:
        """D."""
        ...

    @property
    def choices(self) -> int:
        """How many descriptions `choice` offers."""
        ...

    def choice(self, number: int) -> Any:
        """One turn; the first changes nothing."""
        ...

    def turn(self, observation: Array) -> Any:
        """The change of description that is used of what is seen."""
        ...

    def turned(self, turn: Any, observation: Array) -> Array:
        """The observations in that description."""
        ...

    def turned_action(self, turn: Any, action: Array) -> Array:
        """The actions [..., A] in that description."""
        ...

    def turned_back(self, turn: Any, action: Array) -> Array:
        """The inverse of `turned_action`."""
        ...


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
    With a `frame`, the networks see and act in one description of the many equivalent ones of each situation.
    """

    normalizer: Normalizer
    actor: Feedforward | Recurrent
    critic: Feedforward | Recurrent
    log_std: Array  # float32 [A]; empty for discrete actions
    observation: Space = eqx.field(static=True)
    action: ActionSpace = eqx.field(static=True)
    greedy: bool = eqx.field(static=True, default=False)
    frame: Frame | None = eqx.field(static=True, default=None)

    @property
    def traceable(self) -> bool:
        return True

    @property
    def recurrent(self) -> bool:
        return isinstance(self.actor, Recurrent)

    def initial_state(self, batch: int) -> Any:
        return self.actor.initial_state(batch), self.critic.initial_state(batch)

    def act(self, key: Key, view: View, state: Any) -> Decision:
        """Sample (or, if `greedy`, take the mode) for B matches."""
        seen, turned_back = self._turned(encode(self.observation, view.observation))
        head, value, state = self.forward(self.normalizer(seen), state)
        head = heads.masked(head, view.legal)
        action = heads.sample(self.action, head, self.log_std, key, self.greedy)
        return Decision(turned_back(action), state, self.log_prob(head, action), value)

    def turned(self, observation: Array, action: Array) -> tuple[Array, Array]:
        """Flat observations [..., D] and the actions taken there [..., A], as the networks see them."""
        if self.frame is None:
            return observation, action
        turn = self.frame.turn(observation)
        return self.frame.turned(turn, observation), self.frame.turned_action(turn, action)

    def _turned(self, observation: Array) -> tuple[Array, Callable[[Array], Array]]:
        """The observations [B, D] as the networks see them, and what turns their actions back."""
        if self.frame is None:
            return observation, lambda action: action
        frame, turn = self.frame, self.frame.turn(observation)
        return frame.turned(turn, observation), lambda action: frame.turned_back(turn, action)

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
        """Log-probability (density) [...] of actions under heads [..., n]; see `heads`."""
        return heads.log_prob(self.action, head, self.log_std, action)

    def entropy(self, head: Array) -> Array:
        """Entropy [...] (differential for Gaussians), in nats."""
        return heads.entropy(self.action, head, self.log_std)


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
    frame: Frame | None = None


def actor_critic(spaces: Spaces, config: NetworkConfig, key: Key) -> ActorCritic:
    """A new actor-critic: orthogonal weights (gain sqrt 2; 0.01 for the policy's head, 1 for the value's), no bias.

    Raises:
      InputError: an unknown architecture, hidden layers of unequal width, or a frame that does not fit.
    """
    inputs, outputs = spaces.observation.size, spaces.action.size
    if config.frame is not None:
        _check_frame(config.frame, config.architecture, inputs)
    keys = jax.random.split(jnp.asarray(key), 2)
    actor = _network(inputs, outputs, config, keys[0], gain=0.01)
    critic = _network(inputs, 1, config, keys[1], gain=1.0)
    width = outputs if isinstance(spaces.action, Box) else 0
    log_std = jnp.full(width, math.log(config.initial_std), jnp.float32)
    norm = normalizer(inputs, config.variance_floor, config.observation_clip)
    return ActorCritic(norm, actor, critic, log_std, spaces.observation, spaces.action, frame=config.frame)


def _check_frame(frame: Frame, architecture: str, size: int) -> None:
    if architecture != "mlp":
        raise InputError(f"symmetry {frame.name}: expected an MLP; an LSTM would remember what it saw from other sides")
    if size != frame.observation:
        raise InputError(f"symmetry {frame.name}: expected observations of size {frame.observation}, got {size}")


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
        embed, head = _linear(size_in, width), _linear(width, size_out)
        return Recurrent(_orthogonal(embed, math.sqrt(2), keys[2]), cell, _orthogonal(head, gain, keys[3]))
    if len(set(config.hidden)) != 1:
        raise unknown("hidden layers (all must have one width)", str(config.hidden), ["64,64", "128,128"])
    mlp = _shaped(eqx.nn.MLP, size_in, size_out, config.hidden[0], len(config.hidden), jnp.tanh)
    gains = [math.sqrt(2)] * len(config.hidden) + [gain]
    layer_keys = jax.random.split(keys[1], len(gains))
    layers = tuple(_orthogonal(layer, g, k) for layer, g, k in zip(mlp.layers, gains, layer_keys, strict=True))
    return Feedforward(eqx.tree_at(lambda m: m.layers, mlp, layers))


def _linear(size_in: int, size_out: int) -> eqx.nn.Linear:
    return _shaped(eqx.nn.Linear, size_in, size_out)


def _shaped(layer: Callable[..., Any], *arguments: Any) -> Any:
    """A layer whose weights are given by their shapes alone: the library's own would be drawn for nothing."""
    return eqx.filter_eval_shape(layer, *arguments, key=jax.random.key(0))


def _orthogonal(layer: eqx.nn.Linear, gain: float, key: Key) -> eqx.nn.Linear:
    """The layer with new weights, for those that it has or for their shapes."""
    weight = jax.nn.initializers.orthogonal(gain)(key, layer.weight.shape, jnp.float32)
    assert layer.bias is not None
    return eqx.tree_at(
        lambda m: (m.weight, m.bias), layer, (weight, jnp.asarray(np.zeros(layer.bias.shape, np.float32)))
    )


def set_std(network: ActorCritic, std: float) -> ActorCritic:
    """The same network with the Gaussian's standard deviation set anew in every dimension."""
    return eqx.tree_at(lambda n: n.log_std, network, jnp.full_like(network.log_std, math.log(std)))


def fitted(network: ActorCritic, spaces: Spaces, source: str) -> ActorCritic:
    """The network as one for these spaces: what it reads and does must have their sizes and kinds.

    Raises:
      InputError: it does not fit; `source` names it.
    """
    ours, theirs = (network.normalizer.mean.size, network.action), (spaces.observation.size, spaces.action)
    alike = ours[0] == theirs[0] and type(ours[1]) is type(theirs[1])
    if isinstance(network.action, Box) and isinstance(spaces.action, Box):
        alike = alike and network.action.size == spaces.action.size
    elif network.action != spaces.action:
        alike = False
    if not alike:
        raise InputError(
            f"{source}: expected observations of size {theirs[0]} and {theirs[1]}, got {ours[0]} and {ours[1]}"
        )
    return replace(network, observation=spaces.observation, action=spaces.action)


def in_frame(network: ActorCritic, frame: Frame, choice: int) -> ActorCritic:
    """A network that acts in every situation as this one acts in one of the kinds that a symmetry makes alike.

    A change of description is a signed permutation of observations and one of actions, so the result has the same
    weights in another order and with other signs.

    Args:
      network: an MLP without a frame.
      frame: the symmetry.
      choice: the kind of situation, 0 .. `frame.choices` - 1; 0 is that of the frame itself.

    Raises:
      InputError: the frame does not fit, the network has one already, or there is no such choice.
    """
    _check_frame(frame, "lstm" if network.recurrent else "mlp", network.normalizer.mean.size)
    if network.frame is not None or not 0 <= choice < frame.choices:
        raise InputError(
            f"symmetry {frame.name}: expected a network without one and a choice from 0 to {frame.choices - 1}, "
            f"got a network {'without' if network.frame is None else 'with'} one and choice {choice}"
        )
    turn = frame.choice(choice)
    # Quaternions are given a sign besides, for which an orientation near none is needed to be linear: ones are.
    sees = jax.jacobian(lambda o: frame.turned(turn, o))(jnp.ones(network.normalizer.mean.size))
    back = jax.jacobian(lambda a: frame.turned_back(turn, a))(jnp.ones(network.log_std.size))
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
        frame=frame,
    )


def config_of(network: ActorCritic) -> NetworkConfig:
    """The architecture from which a network of the same shape can be made again."""
    floor, clip = float(network.normalizer.floor), float(network.normalizer.clip)
    if isinstance(network.actor, Recurrent):
        return NetworkConfig("lstm", (network.actor.cell.hidden_size,), 1.0, floor, clip)
    widths = tuple(int(np.shape(layer.weight)[0]) for layer in network.actor.mlp.layers[:-1])
    return NetworkConfig("mlp", widths, 1.0, floor, clip, network.frame)
