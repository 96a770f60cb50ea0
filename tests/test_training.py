from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
from sparring.checkpoint import flatten, unflatten
from sparring.defences.self_play import SelfPlayConfig, self_play
from sparring.errors import InputError
from sparring.exact.markov_game import random_game
from sparring.games.gymnasium import make as make_task
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.robosumo.settings import SumoSettings
from sparring.games.robosumo.sumo import RoboSumo
from sparring.learners.ppo import PPOConfig, ppo
from sparring.nets import NetworkConfig
from sparring.play.rollout import rollout
from sparring.policies import ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.training import (
    Method,
    Opponents,
    Reward,
    Side,
    TrainState,
    annealed,
    initial_state,
    reward_of,
    saved_part,
    train,
    with_saved,
)
from sparring.types import AgentID, Discrete, Experience, Game, Learner, Policy, ThreatModel, Trajectory

STEPS = 6
PPO = PPOConfig(epochs=2, minibatch=8, network=NetworkConfig("mlp", (8, 8)))
SHAPED = Reward(outcome=1.0, shaping={"approach": 1.0, "ring": 0.5}, shaping_steps=10**4)
RANDOM = RandomPolicy(Discrete(3))


def ants() -> Game:
    return RoboSumo(("ant", "ant"), num_games=4, threads=1, settings=SumoSettings(integrator="euler"))


@cache
def markov() -> Game:
    return SampledMarkovGame(random_game(seed=0, S=3, A=2, B=2, gamma=0.5, k=2).game, num_games=4, horizon=4)


def attack(game: Game, control: Any = "step", **changes: Any) -> Method:
    victim, attacker = game.agents
    benign = RandomPolicy(game.spaces[attacker].action)
    threat = ThreatModel(victim, (attacker,), {attacker: benign}, 0.5, control=control)
    config = replace(AttackConfig(ppo=PPO, steps_per_round=STEPS), **changes)
    return adversarial_policy(game, threat, RandomPolicy(game.spaces[victim].action), config)


def against_itself(game: Game, **changes: Any) -> Method:
    return self_play(game, replace(SelfPlayConfig(ppo=PPO, snapshot_every=1, steps_per_round=STEPS), **changes))


def numbers(state: TrainState, game: Game) -> dict[str, np.ndarray]:
    return flatten({"state": saved_part(state, game), "metrics": state.metrics, "trajectory": state.trajectory})


def resumed(game: Game, method: Method, arrays: Mapping[str, np.ndarray], kept: Mapping[str, int]) -> TrainState:
    """From the arrays that a checkpoint holds, as after a new start of the program."""
    template = initial_state(game, method, seed=7)
    return with_saved(template, game, method, kept, lambda tree: unflatten(tree, arrays))


LSTM = replace(PPO, minibatch=2 * STEPS, network=NetworkConfig("lstm", (8,)))


@pytest.mark.parametrize(
    ("make", "method", "changes"),
    [
        pytest.param(
            ants, attack, {"control": "episode", "curriculum_steps": 100, "ppo": LSTM}, marks=pytest.mark.long
        ),
        pytest.param(ants, against_itself, {"reward": SHAPED}, marks=pytest.mark.long),
        (markov, attack, {"ppo": LSTM}),
    ],
    ids=["robosumo-attack-lstm", "robosumo-self-play", "markov-attack-lstm"],
)
def test_resumed_training_is_the_uninterrupted_one(make: Any, method: Any, changes: dict[str, Any]) -> None:
    game = make()
    how = method(game, **changes)
    uninterrupted, saved, kept = [], {}, {}
    for state in islice(train(game, how, 7), 4):
        uninterrupted.append(numbers(state, game))
        if state.round == 2:
            saved = flatten(saved_part(state, game))
            kept = {name: len(pool.policies) for name, pool in state.past.items()}
    learned = [name for name in uninterrupted[3] if "learners" in name and "actor" in name and "weight" in name]
    assert learned
    assert not any(np.array_equal(uninterrupted[2][name], uninterrupted[3][name]) for name in learned)
    game = make()
    how = method(game, **changes)
    going_on = train(game, how, 7, resumed(game, how, saved, kept))
    for expected, state in zip(uninterrupted[2:], going_on, strict=False):
        got = numbers(state, game)
        assert got.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(got[name], array, err_msg=name)


