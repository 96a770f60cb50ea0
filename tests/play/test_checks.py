"""A broken promise of a game stops play at its step: agent, step, match and number are named, in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games.hosted import hosted
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.play.calls import stepped
from sparring.play.checks import check_observation, is_sound
from sparring.play.evaluate import evaluate
from sparring.play.rollout import rollout
from sparring.policies import CallablePolicy, ConstantPolicy, RandomPolicy
from sparring.types import Box, Decision, Dict, Discrete, MultiDiscrete, Space, Spaces, Step, View

B = 4
ACTIONS = MultiDiscrete((2, 3))
SEEN = Dict((("die", Discrete(6)), ("place", Box((2,), (0.0, -1.0), (1.0, 1.0)))))
Spoil = Callable[[int, dict[str, Any]], None]


def view(xp: Any) -> View:
    shown = {"die": xp.zeros(B, np.int32) + 5, "place": xp.zeros((B, 2), np.float32) + 1}
    return View(shown, xp.ones((B, 5), bool), xp.ones(B, bool))


def parts(xp: Any) -> dict[str, Any]:
    """A step at which the second match ends and is won by "a" and its friend "c"."""
    ended = xp.arange(B) == 1
    won = xp.where(ended, 1, 0).astype(np.int8)
    return {
        "view": {agent: view(xp) for agent in "abc"},
        "final_view": {agent: view(xp) for agent in "abc"},
        "reward": {agent: xp.zeros(B, np.float32) for agent in "abc"},
        "terminated": ended,
        "truncated": xp.zeros(B, bool),
        "invalid": xp.zeros(B, bool),
        "outcome": {"a": won, "b": -won, "c": won},
        "info": {},
    }


class Host:
    """A game of three agents; at step 2 `spoil` breaks one promise."""

    id, agents, num_games = "test/host", ("a", "b", "c"), B

    def __init__(self, spoil: Spoil) -> None:
        self.spoil, self.time = spoil, 0
        self.spaces: Mapping[str, Spaces] = dict.fromkeys(self.agents, Spaces(SEEN, ACTIONS))

    def reset(self, seed: int) -> dict[str, View]:
        self.time = 0
        return {agent: view(np) for agent in self.agents}

    def step(self, actions: Any) -> Any:
        given = parts(np)
        if self.time == 2:
            self.spoil(self.time, given)
        self.time += 1
        return given.pop("all", None) or Step(**given)

    def get_state(self) -> dict[str, np.ndarray]:
        return {}

    def set_state(self, state: Any) -> dict[str, View]:
        return self.reset(0)

    def close(self) -> None: ...


class Traced:
    """The same within JAX: `spoil` is given the time, an array, and breaks the promise where it is 2."""

    id, agents, num_games = "test/traced", ("a", "b", "c"), B

    def __init__(self, spoil: Spoil) -> None:
        self.spoil = spoil
        self.spaces: Mapping[str, Spaces] = dict.fromkeys(self.agents, Spaces(SEEN, ACTIONS))

    def init(self, key: Any) -> tuple[Any, dict[str, View]]:
        return jnp.int32(0), {agent: view(jnp) for agent in self.agents}

    def step(self, state: Any, actions: Any, key: Any) -> tuple[Any, Step]:
        given = parts(jnp)
        self.spoil(state, given)
        return state + 1, Step(**given)


STILL = dict.fromkeys("abc", ConstantPolicy(ACTIONS))


def line(game: Any, policies: Any = STILL) -> str:
    """The one line with which six steps are refused."""
    with pytest.raises(InputError) as error:
        rollout(game, policies, 6, np.random.default_rng(0))
    assert "\n" not in str(error.value)
    return str(error.value)


def shown(p: dict[str, Any], agent: str, name: str, value: Any) -> None:
    seen = dict(p["view"][agent].observation)
    seen[name] = value
    p["view"][agent] = p["view"][agent]._replace(observation=seen)


def replaced(p: dict[str, Any], agent: str, **fields: Any) -> None:
    p["view"][agent] = p["view"][agent]._replace(**fields)


THIRD = np.arange(B) == 2
NAN = np.where(THIRD[:, None] & np.array([False, True]), np.nan, 1).astype(np.float32)


def _raises(t: int, p: Any) -> None:
    p["nothing"]


RAISED = _raises.__code__.co_firstlineno + 1
HOSTED = [
    (lambda t, p: p["reward"].update(b=np.where(THIRD, np.nan, 0)), "reward of b, step 2, match 2: nan"),
    (
        lambda t, p: p["reward"].update(b=np.where(THIRD, -1e308, 0)),
        "reward of b, step 2, match 2: -1e+308, expected at most 1e+30 in size: multiply all rewards by one positive",
    ),
    (lambda t, p: p["reward"].pop("c"), "step 2: no reward of c"),
    (lambda t, p: p["reward"].update(b=np.zeros((B, 1))), "step 2: expected float [4], got float64 [4, 1]"),
    (lambda t, p: p.update(truncated=np.zeros(B)), "truncated, step 2: expected bool [4], got float64 [4]"),
    (lambda t, p: shown(p, "c", "place", NAN), "c, step 2, 'place': observation: number [1] of match 2 is nan"),
    (lambda t, p: shown(p, "c", "place", 2 * view(np).observation["place"]), "is 2.0, its space says"),
    (lambda t, p: shown(p, "c", "die", np.full(B, 6)), "number [] of match 0 is 6, its space says 0 to 5"),
    (lambda t, p: shown(p, "c", "die", np.ones(B)), "'die': observation: expected integers [4], got float64 [4]"),
    (lambda t, p: replaced(p, "a", observation={"die": np.zeros(B, int)}), "expected a dict with ['die', 'place']"),
    (lambda t, p: replaced(p, "a", observation=np.zeros(B)), "expected a dict with ['die', 'place'], got ndarray"),
    (
        lambda t, p: replaced(p, "a", legal=np.array([[0, 1, 1, 1, 1], [1, 1, 0, 0, 0]] * 2, bool)),
        "a, step 2: legal: match 1 has no legal action, expected at least one",
    ),
    (lambda t, p: replaced(p, "a", legal=np.ones((B, 2), bool)), "legal: expected bool [4, 5], got bool [4, 2]"),
    (lambda t, p: replaced(p, "b", moves=np.ones(B, int)), "b, step 2: moves: expected bool [4], got int64 [4]"),
    (lambda t, p: p["view"].update(b=view(np).observation), "b, step 2: expected a View(observation, legal, moves)"),
    (lambda t, p: p["view"].pop("b"), "step 2: no view of b"),
    (lambda t, p: p.update(outcome={"a": THIRD, "b": THIRD}), "step 2: no outcome of c"),
    (lambda t, p: p["outcome"].update(b=np.array([0, 2, 0, 0])), "match 1: outcome: expected 1, 0 or -1, got 2"),
    (lambda t, p: p["outcome"].update(b=np.zeros((B, 1))), "outcome of b: expected shape [4], got [4, 1]"),
    (lambda t, p: p.update(terminated=THIRD), "step 2, match 1 has an outcome but did not end"),
    (lambda t, p: p.update(terminated=THIRD, invalid=~THIRD), "match 1 has an outcome but did not end"),
    (
        lambda t, p: p["outcome"].update(b=np.zeros(B, np.int8)),
        "step 2, match 1: outcomes contradict each other: {'a': 1, 'b': 0, 'c': 1}; a draw is everybody's",
    ),
    (lambda t, p: p.update(all=("obs", 0.0, True, {})), "step 2: expected a sparring.types.Step, got tuple"),
    (lambda t, p: p.update(info=None), "step 2: info: expected a dictionary of named terms, or {}, got NoneType"),
    (lambda t, p: p.update(reward=None), "step 2: reward: expected a dictionary with a number of each match"),
    (
        lambda t, p: p.update(info={"fuel": dict.fromkeys("abc", np.where(THIRD, np.inf, 0.0))}),
        "info 'fuel' of a, step 2, match 2: inf, expected a number",
    ),
    (lambda t, p: p["reward"].update(b=[[0.0], [0.0, 1.0]]), "reward of b, step 2: expected an array, got list"),
    (lambda t, p: p["outcome"].update(b=["x"] * B), "step 2: outcome of b: expected shape [4], got <U1"),
    (_raises, f"game test/host, step 2: it raised KeyError: 'nothing' ({__file__}:{RAISED})"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), HOSTED, ids=[message[:40] for _, message in HOSTED])
def test_a_game_on_the_host_is_stopped_at_its_step(spoil: Spoil, message: str) -> None:
    assert message in line(Host(spoil))


def test_the_last_view_of_a_match_that_is_cut_off_is_looked_at() -> None:
    """The critic is asked about it."""

    def spoil(t: int, p: dict[str, Any]) -> None:
        p["truncated"], p["terminated"] = p["terminated"], p["truncated"]
        seen = {**view(np).observation, "place": np.roll(NAN, -1, axis=0)}
        p["final_view"]["a"] = View(seen)

    assert "a, step 2 (final view), 'place': observation: number [1] of match 1 is nan" in line(Host(spoil))


def test_an_invalid_match_may_pay_anything() -> None:
    def spoil(t: int, p: dict[str, Any]) -> None:
        p["invalid"], p["reward"]["a"] = THIRD, np.where(THIRD, np.nan, 1.0)

    trajectory, _ = rollout(Host(spoil), STILL, 4, np.random.default_rng(0))
    assert trajectory.reward["a"][2].tolist() == [1, 1, 0, 1]


def at(t: Any, value: Any, sound: Any) -> Any:
    return jnp.where(t == 2, value, sound)


def cut_off(t: Any, p: dict[str, Any]) -> None:
    """The match that ends is cut off, and its last view is bad at step 2."""
    p["truncated"], p["terminated"] = p["terminated"], p["truncated"]
    place = at(t, np.roll(NAN, -1, axis=0), 1.0)
    p["final_view"]["a"] = View({**view(jnp).observation, "place": place}, p["final_view"]["a"].legal)


TRACED = [
    (lambda t, p: p["reward"].update(b=at(t, jnp.where(THIRD, jnp.inf, 0), 0.0)), "reward of b, step 2, match 2: inf"),
    (
        lambda t, p: shown(p, "c", "place", at(t, NAN, 1.0)),
        "c, 'place', step 2, match 2: observation: number 1 is nan, expected Box(shape=(2,)",
    ),
    (
        lambda t, p: shown(p, "c", "die", at(t, jnp.where(THIRD, 6, 1), 1)),
        "c, 'die', step 2, match 2: observation: number 0 is 6, expected Discrete(n=6)",
    ),
    (
        lambda t, p: replaced(p, "a", legal=at(t, jnp.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]] * 2, bool), True)),
        "a, step 2, match 1 has no legal action, expected at least one",
    ),
    (
        lambda t, p: p["outcome"].update(b=at(t, jnp.zeros(B, jnp.int8), p["outcome"]["b"])),
        "step 2, match 1: outcomes contradict each other: {'a': 1, 'b': 0, 'c': 1}",
    ),
    (lambda t, p: p.update(terminated=at(t, THIRD, p["terminated"])), "step 2, match 1 has an outcome but did not end"),
    (
        lambda t, p: p["outcome"].update(b=at(t, jnp.full(B, 2, jnp.int8), p["outcome"]["b"])),
        "step 2, match 0: outcome: expected 1, 0 or -1, got 2",
    ),
    (
        lambda t, p: p.update(truncated=at(t, p["terminated"], p["truncated"])),
        "step 2, match 1 ended in two ways: terminated, truncated and invalid exclude each other",
    ),
    (
        cut_off,
        "a, 'place', step 2, match 1 (final view): observation: number 1 is nan, expected Box(shape=(2,)",
    ),
    (lambda t, p: p.update(info=None), "step: info: expected a dictionary of named terms, or {}, got NoneType"),
    (lambda t, p: p.update(reward=None), "step: reward: expected a dictionary with a number of each match"),
    (lambda t, p: p["reward"].update(b=0.0), "step: reward of b: expected float [4], got float"),
    (lambda t, p: p["reward"].update(b=jnp.zeros((B, 1))), "step: reward of b: expected float [4], got float32 [4, 1]"),
    (
        lambda t, p: p["view"].update(b=None),
        "step: view of b: expected a View(observation, legal, moves), got NoneType",
    ),
    (
        lambda t, p: p.update(info={"fuel": dict.fromkeys("abc", at(t, jnp.where(THIRD, jnp.nan, 0), 0.0))}),
        "info 'fuel' of a, step 2, match 2: nan, expected a number",
    ),
    (_raises, f"the game's step: expected the next state and a Step; it raised KeyError: 'nothing' ({__file__}:"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "message"), TRACED, ids=[message[:40] for _, message in TRACED])
def test_a_game_within_jax_is_stopped_too(spoil: Spoil, message: str) -> None:
    """What a step leaves to be seen is found with it; nobody needs to watch the agent."""
    assert message in line(Traced(spoil))


@pytest.mark.slow
def test_what_the_last_step_of_a_round_leaves_is_looked_at_before_anything_is_learned_from_it() -> None:
    game = Traced(lambda t, p: shown(p, "c", "place", at(t, NAN, 1.0)))
    rollout(game, STILL, 2, np.random.default_rng(0))
    with pytest.raises(InputError, match="c, 'place', step 2, match 2: observation: number 1 is nan"):
        rollout(game, STILL, 3, np.random.default_rng(0))


@pytest.mark.slow
def test_an_evaluation_stops_as_well() -> None:
    """The step is counted from the first one of the evaluation, although that looks at several at a time."""

    def late(t: Any, p: dict[str, Any]) -> None:
        p["reward"]["b"] = jnp.where((t == 70) & THIRD, jnp.nan, 0.0)

    with pytest.raises(InputError, match=r"reward of b, step 70, match 2: nan"):
        evaluate(Traced(late), STILL, 400, np.random.default_rng(0))
    for game in (Host(HOSTED[0][0]), Traced(TRACED[0][0])):
        with pytest.raises(InputError, match=r"reward of b, step 2, match 2: (nan|inf), expected a number"):
            evaluate(game, STILL, 8, np.random.default_rng(0))


def test_outcomes_come_at_every_step_or_at_none() -> None:
    for other in ({"outcome": None}, {"info": {"fuel": parts(np)["reward"]}}):
        said = line(Host(lambda t, p, other=other: p.update(other)))
        assert "step 2: expected an outcome and the parts of info at every step or at none" in said


def _sound(t: Any, p: Any) -> None:
    pass


@pytest.mark.slow
def test_an_illegal_action_is_named_on_the_host_and_within_jax() -> None:
    def mask(t: Any, p: dict[str, Any]) -> None:
        legal = jnp.where(t == 2, jnp.array([1, 1, 0, 1, 1], bool), jnp.ones((B, 5), bool))
        replaced(p, "b", legal=np.asarray(legal) if isinstance(t, int) else legal)

    zeros = CallablePolicy(lambda observation, rng: np.zeros((B, 2), int))
    assert line(Host(mask), STILL | {"b": zeros}) == "agent b, step 3: action 0 is not legal in match 0: see View.legal"
    rollout(Traced(mask), STILL, 6, np.random.default_rng(0))  # the constant policy follows the mask

    class Stubborn:
        traceable = True

        def initial_state(self, batch: int) -> Any:
            return ()

        def act(self, key: Any, view: View, state: Any) -> Any:
            return Decision(jnp.zeros((B, 2), jnp.int32), state)

    said = line(Traced(mask), STILL | {"b": Stubborn()})
    assert said == "agent b, step 3, match 0: its action is NaN, out of range or not legal: see View.legal"


@pytest.mark.slow
@pytest.mark.parametrize("game", [Host, Traced])
def test_sound_games_are_played(game: Any) -> None:
    policies = dict.fromkeys("abc", RandomPolicy(ACTIONS))
    trajectory, _ = rollout(game(_sound), policies, 5, np.random.default_rng(0), record=("a",), watch=("b",))
    assert np.asarray(trajectory.seen["b"]["die"]).tolist() == [[5] * B] * 5
    assert trajectory.agents["a"].observation["place"].shape == (5, B, 2)


def test_bounds_are_held_to_with_room_for_rounding() -> None:
    """Float32 rounds at 1e-7 of a number; integers have no room, and unbounded sides none to check."""

    def fits(space: Space, value: Any) -> bool:
        try:
            check_observation(space, np.array([value], getattr(space, "dtype", "int64")), 1, "x")
        except InputError as error:
            assert re.match(r"x: observation: number \[.*\] of match 0 is", str(error))
            return False
        return True

    assert fits(Box((1,), 0.0, 100.0), [100.0001]) and not fits(Box((1,), 0.0, 100.0), [100.01])
    assert fits(Box((2,), (0.0, -np.inf), (1.0, 5.0)), [0.5, -1e30]) and not fits(Box((1,), -np.inf, 5.0), [5.1])
    assert fits(Box((1,), 0, 255, "uint8"), [255]) and not fits(Box((1,), 0, 9, "int16"), [10])
    assert fits(MultiDiscrete((2, 3)), [1, 2]) and not fits(MultiDiscrete((2, 3)), [1, 3])


def test_a_match_that_ends_in_two_ways_stops_play() -> None:
    class Both(MatrixGame):
        def step(self, state: Any, actions: Any, key: Any) -> Any:
            after, step = super().step(state, actions, key)
            return after, step._replace(truncated=step.terminated)

    game = hosted(Both(ROCK_PAPER_SCISSORS, 2, "matrix/both"))
    game.reset(0)
    actions = {agent: np.zeros(2, int) for agent in game.agents}
    with pytest.raises(InputError, match="step 3: match 0 ended in two ways"):
        stepped(game, actions, 3)


def test_a_game_that_inherits_from_a_sound_one_is_looked_at() -> None:
    class Shifted(MatrixGame):
        def step(self, state: Any, actions: Any, key: Any) -> Any:
            state, step = super().step(state, actions, key)
            return state, step._replace(
                view={a: v._replace(observation=v.observation + 2) for a, v in step.view.items()}
            )

    game = Shifted(ROCK_PAPER_SCISSORS, B)
    assert is_sound(MatrixGame(ROCK_PAPER_SCISSORS)) and not is_sound(game)
    assert not is_sound(type("Unsure", (MatrixGame,), {"SOUND": False})(ROCK_PAPER_SCISSORS))
    policies = {agent: RandomPolicy(spaces.action) for agent, spaces in game.spaces.items()}
    with pytest.raises(InputError, match=r"step 0, match 0: observation: number 0 is 3\.0"):
        rollout(game, policies, 2, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["view", "final_view"])
@pytest.mark.parametrize("part", ["legal", "moves"])
def test_a_mask_that_goes_is_named(name: str, part: str) -> None:
    """Views are stacked over steps, so each part is there always or never."""

    def drop(time: Any, p: dict[str, Any]) -> None:
        p[name]["a"] = p[name]["a"]._replace(**{part: None})

    told = f"test/host, step 2: {name} of a: {part} was an array before and None now: give arrays in all views"
    assert line(Host(drop)).startswith(told)
