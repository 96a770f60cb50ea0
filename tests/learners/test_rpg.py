from __future__ import annotations

import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from finite_differences import check_gradient

from sparring.errors import InputError
from sparring.learners.a2c import Matches, whole_matches
from sparring.learners.rpg import RPGConfig, RPGState, regret_loss, rpg, rpg_loss
from sparring.nets import Feedforward, heads
from sparring.types import Box, Discrete, Spaces

KEY = np.array([3, 4], np.uint32)
SPACES = Spaces(Box((3,)), Discrete(4))
N = 12
# One step moves the policy by the gradient itself and leaves the critics.
PLAIN = RPGConfig(learning_rate=1.0, critic_rate=0.0, entropy_coef=0.0)
LEARNING = RPGConfig(learning_rate=0.1, critic_rate=0.5, hidden=(16,))


def state(dtype: Any = np.float32) -> RPGState:
    """Weights that are not special."""
    rng = np.random.default_rng(0)
    made = rpg(RPGConfig(hidden=(6,))).init(SPACES, KEY)
    parts = jax.tree.map(
        lambda x: jnp.asarray(x + 0.3 * rng.normal(size=x.shape), dtype) if eqx.is_inexact_array(x) else x,
        (made.network.actor, made.network.critic, made.q),
    )
    return eqx.tree_at(lambda s: (s.network.actor, s.network.critic, s.q), made, parts)


def matches(dtype: Any, masked: bool = False) -> Matches:
    rng = np.random.default_rng(1)
    weight = rng.random(N) * (rng.random(N) < 0.8)
    controlled = weight * (rng.random(N) < 0.6)
    floats = (rng.normal(size=(N, 3)), *rng.normal(size=(2, N)), weight, controlled)
    observation, returns, advantage, *weights = (jnp.asarray(x, dtype) for x in floats)
    action = rng.integers(4, size=N)
    mask = jnp.asarray((rng.random((N, 4)) < 0.5) | (np.arange(4) == action[:, None])) if masked else None
    return Matches(observation, mask, jnp.asarray(action), returns, advantage, *weights)


def that_says(values: np.ndarray) -> Feedforward:
    """A network whose outputs for the one-hot vectors of I rows are `values` [I, A]: hidden unit i answers to row i."""
    rows, actions = values.shape
    mlp = rpg(RPGConfig(hidden=(rows,))).init(Spaces(Box((rows,)), Discrete(actions)), KEY).q.mlp
    leaves = (20.0 * jnp.eye(rows), jnp.asarray(values.T, jnp.float32))  # tanh(20) is 1
    return Feedforward(eqx.tree_at(lambda m: (m.layers[0].weight, m.layers[1].weight), mlp, leaves))


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("part", "masked"), [("network", False), ("network", True), ("q", False)])
def test_the_gradient_is_that_of_finite_differences(part: str, masked: bool) -> None:
    """The action values have their own loss alone: the policy's is no reason to change them."""
    begun, batch = state(np.float64), matches(np.float64, masked)
    gradient, _ = eqx.filter_jit(eqx.filter_grad(rpg_loss, has_aux=True))(begun, batch, 0.3)
    where = (lambda s: (s.network.actor, s.network.critic)) if part == "network" else (lambda s: s.q)
    leaves, structure = jax.tree.flatten(eqx.filter(where(begun), eqx.is_inexact_array))
    exact = jax.tree.leaves(where(gradient))

    @eqx.filter_jit
    def loss(moved: list[Any]) -> Any:
        changed = eqx.tree_at(where, begun, eqx.combine(jax.tree.unflatten(structure, moved), where(begun)))
        total, metrics = rpg_loss(changed, batch, 0.3)
        return total if part == "network" else metrics["q_loss"]

    check_gradient(loss, leaves, exact, step=1e-6, rtol=1e-5)


def test_the_regret_by_hand() -> None:
    """pi = (1/2, 1/4, 1/4), Q = (0, 4, 2): the baseline is 3/2, the regrets 0, 5/2, 1/2, their sum 3, times .2.

    In logits, Q's mean has the gradient pi (Q - 3/2) = (-3/4, 5/8, 1/8); two regrets are positive, so that of the loss
    is -2 times as much, times .2.
    """
    logits, q = jnp.log(jnp.array([[0.5, 0.25, 0.25]])), jnp.array([[0.0, 4.0, 2.0]])
    loss, gradient = jax.jit(jax.value_and_grad(regret_loss))(logits, q, jnp.array([0.2]))
    assert float(loss) == pytest.approx(0.6, rel=1e-6)
    np.testing.assert_allclose(gradient, [[0.3, -0.25, -0.05]], rtol=1e-5)


