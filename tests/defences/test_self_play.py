from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from sparring.defences.self_play import SelfPlayConfig, self_play, self_play_setup
from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.nets import NetworkConfig, actor_critic
from sparring.policy import ConstantPolicy, MixedPolicy, Policy, RandomPolicy
from sparring.training import Opponents, train
from sparring.types import Discrete, Experience, Key, Learner

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
    assert isinstance(faced, MixedPolicy) and faced.adversarial is CURRENT
    # Whole matches of it, a quarter of them.
    assert (faced.benign, faced.budget, faced.control) == (ConstantPolicy(Discrete(3)), 0.75, "episode")


def test_the_opponent_of_some_matches_is_the_partner() -> None:
    partner = RandomPolicy(Discrete(3))
    _, play = self_play_setup(GAME, SelfPlayConfig(past=0.0, passive=0.15, sparring=0.4), partner=partner)
    faced = play(Opponents({"row": CURRENT}, {"row": []}, 0), np.random.default_rng(0))["col"]
    assert isinstance(faced, MixedPolicy) and isinstance(faced.adversarial, MixedPolicy)
    assert (faced.benign, faced.budget, faced.control) == (partner, 0.6, "episode")
    # .25 of the other .6: .15 of all.
    rest = faced.adversarial
    assert (rest.adversarial, rest.budget, rest.control) == (CURRENT, 0.75, "episode")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SelfPlayConfig(sparring=0.4), "expected a partner, got none"),
        (SelfPlayConfig(passive=-0.1), "expected shares of all matches, got -0.1 and 0"),
        (SelfPlayConfig(passive=1.1), "expected shares of all matches, got 1.1 and 0"),
    ],
)
def test_shares_that_nobody_can_play_are_refused(config: SelfPlayConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        self_play_setup(GAME, config)


def test_shares_together_are_at_most_all_matches() -> None:
    with pytest.raises(InputError, match=r"expected shares of all matches, got 0\.5 and 0\.6"):
        self_play_setup(GAME, SelfPlayConfig(passive=0.5, sparring=0.6), partner=CURRENT)


def seats_learned_from(past: float, passive: float = 0.0, sparring: float = 0.0) -> list[tuple[int, int]]:
    """How many matches a learner gets in each of four rounds of three matches, and how many of them it controlled."""
    got = []

    def update(state: np.ndarray, experience: Experience, key: Key) -> tuple[np.ndarray, dict[str, float]]:
        won, lost = (experience.reward == 1).sum(), (experience.reward == -1).sum()
        if experience.reward.shape[1] == 6:
            assert won == lost > 0  # what the one seat wins the other one loses
        got.append((experience.reward.shape[1], int(np.asarray(experience.controlled).all(0).sum())))
        return state, {}

    config = SelfPlayConfig(past=past, snapshot_every=1, passive=passive, sparring=sparring)
    game = MatrixGame(ROCK_PAPER_SCISSORS, 3)
    sides, play = self_play_setup(game, config, partner=ConstantPolicy(Discrete(3)))
    side = sides["row"]
    learner = Learner(lambda spaces, key: np.zeros(()), lambda state: RandomPolicy(Discrete(3)), update)
    for _ in islice(train(game, {"row": replace(side, learner=learner)}, play, 0, 20), 4):
        pass
    return got


def test_it_learns_from_both_seats_when_it_has_both() -> None:
    assert seats_learned_from(past=0.0) == [(6, 6)] * 4
    assert seats_learned_from(past=1.0) == [(6, 6), (3, 3), (3, 3), (3, 3)]  # no snapshot in the first round


@pytest.mark.parametrize("shares", [{"passive": 0.5}, {"passive": 0.2, "sparring": 0.3}])
def test_opponents_that_are_not_itself_are_not_learned_from(shares: dict[str, float]) -> None:
    rounds = seats_learned_from(past=0.0, **shares)
    assert {matches for matches, _ in rounds} == {6}
    # The first seat's matches are all its own; the second seat's in about half of the one-step matches.
    assert all(3 <= controlled < 6 for _, controlled in rounds)


def test_it_can_start_from_given_weights() -> None:
    spaces = GAME.spaces["row"]
    start = actor_critic(spaces, NetworkConfig(), np.array([5, 6], np.uint32))
    sides, _ = self_play_setup(GAME, SelfPlayConfig(), start)
    learner = sides["row"].learner
    assert learner.policy(learner.init(spaces, np.array([7, 8], np.uint32))) is start
