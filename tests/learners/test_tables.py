from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.exact.problem import uniform
from sparring.exact.tree_game import Infosets
from sparring.games.finite import infosets, problem
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.learners.a2c import A2CConfig, a2c
from sparring.learners.tables import exact_oracle, tabulate
from sparring.mixture import mix
from sparring.nets import NetworkConfig, actor_critic
from sparring.policies import CallablePolicy, ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.types import Box, Discrete, Policy, Spaces, View

KEY = np.array([3, 4], np.uint32)
UNIFORM = TabularPolicy(np.full((1, 3), 1 / 3))


def test_the_oracle_answers_the_victim_of_the_moment() -> None:
    game = MatrixGame(ROCK_PAPER_SCISSORS)
    oracle = exact_oracle(problem(game, "row", ["col"], {}, 0.5), infosets(game, "row"))
    for action, answer in ((0, 2), (1, 0), (2, 1)):  # of row's payoffs: 1 beats 0, 2 beats 1, 0 beats 2 for "col"
        played = oracle(TabularPolicy(np.eye(3)[[action]]))
        worst = int(ROCK_PAPER_SCISSORS[action].argmin())
        assert worst == answer
        assert isinstance(played, TabularPolicy)
        np.testing.assert_array_equal(played.probabilities, np.eye(3)[[worst]])


ROWS = Infosets(
    ("a", "b"), np.array([2, 3]), np.array([[0, 1, -1], [0, 1, 2]]), (("x", "y"), ("x", "y", "z"))
)  # two legal actions in the first set


@pytest.mark.slow
def test_tables_of_policies() -> None:
    network = actor_critic(Spaces(Box((2,)), Discrete(3)), NetworkConfig(hidden=(8,)), KEY)
    logits = np.asarray(network.forward(jnp.eye(2), ((), ()))[0], np.float64)
    logits[0, 2] = -np.inf  # illegal
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    table = np.array([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]])
    legal, first = np.array([[1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]]), np.eye(3)[[0, 0]]
    cases: list[tuple[Policy, Any]] = [
        (network, softmax),
        (replace(network, greedy=True), np.eye(3)[logits.argmax(1)]),
        (TabularPolicy(table), table),
        (RandomPolicy(Discrete(3)), legal),
        (ConstantPolicy(Discrete(3)), first),
        (mix(TabularPolicy(table), ConstantPolicy(Discrete(3)), 0.25), 0.75 * table + 0.25 * first),
    ]
    for policy, expected in cases:
        found = tabulate(policy, ROWS)
        np.testing.assert_allclose(found, expected, atol=1e-7)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-15)


def test_a_table_is_what_the_network_plays() -> None:
    network = actor_critic(Spaces(Box((2,)), Discrete(3)), NetworkConfig(hidden=(8,)), KEY)
    view = View(jnp.tile(jnp.eye(2)[:1], (20000, 1)), jnp.tile(jnp.array([[True, True, False]]), (20000, 1)))
    played = np.asarray(network.act(jax.random.key(0), view, ((), ())).action)
    shares = np.bincount(played, minlength=3) / 20000
    np.testing.assert_allclose(tabulate(network, ROWS)[0], shares, atol=5 * 0.5 / np.sqrt(20000))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (CallablePolicy(lambda observation, rng: observation), "CallablePolicy: its action probabilities"),
        (actor_critic(Spaces(Box((2,)), Discrete(3)), NetworkConfig("lstm", (8,)), KEY), "ActorCritic: its action"),
        (mix(UNIFORM, UNIFORM, 0.5, "episode"), "MixedPolicy: its action"),
        (
            actor_critic(Spaces(Box((4,)), Discrete(3)), NetworkConfig(), KEY),
            "observations of size 2 and 3 actions, got one for 4 and 3",
        ),
        (RandomPolicy(Discrete(2)), r"probabilities of shape \[2, 3\], got \[2, 2\]"),
        (TabularPolicy(np.eye(3)[[2, 0]]), "probability on a legal action in row 0, got none"),
        (TabularPolicy(np.full((2, 3), np.nan)), "expected action probabilities, got NaN"),
        (UNIFORM, r"shape \[2, 3\], got \[1, 3\]"),
    ],
)
def test_policies_without_a_table_are_refused(policy: Policy, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tabulate(policy, ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("game", ["leduc_poker", "liars_dice(dice_sides=4)"])
def test_a_new_network_is_almost_uniform_over_legal_actions(game: str) -> None:
    """Where masks were missing, sets with two legal actions were played [.33, .67] (Leduc) or [.12, .88] (dice)."""
    tree = compile_tree(game, 10**6)
    sampled = SampledTree(tree)
    rows = infosets(sampled, "player0")
    learner = a2c(A2CConfig())
    table = tabulate(learner.policy(learner.init(sampled.spaces["player0"], KEY)), rows)
    assert len(np.unique(rows.count)) > 1
    assert (np.abs(table - uniform(rows.count)).sum(1) / 2).max() < 0.02
