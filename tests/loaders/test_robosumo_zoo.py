"""The published agents are an oracle: how often they beat each other says whether physics, observations, networks and
rules are those that they were trained in. Their files cannot be shipped, so most tests need a folder of them beside
the project.

Win rates, lengths and heights were measured with the original environment's scene and rules and these files: n = 300
matches for each pairing, adjusted heights -0.5, stochastic policies.
"""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import jax
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games.robosumo.sumo import RoboSumo
from sparring.loaders import load
from sparring.metrics.intervals import newcombe
from sparring.mixture import act
from sparring.nets import ActorCritic
from sparring.play.evaluate import evaluate

ZOO = Path(__file__).parents[2] / "../shared/zoo"
with_zoo = pytest.mark.skipif(not ZOO.is_dir(), reason="the published agents are not beside the project")
KEY = np.array([1, 2], np.uint32)
SIZES = {("ant", "mlp"): 24645, ("bug", "mlp"): 30629, ("spider", "mlp"): 36613,
         ("ant", "lstm"): 82373, ("bug", "lstm"): 88357, ("spider", "lstm"): 94341}  # fmt: skip


def agent(body: str, kind: str, game: RoboSumo, seat: int) -> ActorCritic:
    policy = load(f"robosumo-zoo:{ZOO / f'{body}-{kind}-v1.npy'}", game, game.agents[seat])
    assert isinstance(policy, ActorCritic)
    return policy


@pytest.mark.slow
@with_zoo
@pytest.mark.parametrize(("body", "kind"), SIZES)
def test_a_published_agent(body: str, kind: str) -> None:
    game = RoboSumo((body, body))
    policy = agent(body, kind, game, 0)
    assert np.load(ZOO / f"{body}-{kind}-v1.npy").size == SIZES[body, kind]
    assert policy.recurrent == (kind == "lstm")
    # It has seen very many observations, none of whose deviations is absurd; torsos are about half a metre high.
    assert float(policy.normalizer.count) > 1e6
    assert float(policy.normalizer.var.min()) >= 0 and float(policy.normalizer.var.max()) < 1e5
    assert 0.4 < float(policy.normalizer.mean[2]) < 0.8
    std = np.exp(np.asarray(policy.log_std))
    assert std.min() > 0.01 and std.max() < 2
    decision = act(policy, KEY, game.reset(0)[game.agents[0]], policy.initial_state(1))
    assert np.abs(np.asarray(decision.action)).max() < 20 and np.isfinite(np.asarray(decision.value)).all()
    assert len({np.asarray(x).tobytes() for x in jax.tree.leaves(policy.actor) if hasattr(x, "shape")}) > 3


class Cell(NamedTuple):
    """The first agent's wins, draws and losses among n matches, and the matches' mean length."""

    first: str
    second: str
    kind: str
    win: int
    draw: int
    loss: int
    length: int
    n: int = 300


CELLS = [
    Cell("ant", "ant", "mlp", 151, 2, 147, 104),
    Cell("ant", "bug", "mlp", 193, 2, 105, 123),
    Cell("ant", "spider", "mlp", 110, 1, 189, 100),
    Cell("bug", "ant", "mlp", 101, 3, 196, 132),
    Cell("bug", "bug", "mlp", 156, 9, 135, 172),
    Cell("bug", "spider", "mlp", 86, 8, 206, 139),
    Cell("spider", "ant", "mlp", 182, 5, 113, 103),
    Cell("spider", "bug", "mlp", 196, 11, 93, 149),
    Cell("spider", "spider", "mlp", 136, 2, 162, 153),
    Cell("ant", "ant", "lstm", 136, 0, 164, 60),
    Cell("ant", "bug", "lstm", 167, 1, 132, 76),
    Cell("ant", "spider", "lstm", 180, 0, 120, 58),
    Cell("bug", "ant", "lstm", 136, 0, 164, 71),
    Cell("bug", "bug", "lstm", 138, 0, 162, 87),
    Cell("bug", "spider", "lstm", 165, 0, 135, 66),
    Cell("spider", "ant", "lstm", 123, 0, 177, 62),
    Cell("spider", "bug", "lstm", 145, 1, 154, 64),
    Cell("spider", "spider", "lstm", 172, 1, 127, 80),
]
HEIGHTS = {"ant": 0.63, "bug": 0.58, "spider": 0.51}

# Wins, draws, losses and length of every cell are held to an interval. That all of them hold at once is to have 95%:
# by Bonferroni's inequality it has, whatever depends on what, if each of the two-sided intervals fails in 5% / number.
Z_ALL = NormalDist().inv_cdf(1 - 0.05 / (2 * 4 * len(CELLS)))


