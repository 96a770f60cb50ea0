"""Several attackers: a side for each, coins of their own or the team's (DECISIONS 31), and bystanders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

import sparring
from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
from sparring.errors import InputError
from sparring.learners.ppo import PPOConfig
from sparring.mixture import executed
from sparring.nets import NetworkConfig
from sparring.play.rollout import rollout
from sparring.policies import CallablePolicy, TabularPolicy
from sparring.training import Reward, train
from sparring.types import AgentID, Array, Box, Coin, Discrete, Policy, Spaces, Step, ThreatModel, View

SLOTS, STEPS, BUDGET = 200, 40, 0.3
CONFIG = AttackConfig(
    steps_per_round=8, ppo=PPOConfig(epochs=1, minibatch=64, network=NetworkConfig(hidden=(4,)), learning_rate=1e-3)
)


def always(action: int) -> TabularPolicy:
    return TabularPolicy(np.eye(3, dtype=np.float32)[[action]])


class Four:
    """A victim, two attackers and a bystander; a match takes two steps, in which the victim earns -(a + b)."""

    id, agents = "test/four", ("victim", "a", "b", "bystander")

    def __init__(self, num_games: int = SLOTS) -> None:
        self.num_games, self.second = num_games, False
        self.spaces = {agent: Spaces(Box((1,)), Discrete(3)) for agent in self.agents}
        self.played: list[Mapping[AgentID, Array]] = []

    def _views(self) -> dict[AgentID, View]:
        return {agent: View(np.ones((self.num_games, 1), np.float32)) for agent in self.agents}

    def reset(self, seed: int) -> dict[AgentID, View]:
        del seed
        self.second = False
        return self._views()

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        self.played.append(actions)
        over, no = np.full(self.num_games, self.second), np.zeros(self.num_games, bool)
        self.second = not self.second
        reward = {agent: np.zeros(self.num_games, np.float32) for agent in self.agents}
        reward["victim"] = -(actions["a"] + actions["b"]).astype(np.float32)
        return Step(self._views(), self._views(), reward, over, no, no, None, {})

    def get_state(self) -> dict[str, np.ndarray]:
        return {"second": np.array(self.second)}

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[AgentID, View]:
        self.second = bool(state["second"])
        return self._views()

    def close(self) -> None: ...


def threat(coin: Coin = "agent", benign: Policy | None = None, **changes: Any) -> ThreatModel:
    benign = benign or always(0)
    settings: dict[str, Any] = {"others": {"bystander": always(2)}, "coin": coin} | changes
    return ThreatModel("victim", ("a", "b"), {"a": benign, "b": benign}, BUDGET, **settings)


def controls(coin: Coin, benign: Policy | None = None, control: Any = "step") -> tuple[np.ndarray, np.ndarray]:
    """Where a and b are controlled, bool [T, B]: there they play 1 instead of 0."""
    game = Four()
    model = threat(coin, benign, control=control)
    policies = {"victim": always(0), "bystander": always(2), **executed(model, {"a": always(1), "b": always(1)})}
    trajectory, _ = rollout(game, policies, STEPS, np.random.default_rng(0), record=("a", "b"))
    a, b = (np.stack([np.asarray(actions[agent]) for actions in game.played]) == 1 for agent in ("a", "b"))
    for agent, control_of in (("a", a), ("b", b)):
        np.testing.assert_array_equal(trajectory.agents[agent].controlled, control_of)
    return a, b


def host(action: int) -> Policy:
    return CallablePolicy(lambda observation, rng: np.full(len(observation), action))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in JAX", "on the host"])
def test_the_teams_coin_is_the_same_for_all_members(where: str) -> None:
    a, b = controls("team", host(0) if where == "on the host" else None)
    np.testing.assert_array_equal(a, b)
    # 8,000 decisions: standard error .005. Each decision has a coin of its own.
    assert a.mean() == pytest.approx(BUDGET, abs=0.026)
    assert np.corrcoef(a[:-1].ravel(), a[1:].ravel())[0, 1] == pytest.approx(0, abs=0.06)


@pytest.mark.slow
def test_a_team_is_controlled_for_whole_matches_together() -> None:
    a, b = controls("team", control="episode")
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a[::2], a[1::2])  # the two steps of a match
    assert a.mean() == pytest.approx(BUDGET, abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in JAX", "on the host"])
def test_the_agents_coins_are_independent(where: str) -> None:
    a, b = controls("agent", host(0) if where == "on the host" else None)
    # All four combinations with the product's probabilities: standard errors of at most .0056.
    for left, right in ((True, True), (True, False), (False, True), (False, False)):
        expected = (BUDGET if left else 1 - BUDGET) * (BUDGET if right else 1 - BUDGET)
        assert ((a == left) & (b == right)).mean() == pytest.approx(expected, abs=0.028)


@pytest.mark.slow
def test_each_attacker_has_a_learner_and_they_want_the_same() -> None:
    game = Four(num_games=32)
    method = adversarial_policy(game, threat(), always(0), CONFIG)
    assert {name: side.seats for name, side in method.sides.items()} == {"a": ("a",), "b": ("b",)}
    assert all(side.reward == Reward({"victim": -1.0}) for side in method.sides.values())
    *_, state = islice(train(game, method, 0), 2)
    assert set(state.metrics) == {"a", "b"}
    weights = [np.asarray(state.learners[name].network.actor.mlp.layers[0].weight) for name in ("a", "b")]
    first, second = weights
    assert not np.array_equal(first, second)
    assert all((actions["bystander"] == 2).all() and not actions["victim"].any() for actions in game.played)


def test_several_victims_are_one_side() -> None:
    """Eq. 3.1 for two victims: the sum of their rewards is what the attacker lowers."""
    model = ThreatModel(("victim", "b"), "a", {"a": always(0)}, BUDGET, {"bystander": always(2)})
    method = adversarial_policy(Four(), model, {"victim": always(0), "b": always(2)}, CONFIG)
    assert method.sides["a"].reward == Reward({"victim": -1.0, "b": -1.0})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (threat(others=None), "nobody says what bystander plays"),
        (threat(others={"bystander": always(2), "c": always(2)}), "unknown agent of test/four 'c'"),
    ],
)
def test_every_agent_of_the_game_needs_a_part(model: ThreatModel, message: str) -> None:
    with pytest.raises(InputError, match=rf"^[^\n]*{message}[^\n]*$"):
        adversarial_policy(Four(), model, always(0), CONFIG)


def test_an_attacker_without_a_policy_is_refused() -> None:
    with pytest.raises(InputError, match=r"^no benign policy for attacker b[^\n]*$"):
        ThreatModel("victim", ("a", "b"), {"a": always(0)}, BUDGET)
    with pytest.raises(InputError, match=r"^no adversarial policy for attacker b$"):
        executed(threat(), {"a": always(1)})


class Selfish(Four):
    """The same, but a is paid for its action 2 and b for its action 1; the victim loses by neither."""

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        step = super().step(actions)
        zero = np.zeros(self.num_games, np.float32)
        own = {"a": (actions["a"] == 2).astype(np.float32), "b": (actions["b"] == 1).astype(np.float32)}
        return step._replace(reward={"victim": zero, "bystander": zero, **own})


@pytest.mark.slow
def test_attackers_who_look_after_themselves_learn_what_pays_each() -> None:
    game = Selfish()
    config = replace(CONFIG, reward=Reward(own=1.0), ppo=replace(CONFIG.ppo, learning_rate=0.02))
    method = adversarial_policy(game, threat(), always(0), config)
    state = next(islice(train(game, method, 0), 30, None))
    view = game._views()
    for agent, paid in (("a", 2), ("b", 1)):
        policy = method.sides[agent].learner.policy(state.learners[agent])
        chosen = np.asarray(policy.act(np.array([0, 1], np.uint32), view[agent], policy.initial_state(SLOTS)).action)
        assert (chosen == paid).mean() > 0.9


@pytest.mark.slow
def test_a_victim_is_hardened_against_a_team(tmp_path: Any) -> None:
    result = sparring.defend(
        Four,
        victim="scratch",
        victim_seat="victim",
        attackers=["a", "b"],
        others={"bystander": "random"},
        benign="random",
        method="two-timescale",
        steps=2048,
        steps_per_round=16,
        num_games=16,
        minibatch=64,
        attack_steps=1024,
        episodes=32,
        out=str(tmp_path / "run"),
    )
    # Each attacker takes up to 2 a step from the victim in 2 steps; benign ones take 1 in the mean.
    assert -8 <= result["after"]["attacked"]["victim_return"] < result["after"]["clean"]["victim_return"] + 1
    assert sorted(path.name for path in (tmp_path / "run" / "jobs" / "harden").glob("attacker*")) == [
        "attacker-a.safetensors",
        "attacker-b.safetensors",
    ]
