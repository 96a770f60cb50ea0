from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.exact.markov_game import random_game
from sparring.games.hosted import hosted
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.nets import NetworkConfig, actor_critic
from sparring.policy import CallablePolicy, ConstantPolicy, Decision, Policy, RandomPolicy, TabularPolicy, mix
from sparring.rollout import evaluate, rollout, start
from sparring.types import NO_WINNER, AgentID, Array, Continuous, Discrete, Spaces, Step

KEY = np.array([1, 2], np.uint32)


class Clock:
    """Match n of slot b lasts a known number of steps and ends in a known way; the observation is [slot, match, step].

    `how(slot, match)` is the length and "won" (by agent 0), "lost", "drawn", "timeout" or "broken".
    Agent x is paid its action, y is paid 1; a broken match's last reward is NaN.
    """

    id: str = "test/clock"
    agents: tuple[AgentID, ...] = ("x", "y")

    def __init__(self, num_games: int, how: Callable[[int, int], tuple[int, str]]) -> None:
        self.num_games, self.how = num_games, how
        self.spaces: Mapping[AgentID, Spaces] = dict.fromkeys(self.agents, Spaces(3, Continuous(1)))
        self.match, self.time = np.zeros(num_games, int), np.zeros(num_games, int)

    def _observe(self) -> dict[str, np.ndarray]:
        seen = np.stack([np.arange(self.num_games), self.match, self.time], axis=1).astype(np.float32)
        return {agent: seen.copy() for agent in self.agents}

    def reset(self, seed: int) -> dict[str, np.ndarray]:
        self.match[:] = self.time[:] = 0
        return self._observe()

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        self.time += 1
        kinds = [self.how(b, int(self.match[b])) for b in range(self.num_games)]
        how = np.array([kind if t == length else "" for t, (length, kind) in zip(self.time, kinds, strict=True)])
        final = self._observe()
        over = how != ""
        self.match, self.time = self.match + over, np.where(over, 0, self.time)
        broken = how == "broken"
        return Step(
            observation=self._observe(),
            reward={
                "x": np.where(broken, np.nan, actions["x"][:, 0]).astype(np.float32),
                "y": np.ones(self.num_games, np.float32),
            },
            terminated=np.isin(how, ["won", "lost", "drawn"]),
            truncated=how == "timeout",
            final_observation=final,
            winner=np.select([how == "won", how == "lost"], [0, 1], NO_WINNER).astype(np.int8),
            invalid=broken,
            info={"time": {agent: self.time.astype(np.float32) for agent in self.agents}},
        )

    def get_state(self) -> dict[str, np.ndarray]:
        return {"match": self.match.copy(), "time": self.time.copy()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.match, self.time = state["match"].copy(), state["time"].copy()
        return self._observe()

    def close(self) -> None: ...


class Tally:
    """A host policy whose state and action are the match's steps so far; its value is 10 times the observed time."""

    traceable = False

    def initial_state(self, batch: int) -> np.ndarray:
        return np.zeros(batch, np.int32)

    def act(self, key: Any, observation: Array, state: Any) -> Decision:
        value = 10 * np.asarray(observation)[:, 2]
        return Decision(state[:, None].astype(np.float32), state + 1, np.full(len(state), -1.0, np.float32), value)


def endings(slot: int, match: int) -> tuple[int, str]:
    return [(2, "won"), (3, "timeout"), (1, "broken"), (2, "lost")][(slot + match) % 4]


def test_a_recorded_rollout() -> None:
    trajectory, state = rollout(Clock(1, endings), {"x": Tally(), "y": ConstantPolicy(Continuous(1))}, 9,
                                np.random.default_rng(0), record=("x",))  # fmt: skip
    e = trajectory.agents["x"]
    # Matches of 2 (won), 3 (time limit), 1 (broken), 2 (lost) steps, and the first step of the next.
    np.testing.assert_array_equal(e.first[:, 0], [1, 0, 1, 0, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(e.action[:, 0, 0], [0, 1, 0, 1, 2, 0, 0, 1, 0])  # its state is renewed per match
    np.testing.assert_array_equal(e.observation[:, 0, 2], [0, 1, 0, 1, 2, 0, 0, 1, 0])
    np.testing.assert_array_equal(e.terminated[:, 0], [0, 1, 0, 0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(e.truncated[:, 0], [0, 0, 0, 0, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(e.value[:, 0], [0, 10, 0, 10, 20, 0, 0, 10, 0])
    # The time limit: the value at time 3. Broken physics: that of the last sound observation, 0.
    np.testing.assert_array_equal(e.bootstrap[:, 0], [0, 0, 0, 0, 30, 0, 0, 0, 0])
    np.testing.assert_array_equal(e.last_value, [10])
    np.testing.assert_array_equal(e.reward[:, 0], [0, 1, 0, 1, 2, 0, 0, 1, 0])  # no NaN of the broken match
    np.testing.assert_array_equal(e.log_prob, -np.ones((9, 1)))
    assert e.controlled.all()
    np.testing.assert_array_equal(e.policy_state, [0])
    np.testing.assert_array_equal(trajectory.winner[:, 0], [-1, 0, -1, -1, -1, -1, -1, 1, -1])
    np.testing.assert_array_equal(trajectory.invalid[:, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(trajectory.truncated[:, 0], [0, 0, 0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(trajectory.info["time"]["x"][:, 0], [1, 0, 1, 2, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(trajectory.reward["y"], np.where(trajectory.invalid, 0, 1))
    assert state.policy["x"][0] == 1 and not state.first.any()


def test_going_on_is_not_stopping() -> None:
    def play(pieces: list[int]) -> list[np.ndarray]:
        game, rng, state = Clock(3, endings), np.random.default_rng(0), None
        policies = {"x": RandomPolicy(Continuous(1)), "y": CallablePolicy(lambda o, rng: rng.normal(size=(3, 1)))}
        rewards = []
        for steps in pieces:
            trajectory, state = rollout(game, policies, steps, rng, state)
            rewards.append(trajectory.reward["x"])
        return [np.concatenate(rewards)]

    np.testing.assert_array_equal(play([12])[0], play([1] * 12)[0])
    np.testing.assert_array_equal(play([12])[0], play([5, 7])[0])


def test_going_on_is_not_stopping_within_jax() -> None:
    made = random_game(seed=0, S=3, A=2, B=2, gamma=0.5, k=2)

    def play(pieces: list[int]) -> np.ndarray:
        game, rng, state = SampledMarkovGame(made.game, 5, horizon=4), np.random.default_rng(0), None
        policies = {"victim": TabularPolicy(made.nu), "attacker": TabularPolicy(made.alpha)}
        rewards = []
        for steps in pieces:
            trajectory, state = rollout(game, policies, steps, rng, state)
            rewards.append(np.asarray(trajectory.reward["victim"]))
        return np.concatenate(rewards)

    np.testing.assert_array_equal(play([6]), play([1] * 6))


RPS_SPACES = Spaces(1, Discrete(3))


def test_one_record_within_jax_and_on_the_host() -> None:
    """The two ways draw differently, so shapes, types and frequencies are compared."""
    game = MatrixGame(ROCK_PAPER_SCISSORS, 50)
    network = actor_critic(RPS_SPACES, NetworkConfig("lstm", (4,)), KEY)
    policies = {"row": TabularPolicy(np.array([[1.0, 0, 0]])), "col": mix(RandomPolicy(Discrete(3)), network, 0.5)}
    inside, _ = rollout(game, policies, 40, np.random.default_rng(0), record=("col",))
    outside, _ = rollout(hosted(game), policies, 40, np.random.default_rng(0), record=("col",))
    assert jax.tree.structure(inside) == jax.tree.structure(outside)
    for a, b in zip(jax.tree.leaves(inside), jax.tree.leaves(outside), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    for trajectory in (inside, outside):
        e = trajectory.agents["col"]
        assert np.asarray(trajectory.terminated).all() and np.asarray(e.first).all()
        payoff = ROCK_PAPER_SCISSORS[0, np.asarray(e.action)]
        np.testing.assert_array_equal(trajectory.reward["row"], payoff)
        np.testing.assert_array_equal(trajectory.winner, np.select([payoff > 0, payoff < 0], [0, 1], -1))
        assert abs(np.asarray(e.controlled).mean() - 0.5) < 5 * math.sqrt(0.25 / 2000)


@pytest.mark.parametrize("control", ["step", "blend"])
def test_a_recurrent_attacker_learns_from_its_own_state_and_choice(control: Any) -> None:
    """Under partial control too: replaying the network over the record gives the recorded log-probabilities."""
    benign = actor_critic(Spaces(3, Continuous(1)), NetworkConfig("lstm", (4,)), KEY)
    network = actor_critic(Spaces(3, Continuous(1)), NetworkConfig("lstm", (4,)), KEY + 1)
    policies = {"x": mix(benign, network, 0.4, control), "y": ConstantPolicy(Continuous(1))}
    game, rng = Clock(4, endings), np.random.default_rng(0)
    _, state = rollout(game, policies, 5, rng)
    trajectory, _ = rollout(game, policies, 6, rng, state, record=("x",))
    e = trajectory.agents["x"]
    head, value = network.unroll(network.normalizer(e.observation), jnp.asarray(e.first), e.policy_state)
    np.testing.assert_allclose(value, e.value, rtol=1e-4, atol=1e-6)
    log_prob = network.log_prob(head, e.action)
    np.testing.assert_allclose(log_prob[e.controlled], e.log_prob[e.controlled], rtol=1e-4, atol=1e-5)
    assert (0 < e.controlled.mean() < 1) == (control == "step")


def test_complete_matches_are_dealt_to_the_slots() -> None:
    """Slot 0's matches last 1 step and are won, slot 1's last 10 and are lost: taking the first 11 to end would make
    it 10 to 1."""
    game = Clock(2, lambda slot, match: (1, "won") if slot == 0 else (10, "lost"))
    policies: dict[str, Policy] = dict.fromkeys("xy", ConstantPolicy(Continuous(1)))
    done: list[int] = []
    out = evaluate(game, policies, 11, np.random.default_rng(0), done.append)
    np.testing.assert_array_equal(out.winner, [0] * 6 + [1] * 5)
    np.testing.assert_array_equal(out.length, [1] * 6 + [10] * 5)
    np.testing.assert_array_equal(out.returns["y"], out.length)
    assert not out.invalid.any()
    assert done[-1] == 11 and done == sorted(done)


def test_every_kind_of_ending_is_told() -> None:
    kinds = ["won", "lost", "drawn", "timeout", "broken"]
    game = Clock(1, lambda slot, match: (match + 1, kinds[match]))
    observed: list[tuple[float, bool]] = []
    policies: dict[str, Policy] = {"x": Tally(), "y": ConstantPolicy(Continuous(1))}
    out = evaluate(
        game,
        policies,
        5,
        np.random.default_rng(0),
        on_step=lambda o, m: observed.append((float(o["x"][0, 2]), bool(m[0]))),
    )
    np.testing.assert_array_equal(out.winner, [0, 1, -1, -1, -1])
    np.testing.assert_array_equal(out.length, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(out.invalid, [0, 0, 0, 0, 1])
    # Tally's actions count from 0 in every match; the broken step pays nothing.
    np.testing.assert_array_equal(out.returns["x"], [0, 1, 3, 6, 6])
    assert [t for t, _ in observed] == [t for n in range(1, 6) for t in range(n)]
    assert all(counts for _, counts in observed)


def test_slots_that_are_done_no_longer_count() -> None:
    game = Clock(2, lambda slot, match: (1 + 3 * slot, "won"))
    counted: list[list[bool]] = []
    evaluate(game, dict.fromkeys("xy", ConstantPolicy(Continuous(1))), 2, np.random.default_rng(0),
             on_step=lambda o, mask: counted.append(mask.tolist()))  # fmt: skip
    assert counted == [[True, True], *[[False, True]] * 3]


def test_an_evaluation_is_reproducible() -> None:
    game = Clock(3, endings)
    policies: dict[str, Policy] = dict.fromkeys("xy", RandomPolicy(Continuous(1)))
    first, again, other = (evaluate(game, policies, 7, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.returns["x"], again.returns["x"])
    assert not np.array_equal(first.returns["x"], other.returns["x"])
    np.testing.assert_array_equal(first.length, other.length)


def test_a_policy_that_misbehaves_is_named_with_the_step() -> None:
    for run in (
        lambda p: evaluate(Clock(2, endings), p, 8, np.random.default_rng(0)),
        lambda p: rollout(Clock(2, endings), p, 8, np.random.default_rng(0)),
    ):
        calls = iter(range(100))
        bad = CallablePolicy(lambda o, rng, calls=calls: np.full((len(o), 1), np.nan if next(calls) == 3 else 0.0))
        with pytest.raises(InputError, match=r"agent y, step 3: .*NaN or infinite"):
            run({"x": ConstantPolicy(Continuous(1)), "y": bad})


def test_bad_calls_are_refused() -> None:
    game = Clock(2, endings)
    constant = ConstantPolicy(Continuous(1))
    with pytest.raises(InputError, match="no policy for agent y of test/clock"):
        start(game, {"x": constant}, np.random.default_rng(0))
    with pytest.raises(InputError, match="at least one for each of the 2 slots, got 1"):
        evaluate(game, dict.fromkeys("xy", constant), 1, np.random.default_rng(0))
    host = CallablePolicy(lambda o, rng: np.zeros(len(o), int))
    with pytest.raises(InputError, match="policy of col does not: play `hosted"):
        rollout(
            MatrixGame(ROCK_PAPER_SCISSORS),
            {"row": RandomPolicy(Discrete(3)), "col": host},
            1,
            np.random.default_rng(0),
        )


def test_blending_needs_continuous_actions() -> None:
    policy = mix(RandomPolicy(Discrete(3)), RandomPolicy(Discrete(3)), 0.5, "blend")
    with pytest.raises(InputError, match="blend combines continuous actions"):
        rollout(MatrixGame(ROCK_PAPER_SCISSORS), {"row": policy, "col": policy}, 1, np.random.default_rng(0))


def test_what_was_returned_stays() -> None:
    game, rng = Clock(2, endings), np.random.default_rng(0)
    policies: dict[str, Policy] = dict.fromkeys("xy", RandomPolicy(Continuous(1)))
    trajectory, state = rollout(game, policies, 3, rng, record=("x",))
    before = [np.array(x) for x in jax.tree.leaves(trajectory)]
    rollout(game, policies, 3, rng, state, record=("x",))
    for a, b in zip(before, jax.tree.leaves(trajectory), strict=True):
        np.testing.assert_array_equal(a, b)