def check(cell: Cell, matches: int) -> None:
    """Both sides are samples, so it is the interval of their difference that must hold zero."""
    game = RoboSumo((cell.first, cell.second), num_games=min(matches, 32))
    policies = {
        a: agent(body, cell.kind, game, i) for i, (a, body) in enumerate(zip(game.agents, cell[:2], strict=True))
    }
    me = game.agents[0]
    out = evaluate(game, policies, matches, np.random.default_rng(0), watch=(me,), states=5000)
    assert not out.invalid.any() and out.outcome is not None
    counts = [int((out.outcome[me] == result).sum()) for result in (1, 0, -1)]
    assert out.states is not None
    mean, height = out.length.mean(), out.states.rows[:, 2].mean()
    print(
        f"{' '.join(cell[:3])}: {counts} of {matches}, {mean:.1f} +- {out.length.std():.1f} steps, height {height:.3f}"
    )
    for count, theirs, name in zip(counts, cell[3:6], ("win", "draw", "loss"), strict=True):
        low, high = newcombe(count, matches, theirs, cell.n, Z_ALL)
        assert low <= 0 <= high, name
    # The spread of the published lengths was not recorded: ours stands for both.
    assert abs(mean - cell.length) <= Z_ALL * out.length.std() * math.sqrt(1 / matches + 1 / cell.n)
    if (cell.kind, cell.first) == ("lstm", cell.second):
        assert height == pytest.approx(HEIGHTS[cell.first], abs=0.05)


@with_zoo
@pytest.mark.long
def test_published_ants_are_equals() -> None:
    check(CELLS[0], matches=60)


@pytest.mark.long
@with_zoo
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(cell[:3]))
def test_the_published_agents_beat_each_other_as_often_as_was_measured(cell: Cell) -> None:
    check(cell, matches=200)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "no such file"),
        ("folder", "not a readable .npy file"),
        ("text", "not a readable .npy file"),
        ("truncated", "not a readable .npy file"),
        ("pickled", "not a readable .npy file"),
        ("oversized", "1200128 bytes, expected at most 1048576"),
        ("nan", "3 of the weights are NaN or infinite"),
        ("size", r"24645 \(ant mlp\).*94341 \(spider lstm\) weights, got 24644"),
        ("matrix", "expected one flat vector of floats"),
        ("integers", "expected one flat vector of floats"),
        (
            "body",
            r"\(a published bug\): it was made for observations of size 164, but those of ant0 in .* have size 120",
        ),
        ("unused", "expected statistics of some observations, got a count of 0"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, how: str, message: str) -> None:
    path = tmp_path / "agent.npy"
    ones = np.ones(SIZES["ant", "mlp"], np.float32)
    if how == "folder":
        path.mkdir()
    elif how == "text":
        path.write_text("hello")
    elif how == "pickled":
        np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    elif how != "missing":
        array = {
            "oversized": np.ones(300_000, np.float32),
            "nan": np.r_[ones[:-3], np.full(3, np.nan, np.float32)],
            "size": ones[1:],
            "matrix": ones[None],
            "integers": ones.astype(int),
            "body": np.ones(SIZES["bug", "mlp"], np.float32),
            "unused": 0 * ones,
        }.get(how, ones)
        np.save(path, array)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=message) as error:
        load(f"robosumo-zoo:{path}", RoboSumo(("ant", "ant")), "ant0")
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_the_layout_of_a_file(tmp_path: Path) -> None:
    """A network written by hand in the published order gives what the formulas of its architecture give."""
    d, u, h = 120, 8, 64
    rng = np.random.default_rng(0)

    def take(*shape: int) -> np.ndarray:
        return (0.1 * rng.normal(size=shape)).astype(np.float32)

    count, mean, deviation = 100.0, take(d), 0.5 + rng.random(d)
    value = [take(d, h), take(h), take(2 * h, 4 * h), take(4 * h), take(h, 1), take(1)]
    actor = [take(d, h), take(h), take(2 * h, 4 * h), take(4 * h), take(h, u), take(u)]
    log_std = take(u)
    parts = [np.zeros(3), mean * count, (deviation**2 + mean**2) * count, [count], *value, *actor, log_std]
    vector = np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
    assert vector.size == SIZES["ant", "lstm"]

    def forward(net: list[np.ndarray], x: np.ndarray, c: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, ...]:
        def sigmoid(z: np.ndarray) -> np.ndarray:
            return 1 / (1 + np.exp(-z))

        embedded = np.maximum(x @ net[0] + net[1], 0)
        i, j, f, o = np.split(np.concatenate([embedded, hidden]) @ net[2] + net[3], 4)
        c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
        hidden = np.tanh(c) * sigmoid(o)
        return hidden @ net[4] + net[5], c, hidden

    np.save(tmp_path / "agent.npy", vector)
    network = load(f"robosumo-zoo:{tmp_path / 'agent.npy'}", RoboSumo(("ant", "ant")), "ant0")
    assert isinstance(network, ActorCritic)
    state, of_actor, of_value = network.initial_state(1), [np.zeros(h)] * 2, [np.zeros(h)] * 2
    for _ in range(3):
        observation = rng.normal(size=d).astype(np.float32) * 4
        x = np.clip((observation - mean) / np.maximum(deviation, 0.1), -5, 5)
        head, values, state = network.forward(network.normalizer(observation[None]), state)
        expected, *of_actor = forward(actor, x, *of_actor)
        expected_value, *of_value = forward(value, x, *of_value)
        np.testing.assert_allclose(head[0], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(values, expected_value, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(network.log_std, log_std)
    assert math.isclose(float(network.normalizer.count), count)