def test_illegal_actions_have_no_regret() -> None:
    """The second action is illegal: pi = (2/3, 0, 1/3), the baseline 2/3, the regrets 0 and 4/3, times .2."""
    legal = jnp.array([[True, False, True]])
    logits = heads.masked(jnp.log(jnp.array([[0.5, 0.25, 0.25]])), legal)
    loss, gradient = jax.jit(jax.value_and_grad(regret_loss))(
        logits, jnp.array([[0.0, 4.0, 2.0]]), jnp.array([0.2]), legal
    )
    assert float(loss) == pytest.approx(0.2 * 4 / 3, rel=1e-6)
    assert float(gradient[0, 1]) == 0


def test_the_loss_is_that_of_rlax() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses deprecated parts of JAX
        import rlax

        logits, q = (jnp.asarray(np.random.default_rng(seed).normal(size=(N, 4)), jnp.float32) for seed in (0, 1))
        theirs = jax.jit(jax.value_and_grad(rlax.rpg_loss))(logits, q)
    ours = jax.jit(jax.value_and_grad(regret_loss))(logits, q, jnp.full(N, 1 / N))  # rlax takes the mean over steps
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("side", [0, 1])
def test_the_expected_update_is_the_exact_gradient(sampling: Any, check_direction: Any, side: int) -> None:
    """With exact action values, and as often as a state has actions of positive regret (Kuhn: one of two)."""
    update, agent, network = rpg(PLAIN).update, sampling.agents[side], sampling.networks[side]
    values = sampling.action_values[side]
    policy = np.asarray(jax.nn.softmax(network.forward(jnp.eye(len(values)), ((), ()))[0]))
    times = (values > (policy * values).sum(1, keepdims=True)).sum(1, keepdims=True)
    assert (times == 1).all() or len(values) == 1
    start = RPGState(network, that_says(values))
    moved = [update(start, agents[agent], KEY)[0].network for agents in sampling.experiences]
    check_direction(network, moved, times * sampling.gradients[side])


@pytest.mark.slow
def test_action_values_are_learned_from_every_step(sampling: Any) -> None:
    """Those of the attacker, too, from the steps at which its benign policy chose."""
    agent, values = sampling.agents[1], sampling.action_values[1]
    learner = rpg(LEARNING)
    learned = RPGState(sampling.networks[1], that_says(np.zeros_like(values)))
    rounds = [agents[agent] for agents in sampling.experiences]
    for _ in range(12):
        for e in rounds:
            learned, _ = learner.update(learned, e, KEY)
    found = np.asarray(learned.q(jnp.eye(len(values)), ())[0])
    # 80,000 matches of returns of size 1 or 2: a standard error of about .02 where an action is rare.
    np.testing.assert_allclose(found, values, atol=0.1)


@pytest.mark.slow
def test_without_control_the_policy_stays_as_it_is(sampling: Any) -> None:
    e = sampling.experiences[0][sampling.agents[0]]
    e = e._replace(controlled=jnp.zeros_like(e.controlled))
    learner = rpg(LEARNING)
    q = learner.init(Spaces(Box((e.observation.shape[-1],)), Discrete(sampling.gradients[0].shape[1])), KEY).q
    start = RPGState(sampling.networks[0], q)
    moved, metrics = learner.update(start, e, KEY)
    assert eqx.tree_equal(start.network.actor, moved.network.actor)
    assert not eqx.tree_equal(start.q, moved.q)
    assert float(metrics["grad_norm"]) == 0
    batch = eqx.filter_jit(whole_matches)(start.network, e, 1.0)
    played = jnp.take_along_axis(q(batch.observation, ())[0], batch.action[:, None], axis=1)[:, 0]
    weight = batch.weight if batch.moved is None else batch.moved
    assert float(metrics["q_loss"]) == pytest.approx(
        float(0.5 * (weight * (played - batch.returns) ** 2).sum()), rel=1e-5
    )


def test_new_networks_differ_from_each_other() -> None:
    learner = rpg(RPGConfig())
    made = learner.init(SPACES, KEY)
    assert [np.shape(layer.weight) for layer in made.q.mlp.layers] == [(128, 3), (4, 128)]
    assert not eqx.tree_equal(made.q, made.network.actor)
    assert learner.policy(made) is made.network
    assert eqx.tree_equal(made, learner.init(SPACES, KEY))


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(InputError, match="discrete actions, got Box"):
        rpg(RPGConfig()).init(Spaces(Box((3,)), Box((2,))), KEY)
