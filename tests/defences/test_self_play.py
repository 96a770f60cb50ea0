from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import equinox as eqx
import numpy as np
import pytest

from sparring.defences.self_play import SELF, SelfPlayConfig, self_play
from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.mixture import MixedPolicy
from sparring.nets import NetworkConfig, actor_critic
from sparring.policies import ConstantPolicy, Policy, PoolPolicy, RandomPolicy, TabularPolicy
from sparring.training import Opponents, Pool, train
from sparring.types import Discrete, Experience, Learner

GAME = MatrixGame(ROCK_PAPER_SCISSORS)
CURRENT: Policy = ConstantPolicy(Discrete(3))


def played(config: SelfPlayConfig, partner: Policy | None = None, pool: Pool | None = None) -> tuple[Policy, Policy]:
    how = self_play(GAME, config, partner=partner)
    policies = how.play(Opponents({SELF: CURRENT}, {SELF: pool or Pool()}, 0))
    return policies["row"], policies["col"]


def test_a_share_of_the_matches_is_against_the_past() -> None:
    pool = Pool((3, 8), (CURRENT, CURRENT))
    me, other = played(SelfPlayConfig(past=0.6), pool=pool)
    assert me is CURRENT
    assert isinstance(other, PoolPolicy) and other.live is CURRENT
    np.testing.assert_allclose(other.probability, [0.6])
    np.testing.assert_array_equal(other.numbers, [3, 8])


def test_one_side_learns_from_both_seats() -> None:
    config = SelfPlayConfig(snapshot_every=7, max_snapshots=5, steps_per_round=9)
    how = self_play(GAME, config)
    assert (list(how.sides), how.steps_per_round) == ([SELF], 9)
    side = how.sides[SELF]
    assert (side.seats, side.snapshot_every, side.max_snapshots) == (("row", "col"), 7, 5)
    assert side.reward == config.reward


def test_unequal_seats_are_refused() -> None:
    with pytest.raises(InputError, match="two agents with the same observations and actions"):
        self_play(MatrixGame(np.ones((2, 3))), SelfPlayConfig())


def test_the_opponent_of_some_matches_is_passive() -> None:
    _, faced = played(SelfPlayConfig(past=0.0, passive=0.25))
    assert isinstance(faced, MixedPolicy) and isinstance(faced.adversarial, PoolPolicy)
    # Whole matches of it, a quarter of them.
    assert (faced.benign, faced.budget, faced.control) == (ConstantPolicy(Discrete(3)), 0.75, "episode")


def test_the_opponent_of_some_matches_is_the_partner() -> None:
    partner = RandomPolicy(Discrete(3))
    _, faced = played(SelfPlayConfig(past=0.0, passive=0.15, sparring=0.4), partner)
    assert isinstance(faced, MixedPolicy) and isinstance(faced.adversarial, MixedPolicy)
    assert (faced.benign, faced.budget, faced.control) == (partner, 0.6, "episode")
    # .25 of the other .6: .15 of all.
    rest = faced.adversarial
    assert (rest.budget, rest.control) == (0.75, "episode")


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
        self_play(GAME, config)


def test_shares_together_are_at_most_all_matches() -> None:
    with pytest.raises(InputError, match=r"expected shares of all matches, got 0\.5 and 0\.6"):
        self_play(GAME, SelfPlayConfig(passive=0.5, sparring=0.6), partner=CURRENT)


SLOTS, STEPS = 50, 20


def learned_from(partner: int | None = None, **shares: float) -> list[Experience]:
    """What a learner gets in each of three rounds; update n makes it play n, passive is 0, the partner plays 2."""
    got: list[Experience] = []

    def table(action: int) -> TabularPolicy:
        return TabularPolicy(np.eye(3, dtype=np.float32)[[action]])

    def update(state: np.ndarray, experience: Experience, key: Any) -> tuple[np.ndarray, dict[str, float]]:
        del key
        got.append(experience)
        return state + 1, {}

    config = SelfPlayConfig(snapshot_every=1, steps_per_round=STEPS, **{"past": 0.0, **shares})  # pyright: ignore[reportArgumentType]
    game = MatrixGame(ROCK_PAPER_SCISSORS, SLOTS)
    how = self_play(game, config, partner=None if partner is None else table(partner))
    learner = Learner(lambda spaces, key: np.zeros((), np.int64), lambda state: table(int(state) % 3), update)
    side = replace(how.sides[SELF], learner=learner)
    for _ in islice(train(game, how._replace(sides={SELF: side}), 0), 3):
        pass
    return got


@pytest.mark.slow
def test_it_learns_from_both_seats() -> None:
    for updates, e in enumerate(learned_from()):
        assert e.reward.shape == (STEPS, 2 * SLOTS)
        assert np.asarray(e.controlled).all() and (np.asarray(e.action) == updates).all()
        # It plays itself, and draws.
        assert not np.asarray(e.reward).any()


@pytest.mark.slow
@pytest.mark.parametrize("shares", [{"past": 0.5}, {"passive": 0.3}, {"passive": 0.2, "sparring": 0.3, "past": 0.4}])
def test_opponents_that_are_not_itself_are_not_learned_from(shares: dict[str, float]) -> None:
    """Neither the policy nor the critic: with passive=.3, the critic once learned from 15% of foreign steps."""
    rounds = learned_from(2 if "sparring" in shares else None, **shares)
    e = rounds[1]  # the policy plays 1; its past, the passive opponent and the partner do not
    first, second = np.asarray(e.controlled)[:, :SLOTS], np.asarray(e.controlled)[:, SLOTS:]
    assert first.all()
    # Of the matches that are left to it, a share is against the past.
    passive, sparring, past = (shares.get(name, 0.0) for name in ("passive", "sparring", "past"))
    mine = (1 - sparring - passive) * (1 - past)
    # 1,000 matches of one step: standard error of at most .016.
    assert second.mean() == pytest.approx(mine, abs=0.08)
    np.testing.assert_array_equal(e.valued, e.controlled)
    assert (np.asarray(e.action)[:, SLOTS:][second] == 1).all()


@pytest.mark.slow
def test_it_can_start_from_given_weights() -> None:
    spaces = GAME.spaces["row"]
    start = actor_critic(spaces, NetworkConfig(), np.array([5, 6], np.uint32))
    learner = self_play(GAME, SelfPlayConfig(), start).sides[SELF].learner
    assert eqx.tree_equal(learner.policy(learner.init(spaces, np.array([7, 8], np.uint32))), start)
