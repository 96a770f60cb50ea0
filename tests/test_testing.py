from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games import make, names
from sparring.nets import NetworkConfig, actor_critic
from sparring.policy import (
    CallablePolicy,
    ConstantPolicy,
    Decision,
    Policy,
    RandomPolicy,
    TabularPolicy,
    mix,
)
from sparring.testing import check_game, check_policy
from sparring.types import NO_WINNER, AgentID, Array, Continuous, Discrete, Spaces, Step

ROBOSUMO = [name for name in names() if name.startswith("robosumo/")]


@pytest.mark.parametrize("game_id", [*(f"{name},integrator=euler" for name in ROBOSUMO), "robosumo/ant-vs-spider"])
def test_robosumo_keeps_the_promises(game_id: str) -> None:
    check_game(lambda num_games: make(game_id, num_games, threads=1))


@pytest.mark.parametrize("game_id", [name for name in names() if name.startswith("matrix/")])
def test_games_within_jax_keep_the_promises(game_id: str) -> None:
    check_game(lambda num_games: make(game_id, num_games))


class Walk:
    """A correct game: a walk along a line to +-3, with a random start; `spoil` breaks one promise."""

    id: str = "test/walk"
    agents: tuple[AgentID, ...] = ("a", "b")

    def __init__(self, num_games: int, spoil: Callable[[Walk, dict[str, Any]], None] | None = None) -> None:
        self.num_games, self.spoil = num_games, spoil
        self.spaces: Mapping[AgentID, Spaces] = dict.fromkeys(self.agents, Spaces(1, Continuous(1)))
        self.place, self.count, self.seed = np.zeros(num_games), np.zeros(num_games, int), 0

    def _start(self, b: int) -> float:
        return np.random.default_rng([self.seed, b, self.count[b]]).uniform(-1, 1)

    def _observe(self) -> dict[str, np.ndarray]:
        return {"a": self.place[:, None].astype(np.float32), "b": -self.place[:, None].astype(np.float32)}

    def reset(self, seed: int) -> dict[str, np.ndarray]:
        self.seed = seed
        self.count[:] = 0
        self.place = np.array([self._start(b) for b in range(self.num_games)])
        return self._observe()

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        self.place = self.place + actions["a"][:, 0] - actions["b"][:, 0]
        final = self._observe()
        terminated = np.abs(self.place) > 3
        winner = np.where(terminated, self.place < 0, NO_WINNER).astype(np.int8)
        for b in np.flatnonzero(terminated).tolist():
            self.count[b] += 1
            self.place[b] = self._start(b)
        parts: dict[str, Any] = {
            "observation": self._observe(),
            "reward": {agent: terminated.astype(np.float32) for agent in self.agents},
            "terminated": terminated,
            "truncated": np.zeros(self.num_games, bool),
            "final_observation": final,
            "winner": winner,
            "invalid": np.zeros(self.num_games, bool),
            "info": {},
        }
        if self.spoil:
            self.spoil(self, parts)
        return Step(**parts)

    def get_state(self) -> dict[str, np.ndarray]:
        return {"place": self.place.copy(), "count": self.count.copy(), "seed": np.array(self.seed)}

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.place, self.count, self.seed = state["place"].copy(), state["count"].copy(), int(state["seed"])
        return self._observe()

    def close(self) -> None: ...


def test_a_correct_game_passes() -> None:
    check_game(Walk)


_shared = np.zeros((3, 1), np.float32)


def _overwrite(game: Walk, parts: dict[str, Any]) -> None:
    if game.num_games == len(_shared):
        _shared[:] = parts["observation"]["a"]
        parts["observation"]["a"] = parts["final_observation"]["a"] = _shared


_calls = itertools.count()


