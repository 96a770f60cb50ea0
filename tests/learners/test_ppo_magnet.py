"""PPO that is held near a slow mean of its own policies, and the norm of its gradient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from finite_differences import check_gradient
from small_networks import CONTINUOUS, DISCRETE, KEY, PLAIN, B, T, network, problem

from sparring.errors import InputError
from sparring.learners.ppo import Batch, gradient_norm, masked_mean, ppo, ppo_loss
from sparring.nets import ActorCritic, heads
from sparring.types import Experience, Spaces

MAGNET = replace(PLAIN, magnet=0.7, magnet_rate=0.25, learning_rate=0.01)


def with_magnet(batch: Batch, spaces: Spaces, like: jax.Array) -> Batch:
    """A batch with the heads of some other policy as the magnet's."""
    rng = np.random.default_rng(8)
    head = heads.masked(jnp.asarray(rng.normal(size=(*like.shape, spaces.action.size))), batch.legal)
    width = 2 if spaces is CONTINUOUS else 0
    return batch._replace(magnet=(head, jnp.asarray(np.full((*like.shape, width), -0.4))))


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("architecture", "spaces"), [("mlp", CONTINUOUS), ("lstm", DISCRETE)])
def test_the_pull_of_the_magnet_is_that_of_finite_differences(architecture: str, spaces: Spaces) -> None:
    weights, static, batch = problem(spaces, architecture)
    batch = with_magnet(batch, spaces, batch.target)
    leaves, tree = jax.tree.flatten(weights)

    @jax.jit
    def pull(leaves: list[Any]) -> Any:
        """The part of the loss that the magnet adds."""
        w = jax.tree.unflatten(tree, leaves)
        whole, bare = (
            ppo_loss(w, static, batch, replace(PLAIN, magnet=c), jnp.float64(1))[0] for c in (MAGNET.magnet, 0.0)
        )
        return whole - bare

    gradient = jax.jit(jax.grad(pull))(leaves)
    assert max(float(jnp.abs(g).max()) for g in gradient if g.size) > 1e-3
    check_gradient(pull, leaves, gradient, step=1e-6, rtol=1e-5)


def round_of(spaces: Spaces, seed: int) -> Experience:
    """T steps of B matches, as the small network plays them."""
    rng, net = np.random.default_rng(seed), network(spaces, "mlp")
    observation = rng.normal(size=(T, B, 3)).astype(np.float32)
    head, value, _ = net.forward(jnp.asarray(observation.reshape(-1, 3)), ((), ()))
    action = rng.normal(size=(T, B, 2)).astype(np.float32) if spaces is CONTINUOUS else rng.integers(4, size=(T, B))
    log_prob = net.log_prob(head, jnp.asarray(action).reshape(T * B, *action.shape[2:]))
    none = np.zeros((T, B), bool)
    return Experience(
        observation=observation,
        legal=None,
        action=action,
        reward=rng.normal(size=(T, B)).astype(np.float32),
        log_prob=np.asarray(log_prob).reshape(T, B),
        value=np.asarray(value).reshape(T, B),
        bootstrap=np.zeros((T, B), np.float32),
        controlled=rng.random((T, B)) < 0.7,
        valued=~none,
        terminated=none,
        truncated=none,
        first=none,
        last_value=np.zeros(B, np.float32),
        policy_state=(),
    )


def weights_of(net: ActorCritic) -> list[np.ndarray]:
    parts = eqx.filter((net.actor, net.critic, net.log_std), eqx.is_array)
    return [np.asarray(x, np.float64) for x in jax.tree.leaves(parts)]


@pytest.mark.slow
def test_the_magnet_follows_the_weights_slowly() -> None:
    """m <- m + rate (w - m) after each update, from where the weights began."""
    learner = ppo(MAGNET, network(DISCRETE, "mlp"))
    state = learner.init(DISCRETE, KEY)
    expected = weights_of(state.network)
    for seed in range(3):
        state, metrics = learner.update(state, round_of(DISCRETE, seed), KEY)
        expected = [m + 0.25 * (w - m) for m, w in zip(expected, weights_of(state.network), strict=True)]
        for m, wanted in zip(weights_of(state.magnet), expected, strict=True):
            np.testing.assert_allclose(m, wanted, rtol=1e-5, atol=1e-6)
        # In the first update it is where the weights are; later it holds them back.
        assert (float(metrics["magnet_kl"]) > 1e-9) == (seed > 0)


@pytest.mark.slow
def test_a_strong_magnet_holds_the_policy_where_it_was() -> None:
    moved = []
    for weight in (0.0, 100.0):
        learner = ppo(replace(MAGNET, magnet=weight, magnet_rate=0.0, epochs=20), network(CONTINUOUS, "mlp"))
        state = learner.init(CONTINUOUS, KEY)
        before = state.network
        state, _ = learner.update(state, round_of(CONTINUOUS, 1), KEY)
        seen = jnp.asarray(np.random.default_rng(4).normal(size=(64, 3)), jnp.float32)
        ours, theirs = (net.forward(seen, ((), ()))[0] for net in (state.network, before))
        away = heads.divergence(CONTINUOUS.action, ours, state.network.log_std, theirs, before.log_std)
        moved.append(float(away.mean()))
    assert moved[1] < moved[0] / 5


@pytest.mark.slow
@pytest.mark.parametrize("spaces", [CONTINUOUS, DISCRETE])
def test_the_norm_of_the_gradient_is_that_of_the_policy_gradient_before_any_step(spaces: Spaces) -> None:
    """mean(A grad log pi) over the controlled steps, by itself: log pi is differentiated with the advantages fixed."""
    config = replace(PLAIN, measure_gradient=True, normalize_advantages=True, entropy_coef=0.3, gamma=0.0)
    learner = ppo(config, network(spaces, "mlp"))
    state, experience = learner.init(spaces, KEY), round_of(spaces, 2)
    _, metrics = learner.update(state, experience, KEY)
    # With a discount of 0 the advantage is what was earned beyond the critic's word.
    advantage = jnp.asarray(experience.reward - experience.value).reshape(-1)
    action = jnp.asarray(experience.action).reshape(T * B, *np.shape(experience.action)[2:])
    mask = jnp.asarray(experience.controlled).reshape(-1)

    @eqx.filter_grad
    def gradient_of(policy: Any) -> Any:
        actor, log_std = policy
        head, _ = actor(jnp.asarray(experience.observation).reshape(-1, 3), ())
        return masked_mean(advantage * heads.log_prob(spaces.action, head, log_std, action), mask)

    gradient = jax.tree.leaves(gradient_of((state.network.actor, state.network.log_std)))
    norm = np.sqrt(sum(float((np.asarray(g, np.float64) ** 2).sum()) for g in gradient))
    assert float(metrics["gradient_norm"]) == pytest.approx(norm, rel=1e-4)
    assert "gradient_norm" not in ppo(PLAIN, network(spaces, "mlp")).update(state, experience, KEY)[1]


@pytest.mark.slow
def test_the_norm_is_taken_of_recurrent_policies_too() -> None:
    with jax.enable_x64(True):
        weights, static, batch = problem(DISCRETE, "lstm")
        assert float(gradient_norm(weights, static, batch, PLAIN)) > 0


@pytest.mark.parametrize("change", [{"magnet": -0.1}, {"magnet": float("nan")}, {"magnet_rate": 1.5}])
def test_magnets_that_are_none_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="magnet and magnet_rate: expected"):
        ppo(replace(PLAIN, **change))
