from __future__ import annotations

import numpy as np
import pytest

from sparring.defences.self_play import SelfPlayConfig, self_play, self_play_setup
from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.nets import NetworkConfig, actor_critic
from sparring.policy import ConstantPolicy, MixedPolicy, Policy, RandomPolicy
from sparring.training import Opponents
from sparring.types import Discrete

GAME = MatrixGame(ROCK_PAPER_SCISSORS)
CURRENT: Policy = ConstantPolicy(Discrete(3))
PAST: list[Policy] = [RandomPolicy(Discrete(n)) for n in (3, 4, 5)]


def opponents_faced(past: float, snapshots: list[Policy], draws: int) -> list[Policy]:
    _, play = self_play_setup(GAME, SelfPlayConfig(past=past))
    faced = []
    for seed in range(draws):
        played = play(Opponents({"row": CURRENT}, {"row": snapshots}, 0), np.random.default_rng(seed))
        assert played["row"] is CURRENT
        faced.append(played["col"])
    return faced


def test_without_a_past_it_plays_itself() -> None:
    assert set(map(id, opponents_faced(1.0, [], 5))) == {id(CURRENT)}
    assert set(map(id, opponents_faced(0.0, PAST, 5))) == {id(CURRENT)}


def test_snapshots_are_drawn_uniformly() -> None:
    faced = opponents_faced(0.6, PAST, 2000)
    rates = [sum(policy is p for policy in faced) / 2000 for p in (CURRENT, *PAST)]
    # Standard error .01: five of them.
    np.testing.assert_allclose(rates, [0.4, 0.2, 0.2, 0.2], atol=0.055)


def test_one_side_learns_from_the_first_seat() -> None:
    sides, _ = self_play_setup(GAME, SelfPlayConfig(snapshot_every=7))
    assert list(sides) == ["row"]
    assert (sides["row"].victim, sides["row"].snapshot_every) == ("col", 7)


def test_unequal_seats_are_refused() -> None:
    with pytest.raises(InputError, match="two agents with the same observations and actions"):
        self_play(MatrixGame(np.ones((2, 3))), SelfPlayConfig(), seed=0)


def test_the_opponent_of_some_matches_is_passive() -> None:
    _, play = self_play_setup(GAME, SelfPlayConfig(past=0.0, passive=0.25))
    faced = play(Opponents({"row": CURRENT}, {"row": []}, 0), np.random.default_rng(0))["col"]
    assert isinstance(faced, MixedPolicy) and faced.benign is CURRENT
    # Whole matches of it, a quarter of them.
    assert (faced.adversarial, faced.budget, faced.control) == (ConstantPolicy(Discrete(3)), 0.25, "episode")


def test_it_can_start_from_given_weights() -> None:
    spaces = GAME.spaces["row"]
    start = actor_critic(spaces, NetworkConfig(), np.array([5, 6], np.uint32))
    sides, _ = self_play_setup(GAME, SelfPlayConfig(), start)
    learner = sides["row"].learner
    assert learner.policy(learner.init(spaces, np.array([7, 8], np.uint32))) is start
