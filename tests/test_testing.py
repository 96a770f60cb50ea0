from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games import make, names
from sparring.games.gymnasium import GymnasiumGame
from sparring.mixture import mix
from sparring.nets import NetworkConfig, actor_critic
from sparring.policies import CallablePolicy, ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.testing import check_game, check_policy
from sparring.types import AgentID, Array, Box, Decision, Dict, Discrete, MultiDiscrete, Policy, Spaces, Step, View

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
    space = Spaces(Box((1,), -9.0, 9.0), Box((1,), -1.0, 1.0))

    def __init__(self, num_games: int, spoil: Callable[[Any, dict[str, Any]], None] | None = None) -> None:
        self.num_games, self.spoil = num_games, spoil
        self.spaces: Mapping[AgentID, Spaces] = dict.fromkeys(self.agents, self.space)
        self.place, self.count, self.seed = np.zeros(num_games), np.zeros(num_games, int), 0

    def _start(self, b: int) -> float:
        return np.random.default_rng([self.seed, b, self.count[b]]).uniform(-1, 1)

    def _views(self) -> dict[str, View]:
        seen = self.place[:, None].astype(np.float32)
        return {"a": View(seen), "b": View(-seen)}

    def _move(self, actions: Mapping[AgentID, Array]) -> np.ndarray:
        return actions["a"][:, 0] - actions["b"][:, 0]

    def reset(self, seed: int) -> dict[str, View]:
        self.seed = seed
        self.count[:] = 0
        self.place = np.array([self._start(b) for b in range(self.num_games)])
        return self._views()

    def step(self, actions: Mapping[AgentID, Array]) -> Any:
        self.place = self.place + self._move(actions)
        final = self._views()
        terminated = np.abs(self.place) > 3
        won = np.where(terminated, np.sign(self.place), 0).astype(np.int8)
        for b in np.flatnonzero(terminated).tolist():
            self.count[b] += 1
            self.place[b] = self._start(b)
        parts: dict[str, Any] = {
            "view": self._views(),
            "final_view": final,
            "reward": {agent: terminated.astype(np.float32) for agent in self.agents},
            "terminated": terminated,
            "truncated": np.zeros(self.num_games, bool),
            "invalid": np.zeros(self.num_games, bool),
            "outcome": {"a": won, "b": -won},
            "info": {},
        }
        if self.spoil:
            self.spoil(self, parts)
        return parts["all"] if "all" in parts else Step(**parts)

    def get_state(self) -> dict[str, np.ndarray]:
        return {"place": self.place.copy(), "count": self.count.copy(), "seed": np.array(self.seed)}

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[str, View]:
        self.place, self.count, self.seed = state["place"].copy(), state["count"].copy(), int(state["seed"])
        return self._views()

    def close(self) -> None: ...


