from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.learners.a2c import A2CConfig, a2c
from sparring.learners.ppo import PPOConfig, ppo
from sparring.learners.replicas import Replicas, replicated
from sparring.mixture import mix
from sparring.nets import ActorCritic, NetworkConfig
from sparring.play.rollout import rollout
from sparring.policies import ConstantPolicy, TabularPolicy
from sparring.training import Pool, pooled
from sparring.types import Box, Discrete, Experience, Spaces, View

KEY = np.array([3, 4], np.uint32)
SPACES = Spaces(Box((3,)), Discrete(3))
N, T, B = 2, 3, 8
LEARNER = a2c(A2CConfig(learning_rate=0.5, hidden=(6,)))


def member(stacked: Any, i: int) -> Any:
    return jax.tree.map(lambda x: x[i] if eqx.is_array(x) else x, stacked)


@pytest.mark.slow
def test_members_start_apart() -> None:
    networks = replicated(LEARNER, N).init(SPACES, KEY)
    assert not np.array_equal(*(member(networks, i).actor.mlp.layers[0].weight for i in range(N)))


def test_each_member_plays_its_share() -> None:
    tables = TabularPolicy(np.eye(3)[[[0], [2]]])  # the first plays 0, the second 2
    played = Replicas(tables, N).act(KEY, View(jnp.ones((B, 1))), ()).action
    np.testing.assert_array_equal(played, [0] * (B // N) + [2] * (B // N))


def test_each_member_draws_for_itself() -> None:
    tables = TabularPolicy(np.full((N, 1, 3), 1 / 3))
    played = np.asarray(Replicas(tables, N).act(KEY, View(jnp.ones((2000, 1))), ()).action)
    assert not np.array_equal(played[:1000], played[1000:])


@pytest.mark.slow
def test_an_update_is_each_members_own() -> None:
    rng = np.random.default_rng(0)
    e = Experience(
        observation=jnp.asarray(rng.normal(size=(T, B, 3)), jnp.float32),
        legal=jnp.asarray(rng.random((T, B, 3)) < 0.7).at[..., 0].set(True),
        action=jnp.asarray(rng.integers(3, size=(T, B))),
        reward=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        log_prob=jnp.zeros((T, B)),
        value=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        bootstrap=jnp.zeros((T, B)),
        controlled=jnp.asarray(rng.random((T, B)) < 0.7),
        valued=jnp.asarray(rng.random((T, B)) < 0.9),
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_is_kept_of_each_member_is_what_its_learner_keeps() -> None:
    """PPO's last weights with another standard deviation, in every member."""
    learner = replicated(ppo(PPOConfig(end_std=0.25, average=0.5, network=NetworkConfig(hidden=(4,)))), N)
    state = learner.init(Spaces(Box((3,)), Box((2,))), KEY)
    assert learner.final is not None
    kept: Any = learner.final(state)
    assert isinstance(kept, Replicas)
    np.testing.assert_allclose(np.exp(kept.policies.log_std), np.full((N, 2), 0.25), rtol=1e-6)
    assert replicated(LEARNER, N).final is None


@pytest.mark.slow
def test_under_partial_control_every_match_has_its_own_draws() -> None:
    """The Kuhn study's five replicas of 16 matches at budget .7: P(action 1 | controlled) = .5 in every match.

    A coin that one of the keys given to the replicas equals made it .365 in the last match of the second replica.
    """
    replicas, matches, draws = 5, 16, 4000
    uniform = Replicas(TabularPolicy(np.full((replicas, 1, 2), 0.5, np.float32)), replicas)
    mixed = mix(TabularPolicy(np.array([[1.0, 0.0]], np.float32)), uniform, 0.7)
    batch = replicas * matches
    view, state = View(jnp.ones((batch, 1))), mixed.initial_state(batch)
    keys = np.random.default_rng(0).integers(0, 2**32, (draws, 2), np.uint32)
    decided = jax.jit(jax.vmap(lambda key: mixed.act(key, view, state)))(keys)
    action, controlled = np.asarray(decided.action), np.asarray(decided.controlled)
    assert not action[~controlled].any()
    rate = (action * controlled).sum(0) / controlled.sum(0)
    # Standard error .0094 of each of 80 matches: five of them.
    np.testing.assert_allclose(rate, 0.5, atol=0.047)
    assert controlled.mean() == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / action.size))


@pytest.mark.slow
def test_each_member_meets_its_own_past() -> None:
    """Of two members the first played 0 once, the second 1; both now play 2."""
    now = Replicas(TabularPolicy(np.eye(3)[[[2], [2]]]), N)
    once = Replicas(TabularPolicy(np.eye(3)[[[0], [1]]]), N)
    before = Replicas(TabularPolicy(np.eye(3)[[[1], [0]]]), N)
    probability = np.array([1, 0, 1, 0, 0, 1, 0, 1], np.float32)  # the same slots in every call

    def played(past: Pool) -> list[int]:
        policy = pooled(now, past, probability)
        return np.asarray(policy.act(KEY, View(jnp.ones((B, 1))), policy.initial_state(B)).action).tolist()

    assert played(Pool()) == [2] * B
    assert played(Pool((3,), (once,))) == [0, 2, 0, 2, 2, 1, 2, 1]
    both = Pool((3, 4, 5), (once, before, before))
    policy = pooled(now, both, np.ones(6000, np.float32))
    drawn = np.asarray(policy.act(KEY, View(jnp.ones((6000, 1))), policy.initial_state(6000)).action)
    assert drawn[:3000].mean() == pytest.approx(2 / 3, abs=0.04) and drawn[3000:].mean() == pytest.approx(
        1 / 3, abs=0.04
    )
