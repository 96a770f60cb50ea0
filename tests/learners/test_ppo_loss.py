"""The loss of PPO: its gradient, what has a part in it, and the advantages that it weighs actions by."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import CONTINUOUS, DISCRETE, PLAIN, network, problem

from sparring.learners.ppo import Batch, masked_mean, normalized, ppo_loss
from sparring.nets import ActorCritic
from sparring.types import Spaces


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("architecture", "spaces"),
    [
        ("mlp", CONTINUOUS),
        ("lstm", DISCRETE),
        pytest.param("mlp", DISCRETE, marks=pytest.mark.long),
        pytest.param("lstm", CONTINUOUS, marks=pytest.mark.long),
    ],
)
def test_the_gradient_is_that_of_finite_differences(architecture: str, spaces: Spaces) -> None:
    weights, static, batch = problem(spaces, architecture)
    config = replace(PLAIN, entropy_coef=0.05)

    @jax.jit
    def loss(w: ActorCritic) -> Any:
        return ppo_loss(w, static, batch, config, jnp.float64(1.0))[0]

    gradient = jax.jit(jax.grad(loss))(weights)
    rng = np.random.default_rng(2)
    h = 1e-6
    for _ in range(12):
        direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), weights)
        ahead, behind = (loss(jax.tree.map(lambda w, d, s=s: w + s * h * d, weights, direction)) for s in (1, -1))
        slope = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))
        # Central differences in float64: truncation h^2, rounding 1e-16 / h.
        assert float((ahead - behind) / (2 * h)) == pytest.approx(float(slope), rel=1e-5, abs=1e-8)
    changed = [float(jnp.abs(g).max()) for g in jax.tree.leaves(eqx.filter(gradient, eqx.is_array).actor)]
    assert min(changed) > 1e-6  # every part of the actor takes part


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("architecture", "spaces"), [("mlp", CONTINUOUS), ("lstm", DISCRETE)])
def test_what_was_done_without_control_has_no_part_in_the_policy(architecture: str, spaces: Spaces) -> None:
    """DECISIONS 15."""
    weights, static, batch = problem(spaces, architecture)
    mask = batch.controlled

    @jax.jit
    def gradient(b: Batch) -> Any:
        return jax.grad(lambda w: ppo_loss(w, static, b, PLAIN, jnp.float64(1.0)), has_aux=True)(weights)

    reference, metrics = gradient(batch)
    # So far off that its density underflows, and its ratio overflows.
    absurd = batch.action + 3 if spaces is DISCRETE else batch.action * 1e160
    wide = mask.reshape(mask.shape + (1,) * (batch.action.ndim - mask.ndim))
    strange = batch._replace(
        action=jnp.where(wide, batch.action, absurd % 4 if spaces is DISCRETE else absurd),
        log_prob=jnp.where(mask, batch.log_prob, -1e6),
    )
    got, got_metrics = gradient(strange)
    for ours, expected in zip(jax.tree.leaves(got), jax.tree.leaves(reference), strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-14)
    assert {n: float(x) for n, x in got_metrics.items()} == pytest.approx({n: float(x) for n, x in metrics.items()})
    # What becomes of a match that is not the critic's to predict does not matter (DECISIONS 27).
    elsewhere, _ = gradient(batch._replace(target=jnp.where(batch.valued, batch.target, 1e3)))
    for ours, expected in zip(*map(jax.tree.leaves, (elsewhere.critic, reference.critic)), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-14)
    # What was done in control does matter.
    other, _ = gradient(batch._replace(log_prob=jnp.where(mask, batch.log_prob + 0.1, batch.log_prob)))
    parts = ((g.actor, g.log_std) for g in (other, reference))
    assert not all(np.allclose(a, b) for a, b in zip(*map(jax.tree.leaves, parts), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"),
    [(1.3, 1.0, False), (1.3, -1.0, True), (0.7, 1.0, True), (0.7, -1.0, False), (1.1, 1.0, True), (0.9, -1.0, True)],
)
def test_clipping_stops_what_has_gone_far_enough(ratio: float, advantage: float, moves: bool) -> None:
    net = network(DISCRETE, "mlp")
    observation, action = jnp.ones((1, 3)), jnp.array([1])
    log_prob = net.log_prob(net.forward(observation, ((), ()))[0], action) - math.log(ratio)
    one = jnp.ones(1)
    batch = Batch(observation, None, action, log_prob, advantage * one, one, one > 0, one > 0, one > 0, ())
    config = replace(PLAIN, normalize_advantages=False, value_coef=0.0)
    weights, static = eqx.partition(net, eqx.is_inexact_array)
    gradient, metrics = jax.jit(jax.grad(lambda w, b: ppo_loss(w, static, b, config, jnp.float32(1)), has_aux=True))(
        weights, batch
    )
    size = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(gradient) if g.size)
    assert (size > 1e-4) == moves
    assert size == 0 or moves
    expected = -min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)
    assert float(metrics["policy_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(metrics["clip_fraction"]) == (abs(ratio - 1) > 0.2)


def test_masked_mean() -> None:
    x = jnp.array([1.0, jnp.nan, 5.0])
    assert masked_mean(x, jnp.array([True, False, True])) == 3
    assert masked_mean(x, jnp.zeros(3, bool)) == 0


@pytest.mark.parametrize("size", [1e-3, 0.7, 100.0, 1e4])
def test_equal_advantages_are_none(size: float) -> None:
    """Equal but for float32's rounding, they have no direction: 0, not noise of size 1 (DECISIONS 34)."""
    rng = np.random.default_rng(0)
    for n in range(3, 64, 7):
        mask = jnp.arange(64) < n
        value = np.full(64, size * rng.normal(), np.float32)
        nearly = np.where(rng.random(64) < 0.5, value, np.nextafter(value, np.float32(np.inf)))
        for advantage in (value, nearly):
            got = normalized(jnp.asarray(advantage), jnp.zeros(64), mask)
            assert float(jnp.abs(got).max()) < 0.02


def test_unequal_advantages_get_mean_zero_and_spread_one() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random(500) < 0.5
    advantage = jnp.asarray(np.where(mask, 3 + 5 * rng.normal(size=500), 1e6), jnp.float32)
    got = np.asarray(normalized(advantage, jnp.asarray(rng.normal(size=500), jnp.float32), jnp.asarray(mask)))[mask]
    assert got.mean() == pytest.approx(0, abs=1e-5)
    assert got.std() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(np.corrcoef(got, np.asarray(advantage)[mask])[0, 1], 1, rtol=1e-6)


@pytest.mark.slow
def test_a_minibatch_of_equal_advantages_moves_no_policy() -> None:
    """The whole loss: its gradient in the actor was 1.0 to 1.6 of rounding, and is 0."""
    net = network(DISCRETE, "mlp")
    weights, static = eqx.partition(net, eqx.is_inexact_array)
    observation, action = jnp.ones((64, 3)), jnp.full(64, 2)
    log_prob = net.log_prob(net.forward(observation, ((), ()))[0], action)
    yes = jnp.arange(64) < 19
    batch = Batch(observation, None, action, log_prob, jnp.full(64, 0.7), jnp.zeros(64), yes, yes, yes, ())
    config = replace(PLAIN, value_coef=0.0)
    gradient = jax.jit(jax.grad(lambda w: ppo_loss(w, static, batch, config, jnp.float32(1))[0]))(weights)
    assert max(float(jnp.abs(g).max()) for g in jax.tree.leaves(gradient.actor)) < 0.01
