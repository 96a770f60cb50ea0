"""Proximal policy optimisation (Schulman et al. 2017) as a pair of pure functions, the whole update in one jit.

The policy loss sees only the steps that the learning policy controlled; the value loss sees every step that leads on
to what the critic is meant to predict (DECISIONS 15 and 27).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from sparring.errors import InputError
from sparring.learners.gae import gae
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, fitted, heads, set_std
from sparring.nets.encoders import encode
from sparring.types import Array, Experience, Key, Learner, Metrics, Spaces


@dataclass(frozen=True)
class PPOConfig:
    """Section E.3 prints the clip range, GAE's .95 and 64 hidden units; the rest is DECISIONS 19."""

    learning_rate: float = 3e-4
    decay_updates: int = 0  # the learning rate falls linearly to zero over so many updates; 0: constant
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    epochs: int = 10
    minibatch: int = 64  # steps
    value_coef: float = 0.5
    entropy_coef: float = 0.0
    max_grad_norm: float = 0.5
    normalize_observations: bool = True
    normalize_advantages: bool = True
    warmup_updates: int = 0  # so many first updates train the critic alone
    min_std: float = 0.0  # floor of the Gaussian's standard deviation
    start_std: float = 0.0  # when starting from given weights: reset the standard deviation; 0 keeps it
    end_std: float = 0.0  # of the policy that training ends with; 0: as learned
    average: float = 0.0  # it ends with a running mean of the weights that decays by this per update; 0: the last ones
    magnet: float = 0.0  # weight of the divergence from a magnet, a slow mean of the policy's own weights; 0: none
    magnet_rate: float = 0.05  # by so much of the way the magnet follows the weights after each update
    measure_gradient: bool = False  # report the norm of the policy's gradient over the whole round, before any step
    network: NetworkConfig = NetworkConfig()


class Moments(NamedTuple):
    """Adam's state, the critic's apart from the policy's: the policy's begins with its first step (DECISIONS 34)."""

    policy: Any
    critic: Any


class PPOState(NamedTuple):
    network: ActorCritic
    optimizer: Moments
    updates: Array  # int32 []
    average: Any  # optax.EmaState of the weights; () where none is kept
    magnet: Any = ()  # its weights; () where there is none


class Batch(NamedTuple):
    """What the losses need of each step; leaves [N, ...], or [T, M, ...] for recurrent networks."""

    observation: Array  # encoded and normalised
    legal: Array | None  # bool
    action: Array
    log_prob: Array
    advantage: Array
    target: Array  # of the critic
    controlled: Array  # bool
    valued: Array  # bool
    first: Array  # bool
    policy_state: Any  # [M, ...], recurrent networks only
    magnet: Any = ()  # the magnet's head [N, n] and log_std [N, A] at each step; () where there is none


# What is measured where the policy is in control; a minibatch may have no such step.
OF_THE_POLICY = ("policy_loss", "entropy", "kl", "clip_fraction", "magnet_kl")


def ppo(config: PPOConfig, start: ActorCritic | None = None) -> Learner:
    """PPO's `init`, `policy`, `update`, `final` and `halved`.

    Args:
      config: hyper-parameters.
      start: weights to start from instead of new ones (the benign policy's, say).

    Example:
      >>> learner = ppo(PPOConfig(minibatch=32))
      >>> state = learner.init(Spaces(Box((4,)), Discrete(2)), jax.random.key_data(jax.random.key(0)))

    Raises:
      InputError: settings out of range; from `init`, `start` does not fit the spaces.
    """
    _check(config)

    def init(spaces: Spaces, key: Key) -> PPOState:
        network = start
        if network is None:
            network = actor_critic(spaces, config.network, key)
        else:
            network = fitted(network, spaces, "start weights")
            if config.start_std:
                network = set_std(network, config.start_std)
        average = optax.ema(config.average).init(_weights(network)) if config.average else ()
        weights = _weights(network)
        moments = Moments(*(_ADAM.init(part) for part in _parts(weights)))
        return PPOState(network, moments, jnp.int32(0), average, weights if config.magnet else ())

    def update(state: PPOState, experience: Experience, key: Key) -> tuple[PPOState, Metrics]:
        return _update(config, state, experience, key)

    def halved() -> Learner:
        return ppo(replace(config, learning_rate=config.learning_rate / 2), start)

    return Learner(init, lambda state: state.network, update, lambda state: final_network(config, state), halved)


