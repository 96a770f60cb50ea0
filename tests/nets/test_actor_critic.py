from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sparring.checkpoint import flatten
from sparring.errors import InputError
from sparring.games.robosumo.symmetry import Symmetry
from sparring.mixture import MixedPolicy, act, mix
from sparring.nets import (
    ActorCritic,
    NetworkConfig,
    Recurrent,
    actor_critic,
    config_of,
    in_frame,
    reset_state,
    set_std,
)
from sparring.policies import RandomPolicy, TabularPolicy
from sparring.training import Pool, pooled
from sparring.types import Box, Discrete, Spaces, View

KEY = np.array([1, 2], np.uint32)
MLP, LSTM = NetworkConfig("mlp", (8, 8)), NetworkConfig("lstm", (8,))
CONTINUOUS, DISCRETE = Spaces(Box((5,)), Box((3,))), Spaces(Box((5,)), Discrete(4))
OBSERVATION = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.slow
@pytest.mark.parametrize("config", [MLP, LSTM], ids=["mlp", "lstm"])
@pytest.mark.parametrize("spaces", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_shapes(config: NetworkConfig, spaces: Spaces) -> None:
    network = actor_critic(spaces, config, KEY)
    state = network.initial_state(6)
    assert {x.shape for x in jax.tree.leaves(state)} == ({(6, 8)} if config is LSTM else set())
    decision = act(network, KEY, View(OBSERVATION), state)
    assert decision.value is not None and decision.log_prob is not None
    assert decision.value.shape == decision.log_prob.shape == (6,)
    assert jax.tree.structure(decision.state) == jax.tree.structure(state)
    assert [x.shape for x in jax.tree.leaves(decision.state)] == [x.shape for x in jax.tree.leaves(state)]
    if spaces is DISCRETE:
        assert decision.action.shape == (6,) and np.issubdtype(decision.action.dtype, np.integer)
        assert network.log_std.shape == (0,)
    else:
        assert decision.action.shape == (6, 3) and decision.action.dtype == np.float32
    assert network.recurrent == (config is LSTM)


def test_new_weights_are_orthogonal() -> None:
    network = actor_critic(CONTINUOUS, MLP, KEY)
    gains = {"actor": [math.sqrt(2), math.sqrt(2), 0.01], "critic": [math.sqrt(2), math.sqrt(2), 1.0]}
    for name, expected in gains.items():
        for layer, gain in zip(getattr(network, name).mlp.layers, expected, strict=True):
            w = np.asarray(layer.weight)
            product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
            np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=1e-5)
            assert not np.asarray(layer.bias).any()
    recurrent = actor_critic(CONTINUOUS, LSTM, KEY).actor
    assert isinstance(recurrent, Recurrent)
    np.testing.assert_array_equal(np.asarray(recurrent.cell.bias), np.repeat([0, 1, 0, 0], 8))


