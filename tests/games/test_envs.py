"""The games of `envs` from end to end: made by name, played, learned in, and compared with exact values."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import equinox as eqx
import numpy as np
import pytest
from envs.ambush import PAID, ROADS, ambush
from envs.pursuit import LIMIT, WALLS

from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
from sparring.exact.tree import tree_problem
from sparring.games import make
from sparring.learners.ppo import PPOConfig
from sparring.mixture import executed
from sparring.nets import ActorCritic, NetworkConfig, actor_critic
from sparring.play.evaluate import evaluate
from sparring.play.rollout import rollout
from sparring.policies import RandomPolicy, TabularPolicy
from sparring.testing import check_game
from sparring.training import TrainState, train
from sparring.types import AgentID, Game, Policy, ThreatModel, VectorGame

NAMES = ("envs.pursuit:pursuit", "envs.bandit:zeros", "envs.ambush:radio", "envs.ambush:silent")
ROAD = np.array([[0.5, 0.3, 0.2]])  # the traveller's policy
SMALL = PPOConfig(
    learning_rate=1e-2, gamma=1.0, epochs=4, minibatch=512, network=NetworkConfig(hidden=(16,), initial_std=1.0)
)


def trained(game: Game, threat: ThreatModel, victim: Policy, rounds: int, ppo: PPOConfig, steps: int = 8) -> TrainState:
    method = adversarial_policy(game, threat, victim, AttackConfig(steps_per_round=steps, ppo=ppo))
    for state in train(game, method, seed=0):
        if state.round == rounds:
            return state
    raise AssertionError("training is endless")


def network(game: Game, agent: AgentID, seed: int = 0) -> ActorCritic:
    return actor_critic(game.spaces[agent], NetworkConfig(hidden=(16, 16)), np.array([0, seed], np.uint32))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_games_keep_their_promises(name: str) -> None:
    assert make(name, 4).id == name
    check_game(lambda num_games: make(name, num_games))


@pytest.mark.slow
def test_zeros_are_observations_too() -> None:
    """The bandit shows nothing but zeros, and its winning arm is found all the same: a win rate of 1."""
    game = make("envs.bandit:zeros", 64)
    spaces = game.spaces["attacker"]
    threat = ThreatModel(("victim",), ("attacker",), {"attacker": RandomPolicy(spaces.action)}, 1.0)
    state = trained(game, threat, RandomPolicy(spaces.action), 30, SMALL)
    assert state.trajectory is not None
    assert state.trajectory.outcome is not None
    assert np.asarray(state.trajectory.agents["attacker"].controlled).all()
    assert (np.asarray(state.trajectory.outcome["attacker"]) == 1).mean() > 0.99


def plans(radio: bool, budget: float) -> dict[Any, float]:
    """What the traveller gets, by the bandits' pure plan: the sum over roads and over both bandits' coins, by hand.

    A plan is the first bandit's road, and the second one's for each road of the first (the same for all if it sees
    nothing). Each is controlled with the probability of the budget, and takes any road else.
    """
    roads = range(ROADS)
    seconds = list(product(roads, repeat=ROADS)) if radio else [(road,) * ROADS for road in roads]
    values = {}
    for first, second in product(roads, seconds):
        total = 0.0
        for road, a, b in product(roads, roads, roads):
            share = (1 - budget) / ROADS
            chance = (share + budget * (a == first)) * (share + budget * (b == second[a]))
            total += ROAD[0, road] * chance * PAID[(a == road) + (b == road)]
        values[first, second] = total
    return values


def team_attack(name: str, budget: float, matches: int = 20_000) -> tuple[float, float]:
    """The traveller's mean return under a trained team, and its standard error."""
    game = make(name, 256)
    benign = {a: RandomPolicy(game.spaces[a].action) for a in ("player1", "player2")}
    threat = ThreatModel(("player0",), tuple(benign), benign, budget)
    victim = TabularPolicy(ROAD)
    state = trained(game, threat, victim, 60, SMALL, steps=6)
    adversarial = {a: state.learners[a].network for a in benign}
    played = evaluate(game, {"player0": victim, **executed(threat, adversarial)}, matches, np.random.default_rng(1))
    returns = played.returns["player0"]
    return float(returns.mean()), float(returns.std() / np.sqrt(matches))