def final_network(config: PPOConfig, state: PPOState) -> ActorCritic:
    """The network to keep: averaged weights if `average`, standard deviation `end_std` if set.

    With `average`, the mean of what the weights were after each update (Polyak and Juditsky 1992): chance moves them to
    and fro, and most of that goes away in the mean.
    """
    network = state.network
    if config.average and state.updates > 0:
        mean = optax.tree.bias_correction(state.average.ema, config.average, state.average.count)
        network = eqx.combine(mean, network)
    return set_std(network, config.end_std) if config.end_std else network


@eqx.filter_jit
def _update(config: PPOConfig, state: PPOState, experience: Experience, key: Key) -> tuple[PPOState, Metrics]:
    """A module's function, not `ppo`'s own, so that learners with the same settings share what is compiled."""
    network = state.network
    seen = encode(network.observation, experience.observation)
    observation, action = network.turned(seen, experience.action)
    experience = experience._replace(observation=observation, action=action)
    batch = _batch(network, experience, config)
    # The critic's loss alone moves the weights while it warms up.
    warm = state.updates >= config.warmup_updates
    policy_weight = jnp.where(warm, 1.0, 0.0)
    decay = 1.0 - state.updates / config.decay_updates if config.decay_updates else 1.0
    rate = config.learning_rate * jnp.maximum(decay, 0.0)
    weights, static = eqx.partition(network, _trained(network))
    if config.magnet:
        batch = batch._replace(magnet=_pull(eqx.combine(state.magnet, static), batch))
    grad = jax.grad(ppo_loss, has_aux=True)

    def step(carry: Any, minibatch: Batch) -> tuple[Any, Metrics]:
        weights, moments = carry
        gradient, metrics = grad(weights, static, minibatch, config, policy_weight)
        direction, moments = _direction(gradient, moments, config.max_grad_norm, warm)
        weights = jax.tree.map(lambda w, d: w - rate * d, weights, direction)
        if config.min_std:
            weights = eqx.tree_at(lambda n: n.log_std, weights, jnp.maximum(weights.log_std, jnp.log(config.min_std)))
        return (weights, moments), {**metrics, "grad_norm": optax.tree.norm(gradient)}

    def epoch(carry: Any, key: Key) -> tuple[Any, Metrics]:
        return jax.lax.scan(step, carry, _minibatches(batch, network.recurrent, config.minibatch, key))

    keys = jax.random.split(jnp.asarray(key), config.epochs)
    (weights, moments), metrics = jax.lax.scan(epoch, (weights, state.optimizer), keys)
    steps = metrics["controlled"]
    metrics = {n: mean_of_means(m, steps if n in OF_THE_POLICY else None) for n, m in metrics.items()}
    del metrics["controlled"]
    if config.measure_gradient:
        metrics["gradient_norm"] = gradient_norm(*eqx.partition(network, _trained(network)), batch, config)
    metrics["std"] = jnp.exp(weights.log_std).mean() if weights.log_std.size else jnp.float32(0)
    metrics["learning_rate"] = jnp.asarray(rate, jnp.float32)
    missed = batch.target - experience.value.reshape(batch.target.shape)
    metrics["explained_variance"] = 1 - missed.var() / (batch.target.var() + 1e-8)
    average = optax.ema(config.average).update(weights, state.average)[1] if config.average else ()
    magnet = ()
    if config.magnet:
        magnet = jax.tree.map(lambda m, w: m + config.magnet_rate * (w - m), state.magnet, weights)
    network = eqx.combine(weights, static)
    if config.normalize_observations:
        # Behind the epochs: the log-probabilities and values of this round were recorded under the old statistics.
        flat = experience.observation.reshape(-1, experience.observation.shape[-1])
        network = eqx.tree_at(lambda n: n.normalizer, network, network.normalizer.update(flat))
    return PPOState(network, moments, state.updates + 1, average, magnet), metrics


_ADAM = optax.scale_by_adam(eps=1e-5)


def _direction(gradient: Any, moments: Moments, max_norm: float, warm: Array) -> tuple[Any, Moments]:
    """Adam's direction for the clipped gradient; the policy's moments start with its first step."""
    clip = optax.clip_by_global_norm(max_norm)
    gradient, _ = clip.update(gradient, clip.init(gradient))
    policy, critic = _parts(gradient)
    policy_direction, policy_moments = _ADAM.update(policy, moments.policy)
    critic_direction, critic_moments = _ADAM.update(critic, moments.critic)
    kept = jax.tree.map(lambda new, old: jnp.where(warm, new, old), policy_moments, moments.policy)
    policy_direction = jax.tree.map(lambda d: jnp.where(warm, d, 0.0), policy_direction)
    return eqx.combine(policy_direction, critic_direction), Moments(kept, critic_moments)


