from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import islice, pairwise
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.checkpoint import flatten, unflatten
from sparring.defences.adversarial_training import (
    AdversarialTraining,
    Method,
    adversarial_training,
    defence_setup,
    exact_oracle,
    method,
    tabulate,
)
from sparring.errors import InputError
from sparring.exact.problem import exploitability
from sparring.exact.tree_game import Infosets
from sparring.games.finite import infosets, problem
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.learners.a2c import A2CConfig
from sparring.learners.ppo import PPOConfig
from sparring.learners.rpg import RPGConfig
from sparring.nets import NetworkConfig, actor_critic
from sparring.policy import CallablePolicy, ConstantPolicy, MixedPolicy, Policy, RandomPolicy, TabularPolicy, mix
from sparring.training import Opponents, TrainState, initial_state, saved_part, train, with_saved
from sparring.types import Discrete, Spaces, ThreatModel

A2C = A2CConfig(learning_rate=0.05, hidden=(8,))
UNIFORM = TabularPolicy(np.full((1, 3), 1 / 3))
KEY = np.array([3, 4], np.uint32)


@cache
def rps() -> MatrixGame:
    return MatrixGame(ROCK_PAPER_SCISSORS, 16)


def threat(game: Any, benign: Policy, budget: float) -> ThreatModel:
    victim, attacker = game.agents
    return ThreatModel(victim, (attacker,), {attacker: benign}, budget)


def rps_training(name: Method, **changes: Any) -> Iterator[TrainState]:
    adversary = (lambda victim: UNIFORM) if name in ("min-oracle", "retrain") else None
    config = replace(method(name, A2C), steps_per_round=1, **changes)
    return adversarial_training(rps(), threat(rps(), UNIFORM, 0.5), config, 7, adversary)


def moved(states: list[TrainState], agent: str) -> list[bool]:
    """Whether the agent's policy changed in each round after the first of `states`."""
    tables = [tabulate(_network(state, agent), infosets(rps(), agent)) for state in states]
    return [not np.array_equal(before, after) for before, after in pairwise(tables)]


def _network(state: TrainState, agent: str) -> Any:
    learner = state.learners[agent]
    return getattr(learner, "learner", learner)


def test_what_tells_the_methods_apart() -> None:
    """(ratio of the rates, turns, probability of a past opponent); the victim learns alike in all."""
    table = {
        "min-oracle": (np.inf, False, 0.0),
        "two-timescale": (25.0, False, 0.0),
        "single-timescale": (1.0, False, 0.0),
        "alternating": (1.0, True, 0.0),
        "self-play": (1.0, True, 0.5),
        "fictitious-play": (1.0, True, 1.0),
        "retrain": (np.inf, False, 0.0),
    }
    assert set(table) == set(get_args(Method))
    for name in get_args(Method):
        config = method(name, A2C, ratio=25.0)
        assert config.victim == A2C
        assert (pytest.approx(config.ratio), config.turns, config.past) == table[name]


def test_updates_per_round_are_part_of_the_ratio() -> None:
    config = replace(method("two-timescale", A2C, ratio=5.0), victim_every=4, attacker_every=2)
    assert config.ratio == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("name", "changes", "victim", "attacker"),
    [
        ("two-timescale", {}, [True] * 5, [True] * 5),
        ("two-timescale", {"victim_every": 2}, [False, True] * 2 + [False], [True] * 5),
        ("alternating", {}, [True, False] * 2 + [True], [False, True] * 2 + [False]),
    ],
)
def test_who_learns_when(name: Method, changes: dict[str, Any], victim: list[bool], attacker: list[bool]) -> None:
    """From the second round on: in the first, the attacker learns whether or not sides take turns."""
    states = list(islice(rps_training(name, **changes), 6))
    assert moved(states, "row") == victim
    assert moved(states, "col") == attacker


def test_only_the_victim_learns_against_an_adversary() -> None:
    state = next(rps_training("retrain"))
    assert list(state.learners) == ["row"]