def counting(seen: list[Experience] | None = None, actions: int = 3) -> Learner:
    """A learner whose only weight counts the updates; its policy plays that number, modulo the number of actions."""

    def update(state: np.ndarray, experience: Experience, key: Any) -> tuple[np.ndarray, dict[str, Any]]:
        del key
        if seen is not None:
            seen.append(experience)
        return state + 1, {"count": state + 1}

    def policy(state: np.ndarray) -> Policy:
        return TabularPolicy(np.eye(actions, dtype=np.float32)[[int(state) % actions]])

    return Learner(lambda spaces, key: np.zeros((), np.int64), policy, update)


@cache
def rps(num_games: int = 2) -> MatrixGame:
    return MatrixGame(ROCK_PAPER_SCISSORS, num_games)


def rounds(side: Side, count: int) -> list[TrainState]:
    def play(opponents: Opponents) -> dict[AgentID, Policy]:
        return {"row": opponents.current["one"], "col": RANDOM}

    return list(islice(train(rps(), Method({"one": side}, play, 3), 0), count))


def test_snapshots_do_not_follow_the_live_weights() -> None:
    """DECISIONS 23."""
    states = rounds(Side(counting(actions=3), Reward({"row": 1.0}), ("row",), snapshot_every=2), 6)
    assert [s.past["one"].numbers for s in states] == [(), (1,), (1,), (1, 3), (1, 3), (1, 3, 5)]
    for state in states[1:]:
        policies: Any = state.past["one"].policies
        kept = [int(policy.probabilities[0].argmax()) for policy in policies]
        assert kept == [2, 1, 0][: len(kept)]  # after 2, 4 and 6 updates, modulo 3


@pytest.mark.slow
def test_learned_snapshots_stay_as_they_were() -> None:
    method = attack(markov())
    sides = {name: replace(side, snapshot_every=1) for name, side in method.sides.items()}
    first, *_, last = islice(train(markov(), method._replace(sides=sides), 0), 4)
    then, now = (flatten(s.past["attacker"].policies[0]) for s in (first, last))
    assert len(last.past["attacker"].policies) == 4
    for name, array in then.items():
        np.testing.assert_array_equal(now[name], array)
    live = flatten(last.learners["attacker"].network)
    assert any(not np.array_equal(live[name], array) for name, array in now.items())


@pytest.mark.parametrize("most", [1, 2, 4, 5])
def test_snapshots_are_thinned_over_the_whole_span(most: int) -> None:
    *_, last = rounds(Side(counting(), Reward(), ("row",), snapshot_every=1, max_snapshots=most), 40)
    kept = list(last.past["one"].numbers)
    assert len(kept) <= most
    assert kept == sorted(kept)
    assert kept[-1] == 39
    if most > 2:
        assert kept[0] == 0 and len(kept) > most / 2 - 1  # the oldest is kept


def test_there_is_one_clock() -> None:
    """A side updates in the rounds r with r % every == phase, whatever else happens."""
    sides = {
        "row": Side(counting(), Reward(), ("row",), every=2, phase=0),
        "col": Side(counting(), Reward(), ("col",), every=2, phase=1),
        "rarely": Side(counting(), Reward(), ("col",), every=4, phase=1),
    }

    def play(opponents: Opponents) -> dict[AgentID, Policy]:
        return {agent: opponents.current[agent] for agent in ("row", "col")}

    states = list(islice(train(rps(), Method(sides, play, 3), 0), 7))
    updates = {name: [int(s.learners[name]) for s in states] for name in sides}
    assert updates == {"row": [1, 1, 2, 2, 3, 3, 4], "col": [0, 1, 1, 2, 2, 3, 3], "rarely": [0, 1, 1, 1, 1, 2, 2]}
    assert [list(s.metrics) for s in states[:2]] == [["row"], ["col", "rarely"]]
    assert [s.round for s in states] == list(range(1, 8))
    assert [s.steps for s in states] == [6 * n for n in range(1, 8)]  # 3 steps of 2 matches