class Turns(Walk):
    """The walk in turns, with a dict of observations, masked steps of 0 to 2 in two choices, and a dead end.

    "a" moves at even steps and "b" at odd ones; from beyond 2 no step of 2 is legal.
    """

    id: str = "test/turns"
    space = Spaces(Dict((("near", Discrete(2)), ("place", Box((1,), -9.0, 9.0)))), MultiDiscrete((3, 2)))

    def __init__(self, num_games: int, spoil: Callable[[Any, dict[str, Any]], None] | None = None) -> None:
        super().__init__(num_games, spoil)
        self.time = np.zeros(num_games, int)

    def _views(self) -> dict[str, View]:
        far = np.abs(self.place) > 2
        legal = np.ones((self.num_games, 5), bool)
        legal[far, 2] = False
        moves = self.time % 2 == 0

        def view(sign: int, moves: np.ndarray) -> View:
            place = (sign * self.place[:, None]).astype(np.float32)
            return View({"near": (~far).astype(int), "place": place}, legal.copy(), moves)

        return {"a": view(1, moves), "b": view(-1, ~moves)}

    def _move(self, actions: Mapping[AgentID, Array]) -> np.ndarray:
        even = self.time % 2 == 0
        self.time = self.time + 1
        size = np.where(even, actions["a"][:, 0], actions["b"][:, 0])
        return size * np.where(np.where(even, actions["a"][:, 1], actions["b"][:, 1]) == 1, 1.0, -1.0)

    def get_state(self) -> dict[str, np.ndarray]:
        return super().get_state() | {"time": self.time.copy()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[str, View]:
        self.time = state["time"].copy()
        return super().set_state(state)

    def reset(self, seed: int) -> dict[str, View]:
        self.time[:] = 0
        return super().reset(seed)


@pytest.mark.parametrize("game", [Walk, Turns])
def test_a_correct_game_passes(game: Any) -> None:
    check_game(game)


def test_a_game_that_cannot_be_saved_passes() -> None:
    """It says so; all else is checked all the same."""
    check_game(lambda num_games: GymnasiumGame("CartPole-v1", num_games))

    class Volatile(Walk):
        def get_state(self) -> dict[str, np.ndarray]:
            raise InputError("test/walk: cannot be saved")

    check_game(Volatile)
    with pytest.raises(InputError, match="the first match played alone: step 0: reward/a is not"):
        check_game(lambda num_games: Volatile(num_games, _leak))


_shared = np.zeros((3, 1), np.float32)


def _overwrite(game: Walk, parts: dict[str, Any]) -> None:
    if game.num_games == len(_shared):
        _shared[:] = parts["view"]["a"].observation
        parts["view"]["a"] = parts["final_view"]["a"] = View(_shared)


_calls = itertools.count()


def _leak(game: Walk, parts: dict[str, Any]) -> None:
    parts["reward"]["a"] = np.full(game.num_games, game.place.sum(), np.float32)


def shown(agent: str, observation: Callable[[Any], Any]) -> Callable[[Any, dict[str, Any]], None]:
    """Both views of an agent with other observations."""

    def spoil(game: Walk, parts: dict[str, Any]) -> None:
        for name in ("view", "final_view"):
            view = parts[name][agent]
            parts[name][agent] = view._replace(observation=observation(view.observation))

    return spoil


def moved(agent: str, **fields: Any) -> Callable[[Any, dict[str, Any]], None]:
    """Both views of an agent with other masks or moves."""

    def spoil(game: Walk, parts: dict[str, Any]) -> None:
        for name in ("view", "final_view"):
            parts[name][agent] = parts[name][agent]._replace(
                **{key: value(game.num_games) for key, value in fields.items()}
            )

    return spoil


def lost(game: Walk, parts: dict[str, Any]) -> None:
    parts["outcome"] = {"a": parts["terminated"].astype(np.int8), "b": np.zeros(game.num_games, np.int8)}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda g, p: p.update(terminated=p["terminated"].astype(int)), "terminated, step 0: expected bool"),
        (lambda g, p: p.update(terminated=np.zeros((g.num_games, 1), bool)), r"expected bool \[3\], got bool \[3, 1\]"),
        (lambda g, p: p.update(invalid=p["terminated"].copy()), "ended in two ways"),
        (lambda g, p: p.update(all=("observation", 0.0, False, {})), "expected a sparring.types.Step, got tuple"),
        (lambda g, p: p["view"].pop("b"), "step 0: no view of b"),
        (lambda g, p: p["final_view"].pop("b"), "step 0: no final_view of b"),
        (lambda g, p: p["view"].update(a=p["view"]["a"].observation), r"expected a View\(observation, legal, moves\)"),
        (
            lambda g, p: p.update(outcome=dict.fromkeys("ab", np.ones(g.num_games, np.int8))),
            "step 0, match 0 has an outcome but did not end",
        ),
        (lambda g, p: p["outcome"].update(a=np.full(g.num_games, 2, np.int8)), "outcome: expected 1, 0 or -1, got"),
        (lambda g, p: p["outcome"].update(a=np.zeros(g.num_games)), "outcome of a at step 0: expected int8"),
        (lambda g, p: p["outcome"].pop("b"), "no outcome of b"),
        (lost, "outcomes contradict each other: {'a': 1, 'b': 0}; a draw is everybody's"),
        (lambda g, p: p["reward"].pop("b"), "no reward of b"),
        (
            lambda g, p: p["reward"].update(a=np.full(g.num_games, np.nan, np.float32)),
            "match 0: nan, expected a number",
        ),
        (lambda g, p: p["reward"].update(a=np.zeros(g.num_games)), "reward of a at step 0: expected float32"),
        (
            lambda g, p: p["final_view"].update(a=p["view"]["a"]._replace(moves=np.array([True, True, False]))),
            "step 0: final_view of a: moves was None before and an array now: give arrays in all views",
        ),
        (
            lambda g, p: p["final_view"].update(a=View(p["view"]["a"].observation + np.float32(1))),
            "view/a/observation at step 0: no match ended, but final_view is not view",
        ),
        (shown("a", lambda o: np.zeros((3, 2), np.float32)), r"observation: expected float32 \[3, 1\]"),
        (shown("a", lambda o: o.astype(float)), r"observation: expected float32 \[3, 1\], got float64"),
        (shown("a", lambda o: o + np.float32(20)), r"number \[0\] of match 0 is .*, its space says -9"),
        (shown("b", lambda o: o * np.float32(np.nan)), r"b, step 0: observation: number \[0\] of match 0 is nan"),
        (shown("b", lambda o: {"place": o}), r"observation: expected float32 \[3, 1\], got object"),
        (moved("a", legal=lambda n: np.ones((n, 1), bool)), "legal: continuous actions have no mask, expected None"),
        (moved("a", moves=lambda n: np.ones(n)), r"moves: expected bool \[3\], got float64 \[3\]"),
        (moved("a", moves=lambda n: True), r"moves: expected bool \[3\], got bool \[\]"),
        (lambda g, p: p.update(info={"fuel": dict.fromkeys("ab", np.zeros(1))}), "info 'fuel' of a"),
        (
            lambda g, p: p.update(info={"fuel": dict.fromkeys("ab", np.full(3, np.nan, np.float32))}),
            "info 'fuel' of a, step 0, match 0: nan, expected a number",
        ),
        (lambda g, p: p.update(info=None), "step 0: info: expected a dictionary of named terms, or {}, got NoneType"),
        (
            lambda g, p: p.update(reward=None),
            "step 0: reward: expected a dictionary with a number of each match",
        ),
        (lambda g, p: p.update(view=None), "step 0: view: expected a dictionary with a View for each agent, got None"),
        (
            lambda g, p: p.update(final_view=None),
            "step 0: final_view: expected a dictionary with a View for each agent",
        ),
        (lambda g, p: p["reward"].update(a=[[1.0], [1.0, 2.0]]), "reward of a, step 0: expected an array, got list"),
        (lambda g, p: p.update(info={"fuel": {"a": np.zeros(3, np.float32)}}), "no info 'fuel' of b"),
        (_leak, "the first match played alone: step 0: reward/a is not"),
        (
            lambda g, p: p.update(info={"n": dict.fromkeys("ab", np.full(g.num_games, next(_calls), np.float32))}),
            "same seed and actions: step 0: info/n/a is not",
        ),
        (_overwrite, "returned at step 0, looked at again later"),
        (lambda g, p: p["nothing"], r"game test/walk, step 0: it raised KeyError: 'nothing' \(.*test_testing.py:"),
    ],
)
def test_every_broken_promise_is_found(spoil: Callable[[Walk, dict[str, Any]], None], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        check_game(lambda num_games: Walk(num_games, spoil))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            moved("b", legal=lambda n: np.tile([True] * 3 + [False] * 2, (n, 1)), moves=lambda n: np.ones(n, bool)),
            "b, step 0: legal: match 0 has no legal action, expected at least one",
        ),
        (moved("a", legal=lambda n: np.ones((n, 3), bool)), r"legal: expected bool \[3, 5\], got bool \[3, 3\]"),
        (moved("a", legal=lambda n: np.ones((n, 5), int)), "legal: expected bool .*, got int64"),
        (shown("a", lambda o: {"place": o["place"]}), r"expected a dict with \['near', 'place'\], got \['place'\]"),
        (shown("a", lambda o: o | {"more": o["near"]}), r"got \['more', 'near', 'place'\]"),
        (shown("a", lambda o: o["place"]), "expected a dict with .*, got ndarray"),
        (shown("a", lambda o: o | {"near": o["near"] + 2}), "'near': observation: number .* its space says 0 to 1"),
        (
            shown("a", lambda o: o | {"near": o["near"] * 1.0}),
            r"'near': observation: expected integers \[3\], got float",
        ),
        (
            shown("a", lambda o: o | {"place": o["place"] * np.float32(np.inf)}),
            "'place': observation: number .* is -?inf",
        ),
    ],
)
def test_every_broken_promise_of_a_game_of_turns_is_found(spoil: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        check_game(lambda num_games: Turns(num_games, spoil))
    assert "\n" not in str(error.value)


def test_an_agent_that_does_not_move_needs_no_legal_action() -> None:
    class Blank(Turns):
        def _views(self) -> dict[str, View]:
            views = super()._views()
            for agent, view in views.items():
                assert view.legal is not None and view.moves is not None
                views[agent] = view._replace(legal=view.legal & view.moves[:, None])
            return views

    check_game(Blank)


def test_an_incomplete_state_is_found() -> None:
    class Forgetful(Walk):
        def get_state(self) -> dict[str, np.ndarray]:
            return super().get_state() | {"count": np.zeros(self.num_games, int)}

    with pytest.raises(InputError, match="a new game after set_state: step"):
        check_game(Forgetful)


def _boom(*given: Any) -> Any:
    raise KeyError("boom")


@pytest.mark.parametrize(
    ("method", "does", "message"),
    [
        ("get_state", _boom, r"game test/walk, get_state: it raised KeyError: 'boom' \(.*test_testing.py:"),
        ("get_state", lambda game: 3, "get_state: expected a dictionary of arrays, got int"),
        ("get_state", lambda game: {"place": object()}, "expected names and arrays of numbers, got 'place': object of"),
        ("get_state", lambda game: {3: np.zeros(3)}, "expected names and arrays of numbers, got 3: ndarray of float64"),
        ("set_state", _boom, r"game test/walk, set_state: it raised KeyError: 'boom' \(.*test_testing.py:"),
        ("set_state", lambda game, state: None, "after set_state: expected a View for each agent, got NoneType"),
        ("close", _boom, r"game test/walk, close: it raised KeyError: 'boom' \(.*test_testing.py:"),
        ("reset", _boom, r"game test/walk, reset: it raised KeyError: 'boom' \(.*test_testing.py:"),
    ],
)
def test_what_a_method_does_wrong_is_one_line(method: str, does: Any, message: str) -> None:
    game = type("Odd", (Walk,), {method: does})
    with pytest.raises(InputError, match=message) as error:
        check_game(game)
    assert "\n" not in str(error.value)


def test_a_game_that_never_ends_is_found() -> None:
    class Endless(Walk):
        def step(self, actions: Mapping[AgentID, Array]) -> Any:
            return super().step({agent: 0 * action for agent, action in actions.items()})

    with pytest.raises(InputError, match="no match ended within 60 steps"):
        check_game(Endless, max_steps=60)


def test_what_is_no_game_is_refused() -> None:
    with pytest.raises(InputError, match="neither a VectorGame nor a FunctionalGame"):
        check_game(cast(Any, lambda num_games: object()))
    with pytest.raises(InputError, match="num_games"):
        check_game(lambda num_games: Walk(2))

    class Twins(Walk):
        agents = ("a", "a")

    with pytest.raises(InputError, match=r"agents: expected names, each once, got 'a' twice"):
        check_game(Twins)


SEEN = Box((3,))
CONTINUOUS, DISCRETE = Spaces(SEEN, Box((2,), -1.0, 1.0)), Spaces(SEEN, Discrete(4))
RICH = Spaces(Dict((("die", Discrete(4)), ("place", SEEN))), MultiDiscrete((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("spaces", [CONTINUOUS, DISCRETE, RICH], ids=["continuous", "discrete", "rich"])
def test_policies_keep_the_promises(spaces: Spaces) -> None:
    key = np.array([1, 2], np.uint32)
    network = actor_critic(spaces, NetworkConfig("lstm", (4,)), key)
    random, constant = RandomPolicy(spaces.action), ConstantPolicy(spaces.action)
    for policy in (network, random, constant, mix(network, random, 0.5, "episode")):
        check_policy(policy, spaces, masked=spaces != CONTINUOUS)


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

    def act(self, key: Any, view: View, state: Any) -> Decision:
        observation = view.observation
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

        def act(self, key: Any, view: View, state: Any) -> Decision:
            return Decision(np.asarray(view.observation)[:, :2], state)

    with pytest.raises(InputError, match=r"within jax.jit, as it says it can be \(traceable\): TracerArrayConversion"):
        check_policy(Pretender(), CONTINUOUS)


def test_a_function_is_a_policy() -> None:
    check_policy(lambda observation, rng: np.tanh(observation[:, :2]), CONTINUOUS)


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(InputError, match=r"int: expected a function \(observation, rng\) -> actions, or a Policy with"):
        check_policy(3, CONTINUOUS)
    with pytest.raises(InputError, match=r"its policy: expected a function .*; it raised TypeError"):
        check_policy(lambda observation: observation[:, :2], CONTINUOUS)
    with pytest.raises(InputError, match=r"its policy: expected a function .*; it raised IndexError"):
        check_policy(CallablePolicy(lambda observation, rng: observation[:, 7]), CONTINUOUS)
    table = TabularPolicy(np.full((3, 4), 0.25))
    with pytest.raises(InputError, match="expected actions of size 2"):
        check_policy(table, CONTINUOUS)


def test_masks_are_drawn_and_illegal_actions_found() -> None:
    def function(observation: np.ndarray, rng: np.random.Generator, legal: np.ndarray) -> np.ndarray:
        return np.where(legal, rng.random(legal.shape), -1).argmax(1)

    check_policy(CallablePolicy(function), DISCRETE, masked=True)
    stubborn = CallablePolicy(lambda observation, rng: np.full(len(observation), 3))
    check_policy(stubborn, DISCRETE)
    with pytest.raises(InputError, match=r"action 3 is not legal in match [012]: see View.legal"):
        check_policy(stubborn, DISCRETE, masked=True)


def test_a_policy_that_looks_at_the_dict_of_its_observations() -> None:
    table = CallablePolicy(lambda o, rng: np.stack([o["die"] % 2, np.argmax(o["place"], 1)], 1))
    unmasked = Spaces(RICH.observation, Box((2,), 0.0, 3.0))
    check_policy(table, unmasked)
    with pytest.raises(InputError, match=r"its policy: expected a function .*; it raised KeyError"):
        check_policy(CallablePolicy(lambda o, rng: o["dice"]), unmasked)


@pytest.mark.slow
def test_a_plain_policy_is_checked_where_nothing_else_was_imported() -> None:
    """In a fresh interpreter, in which no network has been asked for."""
    code = (
        "import numpy as np\n"
        "from sparring.policies import TabularPolicy\nfrom sparring.testing import check_policy\n"
        "from sparring.types import Box, Discrete, Spaces\n"
        "check_policy(TabularPolicy(np.full((3, 4), 0.25)), Spaces(Box((3,), 1.0, 2.0), Discrete(4)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
