from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import islice, pairwise
from typing import Any, get_args

import numpy as np
import pytest

from sparring.checkpoint import flatten, unflatten
from sparring.defences.adversarial_training import SCHEDULES, VICTIM, Schedule, adversarial_training
from sparring.errors import InputError
from sparring.exact.problem import exploitability
from sparring.games.finite import infosets, problem
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.learners.a2c import A2CConfig, a2c
from sparring.learners.rpg import RPGConfig, rpg
from sparring.learners.tables import exact_oracle, tabulate
from sparring.mixture import MixedPolicy
from sparring.policies import PoolPolicy, TabularPolicy
from sparring.training import Method, Opponents, Pool, Reward, TrainState, initial_state, saved_part, train, with_saved
from sparring.types import Experience, Learner, MethodName, Policy, ThreatModel

A2C = A2CConfig(learning_rate=0.05, hidden=(8,))
UNIFORM = TabularPolicy(np.full((1, 3), 1 / 3, np.float32))
LEARNED = {VICTIM: "row", "col": "col"}  # sides and the agents whose play they learn from


@cache
def rps(num_games: int = 16) -> MatrixGame:
    return MatrixGame(ROCK_PAPER_SCISSORS, num_games)


def threat(game: Any, benign: Policy, budget: float, **changes: Any) -> ThreatModel:
    victim, attacker = game.agents
    return ThreatModel(victim, (attacker,), {attacker: benign}, budget, **changes)


def always(action: int) -> TabularPolicy:
    return TabularPolicy(np.eye(3, dtype=np.float32)[[action]])


def counting(seen: list[tuple[int, Experience]]) -> Learner:
    """Its policy plays the number of its updates, modulo 3; `seen` gets that number and what it learned from."""

    def update(state: np.ndarray, experience: Experience, key: Any) -> tuple[np.ndarray, dict[str, Any]]:
        del key
        seen.append((int(state), experience))
        return state + 1, {}

    return Learner(lambda spaces, key: np.zeros((), np.int64), lambda state: always(int(state) % 3), update)


def method(schedule: Schedule, learners: Mapping[str, Learner] | None = None, budget: float = 0.5) -> Method:
    learners = learners or {VICTIM: a2c(A2C), "col": a2c(A2C)}
    return adversarial_training(
        rps(), threat(rps(), UNIFORM, budget), schedule, learners[VICTIM], {"col": learners["col"]}, 1
    )


def test_every_method_has_a_schedule() -> None:
    """(turns, share of past opponents); what tells the others apart are the learners' rates, and who is the oracle."""
    table = {name: (schedule.turns, schedule.past) for name, schedule in SCHEDULES.items()}
    assert set(table) == set(get_args(MethodName))
    assert {name for name, (turns, _) in table.items() if turns} == {"alternating"}
    assert {name: past for name, (_, past) in table.items() if past} == {"self-play": 0.5, "fictitious-play": 1.0}


