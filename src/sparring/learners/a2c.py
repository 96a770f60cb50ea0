"""Advantage actor-critic (Mnih et al. 2016) over whole matches, as a pair of pure functions; the update is one jit.

A batch is B matches: of each slot, the first match that begins in the round counts, and nothing else. Its length does
not decide whether it counts, so short matches are not favoured, and a round of 2 L - 1 steps is sure to hold it whole
where no match takes more than L. What is summed over a match's steps is averaged over matches, so that the expected
update is the gradient of the expected return itself, for an attacker with the factor epsilon (Lemma D.1, DECISIONS 13).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from sparring.errors import InputError
from sparring.learners.gae import gae
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, heads
from sparring.nets.encoders import encode
from sparring.types import Array, Discrete, Experience, Key, Learner, Metrics, Spaces

M = TypeVar("M", bound=eqx.Module)


@dataclass(frozen=True)
class A2CConfig:
    """Section E.3 prints SGD and one hidden layer of 128; the entropy bonus is DECISIONS 10, the rates are ours.

    Raises:
      InputError: a rate or coefficient that is negative or NaN, or a discount outside [0, 1].
    """

    learning_rate: float = 0.01  # of the policy: eta of the paper's algorithms
    critic_rate: float = 0.1
    gamma: float = 1.0
    entropy_coef: float = 0.1
    magnet: float = 0.0  # weight of the divergence from a magnet, a slow mean of the policy's own weights; 0: none
    magnet_rate: float = 0.01  # by so much of the way the magnet follows the weights after each update
    hidden: tuple[int, ...] = (128,)

    def __post_init__(self) -> None:
        for name in ("learning_rate", "critic_rate", "entropy_coef", "magnet"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}: expected a number of at least 0, got {getattr(self, name)}")
        for name in ("gamma", "magnet_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected a number in [0, 1], got {getattr(self, name)}")


class Pulled(NamedTuple):
    """The learner's state where there is a magnet."""

    network: ActorCritic
    magnet: ActorCritic


class Matches(NamedTuple):
    """The steps of a round, one after the other [N, ...]; a sum weighted by `weight` is a mean over matches."""

    observation: Array  # [N, D], encoded
    legal: Array | None  # bool [N, n]
    action: Array  # int [N]
    returns: Array  # [N], discounted, from the step to the end of its match
    advantage: Array  # [N], returns minus the critic
    weight: Array  # [N], 0 outside of the matches that count
    controlled: Array  # [N], `weight` gamma^t where the learning policy chose, else 0 (DECISIONS 15 and 32)
    moved: Array | None = None  # [N], `weight` where it was the agent's move, else 0; None: it always was


def a2c(config: A2CConfig) -> Learner:
    """A2C's `init`, `policy` and `update`; the learner's state is its network, with a magnet the two of them.

    With a magnet each update is a step of magnetic mirror descent's policy-gradient form (Sokota et al. 2023): the
    policy is drawn towards a slow mean of itself, which is drawn towards the policy.

    Raises:
      InputError: from `init`, actions that are not discrete.
    """

    def init(spaces: Spaces, key: Key) -> ActorCritic | Pulled:
        network = new_network(spaces, config, key)
        return Pulled(network, network) if config.magnet else network

    def update(state: ActorCritic | Pulled, experience: Experience, key: Key) -> tuple[ActorCritic | Pulled, Metrics]:
        del key
        return _update(config, state, experience)

    def policy(state: ActorCritic | Pulled) -> ActorCritic:
        return state.network if isinstance(state, Pulled) else state

    def halved() -> Learner:
        return a2c(replace(config, learning_rate=config.learning_rate / 2))

    return Learner(init, policy, update, halved=halved)


def new_network(spaces: Spaces, config: A2CConfig, key: Key) -> ActorCritic:
    """A new policy and critic.

    Raises:
      InputError: actions that are not discrete.
    """
    if not isinstance(spaces.action, Discrete):
        raise InputError(f"A2C and RPG learn discrete actions, got {spaces.action}; use PPO")
    return actor_critic(spaces, NetworkConfig(hidden=config.hidden), key)