@pytest.mark.slow
@pytest.mark.parametrize("budget", [pytest.param(0.6, marks=pytest.mark.long), 1.0])
def test_a_team_learns_what_it_can_do_at_most(budget: float) -> None:
    """Two attackers with a learner each reach the exact team value: that of the best of all 81 pure plans.

    The second bandit sees all that the team knows, so that the exact solver's team, which shares what its members see,
    is no stronger than they are. A learned policy keeps some chance of other roads: 1% of the range of returns, 4.
    """
    exact = tree_problem(ambush(radio=True), 0, (1, 2), {}, budget).best_response(ROAD).value
    assert exact == pytest.approx(min(plans(True, budget).values()), abs=1e-12)
    mean, error = team_attack("envs.ambush:radio", budget)
    assert exact - 4 * error < mean < exact + 4 * error + 0.04


@pytest.mark.long
def test_a_team_that_shares_nothing() -> None:
    """Without the radio the best pair of plans is weaker than the exact solver's team, which shares what is seen."""
    shared = tree_problem(ambush(radio=False), 0, (1, 2), {}, 0.6).best_response(ROAD).value
    apart = min(plans(False, 0.6).values())
    assert shared == pytest.approx(min(plans(True, 0.6).values()), abs=1e-12)
    assert shared < apart - 0.03
    mean, error = team_attack("envs.ambush:silent", 0.6)
    assert apart - 4 * error < mean < apart + 4 * error + 0.04


@pytest.mark.long
def test_three_players_of_poker_are_no_stronger_than_the_exact_team() -> None:
    """A learned team sees less than the exact one, whose members know each other's cards; it beats its benign play."""
    game = make("openspiel/kuhn_poker,players=3", 128)
    benign: dict[AgentID, Policy] = {a: RandomPolicy(game.spaces[a].action) for a in ("player1", "player2")}
    victim = RandomPolicy(game.spaces["player0"].action)
    threat = ThreatModel(("player0",), tuple(benign), benign, 0.8)
    state = trained(game, threat, victim, 40, SMALL, steps=16)
    team = executed(threat, {a: state.learners[a].network for a in benign})
    rng = np.random.default_rng(2)
    attacked, before = (
        evaluate(game, {"player0": victim, **others}, 20_000, rng).returns["player0"] for others in (team, benign)
    )
    tree = game.tree  # pyright: ignore[reportAttributeAccessIssue]
    nu = np.full(tree.infosets[0].actions.shape, 0.5)  # both actions are legal everywhere
    exact = tree_problem(tree, 0, (1, 2), {}, 0.8).best_response(nu).value
    error = 4 * attacked.std() / np.sqrt(len(attacked))
    assert attacked.mean() > exact - error
    assert attacked.mean() < before.mean() - 2 * error


@pytest.mark.parametrize(
    "name", ["openspiel/leduc_poker", pytest.param("openspiel/tic_tac_toe", marks=pytest.mark.long)]
)
def test_networks_choose_legal_actions(name: str) -> None:
    """A fresh network, and one with a strong will to choose an action that is mostly illegal, choose legal ones."""
    game = make(name, 64)
    for bias in (0.0, 30.0):
        nets = {agent: prefers_last(network(game, agent), bias) for agent in game.agents}
        trajectory, _ = rollout(game, nets, 40, np.random.default_rng(0), record=game.agents)
        for agent in game.agents:
            seen = trajectory.agents[agent]
            legal, action, moved = (np.asarray(x) for x in (seen.legal, seen.action, seen.controlled))
            assert not legal[moved][:, -1].all()
            assert np.take_along_axis(legal, action[..., None], -1)[..., 0][moved].all()
            if not bias:
                # Fresh networks are nearly uniform over the legal actions, and their log-probabilities say so.
                count = legal.sum(axis=-1)
                np.testing.assert_allclose(np.asarray(seen.log_prob)[moved], -np.log(count)[moved], atol=0.1)


