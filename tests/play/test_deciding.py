from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.mixture import executed, mix
from sparring.nets import NetworkConfig, actor_critic
from sparring.play.deciding import checked_actions, decide, prepare
from sparring.policies import CallablePolicy, RandomPolicy, TabularPolicy
from sparring.types import Box, Decision, Discrete, MultiDiscrete, Policy, Spaces, ThreatModel, View

KEY = np.array([1, 2], np.uint32)
GAME = MatrixGame(ROCK_PAPER_SCISSORS, 4)
SEEN = {agent: View(np.ones((4, 1), np.float32)) for agent in GAME.agents}
NONE_FIRST = np.zeros(4, bool)


class Count:
    """A policy of the host whose action is how many of the match's steps it has decided, modulo 3."""

    traceable = False

    def initial_state(self, batch: int) -> np.ndarray:
        return np.zeros(batch, np.int32)

    def act(self, key: Any, view: View, state: Any) -> Decision:
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


MATCHES = 2000


class Three:
    """As much of a game of three agents as is needed to decide for them."""

    id, agents, num_games = "test/three", ("v", "a", "b"), MATCHES
    spaces = dict.fromkeys(agents, Spaces(Box((1,)), Discrete(2)))


def always(action: int, host: bool) -> Policy:
    if host:
        return CallablePolicy(lambda observation, rng: np.full(len(observation), action))
    return TabularPolicy(np.eye(2, dtype=np.float32)[[action]])


@pytest.mark.slow
@pytest.mark.parametrize("coin", ["team", "agent"])
@pytest.mark.parametrize("hosts", [(False, False), (True, True), (True, False)], ids=["jax", "host", "both"])
def test_a_team_shares_its_coin(hosts: tuple[bool, bool], coin: Any) -> None:
    """DECISIONS 31: with one coin both attackers are controlled in the same matches, whatever each is made of.

    The benign policy of the second is a mixture itself, which must not give it another coin.
    """
    game: Any = Three()
    benign: dict[str, Policy] = {"a": always(0, hosts[0]), "b": mix(always(0, hosts[1]), always(0, hosts[1]), 0.5)}
    threat = ThreatModel("v", ("a", "b"), benign, 0.3, coin=coin)
    policies = executed(threat, {"a": always(1, hosts[0]), "b": always(1, hosts[1])})
    views = {agent: View(np.ones((MATCHES, 1), np.float32)) for agent in game.agents}
    state = {agent: policy.initial_state(MATCHES) for agent, policy in policies.items()}
    decisions = decide(prepare(game, policies, ("a", "b")), KEY, views, state, np.ones(MATCHES, bool))
    a, b = (np.asarray(decisions[agent].action) for agent in ("a", "b"))
    np.testing.assert_array_equal(a, decisions["a"].controlled)
    np.testing.assert_array_equal(b, decisions["b"].controlled)
    assert abs(a.mean() - 0.3) < 5 * math.sqrt(0.21 / MATCHES)
    if coin == "team":
        np.testing.assert_array_equal(a, b)
    else:
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(MATCHES)


@pytest.mark.parametrize("host", [False, True], ids=["jax", "host"])
def test_nothing_is_controlled_where_an_agent_does_not_move(host: bool) -> None:
    """0 at those steps, on the host and in JAX alike; and no log-probability of what is not executed."""
    moves = np.array([True, False, True, False])
    view = View(np.ones((4, 1), np.float32), None, moves)
    network = actor_critic(GAME.spaces["col"], NetworkConfig("mlp", (4,)), KEY)
    benign = CallablePolicy(lambda o, rng: rng.integers(0, 3, len(o))) if host else RandomPolicy(Discrete(3))
    for policy in (mix(benign, network, 1.0), network):
        prepared = prepare(GAME, {"col": policy}, ("col",))
        decision = decide(prepared, KEY, {"col": view}, {"col": policy.initial_state(4)}, np.ones(4, bool))["col"]
        np.testing.assert_array_equal(decision.controlled, moves)
        assert ((np.asarray(decision.log_prob) != 0) == moves).all()


class Line:
    """As much of a game of continuous actions as is needed to check them."""

    id, agents, num_games = "test/line", ("x",), 2

    def __init__(self, action: Any = None) -> None:
        self.spaces = {"x": Spaces(Box((1,)), action or Box((1,), -1.0, 1.0))}


WAITING = {"x": View(np.zeros((2, 1), np.float32))}


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
        checked_actions(game, {"x": Decision(action, ())}, WAITING, 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("space", "legal", "action"),
    [
        (Discrete(3), [[1, 1, 1], [1, 0, 1]], [1, 1]),
        (MultiDiscrete((2, 2)), [[1, 1, 1, 1], [1, 1, 1, 0]], [[1, 1], [0, 1]]),
    ],
)
def test_an_illegal_action_is_named_where_the_agent_moves(space: Any, legal: Any, action: Any) -> None:
    game: Any = Line(space)
    decisions = {"x": Decision(np.array(action), ())}
    shown = np.zeros((2, 1), np.float32)
    with pytest.raises(InputError, match=r"agent x, step 3: action 1 is not legal in match 1: see View.legal"):
        checked_actions(game, decisions, {"x": View(shown, np.array(legal, bool))}, 3)
    waits = {"x": View(shown, np.array(legal, bool), np.array([True, False]))}
    np.testing.assert_array_equal(checked_actions(game, decisions, waits, 3)["x"], action)


def test_a_policy_that_refuses_is_named() -> None:
    def refuse(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise InputError("no weights")

    with pytest.raises(InputError, match="agent col: no weights"):
        decide(prepare(GAME, {"col": CallablePolicy(refuse)}, ()), KEY, SEEN, {"col": ()}, NONE_FIRST)


def test_a_users_policy_that_raises_is_named_with_its_file_and_line() -> None:
    """Other people's code is not an error of this package."""

    def fail(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return observation[:, 7]

    line = fail.__code__.co_firstlineno + 1
    with pytest.raises(InputError, match=rf"agent col: .*IndexError: .*\({__file__}:{line}\)$") as error:
        decide(prepare(GAME, {"col": CallablePolicy(fail)}, ()), KEY, SEEN, {"col": ()}, NONE_FIRST)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("traceable", [False, True])
def test_a_policy_that_returns_something_else_is_named(traceable: bool) -> None:
    class Bare:
        """Returns its action alone."""

        def initial_state(self, batch: int) -> Any:
            return ()

        def act(self, key: Any, view: View, state: Any) -> Any:
            return view.observation[:, 0]

    policy: Any = Bare()
    policy.traceable = traceable
    with pytest.raises(InputError, match=r"agent col: expected a sparring.types.Decision, got"):
        decide(prepare(GAME, {"col": policy}, ()), KEY, SEEN, {"col": ()}, NONE_FIRST)