@pytest.mark.parametrize(
    ("schedule", "victim", "attacker"),
    [
        (Schedule(), [0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (Schedule(victim_every=3), [0, 3, 6], [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (Schedule(turns=True), [1, 3, 5, 7], [0, 2, 4, 6, 8]),
        # Every second turn of its own; two clocks once made it learn in the attacker's rounds.
        (Schedule(turns=True, victim_every=2), [1, 5], [0, 2, 4, 6, 8]),
        (Schedule(turns=True, attacker_every=2), [1, 3, 5, 7], [0, 4, 8]),
    ],
)
def test_who_learns_in_which_round(schedule: Schedule, victim: list[int], attacker: list[int]) -> None:
    learners = {VICTIM: counting([]), "col": counting([])}
    states = list(islice(train(rps(), method(schedule, learners), 0), 9))
    learned = {name: [s.round - 1 for s in states if name in s.metrics] for name in learners}
    assert learned == {VICTIM: victim, "col": attacker}


@pytest.mark.slow
@pytest.mark.parametrize(("turns", "past"), [(True, 1.0), (False, 0.5)])
def test_nobody_learns_from_what_a_snapshot_played(turns: bool, past: float) -> None:
    """At budget 1: what is controlled is the play of the policy of the moment, and half of the slots are sure to be."""
    schedule = Schedule(turns=turns, victim_every=2, past=past, snapshot_every=1, max_snapshots=2)
    seen: dict[str, list[tuple[int, Experience]]] = {VICTIM: [], "col": []}
    learners = {name: counting(rows) for name, rows in seen.items()}
    list(islice(train(rps(), method(schedule, learners, budget=1.0), 0), 10))
    for number, rows in enumerate(seen.values()):
        assert len(rows) >= 2
        for updates, e in rows:
            mine = np.asarray(e.controlled)
            assert (np.asarray(e.action)[mine] == updates % 3).all()
            np.testing.assert_array_equal(e.valued, mine)
            assert mine[:, number::2].all()
            if updates and past == 1.0:
                assert not mine[:, 1 - number :: 2].any()


def test_opponents_come_from_the_past_in_half_of_the_slots_of_each_side() -> None:
    """The victim's own matches are the even slots, the attacker's the odd ones; the past is drawn through `mix`."""
    how = method(Schedule(past=0.75))
    current: dict[str, Policy] = {VICTIM: always(0), "col": always(1)}
    past = {name: Pool((2, 5), (always(2), always(2))) for name in current}
    played = how.play(Opponents(current, past, 0))
    victim, mixed = played["row"], played["col"]
    assert isinstance(mixed, MixedPolicy) and mixed.benign is UNIFORM and mixed.budget == 0.5
    attacker = mixed.adversarial
    assert isinstance(victim, PoolPolicy) and isinstance(attacker, PoolPolicy)
    assert (victim.live, attacker.live) == (current[VICTIM], current["col"])
    np.testing.assert_allclose(victim.probability, [0, 0.75] * 8)
    np.testing.assert_allclose(attacker.probability, [0.75, 0] * 8)


def test_without_a_past_nobody_is_kept() -> None:
    assert {side.snapshot_every for side in method(Schedule(snapshot_every=5)).sides.values()} == {0}
    kept = method(Schedule(past=0.5, snapshot_every=5, max_snapshots=7)).sides.values()
    assert {(side.snapshot_every, side.max_snapshots) for side in kept} == {(5, 7)}


@pytest.mark.parametrize(
    ("attackers", "victims"),
    [
        (None, Reward({"row": 1.0})),
        (Reward({"row": -2.0, "col": 0.5}), Reward({"row": 2.0, "col": -0.5})),
        # The attacker minds draws; so the victim likes them.
        (Reward(outcome=1.0, draw=-0.5), Reward(outcome=1.0, draw=0.5)),
        # Shaping is not taken from the one for the other.
        (Reward(outcome=1.0, shaping={"near": 2.0}, shaping_steps=9),) * 2,
    ],
)
def test_the_victim_wants_the_opposite(attackers: Reward | None, victims: Reward) -> None:
    how = adversarial_training(
        rps(), threat(rps(), UNIFORM, 0.5), Schedule(), a2c(A2C), {"col": a2c(A2C)}, 1, attackers
    )
    assert how.sides[VICTIM].reward == victims
    assert how.sides["col"].reward == (attackers or Reward({"row": -1.0}))
    assert {name: side.seats for name, side in how.sides.items()} == {VICTIM: ("row",), "col": ("col",)}


def test_only_the_victim_learns_against_an_adversary() -> None:
    """It is asked for the victim of the moment in every round, and what it answers is played through `mix`."""
    asked: list[Policy] = []

    def adversary(victim: Policy) -> Policy:
        asked.append(victim)
        return always(2)

    how = adversarial_training(rps(), threat(rps(), UNIFORM, 0.5), SCHEDULES["retrain"], a2c(A2C), adversary, 1)
    assert list(how.sides) == [VICTIM]
    played = how.play(Opponents({VICTIM: always(0)}, {}, 0))
    assert len(asked) == 1 and asked[0] is played["row"]
    mixed = played["col"]
    assert isinstance(mixed, MixedPolicy) and (mixed.benign, mixed.budget) == (UNIFORM, 0.5)


def test_control_is_the_threats() -> None:
    model = threat(rps(), UNIFORM, 0.5, control="episode")
    how = adversarial_training(rps(), model, Schedule(), a2c(A2C), {"col": a2c(A2C)}, 1)
    mixed: Any = how.play(Opponents({VICTIM: always(0), "col": always(1)}, {}, 0))["col"]
    assert mixed.control == "episode"


@pytest.mark.slow
def test_both_sides_learn_and_training_resumes_bit_for_bit() -> None:
    """Self-play of the two sides: with pools, through the arrays that a checkpoint holds."""
    how = method(Schedule(past=0.5, snapshot_every=1, max_snapshots=2))
    states = list(islice(train(rps(), how, 7), 5))
    for before, after in pairwise(states):
        for name, agent in LEARNED.items():
            tables = [tabulate(state.learners[name], infosets(rps(), agent)) for state in (before, after)]
            first, second = tables
            assert not np.array_equal(first, second)
    saved = states[2]
    arrays = flatten(saved_part(saved, rps()))
    kept = {name: len(pool.policies) for name, pool in saved.past.items()}
    template = initial_state(rps(), how, 7)
    restored = with_saved(template, rps(), how, kept, lambda tree: unflatten(tree, arrays))
    for expected, state in zip(states[3:], train(rps(), how, 7, restored), strict=False):
        wanted, got = flatten(saved_part(expected, rps())), flatten(saved_part(state, rps()))
        assert wanted.keys() == got.keys()
        for name, array in wanted.items():
            np.testing.assert_array_equal(got[name], array, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "learner",
    [a2c(A2CConfig(learning_rate=0.05)), pytest.param(rpg(RPGConfig(learning_rate=0.05)), marks=pytest.mark.long)],
)
def test_the_min_oracle_hardens_a_victim_in_kuhn_poker(learner: Learner) -> None:
    """A uniform victim's Expl is .41667; with the entropy bonus it settles near .08, a little above the least, 1/18."""
    game = SampledTree(compile_tree("kuhn_poker", 1000), 16)
    exact = problem(game, "player0", ["player1"], {}, 1.0)
    rows = infosets(game, "player0")
    benign = TabularPolicy(exact.benign.astype(np.float32))
    model = threat(game, benign, 1.0)
    how = adversarial_training(game, model, SCHEDULES["min-oracle"], learner, exact_oracle(exact, rows), 5)

    def expl(state: TrainState) -> float:
        return exploitability(exact, tabulate(learner.policy(state.learners[VICTIM]), rows))

    found = [expl(state) for state in islice(train(game, how, 0), 500) if state.round == 1 or state.round > 450]
    assert found[0] > 0.35
    assert max(found[1:]) < 0.15


def test_settings_that_contradict_each_other_are_refused() -> None:
    def same(victim: Policy) -> Policy:
        return victim

    learner, model = a2c(A2C), threat(rps(), UNIFORM, 0.5)
    with pytest.raises(InputError, match="no learner for attacker col"):
        adversarial_training(rps(), model, Schedule(), learner, {}, 1)
    with pytest.raises(InputError, match="at least 2 matches side by side"):
        adversarial_training(rps(1), model, Schedule(past=0.5), learner, {"col": learner}, 1)
    both = ThreatModel(("row", "col"), ("third",), {"third": UNIFORM}, 0.5)
    with pytest.raises(InputError, match="victims: expected one to harden, got 2"):
        adversarial_training(rps(), both, Schedule(), learner, same, 1)
    with pytest.raises(InputError, match="unknown agent of matrix/custom 'third'"):
        adversarial_training(
            rps(), threat(rps(), UNIFORM, 0.5, others={"third": UNIFORM}), Schedule(), learner, same, 1
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"victim_every": 0}, "victim_every.*expected at least 1"),
        ({"snapshot_every": 0}, "snapshot_every.*expected at least 1"),
        ({"past": 2.0}, r"past: expected a share in \[0, 1\], got 2"),
        ({"past": -0.1}, r"past: expected a share in \[0, 1\], got -0.1"),
    ],
)
def test_schedules_that_nobody_can_follow_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schedule(**change)
