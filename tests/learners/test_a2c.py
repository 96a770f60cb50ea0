from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from finite_differences import check_gradient

from sparring.errors import InputError
from sparring.learners.a2c import A2CConfig, Matches, a2c, a2c_loss, policy_gradient_loss, whole_matches
from sparring.nets import ActorCritic, NetworkConfig, actor_critic
from sparring.types import Box, Discrete, Experience, Spaces

KEY = np.array([3, 4], np.uint32)
# Compiled as a whole: one by one, their operations take much longer to compile.
counted, losses = eqx.filter_jit(whole_matches), eqx.filter_jit(a2c_loss)
SPACES = Spaces(Box((3,)), Discrete(4))
T, B, N = 5, 4, 12
# One step moves the policy by the gradient itself and leaves the critic.
PLAIN = A2CConfig(learning_rate=1.0, critic_rate=0.0, entropy_coef=0.0, hidden=(8,))


def network(dtype: Any = np.float32) -> ActorCritic:
    rng = np.random.default_rng(0)
    made = actor_critic(SPACES, NetworkConfig(hidden=(6,)), KEY)
    actor, critic = jax.tree.map(
        lambda x: jnp.asarray(x + 0.3 * rng.normal(size=x.shape), dtype) if eqx.is_inexact_array(x) else x,
        (made.actor, made.critic),
    )
    return eqx.tree_at(lambda n: (n.actor, n.critic), made, (actor, critic))


def matches(masked: bool = False) -> Matches:
    rng = np.random.default_rng(1)
    weight = rng.random(N) * (rng.random(N) < 0.8)
    controlled = weight * (rng.random(N) < 0.6)
    numbers = rng.normal(size=(2, N))
    action = rng.integers(4, size=N)
    mask = None
    if masked:
        mask = jnp.asarray((rng.random((N, 4)) < 0.5) | (np.arange(4) == action[:, None]))
    observation = jnp.asarray(rng.normal(size=(N, 3)))
    return Matches(observation, mask, *map(jnp.asarray, (action, *numbers, weight, controlled)))


def experience(**changes: Any) -> Experience:
    rng = np.random.default_rng(2)
    yes = jnp.ones((T, B), bool)
    e = Experience(
        observation=jnp.asarray(rng.normal(size=(T, B, 3)), jnp.float32),
        legal=None,
        action=jnp.asarray(rng.integers(4, size=(T, B))),
        reward=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        log_prob=jnp.zeros((T, B)),
        value=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        bootstrap=jnp.zeros((T, B)),
        controlled=yes,
        valued=yes,
        terminated=yes,
        truncated=~yes,
        first=yes,
        last_value=jnp.zeros(B),
        policy_state=(),
    )
    return e._replace(**changes)


def same(a: Any, b: Any) -> bool:
    return bool(eqx.tree_equal(a, b))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_is_that_of_finite_differences(masked: bool) -> None:
    net, batch = network(np.float64), matches(masked)
    gradient, _ = eqx.filter_jit(eqx.filter_grad(a2c_loss, has_aux=True))(net, batch, 0.3)
    leaves, structure = jax.tree.flatten(eqx.filter((net.actor, net.critic), eqx.is_inexact_array))
    exact = jax.tree.leaves((gradient.actor, gradient.critic))

    @eqx.filter_jit
    def loss(moved: list[Any]) -> Any:
        parts = eqx.combine(jax.tree.unflatten(structure, moved), (net.actor, net.critic))
        return a2c_loss(eqx.tree_at(lambda n: (n.actor, n.critic), net, parts), batch, 0.3)[0]

    check_gradient(loss, leaves, exact, step=1e-5, rtol=1e-6)