def _parts(weights: Any) -> tuple[Any, Any]:
    """The policy's weights and the critic's, each in the whole's structure with None elsewhere."""
    critics = eqx.tree_at(
        lambda n: n.critic, jax.tree.map(lambda _: False, weights), jax.tree.map(lambda _: True, weights.critic)
    )
    critic, policy = eqx.partition(weights, critics)
    return policy, critic


def ppo_loss(
    weights: ActorCritic, static: ActorCritic, batch: Batch, config: PPOConfig, policy_weight: Array
) -> tuple[Array, Metrics]:
    """Clipped surrogate (masked to controlled steps) + value_coef * squared error - entropy_coef * entropy."""
    network = eqx.combine(weights, static)
    if network.recurrent:
        head, value = network.unroll(batch.observation, batch.first, batch.policy_state)
    else:
        head, value, _ = network.forward(batch.observation, ((), ()))
    head = heads.masked(head, batch.legal)
    # A benign action may be so unlikely under the learning policy that its ratio overflows: mask before exp.
    log_ratio = jnp.where(batch.controlled, network.log_prob(head, batch.action) - batch.log_prob, 0.0)
    ratio = jnp.exp(log_ratio)
    advantage = batch.advantage
    if config.normalize_advantages:
        advantage = normalized(advantage, batch.target, batch.controlled)
    clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    policy_loss = -masked_mean(jnp.minimum(ratio * advantage, clipped * advantage), batch.controlled)
    entropy = masked_mean(network.entropy(head), batch.controlled)
    value_loss = masked_mean((value - batch.target) ** 2, batch.valued)
    actor_loss = policy_loss - config.entropy_coef * entropy
    pull = jnp.float32(0)
    if config.magnet:
        magnet_head, magnet_log_std = batch.magnet
        away = heads.divergence(network.action, head, network.log_std, magnet_head, magnet_log_std)
        pull = masked_mean(away, batch.controlled)
        actor_loss = actor_loss + config.magnet * pull
    loss = policy_weight * actor_loss + config.value_coef * value_loss
    metrics = {
        "controlled": batch.controlled.sum(),
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl": masked_mean(ratio - 1 - log_ratio, batch.controlled),
        "clip_fraction": masked_mean(jnp.abs(ratio - 1) > config.clip, batch.controlled),
    }
    if config.magnet:
        metrics["magnet_kl"] = pull
    return loss, metrics


def gradient_norm(weights: ActorCritic, static: ActorCritic, batch: Batch, config: PPOConfig) -> Array:
    """Norm of the policy's gradient of the surrogate over all steps of a round, [], where no step was taken yet.

    There the surrogate's gradient is the policy gradient, mean(advantage * grad log pi) over the controlled steps. The
    advantages are as they are: divided by their spread they would never tell that little is left to gain.
    """
    plain = replace(config, value_coef=0.0, entropy_coef=0.0, magnet=0.0, normalize_advantages=False)
    gradient, _ = jax.grad(ppo_loss, has_aux=True)(weights, static, batch, plain, jnp.float32(1))
    return optax.tree.norm(_parts(gradient)[0])


def _pull(magnet: ActorCritic, batch: Batch) -> tuple[Array, Array]:
    """What the magnet would do at every step: its heads [N, n] and, of Gaussians, its log_std [N, A].

    A recurrent magnet begins each sequence with the state of the policy that played.
    """
    if magnet.recurrent:
        head, _ = magnet.unroll(batch.observation, batch.first, batch.policy_state)
    else:
        head, _, _ = magnet.forward(batch.observation, ((), ()))
    head = heads.masked(head, batch.legal)
    return head, jnp.broadcast_to(magnet.log_std, (*head.shape[:-1], magnet.log_std.size))


def normalized(advantage: Array, target: Array, mask: Array) -> Array:
    """Advantages [...] with mean 0 and standard deviation 1 where `mask`.

    The divisor has a floor relative to the size of what was subtracted: advantages that are equal but for float32's
    rounding are 0, not noise of size 1 (DECISIONS 34).
    """
    mean = masked_mean(advantage, mask)
    mean = mean + masked_mean(advantage - mean, mask)  # a sum of many numbers misses by more than the last digit
    spread = jnp.sqrt(masked_mean((advantage - mean) ** 2, mask))
    size = jnp.sqrt(masked_mean(advantage**2, mask) + masked_mean(target**2, mask))
    return (advantage - mean) / jnp.maximum(spread + 1e-5 * size, jnp.finfo(jnp.float32).tiny)


