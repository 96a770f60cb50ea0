"""A match keeps its opponent (DECISIONS 28): pools of past policies, over rounds, thinning and checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest

from sparring.checkpoint import flatten, unflatten
from sparring.exact.markov_game import MarkovGame
from sparring.exact.tree import tree_problem
from sparring.games.markov import SampledMarkovGame
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.mixture import mix
from sparring.play.evaluate import evaluate
from sparring.play.rollout import rollout
from sparring.policies import ConstantPolicy, TabularPolicy
from sparring.training import (
    Method,
    Opponents,
    Pool,
    Reward,
    Side,
    TrainState,
    initial_state,
    pooled,
    saved_part,
    train,
    with_saved,
)
from sparring.types import AgentID, Discrete, Experience, Learner, Policy

ACTIONS, SLOTS, HORIZON, T = 40, 16, 7, 3  # a match takes more than two rounds


@cache
def corridor(num_games: int = SLOTS, horizon: int = HORIZON) -> SampledMarkovGame:
    """One state, nothing to win; a match takes `horizon` steps."""
    one = MarkovGame(np.ones((1, 1, ACTIONS, 1)), np.zeros((1, 1, ACTIONS)), np.ones(1), 0.5)
    return SampledMarkovGame(one, num_games, horizon)


def always(action: int) -> TabularPolicy:
    return TabularPolicy(np.eye(ACTIONS, dtype=np.float32)[[action]])


def counting(seen: list[Experience]) -> Learner:
    """Its policy plays the number of its updates, so that an action says which policy chose it."""

    def update(state: np.ndarray, experience: Experience, key: Any) -> tuple[np.ndarray, dict[str, Any]]:
        del key
        seen.append(experience)
        return state + 1, {}

    return Learner(lambda spaces, key: np.zeros((), np.int64), lambda state: always(int(state)), update)


def method(seen: list[Experience], share: float = 0.6, most: int = 2) -> Method:
    side = Side(counting(seen), Reward(), ("attacker",), snapshot_every=1, max_snapshots=most)

    def play(opponents: Opponents) -> dict[AgentID, Policy]:
        who = pooled(opponents.current["one"], opponents.past["one"], np.full(SLOTS, share))
        return {"victim": ConstantPolicy(Discrete(1)), "attacker": who}

    return Method({"one": side}, play, T)


def rows(states: list[TrainState]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actions, control and firsts [T, B] of several rounds."""
    got = []
    for state in states:
        assert state.trajectory is not None
        e = state.trajectory.agents["attacker"]
        got.append([np.asarray(x) for x in (e.action, e.controlled, e.first)])
    action, controlled, first = (np.concatenate(x) for x in zip(*got, strict=True))
    return action, controlled, first


def matches(first: np.ndarray) -> Iterator[tuple[slice, int]]:
    """The steps and the slot of every match, whole or cut off."""
    for slot in range(first.shape[1]):
        begins = [*np.flatnonzero(first[:, slot]), len(first)]
        for begin, end in pairwise(begins):
            yield slice(int(begin), int(end)), slot


@pytest.mark.slow
def test_a_match_keeps_its_opponent_until_it_ends() -> None:
    """Over rounds in which the policy of the moment changes and the pool, of two at the most, is thinned."""
    seen: list[Experience] = []
    states = list(islice(train(corridor(), method(seen), 0), 14))
    action, controlled, first = rows(states)
    now = np.repeat(np.arange(14), T)  # what the policy of the moment plays in each step
    past = 0
    for steps, slot in matches(first):
        mine = controlled[steps, slot]
        assert mine.all() or not mine.any()
        if mine.any():
            np.testing.assert_array_equal(action[steps, slot], now[steps])
        else:
            opponent = set(action[steps, slot].tolist())
            assert len(opponent) == 1
            # Snapshot r is made after round r and its update, and plays r + 1.
            assert opponent.pop() <= now[steps][0]
            past += 1
    assert past > 10 and controlled.any()
    # At most two, but for those that a match still needs; and the latest is always there.
    for number, state in enumerate(states):
        assert state.past["one"].numbers[-1] == number
    assert max(len(state.past["one"].numbers) for state in states) < 14


def test_only_play_of_the_policy_of_the_moment_is_learned_from() -> None:
    seen: list[Experience] = []
    list(islice(train(corridor(), method(seen), 1), 8))
    for updates, e in enumerate(seen):
        action, controlled = np.asarray(e.action), np.asarray(e.controlled)
        assert controlled.any() and (action[controlled] == updates).all()
        np.testing.assert_array_equal(e.valued, controlled)  # and the critic predicts what follows its play
        if updates > HORIZON // T + 1:  # the first matches begin before there is a past, and end in round 2
            assert not controlled.all() and (action[~controlled] <= updates).all()


