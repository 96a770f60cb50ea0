from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.learners.a2c import A2CConfig, a2c
from sparring.learners.replicas import Replicas, replicated
from sparring.nets import ActorCritic
from sparring.policy import ConstantPolicy, TabularPolicy, mix
from sparring.rollout import rollout
from sparring.types import Discrete, Experience, Spaces

KEY = np.array([3, 4], np.uint32)
SPACES = Spaces(3, Discrete(3))
N, T, B = 2, 3, 8
LEARNER = a2c(A2CConfig(learning_rate=0.5, hidden=(6,)))


def member(stacked: Any, i: int) -> Any:
    return jax.tree.map(lambda x: x[i] if eqx.is_array(x) else x, stacked)


def test_members_start_apart() -> None:
    networks = replicated(LEARNER, N).init(SPACES, KEY)
    assert not np.array_equal(*(member(networks, i).actor.mlp.layers[0].weight for i in range(N)))


def test_each_member_plays_its_share() -> None:
    tables = TabularPolicy(np.eye(3)[[[0], [2]]])  # the first plays 0, the second 2
    played = Replicas(tables, N).act(KEY, jnp.ones((B, 1)), ()).action
    np.testing.assert_array_equal(played, [0] * (B // N) + [2] * (B // N))


def test_each_member_draws_for_itself() -> None:
    tables = TabularPolicy(np.full((N, 1, 3), 1 / 3))
    played = np.asarray(Replicas(tables, N).act(KEY, jnp.ones((2000, 1)), ()).action)
    assert not np.array_equal(played[:1000], played[1000:])


def test_an_update_is_each_members_own() -> None:
    rng = np.random.default_rng(0)
    e = Experience(
        observation=jnp.asarray(rng.normal(size=(T, B, 3)), jnp.float32),
        action=jnp.asarray(rng.integers(3, size=(T, B))),
        reward=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        log_prob=jnp.zeros((T, B)),
        value=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        bootstrap=jnp.zeros((T, B)),
        controlled=jnp.asarray(rng.random((T, B)) < 0.7),
        terminated=jnp.zeros((T, B), bool),
        truncated=jnp.zeros((T, B), bool),
        first=jnp.asarray(np.arange(T)[:, None] == rng.integers(T, size=B)),
        last_value=jnp.asarray(rng.normal(size=B), jnp.float32),
        policy_state=(),
    )
    networks = replicated(LEARNER, N).init(SPACES, KEY)
    together, metrics = replicated(LEARNER, N).update(networks, e, KEY)
    for i in range(N):
        own = slice(i * B // N, (i + 1) * B // N)
        share = jax.tree.map(lambda x, own=own: x[:, own], e._replace(last_value=(), policy_state=()))
        share = share._replace(last_value=e.last_value[own])
        alone, alone_metrics = LEARNER.update(member(networks, i), share, KEY)
        expected, found = (jax.tree.leaves(eqx.filter(x, eqx.is_array)) for x in (alone, member(together, i)))
        for wanted, got in zip(expected, found, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
        for name, value in alone_metrics.items():
            assert np.isclose(metrics[name][i], value, rtol=1e-4, atol=1e-6)


def test_replicas_are_played_under_partial_control() -> None:
    game = MatrixGame(ROCK_PAPER_SCISSORS, 4000)
    networks = replicated(LEARNER, N).init(game.spaces["col"], KEY)
    assert isinstance(networks, ActorCritic)
    policies = {
        "row": ConstantPolicy(Discrete(3)),
        "col": mix(ConstantPolicy(Discrete(3)), Replicas(TabularPolicy(np.eye(3)[[[1], [2]]]), N), 0.3),
    }
    trajectory, _ = rollout(game, policies, 1, np.random.default_rng(0), record=("col",))
    e = trajectory.agents["col"]
    for share, action in ((slice(0, 2000), 1), (slice(2000, 4000), 2)):
        chosen, controlled = np.asarray(e.action[0, share]), np.asarray(e.controlled[0, share])
        np.testing.assert_array_equal(chosen, np.where(controlled, action, 0))
        assert abs(controlled.mean() - 0.3) < 5 * np.sqrt(0.21 / 2000)