def opponents_faced(config: AdversarialTraining, round_: int, draws: int) -> list[tuple[Policy, Policy]]:
    """The victim and the adversarial policy of many draws of one round."""
    _, play = defence_setup(rps(), threat(rps(), UNIFORM, 0.5), config, None, {})
    snapshots = {agent: [ConstantPolicy(Discrete(n)) for n in (3, 4, 5)] for agent in ("row", "col")}
    current: dict[str, Policy] = {"row": RandomPolicy(Discrete(3)), "col": RandomPolicy(Discrete(4))}
    steps = round_ * config.steps_per_round * rps().num_games
    faced = []
    for seed in range(draws):
        played = play(Opponents(current, snapshots, steps), np.random.default_rng(seed))
        mixed = played["col"]
        assert isinstance(mixed, MixedPolicy)
        assert (mixed.benign, mixed.budget) == (UNIFORM, 0.5)
        faced.append((played["row"], mixed.adversarial))
    return faced


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("alternating", [1, 0, 0, 0]),
        ("self-play", [1 / 2, 1 / 6, 1 / 6, 1 / 6]),
        ("fictitious-play", [0, 1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_how_opponents_are_drawn(name: Method, shares: list[float]) -> None:
    """The side whose turn it is plays as it is; the other one as drawn from [the present, its three snapshots]."""
    config = method(name, A2C)
    for round_, learns, other in ((0, 1, 0), (1, 0, 1), (2, 1, 0)):
        faced = opponents_faced(config, round_, 2000)
        assert all(isinstance(pair[learns], RandomPolicy) for pair in faced)
        found = [sum(isinstance(pair[other], RandomPolicy) for pair in faced)]
        found += [sum(pair[other] == ConstantPolicy(Discrete(n)) for pair in faced) for n in (3, 4, 5)]
        # Standard error .011: five of them.
        np.testing.assert_allclose(np.array(found) / 2000, shares, atol=0.056)


def test_snapshots_are_kept_where_they_are_drawn_from() -> None:
    counts: dict[Method, int] = {"fictitious-play": 3, "alternating": 0}
    for name, count in counts.items():
        *_, last = islice(rps_training(name, snapshot_every=2), 6)
        assert {agent: len(kept) for agent, kept in last.snapshots.items()} == {"row": count, "col": count}


def test_resumed_training_is_the_uninterrupted_one() -> None:
    config = replace(method("self-play", A2C), snapshot_every=1, steps_per_round=1)
    sides, play = defence_setup(rps(), threat(rps(), UNIFORM, 0.5), config, None, {})
    states = list(islice(train(rps(), sides, play, 7, 1), 5))
    saved = states[2]
    arrays = flatten(saved_part(saved))
    kept = {agent: len(policies) for agent, policies in saved.snapshots.items()}
    template = initial_state(rps(), sides, play, 7)
    restored = with_saved(template, sides, kept, lambda tree: unflatten(tree, arrays))
    for expected, state in zip(states[3:], train(rps(), sides, play, 7, 1, restored), strict=False):
        wanted, got = flatten(saved_part(expected)), flatten(saved_part(state))
        assert wanted.keys() == got.keys()
        for name, array in wanted.items():
            np.testing.assert_array_equal(got[name], array, err_msg=name)


@pytest.mark.parametrize("learner", [A2CConfig(learning_rate=0.05), RPGConfig(learning_rate=0.05)])
def test_the_min_oracle_hardens_a_victim_in_kuhn_poker(learner: A2CConfig) -> None:
    """A uniform victim's Expl is .41667; with the entropy bonus it settles near .08, a little above the least, 1/18."""
    game = SampledTree(compile_tree("kuhn_poker", 1000), 16)
    exact = problem(game, "player0", ["player1"], {}, 1.0)
    rows = infosets(game, "player0")
    config = method("min-oracle", learner)
    benign = TabularPolicy(exact.benign)
    training = adversarial_training(game, threat(game, benign, 1.0), config, 0, exact_oracle(exact, rows))
    found = [exploitability(exact, tabulate(_network_of(state), rows)) for state in islice(training, 500)]
    assert found[0] > 0.35
    assert max(found[-50:]) < 0.15


def _network_of(state: TrainState) -> Policy:
    (learner,) = state.learners.values()
    return getattr(learner, "network", learner)


def test_the_oracle_answers_the_victim_of_the_moment() -> None:
    exact = problem(rps(), "row", ["col"], {}, 0.5)
    oracle = exact_oracle(exact, infosets(rps(), "row"))
    for action, answer in ((0, 2), (1, 0), (2, 1)):  # of row's payoffs: 1 beats 0, 2 beats 1, 0 beats 2 for "col"
        played = oracle(TabularPolicy(np.eye(3)[[action]]))
        worst = int(ROCK_PAPER_SCISSORS[action].argmin())
        assert worst == answer
        assert isinstance(played, TabularPolicy)
        np.testing.assert_array_equal(played.probabilities, np.eye(3)[[worst]])


ROWS = Infosets(
    ("a", "b"), np.array([2, 3]), np.array([[0, 1, -1], [0, 1, 2]]), (("x", "y"), ("x", "y", "z"))
)  # two legal actions in the first set


def folded(rows: Any) -> np.ndarray:
    rows = np.array(rows, float)
    return np.array([[rows[0, 0], rows[0, 1] + rows[0, 2], 0], rows[1]])


def test_tables_of_policies() -> None:
    network = actor_critic(Spaces(2, Discrete(3)), NetworkConfig(hidden=(8,)), KEY)
    logits = np.asarray(network.forward(jnp.eye(2), ((), ()))[0], np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    table = np.array([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]])
    thirds, first = np.full((2, 3), 1 / 3), np.eye(3)[[0, 0]]
    cases: list[tuple[Policy, Any]] = [
        (network, softmax),
        (replace(network, greedy=True), np.eye(3)[logits.argmax(1)]),
        (TabularPolicy(table), table),
        (RandomPolicy(Discrete(3)), thirds),
        (ConstantPolicy(Discrete(3)), first),
        (mix(TabularPolicy(table), ConstantPolicy(Discrete(3)), 0.25), 0.75 * table + 0.25 * first),
    ]
    for policy, expected in cases:
        found = tabulate(policy, ROWS)
        np.testing.assert_allclose(found, folded(expected), atol=1e-7)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-15)


def test_a_table_is_what_the_network_plays() -> None:
    network = actor_critic(Spaces(2, Discrete(3)), NetworkConfig(hidden=(8,)), KEY)
    played = np.asarray(network.act(jax.random.key(0), jnp.tile(jnp.eye(2)[:1], (20000, 1)), ((), ())).action)
    shares = np.bincount(np.minimum(played, 1), minlength=3) / 20000  # beyond the legal actions: the last legal one
    np.testing.assert_allclose(tabulate(network, ROWS)[0], shares, atol=5 * 0.5 / np.sqrt(20000))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (CallablePolicy(lambda observation, rng: observation), "CallablePolicy: its action probabilities"),
        (actor_critic(Spaces(2, Discrete(3)), NetworkConfig("lstm", (8,)), KEY), "ActorCritic: its action"),
        (mix(UNIFORM, UNIFORM, 0.5, "episode"), "MixedPolicy: its action"),
        (actor_critic(Spaces(4, Discrete(3)), NetworkConfig(), KEY), "observations of size 2, got one for 4"),
        (RandomPolicy(Discrete(2)), r"probabilities of shape \[2, 3\], got \[2, 2\]"),
        (UNIFORM, r"shape \[2, 3\], got \[1, 3\]"),
    ],
)
def test_policies_without_a_table_are_refused(policy: Policy, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tabulate(policy, ROWS)


def test_ppo_starts_from_the_victim() -> None:
    start = actor_critic(rps().spaces["row"], NetworkConfig(), KEY)
    config = replace(
        method("two-timescale", PPOConfig(learning_rate=0.0, normalize_observations=False)), steps_per_round=1
    )
    state = next(adversarial_training(rps(), threat(rps(), UNIFORM, 0.5), config, 0, victim=start))
    rows = infosets(rps(), "row")
    np.testing.assert_array_equal(tabulate(state.learners["row"].network, rows), tabulate(start, rows))
    with pytest.raises(InputError, match="A2CConfig: only PPO starts from given weights"):
        adversarial_training(rps(), threat(rps(), UNIFORM, 0.5), method("alternating", A2C), 0, victim=start)


def test_settings_that_contradict_each_other_are_refused() -> None:
    def same(victim: Policy) -> Policy:
        return victim

    game = threat(rps(), UNIFORM, 0.5)
    for config, adversary in ((method("min-oracle", A2C), None), (method("alternating", A2C), same)):
        with pytest.raises(InputError, match="either an attacker who learns or an adversary"):
            adversarial_training(rps(), game, config, 0, adversary)
    with pytest.raises(InputError, match="past opponents need turns"):
        replace(method("alternating", A2C), turns=False, past=0.5)
    with pytest.raises(InputError, match="expected at least 1 round"):
        replace(method("alternating", A2C), victim_every=0)
    with pytest.raises(InputError, match=r"past: expected a probability in \[0, 1\], got 2"):
        replace(method("self-play", A2C), past=2)
    typed_by_a_user: Any = "selfplay"
    with pytest.raises(InputError, match="unknown method 'selfplay': did you mean self-play"):
        method(typed_by_a_user, A2C)
    team = ThreatModel("row", ("col", "col2"), {"col": UNIFORM, "col2": UNIFORM}, 0.5)
    with pytest.raises(InputError, match="expected one, got 2"):
        adversarial_training(rps(), team, method("alternating", A2C), 0)