@pytest.mark.slow
def test_the_losses_are_those_of_rlax() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses deprecated parts of JAX
        import rlax

        rng = np.random.default_rng(4)
        logits, advantage, weight = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((N, 4), N, N))
        action = jnp.asarray(rng.integers(4, size=N))
        # rlax takes the mean over steps where we take the weighted sum.
        theirs = jax.jit(jax.value_and_grad(lambda x: N * rlax.policy_gradient_loss(x, action, advantage, weight)))(
            logits
        )
        ours = jax.jit(jax.value_and_grad(policy_gradient_loss))(logits, action, advantage, weight)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)
        net, batch = network(), jax.tree.map(lambda x: x.astype(np.float32) if x.dtype.kind == "f" else x, matches())
        head = net.forward(batch.observation, ((), ()))[0]
        entropy = -N * rlax.entropy_loss(head, batch.controlled)
    assert float(losses(net, batch, 0.3)[1]["entropy"]) == pytest.approx(float(entropy), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("side", [0, 1])
def test_the_expected_update_is_the_exact_gradient(sampling: Any, check_direction: Any, side: int) -> None:
    """Lemma D.1, with the factor epsilon for the attacker (DECISIONS 13), whatever the critic says."""
    update, agent, start = a2c(PLAIN).update, sampling.agents[side], sampling.networks[side]
    moved = [update(start, agents[agent], KEY)[0] for agents in sampling.experiences]
    check_direction(start, moved, sampling.gradients[side])
    assert same(start.critic, moved[0].critic)


@pytest.mark.slow
@pytest.mark.parametrize("side", [0, 1])
def test_with_a_discount_it_is_still_the_exact_gradient(chain: Any, check_direction: Any, side: int) -> None:
    """Lemma D.1 counts what is met after t steps gamma^t times; the bare sum's cosine to it is .555 (DECISIONS 32)."""
    update, agent, start = a2c(replace(PLAIN, gamma=chain.gamma)).update, chain.agents[side], chain.networks[side]
    moved = [update(start, agents[agent], KEY)[0] for agents in chain.experiences]
    check_direction(start, moved, chain.gradients[side])


@pytest.mark.slow
def test_short_matches_are_not_favoured(sampling: Any) -> None:
    """The counted matches' mean return is the exact value; and there is one whole match per slot."""
    returns = []
    for agents in sampling.experiences:
        e = agents[sampling.agents[0]]
        batch = counted(sampling.networks[0], e, 1.0)
        weight = batch.weight.reshape(e.reward.shape)
        np.testing.assert_allclose((weight * e.terminated).sum(0), 1 / e.reward.shape[1], rtol=1e-6)
        returns.append(float((weight * e.reward).sum()))
    error = np.std(returns, ddof=1) / math.sqrt(len(returns))
    assert abs(np.mean(returns) - sampling.value) < 5 * error


def test_what_counts_of_a_round() -> None:
    """Three slots, five steps, gamma 1/2. A match in brackets, what began before or comes after in dots.

    [0 1 2] . .   returns 1 + 2/2 + 4/4 = 3, 2 + 4/2 = 4, 4
    . . [2 3 |    the round ends: 3 + (4 + 6/2)/2 = 6.5 at step 3 (last value 6), so 1 + 6.5/2 ...
    . . . . .     nothing begins
    """
    first = np.zeros((5, 3), bool)
    first[[0, 3], [0, 0]] = True
    first[2, 1] = True
    terminated = np.zeros((5, 3), bool)
    terminated[[2, 1], [0, 1]] = True
    reward = np.zeros((5, 3), np.float32)
    reward[:, 0] = [1, 2, 4, 9, 9]
    reward[:, 1] = [7, 7, 1, 3, 4]
    value = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    observation = np.arange(5 * 3 * 3, dtype=np.float32).reshape(5, 3, 3)
    controlled = np.ones((5, 3), bool)
    controlled[1, 0] = False
    legal = np.random.default_rng(1).random((5, 3, 4)) < 0.5
    batch = counted(
        network(),
        Experience(
            jnp.asarray(observation),
            jnp.asarray(legal),
            *map(jnp.asarray, (np.zeros((5, 3), int), reward, value, value, np.zeros((5, 3)))),
            controlled=jnp.asarray(controlled),
            valued=jnp.ones((5, 3), bool),
            terminated=jnp.asarray(terminated),
            truncated=jnp.zeros((5, 3), bool),
            first=jnp.asarray(first),
            last_value=jnp.full(3, 6.0),
            policy_state=(),
        ),
        0.5,
    )
    weight = np.zeros((5, 3))
    weight[:3, 0] = weight[2:, 1] = 1 / 2  # two matches
    np.testing.assert_allclose(np.reshape(batch.weight, (5, 3)), weight)
    # With the discount since the match began (DECISIONS 32).
    since = 0.5 ** np.array([[0, 9, 9], [1, 9, 9], [2, 0, 9], [9, 1, 9], [9, 2, 9]])
    np.testing.assert_allclose(np.reshape(batch.controlled, (5, 3)), weight * controlled * since)
    returns = np.reshape(batch.returns, (5, 3))
    np.testing.assert_allclose(returns[:3, 0], [3, 4, 4], rtol=1e-6)
    np.testing.assert_allclose(returns[2:, 1], [1 + (3 + 7 / 2) / 2, 3 + 7 / 2, 4 + 6 / 2], rtol=1e-6)
    np.testing.assert_allclose(np.reshape(batch.advantage, (5, 3)), returns - value, atol=1e-6)
    np.testing.assert_array_equal(batch.observation[3], observation[1, 0])
    np.testing.assert_array_equal(batch.legal, legal.reshape(15, 4))


def test_matches_that_another_policy_plays_count_for_nothing() -> None:
    """Two of four slots are played by a past policy (DECISIONS 28): the mean is over the other two."""
    mine = jnp.broadcast_to(jnp.asarray([True, False, True, False]), (T, B))
    batch = counted(network(), experience(valued=mine, controlled=mine), 1.0)
    weight = np.reshape(batch.weight, (T, B))
    np.testing.assert_allclose(weight[0], [0.5, 0, 0.5, 0])
    assert not weight[1:].any()  # every step is a match, and the first one counts


def test_an_undiscounted_future_of_nothing() -> None:
    """gamma 0: only a match's first decision is weighed, and the weights before a match are no NaN."""
    first = jnp.zeros((T, B), bool).at[2].set(True)
    batch = counted(network(), experience(first=first, terminated=jnp.zeros((T, B), bool)), 0.0)
    controlled = np.asarray(batch.controlled).reshape(T, B)
    np.testing.assert_allclose(controlled[2], 1 / B)
    assert np.isfinite(controlled).all() and not controlled[[0, 1, 3, 4]].any()


def test_a_time_limit_bootstraps() -> None:
    e = experience(
        truncated=jnp.ones((T, B), bool), terminated=jnp.zeros((T, B), bool), bootstrap=jnp.full((T, B), 5.0)
    )
    batch = counted(network(), e, 0.9)
    np.testing.assert_allclose(batch.returns[:B], e.reward[0] + 0.9 * 5, rtol=1e-5)


@pytest.mark.slow
def test_each_part_descends_its_own_loss_at_its_own_rate() -> None:
    start, e = network(), experience()
    gradient, _ = eqx.filter_jit(eqx.filter_grad(a2c_loss, has_aux=True))(start, counted(start, e, 1.0), 0.1)
    moved, metrics = a2c(A2CConfig(learning_rate=0.5, critic_rate=0.25)).update(start, e, KEY)
    for part, rate in (("actor", 0.5), ("critic", 0.25)):
        before, after, slope = (getattr(x, part).mlp.layers[0].weight for x in (start, moved, gradient))
        np.testing.assert_allclose(after, before - rate * slope, atol=1e-6)
    assert same(start.normalizer, moved.normalizer)
    norm = math.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(gradient.actor)))
    assert float(metrics["grad_norm"]) == pytest.approx(norm, rel=1e-5)


