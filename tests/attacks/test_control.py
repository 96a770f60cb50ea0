"""Other kinds of control than the paper's, and games whose observation says nothing: what an attack learns there."""

from __future__ import annotations

from itertools import islice
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
from sparring.exact.markov_game import MarkovGame
from sparring.games.finite import infosets
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.learners.ppo import PPOConfig
from sparring.learners.tables import tabulate
from sparring.mixture import act, mix
from sparring.nets import ActorCritic, NetworkConfig, actor_critic
from sparring.policies import CallablePolicy, ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.training import TrainState, train
from sparring.types import AgentID, Array, Box, Discrete, Policy, Spaces, Step, ThreatModel, View

SMALL = NetworkConfig(hidden=(16, 16))


def gaussian(mean: list[float], std: list[float], seed: int) -> ActorCritic:
    """The same normal distribution everywhere."""
    net = actor_critic(Spaces(Box((1,)), Box((2,))), NetworkConfig(hidden=(4,)), np.array([seed, 2], np.uint32))
    last: Any = net.actor.mlp.layers[-1]  # pyright: ignore[reportAttributeAccessIssue]  # a union; this is the MLP

    def where(n: Any) -> Any:
        return n.actor.mlp.layers[-1].weight, n.actor.mlp.layers[-1].bias, n.log_std

    new = (0 * last.weight, jnp.asarray(mean, jnp.float32), jnp.log(jnp.asarray(std, jnp.float32)))
    return eqx.tree_at(where, net, new)


def test_blended_noise_is_independent() -> None:
    """Benign N(0, diag(1, .1)^2), adversarial N(.2, .3^2), budget .3, reward x0 + x1 (DECISIONS 27).

    The executed spread is sqrt((.7 * 1)^2 + (.3 * .3)^2) = .706 and sqrt(.07^2 + .09^2) = .114. The score function's
    mean is the budget, .3, in each dimension; with one noise for both policies it was (2.65, .52).
    """
    n = 200_000
    mixed = mix(gaussian([0, 0], [1, 0.1], 1), gaussian([0.2, 0.2], [0.3, 0.3], 2), 0.3, "blend")
    decision = act(mixed, np.array([5, 6], np.uint32), View(np.ones((n, 1), np.float32)), mixed.initial_state(n))
    executed, proposed = np.asarray(decision.action, float), np.asarray(decision.proposed, float)
    np.testing.assert_allclose(executed.std(0), [0.7058, 0.1140], rtol=0.01)
    reward = executed.sum(1)
    samples = (proposed - 0.2) / 0.3**2 * (reward - reward.mean())[:, None]
    error = samples.std(0) / np.sqrt(n)
    np.testing.assert_array_less(np.abs(samples.mean(0) - 0.3), 5 * error)
    assert error.max() < 0.01


LENGTH = 60


def chain() -> tuple[MarkovGame, np.ndarray]:
    """The attacker stops at once, which is worth 0, or goes on: then each step pays the victim 1/60 or costs it 1/60.

    The benign policy goes on and pays.
    """
    states = LENGTH + 2
    moves, reward = np.zeros((states, 1, 2, states)), np.zeros((states, 1, 2))
    moves[0, 0, 0, -1] = moves[0, 0, 1, 1] = 1
    for state in range(1, LENGTH + 1):
        moves[state, 0, :, state + 1] = 1
        reward[state, 0] = [1 / LENGTH, -1 / LENGTH]
    moves[-1, 0, :, -1] = 1
    benign = np.zeros((states, 2), np.float32)
    benign[:, 0] = 1
    benign[0] = [0, 1]
    return MarkovGame(moves, reward, np.eye(states)[0], 0.99), benign


def last(states: Any, rounds: int) -> TrainState:
    *_, state = islice(states, rounds)
    return state