def mean_of_means(means: Array, steps: Array | None) -> Array:
    """The mean over minibatches of means over so many of their steps; None: over equally many."""
    return means.mean() if steps is None else (means * steps).sum() / jnp.maximum(steps.sum(), 1)


def masked_mean(x: Array, mask: Array) -> Array:
    """Mean of `x` where `mask`; 0 where nothing is masked in."""
    return jnp.where(mask, x, 0.0).sum() / jnp.maximum(mask.sum(), 1)


def _batch(network: ActorCritic, experience: Experience, config: PPOConfig) -> Batch:
    e = experience
    advantage = gae(
        e.reward, e.value, e.bootstrap, e.terminated, e.truncated, e.last_value, config.gamma, config.gae_lambda
    )
    normalized = network.normalizer(e.observation)
    target = advantage + e.value
    batch = Batch(normalized, e.legal, e.action, e.log_prob, advantage, target, e.controlled, e.valued, e.first, ())
    if network.recurrent:
        return batch._replace(policy_state=e.policy_state)
    return jax.tree.map(lambda x: x.reshape((-1, *x.shape[2:])), batch)


def _minibatches(batch: Batch, recurrent: bool, size: int, key: Key) -> Batch:
    """Shuffled once and cut into minibatches along a new first axis; what does not fill one is left out.

    A recurrent network's minibatch is made of whole sequences, `size` steps together or one sequence at the least.
    """
    if not recurrent:
        order = shuffled(key, len(batch.target))
        size = min(size, len(order))
        count = len(order) // size
        return jax.tree.map(lambda x: x[order[: count * size]].reshape((count, size, *x.shape[1:])), batch)
    length, matches = batch.target.shape
    order = shuffled(key, matches)
    rows = min(max(size // length, 1), matches)
    count = matches // rows
    chosen = order[: count * rows].reshape(count, rows)
    sequences = jax.tree.map(lambda x: jnp.moveaxis(x[:, chosen], 1, 0), batch._replace(policy_state=()))
    return sequences._replace(policy_state=jax.tree.map(lambda x: x[chosen], batch.policy_state))


def shuffled(key: Key, n: int) -> Array:
    """0 to n - 1 in random order, [n]: uint32 random numbers that end with the index, sorted.

    XLA sorts single numbers several times as fast as `jax.random.permutation` sorts pairs, which takes a third of an
    update of small networks. Numbers that agree but for the index keep its order: 2^16 of them have 16 random bits, so
    such neighbours lie together, nearly always in one minibatch, where order does not matter.
    """
    bits = max(n - 1, 1).bit_length()
    if bits > 16:
        return jax.random.permutation(key, n)
    random = jax.random.bits(key, (n,), jnp.uint32) << bits
    return (jnp.sort(random | jnp.arange(n, dtype=jnp.uint32)) & jnp.uint32((1 << bits) - 1)).astype(jnp.int32)


def _trained(network: ActorCritic) -> Any:
    """Which leaves gradient descent moves: every weight, but not the normaliser."""
    mask = jax.tree.map(eqx.is_inexact_array, network)
    return eqx.tree_at(lambda n: n.normalizer, mask, jax.tree.map(lambda _: False, network.normalizer))


def _weights(network: ActorCritic) -> Any:
    return eqx.filter(network, _trained(network))


def _check(config: PPOConfig) -> None:
    for name in ("epochs", "minibatch"):
        if getattr(config, name) < 1:
            raise InputError(f"{name}: expected at least 1, got {getattr(config, name)}")
    for name in ("gamma", "gae_lambda"):
        if not 0 <= getattr(config, name) <= 1:
            raise InputError(f"{name}: expected a number in [0, 1], got {getattr(config, name)}")
    if not 0 <= config.average < 1:
        raise InputError(f"average: expected a number in [0, 1), got {config.average}")
    if not 0 <= config.magnet_rate <= 1 or not 0 <= config.magnet < float("inf"):
        raise InputError(
            f"magnet and magnet_rate: expected a weight of at least 0 and a number in [0, 1], got {config.magnet} and "
            f"{config.magnet_rate}"
        )
    if not config.learning_rate >= 0:
        raise InputError(f"learning_rate: expected a number of at least 0, got {config.learning_rate}")