def test_without_control_the_policy_stays_as_it_is() -> None:
    start, e = network(), experience(controlled=jnp.zeros((T, B), bool))
    moved, _ = a2c(A2CConfig()).update(start, e, KEY)
    assert same(start.actor, moved.actor)
    assert not same(start.critic, moved.critic)  # the value loss sees every step (DECISIONS 15)


def test_the_entropy_bonus_draws_towards_uniform() -> None:
    start, e = network(), experience(reward=jnp.zeros((T, B)), value=jnp.zeros((T, B)))
    update: Callable[..., Any] = a2c(replace(PLAIN, entropy_coef=1.0, learning_rate=0.1)).update
    moved = start
    for _ in range(50):
        moved, metrics = update(moved, e, KEY)
    # The first step of each slot counts: one decision per match.
    assert float(metrics["entropy"]) == pytest.approx(math.log(4), rel=0.01)


@pytest.mark.slow
def test_a_magnet_holds_the_policy_back_and_follows_it() -> None:
    """Paid for one action alone, a policy goes there; with a magnet that stays it stops where both gradients meet."""
    e = experience(reward=jnp.ones((T, B)), value=jnp.zeros((T, B)), action=jnp.zeros((T, B), int))
    plain = replace(PLAIN, entropy_coef=0.0, learning_rate=0.5, critic_rate=0.0)

    def end(magnet: float, rate: float) -> tuple[Any, Any]:
        learner = a2c(replace(plain, magnet=magnet, magnet_rate=rate))
        state = learner.init(SPACES, KEY)
        for _ in range(30):
            state, metrics = learner.update(state, e, KEY)
        return state, metrics

    free, _ = end(0.0, 0.0)
    (held, fixed), metrics = end(3.0, 0.0)
    (_, followed), _ = end(3.0, 1.0)
    start = a2c(plain).init(SPACES, KEY)
    assert same(fixed, start) and not same(followed.actor, start.actor)

    def away(policy: Any) -> float:
        """KL(policy, start) at the steps that count, by hand."""
        rows = counted(start, e, 1.0)
        ours, theirs = (jax.nn.log_softmax(n.forward(rows.observation, ((), ()))[0]) for n in (policy, start))
        kl = (jnp.exp(ours) * (ours - theirs)).sum(-1)
        return float((rows.controlled * kl).sum())

    assert away(held) < 0.1 < away(free)
    assert float(metrics["magnet_kl"]) == pytest.approx(away(held), rel=0.05)  # before the last small step


def test_new_networks_are_as_printed() -> None:
    learner = a2c(A2CConfig())
    made = learner.init(SPACES, KEY)
    assert [np.shape(layer.weight) for layer in made.actor.mlp.layers] == [(128, 3), (4, 128)]
    assert learner.policy(made) is made
    assert same(made, learner.init(SPACES, KEY))
    assert not same(made, learner.init(SPACES, KEY + 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": -1.0}, "learning_rate: expected a number of at least 0, got -1"),
        ({"critic_rate": math.nan}, "critic_rate: expected a number of at least 0, got nan"),
        ({"entropy_coef": -0.1}, "entropy_coef"),
        ({"magnet": -1.0}, "magnet: expected a number of at least 0"),
        ({"magnet_rate": 2.0}, r"magnet_rate: expected a number in \[0, 1\], got 2"),
        ({"gamma": 1.5}, r"gamma: expected a number in \[0, 1\], got 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        A2CConfig(**change)


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(InputError, match=r"discrete actions, got Box.*use PPO"):
        a2c(A2CConfig()).init(Spaces(Box((3,)), Box((2,))), KEY)
