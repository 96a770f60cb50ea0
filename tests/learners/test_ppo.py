"""The update of PPO: what one call of `update` does with what was played."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare
from small_networks import CONTINUOUS, DISCRETE, KEY, PLAIN, B, T, network

from sparring.errors import InputError
from sparring.learners.ppo import PPOConfig, PPOState, final_network, ppo, shuffled
from sparring.nets import ActorCritic
from sparring.types import Box, Discrete, Experience, Spaces


def experience(net: ActorCritic, spaces: Spaces, seed: int = 0, centre: float = 0.0, **changes: Any) -> Experience:
    """What `rollout` would record of `net` in a game of random observations."""
    rng = np.random.default_rng(seed)
    observation = jnp.asarray(centre + rng.normal(size=(T, B, 3)), jnp.float32)
    first = jnp.asarray(rng.random((T, B)) < 0.3)
    discrete = isinstance(spaces.action, Discrete)
    action = jnp.asarray(rng.integers(4, size=(T, B)) if discrete else rng.normal(size=(T, B, 2)).astype(np.float32))
    state = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), net.initial_state(B))
    head, value = net.unroll(net.normalizer(observation), first, state)
    none = jnp.zeros((T, B), bool)
    made = Experience(
        observation=observation,
        legal=None,
        action=action,
        reward=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        log_prob=net.log_prob(head, action),
        value=value,
        bootstrap=jnp.zeros((T, B)),
        controlled=~none,
        valued=~none,
        terminated=none,
        truncated=none,
        first=first,
        last_value=jnp.zeros(B),
        policy_state=state,
    )
    return made._replace(**changes)


def leaves(tree: Any) -> list[np.ndarray]:
    return [np.asarray(x) for x in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def begin(config: PPOConfig, net: ActorCritic, spaces: Spaces) -> tuple[Any, PPOState]:
    learner = ppo(config, net)
    return learner.update, learner.init(spaces, KEY)


@pytest.mark.parametrize(
    ("architecture", "minibatch", "started"), [("mlp", 7, False), ("mlp", 7, True), ("lstm", 2 * T, True)]
)
def test_the_first_ratios_are_one(architecture: str, minibatch: int, started: bool) -> None:
    """With a rate of zero, every minibatch sees the probabilities that were recorded: nothing is mixed up.

    Observations lie about 50, where the normaliser's statistics matter: they follow the epochs. Taken in before, they
    gave given weights a KL of 3.9 before any step.
    """
    net = network(CONTINUOUS, architecture)
    if started:
        net = replace(net, normalizer=net.normalizer.update(40 + jnp.asarray([[1.0, 2, 3], [4, 6, 8]])))
    config = replace(PLAIN, learning_rate=0.0, epochs=2, minibatch=minibatch, normalize_observations=True)
    update, state = begin(config, net, CONTINUOUS)
    after, metrics = update(state, experience(net, CONTINUOUS, centre=50.0), KEY)
    assert float(metrics["kl"]) == pytest.approx(0, abs=1e-6)
    assert float(metrics["clip_fraction"]) == 0
    assert float(metrics["explained_variance"]) <= 1
    weights = [(n.actor, n.critic, n.log_std) for n in (after.network, net)]
    assert same(*weights)
    assert int(after.updates) == 1
    assert float(after.network.normalizer.count) == T * B + 2 * started


@pytest.mark.slow
@pytest.mark.parametrize(("truncated", "target"), [(True, 1 + 0.9 * 5), (False, 1.0)])
def test_truncation_bootstraps_and_termination_does_not(truncated: bool, target: float) -> None:
    """Through the whole update: with a rate of zero, the loss of the value says what its target was."""
    net = network(CONTINUOUS, "mlp")
    yes, no = jnp.ones((T, B), bool), jnp.zeros((T, B), bool)
    e = experience(
        net,
        CONTINUOUS,
        reward=jnp.ones((T, B)),
        bootstrap=jnp.full((T, B), 5.0 * truncated),
        terminated=no if truncated else yes,
        truncated=yes if truncated else no,
        last_value=jnp.full(B, 100.0),
    )
    update, state = begin(replace(PLAIN, learning_rate=0.0, gamma=0.9), net, CONTINUOUS)
    _, metrics = update(state, e, KEY)
    assert float(metrics["value_loss"]) == pytest.approx(float(((e.value - target) ** 2).mean()), rel=1e-4)


@pytest.mark.slow
def test_warming_up_trains_the_critic_alone() -> None:
    net = network(CONTINUOUS, "mlp")
    update, state = begin(replace(PLAIN, warmup_updates=2, entropy_coef=0.1, epochs=2), net, CONTINUOUS)
    for n in range(3):
        before = state.network
        state, _ = update(state, experience(before, CONTINUOUS, seed=n), KEY)
        assert same((before.actor, before.log_std), (state.network.actor, state.network.log_std)) == (n < 2)
        assert not same(before.critic, state.network.critic)


@pytest.mark.slow
def test_the_policys_first_step_after_a_warm_up_is_as_long_as_without_one() -> None:
    """Bit for bit the same step: Adam's second moment of the policy starts with its first step (DECISIONS 34).

    With moments that start with the critic's, a first step after five updates of warm-up was three times as long
    (change of the actor .55 instead of .19, KL .021 instead of .003).
    """
    net = network(CONTINUOUS, "mlp")
    # The norm that gradients are clipped to is the whole network's, so it is out of reach here.
    config = replace(PLAIN, epochs=3, minibatch=T * B // 2, learning_rate=1e-3)
    e = experience(net, CONTINUOUS)
    update, state = begin(config, net, CONTINUOUS)
    expected, plain = update(state, e, KEY)
    update, state = begin(replace(config, warmup_updates=5), net, CONTINUOUS)
    for n in range(5):
        state, _ = update(state, experience(state.network, CONTINUOUS, seed=n), KEY)
    after, metrics = update(state, e, KEY)
    moved, wanted = ((n.network.actor, n.network.log_std) for n in (after, expected))
    for got, right in zip(leaves(moved), leaves(wanted), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-6, atol=1e-8)
    assert not same(wanted, (net.actor, net.log_std))
    assert float(metrics["kl"]) == pytest.approx(float(plain["kl"]), rel=1e-3)


@pytest.mark.slow
def test_without_control_the_actor_stays_as_it_is() -> None:
    net = network(CONTINUOUS, "mlp")
    update, state = begin(replace(PLAIN, entropy_coef=0.1), net, CONTINUOUS)
    e = experience(net, CONTINUOUS, controlled=jnp.zeros((T, B), bool))
    after, metrics = update(state, e, KEY)
    assert same((net.actor, net.log_std), (after.network.actor, after.network.log_std))
    assert not same(net.critic, after.network.critic)  # the value loss sees every step
    assert all(np.isfinite(float(x)) for x in metrics.values())


@pytest.mark.slow
def test_the_standard_deviation_has_a_floor_a_start_and_an_end() -> None:
    net = network(CONTINUOUS, "mlp")
    config = replace(PLAIN, start_std=0.31, min_std=0.3, learning_rate=0.2)
    update, state = begin(config, net, CONTINUOUS)
    np.testing.assert_allclose(np.exp(state.network.log_std), 0.31, rtol=1e-6)
    # All advantage to the mode: the deviation shrinks.
    e = experience(state.network, CONTINUOUS)
    head, _ = state.network.unroll(e.observation, e.first, e.policy_state)
    near = jnp.arange(T)[:, None] % 2 == jnp.zeros((1, B))
    action = jnp.where(near[..., None], head, head + 1.0)
    e = e._replace(
        action=action, log_prob=state.network.log_prob(head, action), terminated=near | True, reward=1.0 * near
    )
    after, metrics = update(state, e, KEY)
    np.testing.assert_allclose(np.exp(after.network.log_std), 0.3, rtol=1e-6)
    assert final_network(config, after) is after.network
    end = final_network(replace(config, end_std=0.1), after)
    np.testing.assert_allclose(np.exp(end.log_std), 0.1, rtol=1e-6)
    assert same((end.actor, end.critic), (after.network.actor, after.network.critic))
    assert float(metrics["std"]) == pytest.approx(0.3)


@pytest.mark.slow
def test_the_learning_rate_falls_to_zero() -> None:
    net = network(DISCRETE, "mlp")
    update, state = begin(replace(PLAIN, decay_updates=2, learning_rate=1e-3), net, DISCRETE)
    for n, rate in enumerate([1e-3, 5e-4, 0.0, 0.0]):
        before = state.network
        state, metrics = update(state, experience(before, DISCRETE, seed=n), KEY)
        assert float(metrics["learning_rate"]) == pytest.approx(rate)
        assert same(before, state.network) == (rate == 0)


@pytest.mark.slow
def test_the_average_is_that_of_the_weights_after_each_update() -> None:
    net = network(CONTINUOUS, "mlp")
    config = replace(PLAIN, learning_rate=0.01, average=0.75, normalize_observations=True)
    update, state = begin(config, net, CONTINUOUS)
    assert same(final_network(config, state), net)  # nothing has been learned
    final = ppo(config, net).final
    assert final is not None and same(final(state), net)
    seen = []
    for n in range(3):
        state, _ = update(state, experience(state.network, CONTINUOUS, seed=n), KEY)
        seen.append(state.network)
    end = final_network(config, state)
    # Weights .75^2, .75 and 1 of the three, divided by their sum 2.3125.
    for found, *parts in zip(leaves(end.actor), *(leaves(x.actor) for x in seen), strict=True):
        expected = (0.5625 * parts[0] + 0.75 * parts[1] + parts[2]) / 2.3125
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert same(end.normalizer, seen[-1].normalizer)  # statistics of all observations, not weights
    update, state = begin(replace(config, average=0.0), net, CONTINUOUS)
    plain, _ = update(state, experience(net, CONTINUOUS, seed=0), KEY)
    assert same(plain.network, seen[0])  # what is learned does not depend on it


@pytest.mark.slow
def test_metrics_of_the_policy_are_means_over_its_steps() -> None:
    """Minibatches of one step, of which some are not controlled: these tell nothing of the entropy."""
    controlled = np.zeros((T, B), bool)
    controlled[1, 2] = controlled[3, 0] = True
    net = network(DISCRETE, "mlp")
    e = experience(net, DISCRETE, controlled=jnp.asarray(controlled))
    told = []
    for minibatch in (1, T * B):
        update, state = begin(replace(PLAIN, minibatch=minibatch, learning_rate=0.0), net, DISCRETE)
        told.append(float(update(state, e, KEY)[1]["entropy"]))
    assert told[0] == pytest.approx(told[1], rel=1e-5) and told[1] > 0.1


def test_an_update_is_a_function_of_its_arguments() -> None:
    net = network(DISCRETE, "mlp")
    update, state = begin(replace(PLAIN, epochs=2, minibatch=2 * T), net, DISCRETE)
    e = experience(net, DISCRETE)
    first, again, other = (update(state, e, k)[0] for k in (KEY, KEY, KEY + 1))
    assert same(first, again)
    assert not same(first, other)  # other minibatches
    assert not same(first.network.actor, net.actor)


@pytest.mark.slow
def test_normalised_observations() -> None:
    net = network(CONTINUOUS, "mlp")
    e = experience(net, CONTINUOUS)
    flat = np.asarray(e.observation).reshape(-1, 3)
    for wanted in (True, False):
        update, state = begin(replace(PLAIN, normalize_observations=wanted), net, CONTINUOUS)
        after, _ = update(state, e, KEY)
        assert float(after.network.normalizer.count) == (T * B if wanted else 0)
        expected = flat.mean(0) if wanted else np.zeros(3)
        np.testing.assert_allclose(after.network.normalizer.mean, expected, atol=1e-6)


@pytest.mark.slow
def test_more_of_what_paid() -> None:
    net = network(DISCRETE, "mlp")
    update, state = begin(replace(PLAIN, epochs=10, learning_rate=1e-2), net, DISCRETE)
    e = experience(net, DISCRETE)
    e = e._replace(terminated=e.controlled, reward=1.0 * (e.action == 2))
    after, _ = update(state, e, KEY)
    before_head, after_head = (n.forward(e.observation.reshape(-1, 3), ((), ()))[0] for n in (net, after.network))
    gain = jax.nn.softmax(after_head)[:, 2] - jax.nn.softmax(before_head)[:, 2]
    assert float(gain.mean()) > 0.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"minibatch": 0}, "minibatch: expected at least 1"),
        ({"gamma": 1.1}, r"gamma: expected a number in \[0, 1\], got 1.1"),
        ({"gae_lambda": math.nan}, "gae_lambda"),
        ({"average": 1.0}, r"average: expected a number in \[0, 1\), got 1.0"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": -1.0}, "learning_rate: expected a number of at least 0, got -1"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ppo(replace(PPOConfig(), **change))


def test_weights_of_another_game_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected observations of size 3 and Discrete.*got 3 and Box"):
        ppo(PLAIN, network(CONTINUOUS, "mlp")).init(DISCRETE, KEY)
    with pytest.raises(InputError, match="expected observations of size 4"):
        ppo(PLAIN, network(CONTINUOUS, "mlp")).init(replace(CONTINUOUS, observation=Box((4,))), KEY)


@pytest.mark.parametrize("n", [1, 2, 3, 100, 8192, 65536, 70000])
def test_shuffling_keeps_every_index(n: int) -> None:
    np.testing.assert_array_equal(np.sort(shuffled(KEY, n)), np.arange(n))


def test_every_order_is_as_likely() -> None:
    orders = jax.vmap(lambda key: shuffled(key, 4))(jax.random.split(jax.random.key(1), 24_000))
    _, counts = np.unique(np.asarray(orders), axis=0, return_counts=True)
    assert len(counts) == math.factorial(4)
    assert chisquare(counts).pvalue > 1e-3


def test_minibatches_are_drawn_at_random_where_many_random_numbers_agree() -> None:
    """How many of each sixteenth of 2^16 indices come into each sixteenth of the order is a hypergeometric number."""
    orders = np.asarray(jax.vmap(lambda key: shuffled(key, 1 << 16))(jax.random.split(jax.random.key(2), 8)))
    counts = [np.bincount(part // 4096, minlength=16) for order in orders for part in np.split(order, 16)]
    spread = np.std(counts) / math.sqrt(256 * 15 / 16 * 15 / 16)
    assert 0.9 < spread < 1.1