@pytest.mark.slow
@pytest.mark.parametrize("config", [MLP, LSTM], ids=["mlp", "lstm"])
def test_unrolling_is_stepping(config: NetworkConfig, rng: np.random.Generator) -> None:
    network = actor_critic(CONTINUOUS, config, KEY)
    steps, batch = 7, 4
    x = jnp.asarray(rng.normal(size=(steps, batch, 5)), jnp.float32)
    first = jnp.asarray(rng.random((steps, batch)) < 0.3)
    # In the middle of matches, so that the state before the first step matters.
    begun = act(network, KEY, View(OBSERVATION[:batch]), network.initial_state(batch)).state
    heads, values = network.unroll(x, first, begun)
    assert heads.shape == (steps, batch, 3) and values.shape == (steps, batch)
    state = begun
    for t in range(steps):
        state = reset_state(first[t], network.initial_state(batch), state)
        head, value, state = network.forward(x[t], state)
        np.testing.assert_allclose(heads[t], head, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(values[t], value, rtol=1e-5, atol=1e-6)


def test_a_new_match_forgets(rng: np.random.Generator) -> None:
    network = actor_critic(CONTINUOUS, LSTM, KEY)
    x = jnp.asarray(rng.normal(size=(5, 2, 5)), jnp.float32)
    first = jnp.asarray([[True, True], [False, False], [True, False], [False, False], [False, False]])
    _, values = network.unroll(x, first, network.initial_state(2))
    _, alone = network.unroll(x[2:], first[2:], network.initial_state(2))
    np.testing.assert_allclose(values[2:, 0], alone[:, 0], rtol=1e-6)
    assert np.abs(np.asarray(values[2:, 1] - alone[:, 1])).max() > 1e-3  # the other match remembers its first steps


def test_resetting_the_state_touches_new_matches_alone() -> None:
    state = {"a": jnp.ones((3, 2)), "b": jnp.arange(3)}
    initial = {"a": jnp.zeros((3, 2)), "b": jnp.full(3, -1)}
    got = reset_state(jnp.array([True, False, True]), initial, state)
    np.testing.assert_array_equal(got["a"], [[0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(got["b"], [-1, 1, -1])


def test_the_lstm_is_the_textbooks(rng: np.random.Generator) -> None:
    """c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c') (Hochreiter and Schmidhuber 1997)."""
    net = actor_critic(CONTINUOUS, LSTM, KEY).actor
    assert isinstance(net, Recurrent)
    h, c = rng.normal(size=(2, 8))
    x = np.maximum(np.asarray(net.embed.weight, float) @ OBSERVATION[0], 0)
    z = (
        np.asarray(net.cell.weight_ih, float) @ x
        + np.asarray(net.cell.weight_hh, float) @ h
        + np.asarray(net.cell.bias)
    )
    i, f, g, o = np.split(z, 4)
    c_next = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    h_next = np.tanh(c_next) / (1 + np.exp(-o))
    out, (got_h, got_c) = net(OBSERVATION[:1], (jnp.asarray(h[None], jnp.float32), jnp.asarray(c[None], jnp.float32)))
    np.testing.assert_allclose(got_h[0], h_next, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got_c[0], c_next, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out[0], np.asarray(net.head.weight) @ h_next, rtol=1e-4, atol=1e-6)


def with_std(std: list[float]) -> ActorCritic:
    return replace(actor_critic(CONTINUOUS, MLP, KEY), log_std=jnp.log(jnp.asarray(std, jnp.float32)))


def test_gaussian_density_and_entropy(rng: np.random.Generator) -> None:
    network = with_std([0.1, 1.0, 3.0])
    head = rng.normal(size=(6, 3)).astype(np.float32)
    action = rng.normal(size=(6, 3)).astype(np.float32)
    truth: Any = stats.norm(head, [0.1, 1.0, 3.0])
    np.testing.assert_allclose(
        network.log_prob(jnp.asarray(head), jnp.asarray(action)), truth.logpdf(action).sum(1), rtol=1e-4
    )
    np.testing.assert_allclose(network.entropy(jnp.asarray(head)), truth.entropy().sum(1), rtol=1e-5)


def test_categorical_probability_and_entropy(rng: np.random.Generator) -> None:
    network = actor_critic(DISCRETE, MLP, KEY)
    head = rng.normal(size=(6, 4)).astype(np.float32) * 3
    action = np.array([0, 1, 2, 3, 0, 1])
    probabilities = np.exp(head) / np.exp(head).sum(1, keepdims=True)
    expected = np.log(probabilities[np.arange(6), action])
    np.testing.assert_allclose(network.log_prob(jnp.asarray(head), jnp.asarray(action)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        network.entropy(jnp.asarray(head)), stats.entropy(probabilities, axis=1), rtol=1e-4, atol=1e-6
    )


def test_samples_follow_the_distribution() -> None:
    network, n = with_std([0.1, 1.0, 3.0]), 5000
    decision = act(network, KEY, View(np.repeat(OBSERVATION[:1], n, axis=0)), network.initial_state(n))
    head = np.asarray(network.forward(network.normalizer(OBSERVATION[:1]), ((), ()))[0])[0]
    for dimension, std in enumerate([0.1, 1.0, 3.0]):
        sample = np.asarray(decision.action)[:, dimension].astype(float)
        assert stats.kstest(sample, stats.norm(head[dimension], std).cdf).pvalue > 1e-4
    truth: Any = stats.norm(head, [0.1, 1.0, 3.0])
    expected = truth.logpdf(np.asarray(decision.action)).sum(1)
    np.testing.assert_allclose(np.asarray(decision.log_prob), expected, rtol=1e-3, atol=1e-4)


def test_greedy_takes_the_mode() -> None:
    for spaces in (CONTINUOUS, DISCRETE):
        network = actor_critic(spaces, MLP, KEY)
        head, _, _ = network.forward(network.normalizer(OBSERVATION), ((), ()))
        decision = act(replace(network, greedy=True), KEY, View(OBSERVATION), network.initial_state(6))
        expected = np.asarray(head) if spaces is CONTINUOUS else np.asarray(head).argmax(1)
        np.testing.assert_allclose(np.asarray(decision.action), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig("mlp", (16,), 1.0, 0.5, 7.0),
        NetworkConfig("lstm", (12,), 1.0, 0.1, 2.0),
    ],
)
def test_the_configuration_can_be_read_off_the_network(config: NetworkConfig) -> None:
    network = actor_critic(CONTINUOUS, config, KEY)
    found = config_of(network)
    assert found == replace(config, variance_floor=pytest.approx(config.variance_floor))
    again = actor_critic(CONTINUOUS, found, np.array([7, 7], np.uint32))
    assert jax.tree.structure(again) == jax.tree.structure(network)
    assert [np.shape(x) for x in flatten(again).values()] == [np.shape(x) for x in flatten(network).values()]


def test_setting_the_standard_deviation() -> None:
    network = set_std(with_std([0.1, 1.0, 3.0]), 0.2)
    np.testing.assert_allclose(np.exp(network.log_std), [0.2] * 3, rtol=1e-6)


def test_bad_settings_are_refused() -> None:
    unknown: Any = "lst"
    with pytest.raises(InputError, match="did you mean lstm"):
        actor_critic(CONTINUOUS, NetworkConfig(unknown), KEY)
    with pytest.raises(InputError, match="one width"):
        actor_critic(CONTINUOUS, NetworkConfig("mlp", (8, 16)), KEY)


def test_plain_policies_are_pytrees() -> None:
    table = TabularPolicy(np.full((2, 2), 0.5))
    mixed = mix(table, RandomPolicy(Discrete(2)), 0.3)
    leaves, structure = jax.tree.flatten(mixed)
    assert [np.shape(leaf) for leaf in leaves] == [(2, 2), ()]
    assert jax.tree.unflatten(structure, leaves) == mixed
    assert isinstance(jax.tree.map(lambda x: x, mixed), MixedPolicy)
    # Static parts belong to the structure: another space or kind of control is another compiled function.
    assert structure != jax.tree.structure(replace(mixed, control="episode"))
    assert structure != jax.tree.structure(replace(mixed, adversarial=RandomPolicy(Discrete(3))))


def test_a_pool_is_a_pytree() -> None:
    table = TabularPolicy(np.full((2, 2), 0.5, np.float32))
    pool = pooled(table, Pool((3, 7, 9), (table, table, table)), np.full(4, 0.5))
    leaves, structure = jax.tree.flatten(pool)
    # The live table, four stacked ones (a power of two), their numbers, how many are in use, a probability per slot.
    assert [np.shape(leaf) for leaf in leaves] == [(2, 2), (4, 2, 2), (4,), (), (4,)]
    assert jax.tree.structure(jax.tree.unflatten(structure, leaves)) == structure
    # Four past policies or three: the same compiled function.
    assert jax.tree.structure(pooled(table, Pool((1, 2, 3, 4), (table,) * 4), np.zeros(4))) == structure


SIDES = Symmetry("ant")
ANT = Spaces(Box((120,)), Box((8,)))
SYMMETRIC = NetworkConfig("mlp", (8, 8), frame=SIDES)
OBSERVATIONS = np.random.default_rng(2).normal(size=(40, 120)).astype(np.float32)


def generic_ant(config: NetworkConfig) -> ActorCritic:
    """A network of which no part is special, with statistics of observations."""
    net = actor_critic(ANT, config, KEY)
    rng = np.random.default_rng(3)
    last = net.actor.mlp.layers[-1]  # pyright: ignore[reportAttributeAccessIssue]  # a union of two networks; this is the MLP
    net = eqx.tree_at(
        lambda n: (n.actor.mlp.layers[-1].weight, n.actor.mlp.layers[-1].bias, n.log_std),
        net,
        tuple(jnp.asarray(rng.normal(size=x.shape), jnp.float32) for x in (last.weight, last.bias, net.log_std)),
    )
    return replace(net, normalizer=net.normalizer.update(OBSERVATIONS * np.arange(1, 121, dtype=np.float32)))


@eqx.filter_jit
def decided(net: ActorCritic, observation: Any) -> tuple[Any, Any, Any]:
    """Action, value and log-probability."""
    decision = net.act(KEY, View(observation), net.initial_state(40))
    assert decision.value is not None and decision.log_prob is not None
    return decision.action, decision.value, decision.log_prob


@pytest.mark.slow
def test_a_symmetric_network_does_the_same_from_every_side() -> None:
    net = replace(generic_ant(SYMMETRIC), greedy=True)
    assert config_of(net).frame == SIDES
    action, value, _ = decided(net, OBSERVATIONS)
    for number in range(SIDES.choices):
        side = SIDES.choice(number)
        turned, same_value, _ = decided(net, SIDES.turned(side, OBSERVATIONS))
        np.testing.assert_allclose(turned, SIDES.turned_action(side, action), atol=2e-5, err_msg=str(number))
        np.testing.assert_allclose(same_value, value, atol=2e-5)


@pytest.mark.slow
def test_the_density_of_a_symmetric_networks_action_is_that_of_what_it_took() -> None:
    net = generic_ant(SYMMETRIC)
    taken, expected, log_prob = decided(net, OBSERVATIONS)
    observation, action = net.turned(OBSERVATIONS, taken)
    head, value, _ = net.forward(net.normalizer(observation), net.initial_state(40))
    np.testing.assert_allclose(net.log_prob(head, action), log_prob, rtol=1e-5)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    without = actor_critic(ANT, MLP, KEY)
    assert without.turned(OBSERVATIONS, action) == (OBSERVATIONS, action)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(SIDES.choices))
def test_in_a_frame_a_network_does_everywhere_what_it_did_in_one_situation(number: int) -> None:
    net = replace(generic_ant(MLP), greedy=True)
    view, side = SIDES.turn(jnp.asarray(OBSERVATIONS)), SIDES.choice(number)
    action, value, log_prob = decided(net, SIDES.turned(side, SIDES.turned(view, OBSERVATIONS)))
    got = decided(in_frame(net, SIDES, number), OBSERVATIONS)
    np.testing.assert_allclose(got[0], SIDES.turned_back(view, SIDES.turned_back(side, action)), atol=2e-5)
    np.testing.assert_allclose(got[1], value, atol=2e-5)
    np.testing.assert_allclose(got[2], log_prob, rtol=1e-5)


def test_a_symmetry_that_does_not_fit_is_refused() -> None:
    for spaces, config, message in (
        (ANT, NetworkConfig("lstm", (8,), frame=SIDES), "expected an MLP"),
        (CONTINUOUS, SYMMETRIC, "expected observations of size 120, got 5"),
    ):
        with pytest.raises(InputError, match=message):
            actor_critic(spaces, config, KEY)
    with pytest.raises(InputError, match="a network with one"):
        in_frame(actor_critic(ANT, SYMMETRIC, KEY), SIDES, 0)
    with pytest.raises(InputError, match="and choice 8"):
        in_frame(actor_critic(ANT, MLP, KEY), SIDES, 8)
