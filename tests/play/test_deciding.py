from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparring.decisions import checked_actions, decide, prepare
from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.nets import NetworkConfig, actor_critic
from sparring.policy import CallablePolicy, Decision, RandomPolicy, mix
from sparring.types import Array, Continuous, Discrete, Spaces

KEY = np.array([1, 2], np.uint32)
GAME = MatrixGame(ROCK_PAPER_SCISSORS, 4)
SEEN = {agent: np.ones((4, 1), np.float32) for agent in GAME.agents}
NONE_FIRST = np.zeros(4, bool)


class Count:
    """A policy of the host whose action is how many of the match's steps it has decided, modulo 3."""

    traceable = False

    def initial_state(self, batch: int) -> np.ndarray:
        return np.zeros(batch, np.int32)

    def act(self, key: Any, observation: Array, state: Any) -> Decision:
        return Decision(state % 3, state + 1)


def test_states_begin_anew_where_a_match_does() -> None:
    network = actor_critic(GAME.spaces["row"], NetworkConfig("lstm", (4,)), KEY)
    policies = {"row": network, "col": Count()}
    prepared = prepare(GAME, policies, ("row",))
    state: dict[str, Any] = {agent: policy.initial_state(4) for agent, policy in policies.items()}
    begun = decide(prepared, KEY, SEEN, state, np.ones(4, bool))
    later = decide(prepared, KEY, SEEN, {a: d.state for a, d in begun.items()}, np.array([True, False, True, False]))
    np.testing.assert_array_equal(begun["col"].action, [0, 0, 0, 0])
    np.testing.assert_array_equal(later["col"].action, [0, 1, 0, 1])
    np.testing.assert_array_equal(later["col"].state, [1, 2, 1, 2])
    same = np.asarray(later["row"].value) == np.asarray(begun["row"].value)
    np.testing.assert_array_equal(same, [True, False, True, False])


def test_what_nobody_records_is_not_computed() -> None:
    network = actor_critic(GAME.spaces["row"], NetworkConfig(), KEY)
    policies = dict.fromkeys(GAME.agents, network)
    state = {agent: network.initial_state(4) for agent in GAME.agents}
    decisions = decide(prepare(GAME, policies, ("col",)), KEY, SEEN, state, NONE_FIRST)
    assert decisions["row"].value is None and decisions["row"].log_prob is None
    assert decisions["col"].value is not None and decisions["col"].log_prob is not None


@pytest.mark.parametrize("policy", [RandomPolicy(Discrete(3)), CallablePolicy(lambda o, rng: rng.integers(0, 3, 4))])
def test_an_agent_decides_alone_as_in_company(policy: Any) -> None:
    """Each agent has a key of its own: one policy in both seats is not the same twice, and does not heed the other."""
    both = {"row": policy, "col": policy}
    together = decide(prepare(GAME, both, ()), KEY, SEEN, {"row": (), "col": ()}, NONE_FIRST)
    alone = decide(prepare(GAME, {"col": policy}, ()), KEY, SEEN, {"col": ()}, NONE_FIRST)
    np.testing.assert_array_equal(alone["col"].action, together["col"].action)
    assert np.asarray(together["row"].action).tolist() != np.asarray(together["col"].action).tolist()


def test_other_weights_and_budgets_share_what_is_compiled() -> None:
    compiled = set()
    for seed, budget in ((0, 0.25), (1, 0.5)):
        network = actor_critic(GAME.spaces["col"], NetworkConfig(), np.array([0, seed], np.uint32))
        prepared = prepare(GAME, {"col": mix(RandomPolicy(Discrete(3)), network, budget)}, ())
        compiled.add(prepared.compiled)
    assert len(compiled) == 1
    other = prepare(GAME, {"col": mix(RandomPolicy(Discrete(3)), RandomPolicy(Discrete(3)), 0.5)}, ())
    assert other.compiled not in compiled


class Line:
    """As much of a game of continuous actions as is needed to check them."""

    id, agents, num_games = "test/line", ("x",), 2

    def __init__(self) -> None:
        self.spaces = {"x": Spaces(1, Continuous(1))}


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full((2, 1), np.nan), "NaN or infinite"),
        (np.array([[0.0], [1e6]]), r"action 1e\+06 is out of range"),
        (np.zeros((2, 3)), r"expected actions of size 1, got shape \[2, 3\]"),
        (np.zeros(2), r"got shape \[2\]"),
        (np.zeros((1, 1)), "expected one action for each of 2 matches, got 1"),
        (np.array([["left"], ["right"]]), "expected numbers"),
    ],
)
def test_actions_that_nobody_can_mean_are_refused(action: np.ndarray, message: str) -> None:
    game: Any = Line()
    with pytest.raises(InputError, match=f"agent x, step 3: .*{message}") as error:
        checked_actions(game, {"x": Decision(action, ())}, 3)
    assert "\n" not in str(error.value)


def test_a_policy_that_refuses_is_named() -> None:
    def refuse(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise InputError("no weights")

    with pytest.raises(InputError, match="agent col: no weights"):
        decide(prepare(GAME, {"col": CallablePolicy(refuse)}, ()), KEY, SEEN, {"col": ()}, NONE_FIRST)
