"""Masks and heads of several choices: against the definitions, computed with NumPy over the legal actions alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.nets import NetworkConfig, actor_critic, heads
from sparring.policies import check_action
from sparring.types import Box, Dict, Discrete, MultiDiscrete, Space, Spaces, View

KEY = np.array([1, 2], np.uint32)
RNG = np.random.default_rng(0)
HEAD = RNG.normal(size=(6, 5)).astype(np.float32) * 2
LEGAL = np.array(
    [[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 1, 1, 1, 0], [1, 0, 0, 0, 1], [1, 1, 1, 1, 0]], bool
)
NONE = jnp.zeros(0)


def over_legal(row: int) -> np.ndarray:
    """The softmax over the legal actions of a row, zero elsewhere."""
    weights = np.where(LEGAL[row], np.exp(HEAD[row].astype(float)), 0.0)
    return weights / weights.sum()


def test_a_mask_leaves_the_softmax_over_legal_actions() -> None:
    masked = heads.masked(jnp.asarray(HEAD), LEGAL)
    entropy = heads.entropy(Discrete(5), masked, NONE)
    for row in range(6):
        p = over_legal(row)
        for action in np.flatnonzero(LEGAL[row]):
            got = heads.log_prob(Discrete(5), masked[row], NONE, jnp.asarray(action))
            assert float(got) == pytest.approx(np.log(p[action]), abs=1e-5)
        legal = p[LEGAL[row]]
        assert float(entropy[row]) == pytest.approx(float(-(legal * np.log(legal)).sum()), abs=1e-5)
    np.testing.assert_array_equal(heads.masked(jnp.asarray(HEAD), None), HEAD)


def test_illegal_actions_are_never_sampled_and_legal_ones_as_often_as_they_should() -> None:
    n = 4000
    for row in (1, 3):
        masked = heads.masked(jnp.tile(HEAD[row], (n, 1)), np.tile(LEGAL[row], (n, 1)))
        drawn = np.asarray(heads.sample(Discrete(5), masked, None, KEY, greedy=False))
        rates, p = np.bincount(drawn, minlength=5) / n, over_legal(row)
        assert not rates[~LEGAL[row]].any()
        np.testing.assert_array_less(np.abs(rates - p), 5 * np.sqrt(p * (1 - p) / n) + 1e-12)
        best = np.argmax(np.where(LEGAL[row], HEAD[row], -np.inf))
        assert (np.asarray(heads.sample(Discrete(5), masked, None, KEY, greedy=True)) == best).all()


def test_no_gradient_reaches_an_illegal_logit() -> None:
    def total(head: jax.Array) -> jax.Array:
        masked = heads.masked(head, LEGAL)
        action = jnp.asarray([0, 2, 4, 1, 4, 3])
        return (heads.log_prob(Discrete(5), masked, NONE, action) + heads.entropy(Discrete(5), masked, NONE)).sum()

    gradient = np.asarray(jax.grad(total)(jnp.asarray(HEAD)))
    assert np.isfinite(gradient).all()
    assert not gradient[~LEGAL].any()
    assert gradient[LEGAL].any()


@pytest.mark.slow
def test_several_choices_are_the_product_of_single_ones() -> None:
    """A head of 2 + 3 logits: probabilities multiply, entropies add up, illegal actions are masked in each."""
    space, mask = MultiDiscrete((2, 3)), LEGAL.copy()
    mask[:, 0] = mask[:, 4] = True  # each choice has a legal action
    masked = heads.masked(jnp.asarray(HEAD), mask)
    action = np.stack([np.zeros(6, int), np.full(6, 2)], 1)
    parts = [(Discrete(2), masked[:, :2], action[:, 0]), (Discrete(3), masked[:, 2:], action[:, 1])]
    log_prob = sum(heads.log_prob(s, h, NONE, jnp.asarray(a)) for s, h, a in parts)
    entropy = sum(heads.entropy(s, h, NONE) for s, h, _ in parts)
    np.testing.assert_allclose(heads.log_prob(space, masked, NONE, jnp.asarray(action)), log_prob, rtol=1e-6)
    np.testing.assert_allclose(heads.entropy(space, masked, NONE), entropy, rtol=1e-6)
    np.testing.assert_array_equal(heads.mode(space, masked), np.stack([heads.mode(s, h) for s, h, _ in parts], 1))
    n = 4000
    drawn = np.asarray(heads.sample(space, jnp.tile(HEAD[0], (n, 1)), None, KEY, greedy=False))
    assert drawn.shape == (n, 2)
    joint = np.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=6) / n
    first, second = (np.exp(x) / np.exp(x).sum() for x in (HEAD[0, :2], HEAD[0, 2:]))
    p = np.outer(first, second).ravel()  # the choices are drawn independently
    np.testing.assert_array_less(np.abs(joint - p), 5 * np.sqrt(p * (1 - p) / n))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("observation", "action", "seen"),
    [
        (Discrete(3), MultiDiscrete((2, 3)), np.array([0, 2])),
        (Box((2, 2), 0, 255, "uint8"), Discrete(4), np.zeros((2, 2, 2), np.uint8)),
        (
            Dict((("board", Box((2,))), ("hand", MultiDiscrete((2, 2))))),
            Box((2, 2), -1.0, 1.0),
            {"board": np.ones((2, 2), np.float32), "hand": np.array([[0, 1], [1, 1]])},
        ),
    ],
    ids=["choices", "image", "dict"],
)
def test_a_network_plays_in_every_space(
    observation: Space, action: Discrete | MultiDiscrete | Box, seen: object
) -> None:
    spaces = Spaces(observation, action)
    network = actor_critic(spaces, NetworkConfig(hidden=(4,)), KEY)
    assert network.normalizer.mean.shape == (observation.size,)
    legal = None if isinstance(action, Box) else np.arange(action.size) != 0
    legal = None if legal is None else np.tile(legal, (2, 1))
    decision = network.act(KEY, View(seen, legal), network.initial_state(2))
    check_action(np.asarray(decision.action), action, "test", legal)
    assert decision.log_prob is not None and decision.log_prob.shape == (2,)
    if isinstance(action, Box):
        assert decision.action.shape == (2, 2, 2)


def test_the_divergence_is_that_of_the_definition() -> None:
    """Choices: the sum over legal actions. Gaussians: the closed form, and by sampling 400,000 actions."""
    other = np.random.default_rng(5).normal(size=HEAD.shape).astype(np.float32)
    ours, theirs = (heads.masked(jnp.asarray(head), LEGAL) for head in (HEAD, other))
    got = heads.divergence(Discrete(5), ours, NONE, theirs, NONE)
    for row in range(6):
        p, legal = over_legal(row), LEGAL[row]
        q = np.where(legal, np.exp(other[row].astype(float)), 0.0)
        q /= q.sum()
        assert float(got[row]) == pytest.approx(float((p[legal] * np.log(p[legal] / q[legal])).sum()), abs=1e-5)
    both = heads.divergence(MultiDiscrete((2, 3)), jnp.asarray(HEAD), NONE, jnp.asarray(other), NONE)
    parts = [
        heads.divergence(
            Discrete(stop - start),
            jnp.asarray(HEAD[:, start:stop]),
            NONE,
            jnp.asarray(other[:, start:stop]),
            NONE,
        )
        for start, stop in ((0, 2), (2, 5))
    ]
    np.testing.assert_allclose(both, parts[0] + parts[1], rtol=1e-5)
    np.testing.assert_allclose(heads.divergence(Discrete(5), ours, NONE, ours, NONE), 0, atol=1e-6)

    space = Box((2,))
    mean, log_std = jnp.asarray([0.3, -0.2]), jnp.asarray([-0.5, 0.1])
    from_mean, from_log_std = jnp.asarray([0.1, 0.4]), jnp.asarray([0.2, -0.3])
    exact = float(heads.divergence(space, mean, log_std, from_mean, from_log_std))
    actions = np.asarray(mean) + np.exp(log_std) * np.random.default_rng(0).normal(size=(400_000, 2))
    wide = jnp.broadcast_to(mean, actions.shape), jnp.broadcast_to(from_mean, actions.shape)
    difference = heads.log_prob(space, wide[0], log_std, actions) - heads.log_prob(
        space, wide[1], from_log_std, actions
    )
    assert abs(float(difference.mean()) - exact) < 5 * float(difference.std()) / np.sqrt(400_000)