@eqx.filter_jit
def _update(
    config: A2CConfig, state: ActorCritic | Pulled, experience: Experience
) -> tuple[ActorCritic | Pulled, Metrics]:
    network, magnet = state if isinstance(state, Pulled) else (state, None)
    matches = whole_matches(network, experience, config.gamma)
    gradient, metrics = eqx.filter_grad(a2c_loss, has_aux=True)(
        network, matches, config.entropy_coef, magnet, config.magnet
    )
    metrics = {**metrics, "grad_norm": optax.tree.norm(gradient.actor)}
    moved = descend(network, gradient, config)
    if magnet is None:
        return moved, metrics
    slow, static = eqx.partition(magnet.actor, eqx.is_inexact_array)
    fast = eqx.filter(moved.actor, eqx.is_inexact_array)
    followed = jax.tree.map(lambda m, w: m + config.magnet_rate * (w - m), slow, fast)
    return Pulled(moved, eqx.tree_at(lambda n: n.actor, magnet, eqx.combine(followed, static))), metrics


def whole_matches(network: ActorCritic, experience: Experience, gamma: float) -> Matches:
    """What counts of a round (see the module), with Monte Carlo returns.

    A match that ends at a time limit, or with the round, is bootstrapped from the critic (DECISIONS 16). A match that
    the learning policy does not play counts for nothing. With gamma^t, t the steps since the match began, the expected
    update is the gradient of the discounted value (Lemma D.1, DECISIONS 32).
    """
    e = experience
    # With a trace of 1, advantage + value is the Monte Carlo return: the critic enters by `bootstrap` and `last_value`.
    advantage = gae(e.reward, e.value, e.bootstrap, e.terminated, e.truncated, e.last_value, gamma, 1.0)
    counts = (jnp.cumsum(e.first, axis=0) == 1) & e.valued
    weight = counts / jnp.maximum((e.first & counts).sum(), 1)
    discount = gamma ** (jnp.cumsum(counts, axis=0) - 1.0)
    controlled = jnp.where(e.controlled & counts, weight * discount, 0.0)
    moved = None if e.moves is None else jnp.where(e.moves, weight, 0.0)
    observation = encode(network.observation, e.observation)
    rows = (observation, e.legal, e.action, advantage + e.value, advantage, weight, controlled, moved)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), Matches(*rows))


def a2c_loss(
    network: ActorCritic,
    matches: Matches,
    entropy_coef: float,
    magnet: ActorCritic | None = None,
    magnet_coef: float = 0.0,
) -> tuple[Array, Metrics]:
    """Policy gradient - entropy_coef * entropy + half the critic's squared error, each a mean over matches.

    With a magnet, + magnet_coef * the policy's divergence from it.

    Policy and critic share no weight, so each descends its own part at its own rate.
    """
    logits, value, _ = network.forward(network.normalizer(matches.observation), ((), ()))
    logits = heads.masked(logits, matches.legal)
    policy_loss = policy_gradient_loss(logits, matches.action, matches.advantage, matches.controlled)
    entropy = (matches.controlled * network.entropy(logits)).sum()
    value_loss = 0.5 * (matches.weight * (value - matches.returns) ** 2).sum()
    metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
    loss = policy_loss - entropy_coef * entropy + value_loss
    if magnet is not None:
        there, _, _ = magnet.forward(network.normalizer(matches.observation), ((), ()))
        away = heads.divergence(
            network.action, logits, network.log_std, heads.masked(there, matches.legal), magnet.log_std
        )
        metrics["magnet_kl"] = (matches.controlled * away).sum()
        loss = loss + magnet_coef * metrics["magnet_kl"]
    return loss, metrics


def policy_gradient_loss(logits: Array, action: Array, advantage: Array, weight: Array) -> Array:
    """- sum_t weight_t advantage_t log pi(a_t) (Williams 1992).

    This and the regret loss are those of rlax, which is compared with in the tests but not imported here: it brings
    TensorFlow Probability, takes two seconds, and relies on parts of JAX that are about to be removed.
    """
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=1)[:, 0]
    return -(weight * advantage * chosen).sum()


def descend(network: ActorCritic, gradient: ActorCritic, config: A2CConfig) -> ActorCritic:
    """One step of SGD, the policy and the critic each at its rate; the normaliser stays the identity."""
    actor = stepped(network.actor, gradient.actor, config.learning_rate)
    critic = stepped(network.critic, gradient.critic, config.critic_rate)
    return eqx.tree_at(lambda n: (n.actor, n.critic), network, (actor, critic))


def stepped(module: M, gradient: M, rate: float) -> M:
    """module - rate * gradient."""
    return eqx.apply_updates(module, jax.tree.map(lambda g: -rate * g, gradient))