def _leak(game: Walk, parts: dict[str, Any]) -> None:
    parts["reward"]["a"] = np.full(game.num_games, game.place.sum(), np.float32)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda g, p: p.update(terminated=p["terminated"].astype(int)), "terminated at step 0: expected bool"),
        (lambda g, p: p.update(invalid=p["terminated"].copy()), "ended in two ways"),
        (lambda g, p: p.update(winner=np.zeros(g.num_games, np.int8)), "has a winner at step 0 but is not terminated"),
        (lambda g, p: p.update(winner=np.full(g.num_games, 2, np.int8)), "expected -1 to 1"),
        (lambda g, p: p["reward"].pop("b"), "no reward of b"),
        (lambda g, p: p["reward"].update(a=np.full(g.num_games, np.nan, np.float32)), "expected finite numbers"),
        (lambda g, p: p["final_observation"].update(a=p["observation"]["a"] + 1), "final_observation is not obs"),
        (lambda g, p: p["observation"].update(a=np.zeros((g.num_games, 2), np.float32)), r"expected float32 \[3, 1\]"),
        (lambda g, p: p.update(info={"fuel": {"a": np.zeros(1)}}), "info 'fuel' of a"),
        (_leak, "the first match played alone: step 0: reward/a is not"),
        (
            lambda g, p: p.update(info={"n": dict.fromkeys("ab", np.full(g.num_games, next(_calls), np.float32))}),
            "same seed and actions: step 0: info/n/a is not",
        ),
        (_overwrite, "returned at step 0, looked at again later"),
    ],
)
def test_every_broken_promise_is_found(spoil: Callable[[Walk, dict[str, Any]], None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_game(lambda num_games: Walk(num_games, spoil))


def test_an_incomplete_state_is_found() -> None:
    class Forgetful(Walk):
        def get_state(self) -> dict[str, np.ndarray]:
            return super().get_state() | {"count": np.zeros(self.num_games, int)}

    with pytest.raises(InputError, match="a new game after set_state: step"):
        check_game(Forgetful)


def test_a_game_that_never_ends_is_found() -> None:
    class Endless(Walk):
        def step(self, actions: Mapping[AgentID, Array]) -> Step:
            return super().step({agent: 0 * action for agent, action in actions.items()})

    with pytest.raises(InputError, match="no match ended within 60 steps"):
        check_game(Endless, max_steps=60)


def test_what_is_no_game_is_refused() -> None:
    with pytest.raises(InputError, match="neither a VectorGame nor a FunctionalGame"):
        check_game(cast(Any, lambda num_games: object()))
    with pytest.raises(InputError, match="num_games"):
        check_game(lambda num_games: Walk(2))


CONTINUOUS, DISCRETE = Spaces(3, Continuous(2)), Spaces(3, Discrete(4))


@pytest.mark.parametrize("spaces", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_policies_keep_the_promises(spaces: Spaces) -> None:
    key = np.array([1, 2], np.uint32)
    network = actor_critic(spaces, NetworkConfig("lstm", (4,)), key)
    random, constant = RandomPolicy(spaces.action), ConstantPolicy(spaces.action)
    for policy in (network, random, constant, mix(network, random, 0.5, "episode")):
        check_policy(policy, spaces)


def test_a_policy_on_the_host_keeps_the_promises() -> None:
    function = CallablePolicy(lambda observation, rng: rng.normal(size=(len(observation), 2)))
    check_policy(function, CONTINUOUS)
    check_policy(mix(function, function, 0.5), CONTINUOUS)


class Counter:
    """A correct policy on the host, with a state; `spoil` breaks one promise."""

    traceable: bool = False

    def __init__(self, spoil: Callable[[np.ndarray, dict[str, Any]], None] | None = None) -> None:
        self.spoil = spoil

    def initial_state(self, batch: int) -> Any:
        return {"count": np.zeros(batch, np.int32)}

    def act(self, key: Any, observation: Array, state: Any) -> Decision:
        action = observation[:, :2] * (1 + state["count"])[:, None]
        parts = {"action": action, "state": {"count": state["count"] + 1}, "value": observation[:, 0]}
        if self.spoil:
            self.spoil(observation, parts)
        return Decision(**parts)


def test_a_correct_policy_passes() -> None:
    assert isinstance(Counter(), Policy)
    check_policy(Counter(), CONTINUOUS)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda o, p: p.update(action=p["action"][:, :1]), r"step 0: expected actions of size 2, got shape \[3, 1\]"),
        (lambda o, p: p.update(action=p["action"][:2]), "expected 3 actions for 3 matches, got 2"),
        (lambda o, p: p.update(action=p["action"] * np.nan), "the action is NaN"),
        (lambda o, p: p.update(value=p["value"][:, None]), r"value: expected shape \[3\], got \[3, 1\]"),
        (lambda o, p: p.update(log_prob=np.full(3, -np.inf)), "log_prob: expected finite numbers"),
        (lambda o, p: p.update(state={"count": np.zeros(3)}), "other names, shapes or types"),
        (lambda o, p: p.update(state={"number": np.zeros(3, np.int32)}), "other names, shapes or types"),
        (lambda o, p: p.update(state={"count": np.zeros((), np.int32)}), "expected an array with 3 rows"),
        (lambda o, p: p.update(action=p["action"] + next(_calls)), "the same key and observation gave another"),
        (lambda o, p: p.update(action=p["action"] - o.mean()), "depends on the observations of the matches beside"),
    ],
)
def test_every_broken_promise_of_a_policy_is_found(
    spoil: Callable[[np.ndarray, dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_policy(Counter(spoil), CONTINUOUS)


def test_a_policy_that_cannot_be_traced_is_found() -> None:
    class Pretender(Counter):
        traceable: bool = True

        def act(self, key: Any, observation: Array, state: Any) -> Decision:
            return Decision(np.asarray(observation)[:, :2], state)

    with pytest.raises(InputError, match=r"within jax.jit, as it says it can be \(traceable\): TracerArrayConversion"):
        check_policy(Pretender(), CONTINUOUS)


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(InputError, match="function: not a Policy"):
        check_policy(cast(Any, lambda observation: observation), CONTINUOUS)
    with pytest.raises(InputError, match="act failed when called with NumPy arrays: IndexError"):
        check_policy(CallablePolicy(lambda observation, rng: observation[:, 7]), CONTINUOUS)
    table = TabularPolicy(np.full((3, 4), 0.25))
    with pytest.raises(InputError, match="expected actions of size 2"):
        check_policy(table, CONTINUOUS)
