"""Complete matches: which count, what became of them, and a fair sample of what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import chi2

from sparring.errors import InputError
from sparring.games.hosted import hosted
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.play import evaluate as module
from sparring.play.evaluate import evaluate
from sparring.play.keeping import Sample, TrackSample
from sparring.policies import ConstantPolicy, RandomPolicy
from sparring.types import Acts, Array, Box, Dict, Discrete, Outcomes, Policy, Spaces, Step, Trajectory, View

TORQUE = Box((1,), -1.0, 1.0)
STILL: dict[str, Policy] = dict.fromkeys("xy", ConstantPolicy(TORQUE))


def told(out: Outcomes, agent: str = "x") -> np.ndarray:
    assert out.outcome is not None
    return out.outcome[agent]


def test_complete_matches_are_dealt_to_the_slots(clock: Any) -> None:
    """Slot 0's matches last 1 step and are won, slot 1's last 10 and are lost: taking the first 11 to end would make
    it 10 to 1."""
    game = clock(2, lambda slot, match: (1, "won") if slot == 0 else (10, "lost"))
    done: list[int] = []
    out = evaluate(game, STILL, 11, np.random.default_rng(0), done.append)
    np.testing.assert_array_equal(told(out), [1] * 6 + [-1] * 5)
    np.testing.assert_array_equal(told(out, "y"), [-1] * 6 + [1] * 5)
    np.testing.assert_array_equal(out.length, [1] * 6 + [10] * 5)
    np.testing.assert_array_equal(out.returns["y"], out.length)
    assert not out.invalid.any() and out.states is None and out.tracks is None
    assert done[-1] == 11 and done == sorted(done)


def test_every_kind_of_ending_is_told(clock: Any, tally: Any) -> None:
    kinds = ["won", "lost", "drawn", "timeout", "broken"]
    game = clock(1, lambda slot, match: (match + 1, kinds[match % 5]))
    policies: dict[str, Policy] = {"x": tally, "y": ConstantPolicy(TORQUE)}
    out = evaluate(game, policies, 5, np.random.default_rng(0), watch=("x",), states=100)
    np.testing.assert_array_equal(told(out), [1, -1, 0, 0, 0])
    np.testing.assert_array_equal(out.length, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(out.invalid, [0, 0, 0, 0, 1])
    # Tally's actions count from 0 in every match; the broken step pays nothing.
    np.testing.assert_array_equal(out.returns["x"], [0, 1, 3, 6, 6])
    # All steps of the valid matches are in the sample, which is larger than they are: 1 + 2 + 3 + 4.
    states = out.states
    assert states is not None
    np.testing.assert_array_equal(states.match, [0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    np.testing.assert_array_equal(states.step, [0, 0, 1, 0, 1, 2, 0, 1, 2, 3])
    np.testing.assert_array_equal(states.rows, np.stack([0 * states.match, states.match, states.step], axis=1))


class Dice:
    """Matches of random length with every ending, in a `log` of their own: (slot, outcome, length, invalid, returns).

    The observation is [slot, the match's number in it, step]; y's part is in a dict, beside a choice of 0, 1 or 2.
    """

    id: str = "test/dice"
    agents: tuple[str, ...] = ("x", "y")

    def __init__(self, num_games: int, seed: int, winners: bool = True) -> None:
        self.num_games, self.rng, self.winners = num_games, np.random.default_rng(seed), winners
        seen = Box((3,))
        self.spaces: Mapping[str, Spaces] = {
            "x": Spaces(seen, TORQUE),
            "y": Spaces(Dict((("die", Discrete(3)), ("seen", seen))), TORQUE),
        }
        self.match, self.time = np.zeros(num_games, int), np.zeros(num_games, int)
        self.paid = np.zeros((num_games, 2))
        self.log: list[list[tuple[int, int, bool, tuple[float, float]]]] = [[] for _ in range(num_games)]

    def _views(self) -> dict[str, View]:
        seen = np.stack([np.arange(self.num_games), self.match, self.time], axis=1).astype(np.float32)
        return {"x": View(seen), "y": View({"seen": seen.copy(), "die": self.time % 3})}

    def reset(self, seed: int) -> dict[str, View]:
        return self._views()

    def step(self, actions: Mapping[str, Array]) -> Step:
        rng, n = self.rng, self.num_games
        self.time += 1
        how = rng.choice(5, n, p=[0.1, 0.1, 0.1, 0.05, 0.65])  # terminated, truncated, both drawn, invalid, goes on
        reward = rng.normal(size=(n, 2)).astype(np.float32)
        reward[how == 3] = np.nan
        result = np.where(how == 0, rng.choice([-1, 1], n), np.where(how == 1, rng.choice([-1, 0, 1], n), 0))
        self.paid += np.where((how == 3)[:, None], 0, reward.astype(np.float64))
        final = self._views()
        for b in np.flatnonzero(how < 4).tolist():
            paid = (float(self.paid[b, 0]), float(self.paid[b, 1]))
            self.log[b].append((int(result[b]), int(self.time[b]), bool(how[b] == 3), paid))
            self.match[b] += 1
            self.time[b] = self.paid[b] = 0
        outcome = result.astype(np.int8)
        return Step(
            view=self._views(),
            final_view=final,
            reward={"x": reward[:, 0], "y": reward[:, 1]},
            terminated=(how == 0) | (how == 2),
            truncated=how == 1,
            invalid=how == 3,
            outcome={"x": outcome, "y": -outcome} if self.winners else None,
            info={},
        )

    def get_state(self) -> dict[str, np.ndarray]:
        raise InputError("no state")

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[str, View]:
        raise InputError("no state")

    def close(self) -> None: ...


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("slots", "matches"), [(5, 23), (7, 7), (1, 40)])
def test_an_independent_log_tells_the_same(seed: int, slots: int, matches: int) -> None:
    """Of each slot the first matches, as many as it was dealt, one slot after the other."""
    game = Dice(slots, seed)
    out = evaluate(game, STILL, matches, np.random.default_rng(seed))
    quota = [matches // slots + (b < matches % slots) for b in range(slots)]
    log = [entry for own, share in zip(game.log, quota, strict=True) for entry in own[:share]]
    np.testing.assert_array_equal(told(out), [entry[0] for entry in log])
    np.testing.assert_array_equal(told(out, "y"), [-entry[0] for entry in log])
    np.testing.assert_array_equal(out.length, [entry[1] for entry in log])
    np.testing.assert_array_equal(out.invalid, [entry[2] for entry in log])
    np.testing.assert_allclose(out.returns["x"], [entry[3][0] for entry in log], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(out.returns["y"], [entry[3][1] for entry in log], rtol=1e-12, atol=1e-12)


def test_games_without_winners_have_no_outcome() -> None:
    out = evaluate(Dice(4, 0, winners=False), STILL, 9, np.random.default_rng(0))
    assert out.outcome is None and np.isfinite(out.returns["x"]).all()


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_the_size_of_a_chunk_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def play() -> Outcomes:
        return evaluate(Dice(4, 1), STILL, 30, np.random.default_rng(5), watch=("x", "y"), states=20, tracks=10**9)

    usual = play()
    monkeypatch.setattr(module, "HOST_CHUNK", chunk)
    other = play()
    np.testing.assert_array_equal(told(usual), told(other))
    np.testing.assert_array_equal(usual.returns["y"], other.returns["y"])
    for kind in ("states", "tracks"):
        for a, b in zip(getattr(usual, kind), getattr(other, kind), strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_row_of_the_sample_is_of_its_match_and_step() -> None:
    """Match n of slot b is entry offset[b] + n; invalid ones have no rows; a dict is flat, its choices one-hot."""
    game = Dice(4, 2)
    out = evaluate(game, STILL, 41, np.random.default_rng(0), watch=("x", "y"), states=50, tracks=10**9)
    offset = np.array([0, 11, 21, 31])
    assert out.states is not None and out.tracks is not None
    for kept in (out.states, out.tracks):
        assert kept.rows.shape == (len(kept.match), 9) and kept.rows.dtype == np.float32  # x's 3, then y's 6
        for seen in (kept.rows[:, :3], kept.rows[:, -3:]):  # "die" comes before "seen"
            np.testing.assert_array_equal(offset[seen[:, 0].astype(int)] + seen[:, 1], kept.match)
            np.testing.assert_array_equal(seen[:, 2], kept.step)
        np.testing.assert_array_equal(kept.rows[:, 3:6], np.eye(3)[kept.step % 3])
        assert not out.invalid[kept.match].any() and out.invalid.any()
        assert (kept.step < out.length[kept.match]).all()
        assert len(set(zip(kept.match.tolist(), kept.step.tolist(), strict=True))) == len(kept.match)  # none twice
    assert len(out.states.match) == 50
    # All steps of all valid matches, one after the other.
    length = np.where(out.invalid, 0, out.length)
    np.testing.assert_array_equal(out.tracks.match, np.repeat(np.arange(41), length))
    np.testing.assert_array_equal(out.tracks.step, np.concatenate([np.arange(n) for n in length]))


@pytest.mark.slow
def test_the_sample_is_uniform_over_steps(clock: Any) -> None:
    """Chi-square over the 10 steps of the two valid matches, drawn three at a time; the broken match is never drawn.

    The bound is the 1 - 1e-6 quantile with 9 degrees of freedom, 42; a sample without replacement varies less.
    """
    game = clock(
        2, lambda slot, match: [(4, "won"), (5, "broken"), (6, "lost")][match % 3] if slot == 0 else (8, "broken")
    )
    counts = np.zeros(10)
    for seed in range(200):
        states = evaluate(game, STILL, 6, np.random.default_rng(seed), watch=("x",), states=3).states
        assert states is not None
        assert len(states.match) == 3 and set(states.match.tolist()) <= {0, 2}
        np.add.at(counts, np.where(states.match == 0, 0, 4) + states.step, 1)
    assert counts.sum() == 600
    assert ((counts - 60) ** 2 / 60).sum() < chi2.ppf(1 - 1e-6, 9)


def test_the_sample_takes_no_more_memory_than_itself_and_the_matches_that_go_on() -> None:
    """Four slots, matches of 8 steps, every second one invalid: at most 10 rows and 4 x 8."""
    matches = 300 * 4
    out = Outcomes(None, np.zeros(matches, np.int32), np.zeros(matches, bool), {}, {})
    sample = Sample({"x": Spaces(Box((3,)), Box((1,)))}, 10, 1.0, np.random.default_rng(0))
    for n in range(300):
        match = np.tile(n + 300 * np.arange(4), (4, 1))
        seen = np.broadcast_to(match[..., None], (4, 4, 3)).astype(np.float32)
        played = cast("Trajectory", SimpleNamespace(seen={"x": seen}, acts={"x": Acts(seen, None, None, None)}))
        sample.add(played, match, np.tile(np.arange(4)[:, None], (1, 4)), out)
        out.length[match], out.invalid[match] = 8, n % 2 == 0
        sample.add(played, match, np.tile(4 + np.arange(4)[:, None], (1, 4)), out)
        assert sample.rows is not None and len(sample.rows) <= 10 + 4 * 8
    states = sample.result()
    assert states.rows.shape == (10, 3) and (states.match % 2 == 1).all()


def test_a_step_is_drawn_in_proportion_to_a_power_of_the_discount(clock: Any) -> None:
    """Def. 2.1: of 1,200 matches of 4 steps, step t is drawn with probability gamma^t, here .5^t; if there is room for
    all that are drawn, and, in the same proportions, if there is not.

    The bound is the 1 - 1e-6 quantile of chi-square with 3 degrees of freedom, 30.7.
    """
    game = clock(8, lambda slot, match: (4, "won"))
    for room, drawn in ((10_000, 1200 * 1.875), (500, 500)):
        out = evaluate(game, STILL, 1200, np.random.default_rng(0), watch=("x",), states=room, discount=0.5)
        assert out.states is not None
        counts = np.bincount(out.states.step, minlength=4)
        expected = drawn * 0.5 ** np.arange(4) / 1.875
        assert ((counts - expected) ** 2 / expected).sum() < 30.7
        assert counts[0] == 1200 or room == 500


def test_where_memory_ends_whole_matches_are_kept_drawn_before_they_are_played() -> None:
    """Four slots, 300 matches each of 8 steps of 100 numbers, every second one invalid: room for some 20 matches."""
    matches, most = 300 * 4, 20 * 8 * 430
    out = Outcomes(None, np.zeros(matches, np.int32), np.zeros(matches, bool), {}, {})
    kept = TrackSample({"x": Spaces(Box((100,)), TORQUE)}, most, matches, np.random.default_rng(0))
    largest = 0
    for n in range(300):
        match = np.tile(n + 300 * np.arange(4), (8, 1))
        seen = np.broadcast_to(match[..., None], (8, 4, 100)).astype(np.float32)
        controlled = np.arange(8)[:, None] % 2 == np.zeros((1, 4), int)
        acts = {"x": Acts(seen[..., :1], None, None, None), "y": Acts(seen[..., :1], None, None, controlled)}
        played = cast("Trajectory", SimpleNamespace(seen={"x": seen}, acts=acts))
        out.length[match], out.invalid[match] = 8, n % 2 == 0
        kept.add(played, match, np.tile(np.arange(8)[:, None], (1, 4)), out)
        largest = max(largest, kept.bytes)
    tracks = kept.result()
    assert largest <= most + 4 * 8 * 430  # and the matches that were just played
    whole, steps = np.unique(tracks.match, return_counts=True)
    assert (steps == 8).all() and not out.invalid[whole].any()
    # The smallest ranks, whatever became of the matches: of some 15 to 20 half are invalid.
    assert 4 <= len(whole) <= 16 and set(kept.rank[whole]) == set(np.sort(kept.rank[~out.invalid])[: len(whole)])
    np.testing.assert_array_equal(tracks.rows[:, 0], tracks.match)
    np.testing.assert_array_equal(tracks.action[:, 0], tracks.match)
    np.testing.assert_array_equal(tracks.controlled, tracks.step % 2 == 0)


def test_of_whole_matches_the_steps_are_kept_in_which_an_observer_moves() -> None:
    """Two matches of 6 steps. x moves at even steps: what it sees at the others is not kept."""
    out = Outcomes(None, np.full(2, 6, np.int32), np.zeros(2, bool), {}, {})
    kept = TrackSample({"x": Spaces(Box((1,)), TORQUE)}, 10**6, 2, np.random.default_rng(0))
    steps = np.tile(np.arange(6)[:, None], (1, 2))
    seen = steps[..., None].astype(np.float32)
    acts = {"x": Acts(seen, steps % 2 == 0, None, None), "y": Acts(seen, steps % 2 == 1, None, steps % 2 == 1)}
    played = cast("Trajectory", SimpleNamespace(seen={"x": seen}, acts=acts))
    kept.add(played, np.tile(np.arange(2), (6, 1)), steps, out)
    tracks = kept.result()
    np.testing.assert_array_equal(tracks.rows[:, 0], [0, 2, 4] * 2)
    np.testing.assert_array_equal(tracks.step, [0, 1, 2] * 2)
    np.testing.assert_array_equal(tracks.match, [0, 0, 0, 1, 1, 1])


def test_an_evaluation_is_reproducible(clock: Any) -> None:
    game = clock(3)
    policies: dict[str, Policy] = dict.fromkeys("xy", RandomPolicy(TORQUE))
    first, again, other = (evaluate(game, policies, 7, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.returns["x"], again.returns["x"])
    assert not np.array_equal(first.returns["x"], other.returns["x"])
    np.testing.assert_array_equal(first.length, other.length)


@pytest.mark.slow
def test_a_game_within_jax_is_evaluated_as_it_is_on_the_host() -> None:
    """The same rates within five standard deviations of the difference of two samples, and each complete."""
    game = SampledTree(compile_tree("kuhn_poker"), 100)
    policies: dict[str, Policy] = {agent: RandomPolicy(Discrete(2)) for agent in game.agents}
    inside, outside = (
        evaluate(g, policies, 1000, np.random.default_rng(0), watch=("player0",), states=50)
        for g in (game, hosted(game))
    )
    for a, b in ((told(inside, "player0") == 1, told(outside, "player0") == 1), (inside.length, outside.length)):
        assert abs(a.mean() - b.mean()) < 5 * np.sqrt((a.var() + b.var()) / 1000)
    for out in (inside, outside):
        np.testing.assert_array_equal(told(out, "player0"), -told(out, "player1"))
        np.testing.assert_array_equal(np.sign(out.returns["player0"]), told(out, "player0"))
        assert set(out.length.tolist()) == {2, 3}
        assert out.states is not None
        assert (
            out.states.rows.shape == (50, 6) and (out.states.rows.sum(1) == 1).all()
        )  # where it waits it sees nothing
        np.testing.assert_array_equal(out.decisions["player0"] + out.decisions["player1"], out.length)


def test_fewer_matches_than_slots_are_refused(clock: Any) -> None:
    with pytest.raises(InputError, match="at least one for each of the 2 slots, got 1"):
        evaluate(clock(2), STILL, 1, np.random.default_rng(0))
