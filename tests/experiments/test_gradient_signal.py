"""How much of an attack's gradient is signal: where the answer is known, and on a few real matches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.robosumo import gradient_signal as program
from experiments.robosumo.gradient_signal import (
    GAMMA,
    Matches,
    explained,
    gradients,
    judged,
    outcomes,
    record,
    signal_share,
)
from sparring.console import BAD_INPUT
from sparring.files import read_json
from sparring.games.robosumo.learning import ATTACK
from sparring.learners.gae import gae
from sparring.nets import NetworkConfig, actor_critic
from sparring.types import Box, Spaces


def test_outcomes_belong_to_their_own_match() -> None:
    reward = np.array([[0, 0], [1, 0], [0, -1], [0, 0]], np.float32)
    ended = reward != 0
    empty = np.zeros((4, 2, 0), np.float32)
    matches = Matches(empty, empty, empty, reward, ended, np.zeros_like(ended))
    # First slot: won at the second step, then another match that is not over. Second: lost at the third step.
    expected = [[0.5, -0.25], [1, -0.5], [np.nan, -1], [np.nan, np.nan]]
    np.testing.assert_allclose(outcomes(matches, 0.5), expected)


@pytest.mark.slow
def test_gradients_are_those_of_the_log_probability_times_the_advantage() -> None:
    """By central differences in the biases of the means, in which a Gaussian's log-probability is quadratic."""
    rng = np.random.default_rng(3)
    network = actor_critic(
        Spaces(Box((3,)), Box((2,), -1.0, 1.0)), NetworkConfig(hidden=(4,)), np.array([1, 2], np.uint32)
    )

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    never = np.zeros((6, 2), bool)
    matches = Matches(draw(6, 2, 3), draw(6, 2, 3), draw(6, 2, 2), draw(6, 2), never, never)
    value = draw(6, 2)
    found = gradients(network, matches, value, 0.9, 3)
    zero = np.zeros((6, 2), np.float32)
    advantage = np.asarray(gae(matches.reward, value, zero, never, never, value[-1], GAMMA, 0.9))
    head, _, _ = network.forward(network.normalizer(matches.own.reshape(-1, 3)), ((), ()))
    for part, rows in enumerate((slice(0, 3), slice(3, 6))):
        mean = np.asarray(head).reshape(6, 2, 2)[rows]

        def surrogate(shift: np.ndarray, mean: np.ndarray = mean, rows: slice = rows) -> float:
            return float(np.mean(network.log_prob(mean + shift, matches.action[rows]) * advantage[rows]))

        slopes = [(surrogate(one) - surrogate(-one)) / 2 for one in np.eye(2, dtype=np.float32)]
        np.testing.assert_allclose(found[part, -2:], slopes, rtol=1e-4, atol=1e-5)


def test_the_share_of_the_signal_is_found() -> None:
    """Gradients 1 + noise of variance 4 in each of 50 dimensions: a fifth of the power is signal."""
    rng = np.random.default_rng(0)
    shares, errors = zip(*(signal_share(1 + 2 * rng.standard_normal((30, 50))) for _ in range(300)), strict=True)
    assert np.mean(shares) == pytest.approx(
        0.2, abs=4 * np.std(shares) / np.sqrt(300) + 0.002
    )  # of a ratio, a small bias
    assert np.mean(errors) == pytest.approx(np.std(shares), rel=0.15)


def test_of_pure_noise_nothing_is_signal() -> None:
    rng = np.random.default_rng(1)
    shares = [signal_share(rng.standard_normal((20, 40)))[0] for _ in range(300)]
    assert abs(np.mean(shares)) < 4 * np.std(shares) / np.sqrt(300)
    assert min(shares) < 0 < max(shares)


@pytest.mark.slow
def test_a_critic_explains_what_can_be_seen_in_matches_that_it_does_not_know() -> None:
    rng = np.random.default_rng(2)
    seen = rng.standard_normal((300, 8, 3)).astype(np.float32)
    noise = rng.standard_normal((300, 8)).astype(np.float32)
    target = seen[..., 0] + noise  # half of the variance
    target[-20:] = np.nan
    assert explained(judged(seen, target, 16, 150, 0), target) == pytest.approx(0.5, abs=0.06)
    blind = judged(seen * np.array([0, 1, 1], np.float32), target, 16, 150, 0)
    assert -0.2 < explained(blind, target) < 0.02
    assert explained(target, target) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rounds", "7"], "rounds: expected at least 8, got 7"),
        (["--start", "zero"], "start: zero is no MLP of this package's kind"),
        (["--victim", "builtin:ent"], "unknown builtin policy 'ent': did you mean ant?"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(words) == BAD_INPUT
    assert capsys.readouterr().err == f"experiments.robosumo.gradient_signal: {message}\n"


def test_the_same_attack_is_recorded_once(tmp_path: Path) -> None:
    one = {"body": "ant", "victim": "a", "start": "b", "rounds": 8}
    for found in (one, {**one, "start": "c"}, {**one, "rounds": 9}):
        record(found, tmp_path / "results")
    rows = read_json(tmp_path / "results" / "signal.json")["attacks"]
    assert [(row["start"], row["rounds"]) for row in rows] == [("c", 8), ("b", 9)]


@pytest.mark.long
def test_a_few_real_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ATTACK, "num_games", 8)
    assert program.main(["--rounds", "8", "--threads", "1", "--results", str(tmp_path)]) == 0
    (found,) = read_json(tmp_path / "signal.json")["attacks"]
    assert found["matches"] > 8 and 0 <= found["win"] <= 1
    assert list(found["critic"]) == [
        "its own",
        "its own and the opponent's velocity",
        "its own and the opponent's angles and speeds",
        "its own and all that the opponent sees",
    ]
    assert set(found["signal"]) == {"0.95", "0.9", "0.8", "0.6"}
    assert all(row["share"] < 1 and row["error"] > 0 for row in found["signal"].values())
    assert "builtin:ant against builtin:ant: wins" in capsys.readouterr().out