def prefers_last(policy: ActorCritic, bias: float) -> ActorCritic:
    """The network with so much added to the logit of the last action, which is illegal in most places."""

    def of(net: Any) -> Any:
        return net.actor.mlp.layers[-1].bias

    return eqx.tree_at(of, policy, of(policy).at[-1].add(bias))


@pytest.mark.slow
def test_a_prey_that_is_out_controls_nothing() -> None:
    game = make("envs.pursuit:pursuit", 16)
    assert isinstance(game, VectorGame)
    nets: Mapping[AgentID, Policy] = {agent: network(game, agent) for agent in game.agents}
    trajectory, _ = rollout(game, nets, 2 * LIMIT, np.random.default_rng(0), record=game.agents)
    free = np.asarray(trajectory.info["free"]["hunter"])
    controlled = {agent: np.asarray(trajectory.agents[agent].controlled) for agent in game.agents}
    assert controlled["hunter"].all()
    out = ~(controlled["prey0"] & controlled["prey1"])
    np.testing.assert_array_equal(out, free < 2)
    assert 0.05 < out.mean() < 0.95
    assert not (~controlled["prey0"] & ~controlled["prey1"]).any()  # with both out the match is over
    over = np.asarray(trajectory.terminated)
    # Who is out stays out until the match ends, and the match goes on meanwhile.
    for agent in ("prey0", "prey1"):
        was_out = ~controlled[agent][:-1] & ~over[:-1]
        assert was_out.any()
        assert not controlled[agent][1:][was_out].any()
    outcome = {agent: np.asarray(values) for agent, values in (trajectory.outcome or {}).items()}
    lost = over & ~controlled["prey0"]
    assert (outcome["prey0"][lost] == -1).all()
    assert {(int(h), int(a), int(b)) for h, a, b in zip(*(outcome[a][over] for a in game.agents), strict=True)} <= {
        (1, -1, -1),
        (-1, 1, -1),
        (-1, -1, 1),
        (-1, 1, 1),
    }


@pytest.mark.long
def test_a_hunter_learns_from_images() -> None:
    """Masks, dicts of images and positions, and agents that are out, through training on the host."""
    game = make("envs.pursuit:pursuit", 32)
    prey: dict[AgentID, Policy] = {a: RandomPolicy(game.spaces[a].action) for a in ("prey0", "prey1")}
    benign = RandomPolicy(game.spaces["hunter"].action)
    threat = ThreatModel(tuple(prey), ("hunter",), {"hunter": benign}, 1.0)
    config = AttackConfig(
        steps_per_round=32,
        ppo=PPOConfig(learning_rate=3e-3, epochs=4, minibatch=256, network=NetworkConfig(hidden=(64,))),
    )
    method = adversarial_policy(game, threat, prey, config)
    for state in train(game, method, seed=0):
        if state.round == 20:
            break
    rng = np.random.default_rng(3)
    hunters = {"random": benign, "trained": state.learners["hunter"].network}
    caught = {
        name: evaluate(game, {"hunter": hunter, **prey}, 200, rng).returns["hunter"] for name, hunter in hunters.items()
    }
    # A catch pays 1, two are the most; four standard errors of the difference.
    error = 4 * np.sqrt(sum(c.var() / len(c) for c in caught.values()))
    assert caught["trained"].mean() > caught["random"].mean() + error


def test_nobody_walks_through_walls() -> None:
    game = make("envs.pursuit:pursuit", 8)
    assert isinstance(game, VectorGame)
    view = game.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(50):
        actions = {}
        for agent, seen in view.items():
            legal = np.asarray(seen.legal)
            actions[agent] = np.where(legal, rng.random(legal.shape), -1).argmax(axis=1)
            image = seen.observation["image"]
            assert not image[:, WALLS, 1].any()
            assert (image[..., 0] == 255 * WALLS).all()
        view = game.step(actions).view
