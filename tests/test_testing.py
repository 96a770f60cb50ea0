from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games import make, names
from sparring.testing import check_game
from sparring.types import NO_WINNER, AgentID, Array, Continuous, Spaces, Step

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
        check_game(lambda num_games: object())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="num_games"):
        check_game(lambda num_games: Walk(2))
