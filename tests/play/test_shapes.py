"""What games and policies hand on from step to step keeps its form; else one line names it, before JAX does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games.hosted import hosted
from sparring.play.rollout import rollout
from sparring.policies import ConstantPolicy
from sparring.types import Box, Decision, Discrete, Spaces, Step, View

B = 4


@dataclass(frozen=True)
class Carrying:
    """A policy that carries whatever it is told to."""

    traceable: bool
    first: Callable[[int], Any]
    after: Callable[[Any], Any]

    def initial_state(self, batch: int) -> Any:
        return self.first(batch)

    def act(self, key: Any, view: View, state: Any) -> Decision:
        xp = jnp if self.traceable else np
        return Decision(xp.zeros(B, np.int32), self.after(state))


@dataclass(frozen=True, eq=False)
class Counting:
    """A game within JAX that counts its steps, but for one part of what it returns."""

    part: str = ""
    change: Callable[[Any], Any] = field(default=lambda part: part)
    id = "test/counting"
    agents = ("a", "b")
    num_games = B
    spaces: Mapping[str, Spaces] = field(
        default_factory=lambda: dict.fromkeys("ab", Spaces(Box((1,), -9.0, 9.0), Discrete(3)))
    )

    def _views(self) -> dict[str, View]:
        return {agent: View(jnp.zeros((B, 1), jnp.float32)) for agent in self.agents}

    def init(self, key: Any) -> tuple[Any, dict[str, View]]:
        return jnp.zeros(B, jnp.int32), self._views()

    def step(self, state: Any, actions: Any, key: Any) -> Any:
        never = jnp.zeros(B, bool)
        reward = dict.fromkeys("ab", jnp.zeros(B, jnp.float32))
        step = Step(self._views(), self._views(), reward, never, never, never, None, {})
        if self.part == "state":
            return self.change(state), step
        if self.part:
            step = step._replace(**{self.part: self.change(getattr(step, self.part))})
        return state + 1, step


def line(game: Any, policy: Any = None) -> str:
    still = ConstantPolicy(Discrete(3))
    with pytest.raises(InputError) as error:
        rollout(game, {"a": policy or still, "b": still}, 3, np.random.default_rng(0))
    assert "\n" not in str(error.value)
    return str(error.value)


def rows(batch: int) -> Any:
    return np.zeros(batch, np.float32)


@pytest.mark.parametrize("traceable", [False, True])
@pytest.mark.parametrize(
    ("first", "after", "message"),
    [
        (lambda batch: "hello", lambda s: s, "initial_state: expected an array of numbers with 4 rows, got str"),
        (lambda batch: {"h": 0.0}, lambda s: s, "initial_state['h']: expected an array of numbers with 4 rows"),
        (lambda batch: rows(3), lambda s: s, "initial_state: expected an array of numbers with 4 rows, got float32"),
        (lambda batch: (), lambda s: {"h": rows(B)}, "state that its policy returns: expected the structure"),
        (rows, lambda s: s[:, None], "the state that its policy returns: expected float32 [4], as in"),
    ],
)  # fmt: skip
def test_a_policys_state(traceable: bool, first: Any, after: Any, message: str) -> None:
    said = line(hosted(Counting()), Carrying(traceable, first, after))
    assert said.startswith("agent a: ") and message in said
    if traceable:
        assert message in line(Counting(), Carrying(traceable, first, after))


def test_the_type_of_a_traced_policys_state() -> None:
    said = line(Counting(), Carrying(True, rows, lambda s: s.astype(int)))
    assert (
        said == "agent a: the state that its policy returns: expected float32 [4], as in initial_state's, got int32 [4]"
    )


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("state", lambda s: (s, s), "step: the state that it returns: expected the structure of init's, "),
        ("state", lambda s: s * 1.5, "the state that it returns: expected int32 [4], as in init's, got float32 [4]"),
        ("view", lambda v: {**v, "b": View(None)}, "step: view of b: expected the structure of init's"),
        ("view", lambda v: {**v, "b": View(jnp.zeros((B, 2)))}, "view of b.observation: expected float32 [4, 1]"),
        ("view", lambda v: {**v, "a": v["a"]._replace(moves=jnp.ones(B, bool))}, "view of a: expected the structure"),
        ("final_view", lambda v: {**v, "a": View(jnp.zeros(B))}, "final_view of a, observation: expected float32"),
        ("reward", lambda r: {**r, "b": jnp.full(B, 3e38)}, "b, step 0, match 0: 3e+38, expected at most 1e+30"),
    ],
)  # fmt: skip
def test_what_a_traced_game_returns(part: str, change: Any, message: str) -> None:
    said = line(Counting(part, change))
    assert said.startswith("test/counting") and message in said


def test_a_sound_game_and_a_policy_that_counts() -> None:
    still = ConstantPolicy(Discrete(3))
    counting = Carrying(True, lambda batch: {"n": np.zeros((batch, 2), np.int32)}, lambda s: {"n": s["n"] + 1})
    for game in (Counting(), hosted(Counting())):
        _, state = rollout(game, {"a": counting, "b": still}, 3, np.random.default_rng(0))
        assert np.asarray(state.policy["a"]["n"]).tolist() == [[3, 3]] * B
