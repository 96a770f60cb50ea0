from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.exact.markov_game import random_game
from sparring.games.hosted import hosted
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import MATCHING_PENNIES, ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.mixture import executed, mix
from sparring.nets import NetworkConfig, actor_critic
from sparring.play.rollout import rollout, start
from sparring.policies import CallablePolicy, ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.types import Box, Discrete, Policy, Spaces, ThreatModel

KEY = np.array([1, 2], np.uint32)
TORQUE = Box((1,), -1.0, 1.0)


def test_a_recorded_rollout(clock: Any, tally: Any) -> None:
    trajectory, state = rollout(
        clock(1), {"x": tally, "y": ConstantPolicy(TORQUE)}, 9, np.random.default_rng(0), record=("x",)
    )
    e = trajectory.agents["x"]
    # Matches of 2 (won), 3 (time limit), 1 (broken), 2 (lost) steps, and the first step of the next.
    np.testing.assert_array_equal(e.first[:, 0], [1, 0, 1, 0, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(e.action[:, 0, 0], [0, 1, 0, 1, 2, 0, 0, 1, 0])  # its state is renewed per match
    np.testing.assert_array_equal(e.observation[:, 0, 2], [0, 1, 0, 1, 2, 0, 0, 1, 0])
    np.testing.assert_array_equal(e.terminated[:, 0], [0, 1, 0, 0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(e.truncated[:, 0], [0, 0, 0, 0, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(e.value[:, 0], [0, 10, 0, 10, 20, 0, 0, 10, 0])
    # The time limit: the value at time 3. Broken physics: that of the last sound observation, 0.
    np.testing.assert_array_equal(e.bootstrap[:, 0], [0, 0, 0, 0, 30, 0, 0, 0, 0])
    np.testing.assert_array_equal(e.last_value, [10])
    np.testing.assert_array_equal(e.reward[:, 0], [0, 1, 0, 1, 2, 0, 0, 1, 0])  # no NaN of the broken match
    np.testing.assert_array_equal(e.log_prob, -np.ones((9, 1)))
    assert e.controlled.all() and e.valued.all() and e.legal is None
    np.testing.assert_array_equal(e.policy_state, [0])
    assert trajectory.outcome is not None
    np.testing.assert_array_equal(trajectory.outcome["x"][:, 0], [0, 1, 0, 0, 0, 0, 0, -1, 0])
    np.testing.assert_array_equal(trajectory.outcome["y"], -trajectory.outcome["x"])
    np.testing.assert_array_equal(trajectory.invalid[:, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(trajectory.truncated[:, 0], [0, 0, 0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(trajectory.info["time"]["x"][:, 0], [1, 0, 1, 2, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(trajectory.reward["y"], np.where(trajectory.invalid, 0, 1))
    assert state.policy["x"][0] == 1 and not state.first.any()


def test_going_on_is_not_stopping(clock: Any) -> None:
    def play(pieces: list[int]) -> np.ndarray:
        game, rng, state = clock(3), np.random.default_rng(0), None
        policies = {"x": RandomPolicy(TORQUE), "y": CallablePolicy(lambda o, rng: rng.normal(size=(3, 1)))}
        rewards = []
        for steps in pieces:
            trajectory, state = rollout(game, policies, steps, rng, state)
            rewards.append(trajectory.reward["x"])
        return np.concatenate(rewards)

    np.testing.assert_array_equal(play([12]), play([1] * 12))
    np.testing.assert_array_equal(play([12]), play([5, 7]))


@pytest.mark.slow
def test_going_on_is_not_stopping_within_jax() -> None:
    arrays = random_game(seed=0, S=3, A=2, B=2, gamma=0.5, k=2)

    def play(pieces: list[int]) -> np.ndarray:
        game, rng, state = SampledMarkovGame(arrays.game, 5, horizon=4), np.random.default_rng(0), None
        policies = {"victim": TabularPolicy(arrays.nu), "attacker": TabularPolicy(arrays.alpha)}
        rewards = []
        for steps in pieces:
            trajectory, state = rollout(game, policies, steps, rng, state)
            rewards.append(np.asarray(trajectory.reward["victim"]))
        return np.concatenate(rewards)

    np.testing.assert_array_equal(play([6]), play([1] * 6))


RPS_SPACES = Spaces(Box((1,), 0.0, 1.0), Discrete(3))


@pytest.mark.slow
def test_one_record_within_jax_and_on_the_host() -> None:
    """The two ways draw differently, so shapes, types and frequencies are compared."""
    game = MatrixGame(ROCK_PAPER_SCISSORS, 50)
    network = actor_critic(RPS_SPACES, NetworkConfig("lstm", (4,)), KEY)
    policies = {"row": TabularPolicy(np.array([[1.0, 0, 0]])), "col": mix(RandomPolicy(Discrete(3)), network, 0.5)}
    inside, _ = rollout(game, policies, 40, np.random.default_rng(0), record=("col",))
    outside, _ = rollout(hosted(game), policies, 40, np.random.default_rng(0), record=("col",))
    assert jax.tree.structure(inside) == jax.tree.structure(outside)
    for a, b in zip(jax.tree.leaves(inside), jax.tree.leaves(outside), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    for trajectory in (inside, outside):
        e = trajectory.agents["col"]
        assert np.asarray(trajectory.terminated).all() and np.asarray(e.first).all()
        payoff = ROCK_PAPER_SCISSORS[0, np.asarray(e.action)]
        np.testing.assert_array_equal(trajectory.reward["row"], payoff)
        assert trajectory.outcome is not None
        np.testing.assert_array_equal(trajectory.outcome["row"], np.sign(payoff))
        np.testing.assert_array_equal(trajectory.outcome["col"], -np.sign(payoff))
        assert abs(np.asarray(e.controlled).mean() - 0.5) < 5 * math.sqrt(0.25 / 2000)


@pytest.mark.slow
def test_a_game_of_turns_is_one_record_within_jax_and_on_the_host() -> None:
    """Masks and moves are recorded; an agent controls nothing where another one moves, whoever is asked how."""
    game = SampledTree(compile_tree("kuhn_poker"), 40)
    network = actor_critic(game.spaces["player1"], NetworkConfig("mlp", (4,)), KEY)
    benign = RandomPolicy(Discrete(2))
    function = CallablePolicy(lambda o, rng, legal: rng.integers(0, 2, len(o)))
    for played, other in ((game, benign), (hosted(game), benign), (hosted(game), function)):
        policies: dict[str, Policy] = {"player0": benign, "player1": mix(other, network, 1.0)}
        trajectory, _ = rollout(played, policies, 12, np.random.default_rng(0), record=("player1",))
        e = trajectory.agents["player1"]
        moves = np.asarray(e.observation).any(-1)  # who moves sees its information set, others zeros
        assert 0.2 < moves.mean() < 0.8
        np.testing.assert_array_equal(e.controlled, moves)
        assert e.legal is not None and e.legal.shape == (12, 40, 2) and e.legal.dtype == bool
        assert np.asarray(e.valued).all()


@pytest.mark.slow
def test_a_mask_is_kept_by_what_is_played() -> None:
    """Leduc has decisions of two and of three actions; no third one is taken where there are two."""
    game = SampledTree(compile_tree("leduc_poker"), 64)
    policies = {agent: RandomPolicy(Discrete(3)) for agent in game.agents}
    trajectory, _ = rollout(game, policies, 20, np.random.default_rng(0), record=game.agents)
    for e in trajectory.agents.values():
        legal, action, moves = np.asarray(e.legal), np.asarray(e.action), np.asarray(e.controlled)
        assert np.take_along_axis(legal, action[..., None], -1)[moves].all()
        assert {2, 3} <= set(legal[moves].sum(-1).tolist())
        assert (action[moves] == 2).any()


@pytest.mark.slow
@pytest.mark.parametrize("control", ["step", "blend"])
def test_a_recurrent_attacker_learns_from_its_own_state_and_choice(clock: Any, control: Any) -> None:
    """Under partial control too: replaying the network over the record gives the recorded log-probabilities."""
    spaces = Spaces(Box((3,)), TORQUE)
    benign = actor_critic(spaces, NetworkConfig("lstm", (4,)), KEY)
    network = actor_critic(spaces, NetworkConfig("lstm", (4,)), KEY + 1)
    policies = {"x": mix(benign, network, 0.4, control), "y": ConstantPolicy(TORQUE)}
    game, rng = clock(4), np.random.default_rng(0)
    _, state = rollout(game, policies, 5, rng)
    trajectory, _ = rollout(game, policies, 6, rng, state, record=("x",))
    e = trajectory.agents["x"]
    head, value = network.unroll(network.normalizer(e.observation), jnp.asarray(e.first), e.policy_state)
    np.testing.assert_allclose(value, e.value, rtol=1e-4, atol=1e-6)
    log_prob = network.log_prob(head, e.action)
    np.testing.assert_allclose(log_prob[e.controlled], e.log_prob[e.controlled], rtol=1e-4, atol=1e-5)
    assert (0 < np.asarray(e.controlled).mean() < 1) == (control == "step")


@pytest.mark.slow
def test_under_control_of_matches_the_critic_learns_from_controlled_ones(clock: Any) -> None:
    """One coin a match: controlled and valued are the same throughout it; at each step, all are valued."""
    for control in ("episode", "step"):
        network = actor_critic(Spaces(Box((3,)), TORQUE), NetworkConfig("mlp", (4,)), KEY)
        policies = {"x": mix(RandomPolicy(TORQUE), network, 0.5, control), "y": ConstantPolicy(TORQUE)}
        trajectory, _ = rollout(clock(8), policies, 12, np.random.default_rng(1), record=("x",))
        e = trajectory.agents["x"]
        if control == "step":
            assert e.valued.all()
            continue
        np.testing.assert_array_equal(e.valued, e.controlled)
        goes_on = ~np.asarray(e.first)[1:]
        np.testing.assert_array_equal(e.controlled[1:][goes_on], e.controlled[:-1][goes_on])
        assert 0 < e.controlled.mean() < 1


@pytest.mark.slow
def test_a_team_is_controlled_together_in_a_game() -> None:
    """Three-player Kuhn: both attackers' first decisions of a match have one coin where the coin is the team's."""
    game = SampledTree(compile_tree("kuhn_poker(players=3)"), 512)
    table = np.tile(np.array([[1.0, 0.0]]), (16, 1))
    benign = {agent: TabularPolicy(table) for agent in game.agents}
    adversarial = {agent: TabularPolicy(table[:, ::-1].copy()) for agent in game.agents[1:]}
    for coin in ("team", "agent"):
        threat = ThreatModel("player0", game.agents[1:], benign, 0.5, control="episode", coin=coin)
        policies: dict[str, Policy] = {"player0": benign["player0"], **executed(threat, adversarial)}
        trajectory, _ = rollout(game, policies, 3, np.random.default_rng(0), record=game.agents[1:])
        # Player 0 passes; player 1 decides at the second step, player 2 at the third: each shows its match's coin.
        one, two = (trajectory.agents[agent] for agent in game.agents[1:])
        a, b = np.asarray(one.action)[1], np.asarray(two.action)[2]
        assert abs(a.mean() - 0.5) < 5 / math.sqrt(4 * 512)
        same = (a == b).mean()
        assert same == 1 if coin == "team" else abs(same - 0.5) < 5 / math.sqrt(4 * 512)


@pytest.mark.slow
def test_games_of_one_shape_share_one_compilation() -> None:
    """A functional game is a pytree: other payoffs, other names and other budgets do not compile again."""
    traced = []
    step = MatrixGame.step

    class Counted(MatrixGame):
        TRACED, STATIC = MatrixGame.TRACED, MatrixGame.STATIC

        def step(self, state: Any, actions: Any, key: Any) -> Any:
            traced.append(1)
            return step(self, state, actions, key)

    paid, traces = [], []
    for payoffs, name, budget in ((ROCK_PAPER_SCISSORS, "one", 0.25), (2 * ROCK_PAPER_SCISSORS, "two", 0.5)):
        game = Counted(payoffs, 7, f"matrix/{name}")
        policies = {
            "row": TabularPolicy(np.eye(3)[:1]),
            "col": mix(TabularPolicy(np.eye(3)[1:2]), TabularPolicy(np.eye(3)[1:2]), budget),
        }
        trajectory, _ = rollout(game, policies, 5, np.random.default_rng(0))
        paid.append(float(np.asarray(trajectory.reward["row"])[0, 0]))
        traces.append(len(traced))
    assert traces[0] == traces[1] > 0
    assert paid == [1, 2]  # rock wins 1 and 2 from scissors: neither game was played for the other
    rollout(Counted(MATCHING_PENNIES, 7), dict.fromkeys(("row", "col"), RandomPolicy(Discrete(2))), 5,
            np.random.default_rng(0))  # fmt: skip
    assert len(traced) > traces[1]  # a game of another shape does compile


def test_a_rollout_does_not_begin_where_a_policy_is_missing(clock: Any) -> None:
    with pytest.raises(InputError, match="no policy for agent y of test/clock"):
        start(clock(2), {"x": ConstantPolicy(TORQUE)}, np.random.default_rng(0))


def test_a_policy_of_the_host_needs_a_hosted_game() -> None:
    host = CallablePolicy(lambda o, rng: np.zeros(len(o), int))
    policies = {"row": RandomPolicy(Discrete(3)), "col": host}
    with pytest.raises(InputError, match="policy of col does not: play `hosted"):
        rollout(MatrixGame(ROCK_PAPER_SCISSORS), policies, 1, np.random.default_rng(0))


def test_what_was_returned_stays(clock: Any) -> None:
    game, rng = clock(2), np.random.default_rng(0)
    policies: dict[str, Policy] = dict.fromkeys("xy", RandomPolicy(TORQUE))
    trajectory, state = rollout(game, policies, 3, rng, record=("x",))
    before = [np.array(x) for x in jax.tree.leaves(trajectory)]
    rollout(game, policies, 3, rng, state, record=("x",))
    for a, b in zip(before, jax.tree.leaves(trajectory), strict=True):
        np.testing.assert_array_equal(a, b)