def test_a_checkpoint_keeps_who_plays_whom() -> None:
    uninterrupted = list(islice(train(corridor(), method([]), 0), 7))
    saved = uninterrupted[3]
    arrays = flatten(saved_part(saved, corridor()))
    kept = {"one": len(saved.past["one"].numbers)}
    template = initial_state(corridor(), method([]), 5)
    restored = with_saved(template, corridor(), method([]), kept, lambda tree: unflatten(tree, arrays))
    assert restored.past["one"].numbers == saved.past["one"].numbers
    for expected, state in zip(uninterrupted[4:], train(corridor(), method([]), 0, restored), strict=False):
        wanted, got = (flatten({"saved": saved_part(s, corridor()), "t": s.trajectory}) for s in (expected, state))
        assert wanted.keys() == got.keys()
        for name, array in wanted.items():
            np.testing.assert_array_equal(got[name], array, err_msg=name)


def one_step(policy: Policy, slots: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    policies = {"victim": ConstantPolicy(Discrete(1)), "attacker": policy}
    trajectory, _ = rollout(corridor(slots, 1), policies, 20, np.random.default_rng(seed), record=("attacker",))
    e = trajectory.agents["attacker"]
    return np.asarray(e.action), np.asarray(e.controlled)


@pytest.mark.slow
def test_the_draw_is_uniform_with_the_given_share() -> None:
    """Three past policies (padded to four) in .6 of the matches; 8,000 matches: standard error .005."""
    pool = Pool((4, 9, 13), tuple(always(action) for action in (1, 2, 3)))
    action, controlled = one_step(pooled(always(0), pool, np.full(400, 0.6)), 400)
    rates = np.bincount(action.ravel(), minlength=4)[:4] / action.size
    np.testing.assert_allclose(rates, [0.4, 0.2, 0.2, 0.2], atol=0.025)
    np.testing.assert_array_equal(controlled, action == 0)


def test_the_share_is_that_of_each_slot() -> None:
    """As adversarial training deals them: the past in every second slot; and without a past, the present."""
    share = np.where(np.arange(400) % 2 == 0, 1.0, 0.0)
    action, controlled = one_step(pooled(always(0), Pool((4,), (always(1),)), share), 400)
    np.testing.assert_array_equal(action, np.broadcast_to(share, action.shape))
    action, controlled = one_step(pooled(always(0), Pool(), np.ones(400)), 400)
    assert not action.any() and controlled.all()


@pytest.mark.slow
def test_a_pool_under_partial_control() -> None:
    """The benign policy plays 7; budget .5, past .5: a quarter is the policy of the moment's, and controlled."""
    pool = pooled(always(0), Pool((4,), (always(1),)), np.full(400, 0.5))
    action, controlled = one_step(mix(always(7), pool, 0.5), 400)
    np.testing.assert_array_equal(controlled, action == 0)
    rates = np.bincount(action.ravel(), minlength=8)[[0, 1, 7]] / action.size
    np.testing.assert_allclose(rates, [0.25, 0.25, 0.5], atol=0.028)


@pytest.mark.slow
def test_a_pool_plays_the_average_realisation_plan() -> None:
    """Kuhn poker, the pool in the first seat, which decides twice: by Kuhn's theorem the value is that of the average
    plan (DECISIONS 4 and 28), and not that of the average of behaviours.
    """
    tree = compile_tree("kuhn_poker", 1000)
    victim = np.full((6, 2), 0.5)
    exact = tree_problem(tree, 1, [0], {0: np.full((6, 2), 0.5)}, 1.0)
    # The one bets at once, and would fold; the other passes, and calls. Only the other ever has to: averaged by
    # behaviour, half of the calls were folds.
    later = np.array([key.endswith("pb") for key in tree.infosets[0].keys])
    tables = [np.eye(2)[(~later).astype(int)], np.eye(2)[later.astype(int)]]
    plan = exact.average_attacker(tables, np.ones(2))
    right, wrong = exact.value(victim, plan), exact.value(victim, np.mean(tables, axis=0))
    pool = Pool((0, 1), tuple(TabularPolicy(table.astype(np.float32)) for table in tables))
    slots, n = 2000, 20_000
    live: Any = TabularPolicy(np.full((6, 2), 0.5, np.float32))
    policies: dict[AgentID, Policy] = {
        "player0": pooled(live, pool, np.ones(slots)),
        "player1": TabularPolicy(victim.astype(np.float32)),
    }
    out = evaluate(SampledTree(tree, slots), policies, n, np.random.default_rng(0))
    mean, error = out.returns["player1"].mean(), out.returns["player1"].std() / np.sqrt(n)
    assert abs(mean - right) < 4.5 * error
    assert abs(wrong - right) > 10 * error