@pytest.mark.parametrize("change", [{"every": 0}, {"every": 2, "phase": 2}, {"phase": -1}])
def test_a_phase_that_never_comes_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected 0 <= phase < every"):
        Side(counting(), Reward(), ("row",), **change)  # pyright: ignore[reportArgumentType]  # whole numbers
    with pytest.raises(InputError, match="at least one agent to learn from"):
        Side(counting(), Reward(), ())


def test_the_generator_is_restartable_from_any_state() -> None:
    side = Side(counting(), Reward(), ("row",))
    method = Method({"row": side}, lambda opponents: {"row": RANDOM, "col": RANDOM}, 4)
    states = list(islice(train(rps(), method, 3), 5))
    again = next(train(rps(), method, 3, states[2]))
    for name, array in numbers(states[3], rps()).items():
        np.testing.assert_array_equal(numbers(again, rps())[name], array)
    other = next(train(rps(), method, 4, states[2]))
    assert any(not np.array_equal(x, numbers(other, rps())[name]) for name, x in numbers(states[3], rps()).items())


def test_sides_that_do_not_fit_are_refused() -> None:
    def play(opponents: Opponents) -> dict[AgentID, Policy]:
        del opponents
        return {"row": RANDOM, "col": RandomPolicy(Discrete(2))}

    stranger = Method({"one": Side(counting(), Reward(), ("rwo",))}, play, 1)
    with pytest.raises(InputError, match="unknown agent of matrix/custom 'rwo': did you mean row"):
        next(train(rps(), stranger, 0))
    uneven = MatrixGame(np.ones((3, 2)))
    both = Method({"one": Side(counting(), Reward(), ("row", "col"))}, play, 1)
    with pytest.raises(InputError, match="one learns from row and col, whose spaces differ"):
        next(train(uneven, both, 0))
    missing = Method({"one": Side(counting(), Reward(), ("row",))}, lambda opponents: {"row": RANDOM}, 1)
    with pytest.raises(InputError, match="no policy for agent col"):
        next(train(rps(), missing, 0))


def test_the_matches_of_another_game_are_refused() -> None:
    game = ants()
    method = attack(game)
    state = initial_state(game, method, 0)
    arrays = flatten(saved_part(state, game))
    name = next(name for name in arrays if "views" in name and "ant0" in name)
    arrays[name] = arrays[name] + 1
    with pytest.raises(InputError, match="shows ant0 something else than it did; was it another game"):
        resumed(game, method, arrays, {"ant1": 0})
    assert (state.round, state.steps, state.trajectory) == (0, 0, None)
    assert state.rollout.first.all()


OUTCOME = np.array([[1, -1], [0, 0], [0, 0]], np.int8)  # the row player's
TERMINATED = np.array([[True, True], [True, False], [False, False]])
TRUNCATED = np.array([[False, False], [False, True], [False, False]])


def trajectory(**changes: Any) -> Trajectory:
    reward = {"row": np.arange(6, dtype=np.float32).reshape(3, 2), "col": np.full((3, 2), 9, np.float32)}
    info = {"push": {"row": np.ones((3, 2), np.float32), "col": np.full((3, 2), 2, np.float32)}}
    outcome = {"row": OUTCOME, "col": -OUTCOME}
    made = Trajectory({}, {}, {}, reward, outcome, TERMINATED, TRUNCATED, np.zeros((3, 2), bool), info)
    return made._replace(**changes)


@pytest.mark.parametrize(
    ("agent", "reward", "expected"),
    [
        ("row", Reward(outcome=1.0, draw=-0.5), [[1, -1], [-0.5, -0.5], [0, 0]]),
        ("col", Reward(outcome=2.0), [[-2, 2], [0, 0], [0, 0]]),
        ("col", Reward({"row": -0.5}), [[0, -0.5], [-1, -1.5], [-2, -2.5]]),
        # A self-interested agent that also minds the other's reward, and what it is worth to win.
        ("col", Reward({"row": -1.0, "col": 1.0}, outcome=10.0), [[9 - 10, 8 + 10], [7, 6], [5, 4]]),
        # A quarter of the shaping's time is over: .75 of 10 times push.
        ("col", Reward(outcome=1.0, shaping={"push": 10.0}, shaping_steps=1000), [[14, 16], [15, 15], [15, 15]]),
        ("col", Reward({"row": -1.0}, shaping={"push": 10.0}, shaping_steps=1000), [[15, 14], [13, 12], [11, 10]]),
        ("col", Reward(outcome=1.0, shaping={"push": 10.0}, shaping_steps=250), [[-1, 1], [0, 0], [0, 0]]),
        ("row", Reward(), [[0, 0], [0, 0], [0, 0]]),
    ],
)
def test_what_a_learner_is_paid(agent: str, reward: Reward, expected: list[list[float]]) -> None:
    got = reward_of(trajectory(), agent, reward, steps=250)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected)
    traced = trajectory(outcome={"row": jnp.asarray(OUTCOME), "col": -jnp.asarray(OUTCOME)})
    np.testing.assert_allclose(reward_of(traced, agent, reward, 250), expected)


def test_rewards_that_the_game_does_not_have_are_refused() -> None:
    with pytest.raises(InputError, match="unknown shaping term 'pusch': did you mean push"):
        reward_of(trajectory(), "col", Reward(shaping={"pusch": 1.0}), 0)
    with pytest.raises(InputError, match="'rwo': did you mean row"):
        reward_of(trajectory(), "col", Reward({"rwo": 1.0}), 0)
    for goal in (Reward(outcome=1.0), Reward(draw=1.0)):
        with pytest.raises(InputError, match=r"^[^\n]*no winners[^\n]*$"):
            reward_of(trajectory(outcome=None), "col", goal, 0)


def test_annealing() -> None:
    assert [annealed(n, 200) for n in (0, 50, 200, 10**9)] == [1.0, 0.75, 0.0, 0.0]
    assert annealed(0, 0) == annealed(5, 0) == 0


@pytest.mark.slow
def test_a_game_that_cannot_be_saved_can_be_trained_in() -> None:
    game = make_task("CartPole-v1", 2, 0, {})
    side = Side(ppo(PPOConfig(epochs=1, minibatch=8)), Reward({"player": 1.0}), ("player",))
    state = next(train(game, Method({"player": side}, lambda opponents: opponents.current, 8), seed=0))
    assert state.steps == 16
    with pytest.raises(InputError, match="cannot be saved"):
        saved_part(state, game)


def test_one_learner_learns_from_several_seats() -> None:
    """The matches of the second seat follow those of the first; what the one wins, the other loses."""
    seen: list[Experience] = []
    side = Side(counting(seen), Reward(outcome=1.0), ("row", "col"))
    next(train(rps(), Method({"one": side}, lambda opponents: {"row": RANDOM, "col": RANDOM}, 30), 0))
    (e,) = seen
    assert e.reward.shape == (30, 4) and e.last_value.shape == (4,)
    np.testing.assert_array_equal(e.reward[:, :2], -e.reward[:, 2:])
    assert np.asarray(e.reward).any()


class Counted(MatrixGame):
    """Says how often its step was traced."""

    TRACED, STATIC = MatrixGame.TRACED, MatrixGame.STATIC
    traces = 0

    def step(self, state: Any, actions: Mapping[AgentID, Any], key: Any) -> Any:
        Counted.traces += 1
        return super().step(state, actions, key)


def test_games_of_one_shape_share_one_compilation() -> None:
    first = {"row": ConstantPolicy(Discrete(2)), "col": ConstantPolicy(Discrete(2))}
    traces, paid = [], []
    for payoff, num_games in ((3.0, 2), (-5.0, 2), (7.0, 3)):
        game = Counted(np.full((2, 2), payoff), num_games, id=f"matrix/{payoff}")
        trajectory, _ = rollout(game, first, 4, np.random.default_rng(0))
        paid.append(float(np.asarray(trajectory.reward["row"]).mean()))
        traces.append(Counted.traces)
    assert paid == [3.0, -5.0, 7.0]  # each is played by its own numbers
    assert traces[0] == traces[1] < traces[2]