@pytest.mark.long
def test_control_of_whole_matches_finds_what_only_whole_matches_show() -> None:
    """Budget .15: a critic that learns from the benign matches too says that going on is bad, and the attack ends at
    P(go on) = 0, worth 0; one that learns from controlled matches alone leads to 1, the best (DECISIONS 27).
    """
    game, benign = chain()
    sampled = SampledMarkovGame(game, 64, LENGTH + 2)
    threat = ThreatModel("victim", ("attacker",), {"attacker": TabularPolicy(benign)}, 0.15, control="episode")
    learner = PPOConfig(
        gamma=1.0, epochs=8, minibatch=512, learning_rate=3e-3, normalize_observations=False, entropy_coef=0.01
    )
    config = AttackConfig(steps_per_round=LENGTH + 2, ppo=learner)
    method = adversarial_policy(sampled, threat, ConstantPolicy(Discrete(1)), config)
    state = last(train(sampled, method, 0), 60)
    network = state.learners["attacker"].network
    hurt = tabulate(network, infosets(sampled, "attacker"))[:, 1]
    assert hurt[0] > 0.95
    assert hurt[1 : LENGTH + 1].mean() > 0.95
    assert state.trajectory is not None
    e = state.trajectory.agents["attacker"]
    np.testing.assert_array_equal(e.valued, e.controlled)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_a_solved_policy_stays_solved(seed: int) -> None:
    """The victim always plays rock; at budget .3 and 64 steps a minibatch, advantages are equal once paper is learned.

    Normalised to noise, they took P(paper) from 1.0 back to .29-.47 in each of these seeds (DECISIONS 34).
    """
    game = MatrixGame(ROCK_PAPER_SCISSORS, 64)
    uniform = TabularPolicy(np.full((1, 3), 1 / 3, np.float32))
    rock = TabularPolicy(np.array([[1.0, 0, 0]], np.float32))
    threat = ThreatModel("row", ("col",), {"col": uniform}, 0.3)
    learner = PPOConfig(epochs=4, minibatch=64, learning_rate=1e-3, network=SMALL)
    method = adversarial_policy(game, threat, rock, AttackConfig(steps_per_round=64, ppo=learner))
    rows = infosets(game, "col")
    paper = [tabulate(s.learners["col"].network, rows)[0, 2] for s in islice(train(game, method, seed), 40)]
    assert min(paper[20:]) > 0.99


class Bandit:
    """The attacker wins with action 1 and loses with 0; every agent sees zeros, whatever happens."""

    id, agents = "test/bandit", ("victim", "attacker")

    def __init__(self, num_games: int) -> None:
        self.num_games = num_games
        self.spaces = {agent: Spaces(Box((2,)), Discrete(2)) for agent in self.agents}

    def _views(self) -> dict[AgentID, View]:
        return {agent: View(np.zeros((self.num_games, 2), np.float32)) for agent in self.agents}

    def reset(self, seed: int) -> dict[AgentID, View]:
        del seed
        return self._views()

    def step(self, actions: dict[AgentID, Array]) -> Step:
        won = np.where(actions["attacker"] == 1, 1, -1)
        yes, no = np.ones(self.num_games, bool), np.zeros(self.num_games, bool)
        reward = {"victim": -won.astype(np.float32), "attacker": won.astype(np.float32)}
        outcome = {"victim": -won.astype(np.int8), "attacker": won.astype(np.int8)}
        return Step(self._views(), self._views(), reward, yes, no, no, outcome, {})

    def get_state(self) -> dict[str, np.ndarray]:
        return {}

    def set_state(self, state: Any) -> dict[AgentID, View]:
        del state
        return self._views()

    def close(self) -> None: ...


@pytest.mark.slow
@pytest.mark.parametrize("benign", ["in JAX", "on the host"])
def test_where_there_is_nothing_to_see_there_is_something_to_learn(benign: str) -> None:
    """Zeros are an observation like any other; taken for "not its move", nothing was learned (.498 instead of 1)."""
    game: Any = Bandit(32)
    policies: dict[str, Policy] = {
        "in JAX": RandomPolicy(Discrete(2)),
        "on the host": CallablePolicy(lambda observation, rng: rng.integers(2, size=len(observation))),
    }
    threat = ThreatModel("victim", ("attacker",), {"attacker": policies[benign]}, 1.0)
    learner = PPOConfig(learning_rate=1e-2, epochs=4, minibatch=128, network=SMALL)
    config = AttackConfig(steps_per_round=16, ppo=learner)
    method = adversarial_policy(game, threat, ConstantPolicy(Discrete(2)), config)
    rounds = 12 if benign == "in JAX" else 2
    trajectory = last(train(game, method, 0), rounds).trajectory
    assert trajectory is not None and trajectory.outcome is not None
    assert trajectory.agents["attacker"].controlled.all()
    if benign == "in JAX":
        assert (trajectory.outcome["attacker"] == 1).mean() > 0.95
