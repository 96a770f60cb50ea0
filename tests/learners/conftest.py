"""Shared by the tests of A2C and RPG: sampled updates of both sides of a game, beside the exact gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.exact.markov_game import MarkovGame
from sparring.exact.problem import MarkovProblem, Problem
from sparring.exact.tree import reach, tree_problem
from sparring.games.finite import infosets, problem
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.mixture import mix
from sparring.nets import ActorCritic, NetworkConfig, actor_critic
from sparring.play.rollout import rollout
from sparring.policies import TabularPolicy
from sparring.types import AgentID, Experience

BUDGET = 0.6
MATCHES, ROUNDS = 2000, 40  # per round
HORIZON = 12  # of the chain: what is cut off is worth .5^12 = 2e-4 of what the first step is


class Sampling(NamedTuple):
    """A game between two networks, the second seat's mixed with a benign policy, and what is exactly true of it."""

    agents: tuple[AgentID, AgentID]
    networks: tuple[ActorCritic, ActorCritic]
    gradients: tuple[np.ndarray, np.ndarray]  # of each agent's own expected return, in its table [I, A]
    action_values: tuple[np.ndarray, np.ndarray]  # Q(s, a), to each agent, [I, A]
    value: float  # to the first agent
    gamma: float
    experiences: list[Mapping[AgentID, Experience]]  # of each agent, round by round


def perturbed(network: ActorCritic, seed: int) -> ActorCritic:
    """Weights that are not special: a new policy is almost uniform, a new critic almost symmetric."""
    rng = np.random.default_rng(seed)

    def move(x: Any) -> Any:
        return jnp.asarray(x + 0.3 * rng.normal(size=x.shape), jnp.float32) if eqx.is_inexact_array(x) else x

    moved = jax.tree.map(move, (network.actor, network.critic))
    return eqx.tree_at(lambda n: (n.actor, n.critic), network, moved)


def table(network: ActorCritic) -> Any:
    """pi(a|s), [I, A]."""
    seen = jnp.eye(network.normalizer.mean.size)
    return jax.nn.softmax(network.forward(seen, ((), ()))[0])


def _chain() -> MarkovGame:
    """States 0 -> 1 -> 2 -> 2, whatever is done; rewards depend on state and actions; gamma .5."""
    transitions = np.zeros((3, 2, 2, 3))
    for state in range(3):
        transitions[state, ..., min(state + 1, 2)] = 1
    reward = np.random.default_rng(3).normal(size=(3, 2, 2))
    return MarkovGame(transitions, reward, np.array([1.0, 0, 0]), 0.5)


@cache
def _sampling(name: str) -> Sampling:
    game: MatrixGame | SampledTree | SampledMarkovGame
    if name == "rps":
        game, steps = MatrixGame(ROCK_PAPER_SCISSORS, MATCHES), 1
    elif name == "chain":
        game, steps = SampledMarkovGame(_chain(), MATCHES // 2, HORIZON), 2 * HORIZON - 1
    else:
        game, steps = SampledTree(compile_tree("kuhn_poker", 1000), MATCHES), 5  # twice the longest match but one
    first, second = game.agents
    key = jax.random.key_data(jax.random.key(1))
    networks = tuple(
        perturbed(actor_critic(game.spaces[agent], NetworkConfig(hidden=(8,)), key), seed)
        for seed, agent in enumerate(game.agents)
    )
    nu, alpha = (np.asarray(table(network), np.float64) for network in networks)
    nu, alpha = nu / nu.sum(1, keepdims=True), alpha / alpha.sum(1, keepdims=True)
    skew = 1.0 + np.arange(infosets(game, second).actions.shape[1])
    benign = np.tile(skew / skew.sum(), (len(alpha), 1))
    exact: Problem
    if isinstance(game, SampledTree):
        exact = tree_problem(game.tree, 0, [1], {1: benign}, BUDGET, direction="true")
        passing, tree = reach(exact, nu, alpha), game.tree
        visits = [
            np.bincount(tree.infoset[tree.actor == player], passing[tree.actor == player], 6)[:, None]
            for player in (0, 1)
        ]
    else:
        exact = problem(game, first, [second], {second: benign}, BUDGET)
        assert isinstance(exact, MarkovProblem)
        # How often each state is met, discounted; the chain's last one for ever after: .5^2 / (1 - .5).
        visits = [np.array([[1.0], [0.5], [0.5]]) if name == "chain" else np.ones((1, 1))] * 2
    of_nu, of_alpha = exact.gradient(nu, alpha)

    rng, state, experiences = np.random.default_rng(0), None, []
    policies = {first: networks[0], second: mix(TabularPolicy(benign), networks[1], BUDGET)}
    for _ in range(ROUNDS):
        trajectory, state = rollout(game, policies, steps, rng, state, game.agents)
        experiences.append(trajectory.agents)
    return Sampling(
        (first, second),
        (networks[0], networks[1]),
        (of_nu, -of_alpha),
        (of_nu / visits[0], -of_alpha / (BUDGET * visits[1])),
        exact.value(nu, alpha),
        0.5 if name == "chain" else 1.0,
        experiences,
    )


@pytest.fixture(params=["rps", "kuhn"])
def sampling(request: pytest.FixtureRequest) -> Sampling:
    return _sampling(request.param)


@pytest.fixture
def chain() -> Sampling:
    """A Markov game with a discount."""
    return _sampling("chain")


CheckDirection = Callable[[ActorCritic, list[ActorCritic], np.ndarray], None]


@pytest.fixture
def check_direction() -> CheckDirection:
    return _check_direction


def _check_direction(network: ActorCritic, moves: list[ActorCritic], gradient: np.ndarray) -> None:
    """The mean of sampled steps of size 1 is the exact gradient, within 5 standard errors along many directions.

    And precisely enough: a gradient that is off by a fifth along itself (without the factor epsilon, say) would show.
    """
    exact = _flat(eqx.filter_grad(lambda n: (jnp.asarray(gradient, jnp.float32) * table(n)).sum())(network).actor)
    steps = np.stack([_flat(moved.actor) - _flat(network.actor) for moved in moves])
    directions = np.random.default_rng(2).normal(size=(20, len(exact)))
    directions = np.concatenate([exact[None], directions])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sampled = steps @ directions.T
    error = sampled.std(axis=0, ddof=1) / np.sqrt(len(steps))
    np.testing.assert_array_less(np.abs(sampled.mean(axis=0) - directions @ exact), 5 * error + 1e-6)
    assert 5 * error[0] < 0.2 * np.linalg.norm(exact)


def _flat(module: Any) -> np.ndarray:
    return np.concatenate([np.asarray(x).ravel() for x in jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))])


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield
