from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sparring.attacks.adversarial_policy import AttackConfig, attack_setup
from sparring.checkpoint import flatten, unflatten
from sparring.defences.self_play import SelfPlayConfig, self_play_setup
from sparring.errors import InputError
from sparring.exact.markov_game import random_game
from sparring.games.gymnasium import make as make_task
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.robosumo.model import SumoSettings
from sparring.games.robosumo.sumo import RoboSumo
from sparring.learners.ppo import PPOConfig, ppo
from sparring.nets import NetworkConfig
from sparring.policy import RandomPolicy, TabularPolicy
from sparring.rollout import RolloutState
from sparring.training import (
    Opponents,
    Play,
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
from sparring.types import Discrete, Game, Learner, ThreatModel, Trajectory

STEPS = 6
PPO = PPOConfig(epochs=2, minibatch=8, network=NetworkConfig("mlp", (8, 8)))
SHAPED = Reward("outcome", shaping={"approach": 1.0, "ring": 0.5}, shaping_steps=10**4)


def ants() -> Game:
    return RoboSumo(("ant", "ant"), num_games=4, threads=1, settings=SumoSettings(integrator="euler"))


@cache
def markov() -> Game:
    """Stateless, so that one instance serves all: another would be compiled anew."""
    return SampledMarkovGame(random_game(seed=0, S=3, A=2, B=2, gamma=0.5, k=2).game, num_games=4, horizon=4)


def attack(game: Game, **changes: Any) -> tuple[dict[str, Side], Play]:
    victim, attacker = game.agents
    benign = RandomPolicy(game.spaces[attacker].action)
    threat = ThreatModel(victim, (attacker,), {attacker: benign}, 0.5)
    config = replace(AttackConfig(ppo=PPO, reward=Reward("victim")), **changes)
    return attack_setup(game, threat, RandomPolicy(game.spaces[victim].action), config, {})


def self_play(game: Game, **changes: Any) -> tuple[dict[str, Side], Play]:
    return self_play_setup(game, replace(SelfPlayConfig(ppo=PPO, snapshot_every=1), **changes))


def numbers(state: TrainState) -> dict[str, np.ndarray]:
    return flatten({"state": saved_part(state), "metrics": state.metrics, "trajectory": state.trajectory})


def resumed(game: Game, sides: dict[str, Side], play: Play, saved: TrainState) -> Iterator[TrainState]:
    """Through the arrays that a checkpoint holds, as after a new start of the program."""
    arrays = flatten(saved_part(saved))
    template = initial_state(game, sides, play, seed=7)
    kept = {agent: len(policies) for agent, policies in saved.snapshots.items()}
    state = with_saved(template, sides, kept, lambda tree: unflatten(tree, arrays))
    return train(game, sides, play, 7, STEPS, state)


LSTM = replace(PPO, minibatch=2 * STEPS, network=NetworkConfig("lstm", (8,)))


@pytest.mark.parametrize(
    ("make", "method", "changes"),
    [
        (ants, attack, {"control": "episode", "curriculum_steps": 100, "ppo": LSTM}),
        (ants, self_play, {"reward": SHAPED}),
        (markov, attack, {"ppo": LSTM}),
    ],
    ids=["robosumo-attack-lstm", "robosumo-self-play", "markov-attack-lstm"],
)
def test_resumed_training_is_the_uninterrupted_one(make: Any, method: Any, changes: dict[str, Any]) -> None:
    game = make()
    sides, play = method(game, **changes)
    uninterrupted = [numbers(s) for s in islice(train(game, sides, play, 7, STEPS), 4)]
    learned = [name for name in uninterrupted[3] if "learners" in name and "actor" in name and "weight" in name]
    assert learned
    assert not any(np.array_equal(uninterrupted[2][name], uninterrupted[3][name]) for name in learned)
    game = make()
    *_, saved = islice(train(game, sides, play, 7, STEPS), 2)
    fresh = make()
    sides, play = method(fresh, **changes)
    for expected, state in zip(uninterrupted[2:], resumed(fresh, sides, play, saved), strict=False):
        got = numbers(state)
        assert got.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(got[name], array, err_msg=name)


def counting(change: float = 1.0) -> Learner:
    """A learner whose only weight counts the updates; its policy is a table of that number."""
    return Learner(
        init=lambda spaces, key: np.zeros(()),
        policy=lambda state: TabularPolicy(np.full((1, 3), state + 1.0)),
        update=lambda state, experience, key: (state + change, {"count": state + change}),
    )


def rps(num_games: int = 2) -> MatrixGame:
    return MatrixGame(ROCK_PAPER_SCISSORS, num_games)


def rounds(side: Side, count: int) -> list[TrainState]:
    game = rps()

    def play(opponents: Opponents, rng: np.random.Generator) -> dict[str, Any]:
        del rng
        return {"row": opponents.current["row"], "col": RandomPolicy(Discrete(3))}

    return list(islice(train(game, {"row": side}, play, 0, 3), count))


def test_snapshots_do_not_follow_the_live_weights() -> None:
    """DECISIONS 23."""
    states = rounds(Side(counting(), Reward(), "col", snapshot_every=2), 6)
    assert [len(s.snapshots["row"]) for s in states] == [0, 1, 1, 2, 2, 3]
    for state in states[1:]:
        snapshots: Any = state.snapshots["row"]
        kept = [float(policy.probabilities[0, 0]) for policy in snapshots]
        assert kept == [3.0, 5.0, 7.0][: len(kept)]


def test_learned_snapshots_stay_as_they_were() -> None:
    game = markov()
    sides, _ = attack(game)
    sides = {agent: replace(side, snapshot_every=1) for agent, side in sides.items()}
    play = attack(game)[1]
    first, *_, last = islice(train(game, sides, play, 0, STEPS), 4)
    then, now = (flatten(s.snapshots["attacker"][0]) for s in (first, last))
    assert len(last.snapshots["attacker"]) == 4
    for name, array in then.items():
        np.testing.assert_array_equal(now[name], array)
    live = flatten(last.learners["attacker"].network)
    assert any(not np.array_equal(live[name], array) for name, array in now.items())


@pytest.mark.parametrize("most", [1, 2, 4, 5])
def test_snapshots_are_thinned_over_the_whole_span(most: int) -> None:
    *_, last = rounds(Side(counting(), Reward(), "col", snapshot_every=1, max_snapshots=most), 40)
    snapshots: Any = last.snapshots["row"]
    kept = [float(policy.probabilities[0, 0]) - 1 for policy in snapshots]
    assert len(kept) <= most
    assert kept == sorted(kept)
    assert kept[-1] == 40
    if most > 2:
        assert kept[0] == 1 and len(kept) > most / 2 - 1  # the oldest is kept


def test_a_side_updates_in_every_so_manieth_round() -> None:
    states = rounds(Side(counting(), Reward(), "col", every=3), 7)
    assert [float(s.learners["row"]) for s in states] == [1, 1, 1, 2, 2, 2, 3]
    assert [bool(s.metrics) for s in states] == [True, False, False, True, False, False, True]
    assert [s.round for s in states] == list(range(1, 8))
    assert [s.steps for s in states] == [6 * n for n in range(1, 8)]  # 3 steps of 2 matches


def test_the_generator_is_restartable_from_any_state() -> None:
    game, sides = rps(), {"row": Side(counting(), Reward(), "col")}

    def play(opponents: Opponents, rng: np.random.Generator) -> dict[str, Any]:
        del opponents, rng
        return {"row": RandomPolicy(Discrete(3)), "col": RandomPolicy(Discrete(3))}

    states = list(islice(train(game, sides, play, 3, 4), 5))
    again = next(train(game, sides, play, 3, 4, states[2]))
    for name, array in numbers(states[3]).items():
        np.testing.assert_array_equal(numbers(again)[name], array)
    other = next(train(game, sides, play, 4, 4, states[2]))
    assert any(not np.array_equal(x, numbers(other)[name]) for name, x in numbers(states[3]).items())


def test_the_matches_of_another_game_are_refused() -> None:
    game = ants()
    sides, play = attack(game)
    state = initial_state(game, sides, play, 0)
    strange = {agent: x + 1 for agent, x in state.rollout.observation.items()}
    with pytest.raises(InputError, match="ant0's observation differs from the saved one"):
        next(train(game, sides, play, 0, STEPS, state._replace(rollout=state.rollout._replace(observation=strange))))
    assert isinstance(state.rollout, RolloutState)


WINNER = np.array([[0, 1], [-1, -1], [-1, -1]], np.int8)
TERMINATED = np.array([[True, True], [True, False], [False, False]])
TRUNCATED = np.array([[False, False], [False, True], [False, False]])


def trajectory() -> Trajectory:
    reward = {"row": np.arange(6, dtype=np.float32).reshape(3, 2), "col": np.full((3, 2), 9, np.float32)}
    info = {"push": {"row": np.ones((3, 2), np.float32), "col": np.full((3, 2), 2, np.float32)}}
    return Trajectory({}, reward, WINNER, TERMINATED, TRUNCATED, np.zeros((3, 2), bool), info)


@pytest.mark.parametrize(
    ("agent", "reward", "expected"),
    [
        ("row", Reward("outcome", draw=-0.5), [[1, -1], [-0.5, -0.5], [0, 0]]),
        ("col", Reward("outcome"), [[-1, 1], [0, 0], [0, 0]]),
        ("col", Reward("victim", scale=0.5), [[0, -0.5], [-1, -1.5], [-2, -2.5]]),
        # A quarter of the shaping's time is over: .75 of 10 times push.
        ("col", Reward("outcome", shaping={"push": 10.0}, shaping_steps=1000), [[14, 16], [15, 15], [15, 15]]),
        ("col", Reward("victim", shaping={"push": 10.0}, shaping_steps=1000), [[15, 14], [13, 12], [11, 10]]),
        ("col", Reward("outcome", shaping={"push": 10.0}, shaping_steps=250), [[-1, 1], [0, 0], [0, 0]]),
    ],
)
def test_what_a_learner_is_paid(agent: str, reward: Reward, expected: list[list[float]]) -> None:
    side = Side(counting(), reward, victim="row")
    got = reward_of(trajectory(), rps(), agent, side, steps=250)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected)
    traced = reward_of(trajectory()._replace(winner=jnp.asarray(WINNER)), rps(), agent, side, 250)
    np.testing.assert_allclose(traced, expected)


def test_unknown_rewards_are_refused() -> None:
    unknown: Any = "victims"
    with pytest.raises(InputError, match="did you mean victim"):
        Reward(unknown)
    side = Side(counting(), Reward(shaping={"pusch": 1.0}), "row")
    with pytest.raises(InputError, match="unknown shaping term 'pusch': did you mean push"):
        reward_of(trajectory(), rps(), "col", side, 0)


def test_annealing() -> None:
    assert [annealed(n, 200) for n in (0, 50, 200, 10**9)] == [1.0, 0.75, 0.0, 0.0]
    assert annealed(0, 0) == annealed(5, 0) == 0


def test_the_first_state_takes_no_step() -> None:
    game = ants()
    sides, play = attack(game)
    state = initial_state(game, sides, play, 0)
    assert (state.round, state.steps, state.trajectory) == (0, 0, None)
    assert state.rollout.first.all()


def test_a_game_that_cannot_be_saved_can_be_trained_in() -> None:
    game = make_task("CartPole-v1", 2, 0, {})
    side = Side(ppo(PPOConfig(epochs=1, minibatch=8)), Reward("victim", scale=-1.0), victim="player")
    state = next(train(game, {"player": side}, lambda opponents, rng: opponents.current, seed=0, steps_per_round=8))
    assert state.game is None and state.steps == 16
    with pytest.raises(InputError, match="cannot be saved"):
        saved_part(state)
