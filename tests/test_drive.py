from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring import checkpoint, drive
from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
from sparring.console import Stopped
from sparring.errors import InputError
from sparring.events import EVENTS, read_events
from sparring.games.hosted import Hosted
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.learners.ppo import PPOConfig
from sparring.nets import NetworkConfig
from sparring.policies import RandomPolicy
from sparring.runs import CHECKPOINT, Run, read_status
from sparring.training import TrainState, saved_part
from sparring.types import Discrete, ThreatModel, Trajectory

GAME = MatrixGame(ROCK_PAPER_SCISSORS, num_games=4)
PPO = PPOConfig(epochs=1, minibatch=8, network=NetworkConfig("mlp", (4, 4)))
PER_ROUND, ROUNDS = 12, 6  # 3 steps of 4 matches


def go(
    run: Run,
    *,
    seed: int = 1,
    name: str = "",
    save_every: float = 60.0,
    rounds: int = ROUNDS,
    settings: dict[str, Any] | None = None,
    game: Any = None,
    ppo: PPOConfig = PPO,
) -> TrainState:
    benign = RandomPolicy(Discrete(3))
    threat = ThreatModel("row", ("col",), {"col": benign}, 0.5)
    return drive.drive(
        run,
        GAME if game is None else game,
        adversarial_policy(GAME, threat, benign, AttackConfig(steps_per_round=3, ppo=ppo)),
        seed=seed,
        steps=rounds * PER_ROUND,
        label="test",
        settings={"epochs": 1} if settings is None else settings,
        name=name,
        save_every=save_every,
    )


def new(folder: Path) -> Run:
    return Run.create(folder, GAME.id, "attack", 1, {})


def in_round(monkeypatch: pytest.MonkeyPatch, number: int, do: Callable[[], None]) -> None:
    """Do something right after that round was written down, once."""
    record, count = Run.event, iter(range(1, 100))

    def event(run: Run, **fields: Any) -> None:
        record(run, **fields)
        if next(count) == number:
            do()

    monkeypatch.setattr(Run, "event", event)


def same(a: TrainState, b: TrainState) -> bool:
    ours, theirs = (checkpoint.flatten(saved_part(s, GAME)) for s in (a, b))
    return ours.keys() == theirs.keys() and all(np.array_equal(x, theirs[name]) for name, x in ours.items())


@pytest.mark.parametrize("save_every", [0.0, 60.0])
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_every: float
) -> None:
    with new(tmp_path / "whole") as whole:
        expected = go(whole)
        whole.finish()
    assert (expected.steps, expected.round) == (ROUNDS * PER_ROUND, ROUNDS)
    with new(tmp_path / "cut") as run:
        in_round(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped):
            go(run, save_every=save_every)
        run.finish("interrupted")
    assert read_status(run.folder)["done"] == 2 * PER_ROUND
    assert len(read_events(run.folder)) == 2
    with Run.open(run.folder) as run:
        got = go(run)
        run.finish()
    assert same(got, expected)
    assert (run.folder / EVENTS).read_bytes() == (whole.folder / EVENTS).read_bytes()
    assert read_status(run.folder)["done"] == read_status(run.folder)["total"] == ROUNDS * PER_ROUND


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new(tmp_path / "whole") as whole:
        expected = go(whole)

    def die() -> None:
        raise MemoryError

    in_round(monkeypatch, 4, die)
    run = new(tmp_path / "killed")
    with pytest.raises(MemoryError), run:
        go(run, save_every=0.0)
    assert len(read_events(run.folder)) == 4  # the fourth round was written down, but no checkpoint has it
    with Run.open(run.folder) as again:
        assert len(read_events(again.folder)) == 3
        assert same(go(again), expected)
    assert (run.folder / EVENTS).read_bytes() == (whole.folder / EVENTS).read_bytes()


def test_a_finished_training_takes_no_further_step(tmp_path: Path) -> None:
    with new(tmp_path / "run") as run:
        first = go(run)
        events = (run.folder / EVENTS).read_bytes()
        again = go(run)
        assert same(first, again)
        assert (run.folder / EVENTS).read_bytes() == events


def test_of_a_game_that_cannot_be_saved_finished_trainings_keep_their_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no checkpoint: the second training begins anew, and its events with it."""
    with new(tmp_path / "whole") as whole:
        go(whole, name="first", rounds=2)
        go(whole, name="second", seed=2, rounds=3)
    monkeypatch.setattr(drive, "save", lambda *of_no_use: None)  # what it does where the state of the game is None
    with new(tmp_path / "cut") as run:
        go(run, name="first", rounds=2)
        in_round(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped):
            go(run, name="second", seed=2, rounds=3)
    with Run.open(run.folder) as run:
        assert [e["training"] for e in read_events(run.folder)] == ["first"] * 2 + ["second"] * 2
        go(run, name="second", seed=2, rounds=3)
    assert (run.folder / EVENTS).read_bytes() == (whole.folder / EVENTS).read_bytes()


def test_events_tell_how_the_matches_ended(tmp_path: Path) -> None:
    with new(tmp_path / "run") as run:
        go(run, name="first")
        events = read_events(run.folder)
    assert [e["steps"] for e in events] == [PER_ROUND * n for n in range(1, ROUNDS + 1)]
    for event in events:
        assert event["training"] == "first" and event["sides"].keys() == {"col"}
        side = event["sides"]["col"]
        assert side["win"] + side["draw"] + side["loss"] == side["matches"] == PER_ROUND  # matches of one step
        assert side["invalid"] == 0 and side["length"] == PER_ROUND
        # The attacker is paid 1 for a win and -1 for a loss, and its reward is that of each step.
        assert side["reward"] == pytest.approx((side["win"] - side["loss"]) / PER_ROUND)
        assert {"policy_loss", "value_loss", "entropy", "kl"} <= side["metrics"].keys()


def test_a_second_training_does_not_go_on_with_the_first(tmp_path: Path) -> None:
    with new(tmp_path / "run") as run:
        first = go(run, name="first", rounds=2)
        second = go(run, name="second", seed=2, rounds=2)
        assert [e["training"] for e in read_events(run.folder)] == ["first"] * 2 + ["second"] * 2
    assert not same(first, second)
    with new(tmp_path / "alone") as run:
        assert same(go(run, name="second", seed=2, rounds=2), second)


def test_the_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    with new(tmp_path / "run") as run:
        go(run, rounds=1)
        arrays, meta = checkpoint.load(run.folder / CHECKPOINT)
        name = next(name for name in arrays if "weight" in name)
        checkpoint.save(run.folder / CHECKPOINT, {**arrays, name: arrays[name][:-1]}, meta)
        with pytest.raises(InputError, match="it was saved with other settings"):
            go(run)


TRAJECTORY = Trajectory(
    agents={},
    seen={},
    acts={},
    reward={"a": np.full((2, 4), 0.25, np.float32), "b": np.full((2, 4), -0.5, np.float32)},
    outcome={
        "a": np.array([[1, -1, 0, 0], [0, 1, 1, 0]], np.int8),
        "b": np.array([[-1, 1, 0, 0], [0, -1, -1, 0]], np.int8),
    },
    terminated=np.array([[1, 1, 0, 0], [0, 1, 1, 0]], bool),
    truncated=np.array([[0, 0, 1, 0], [1, 0, 0, 0]], bool),
    invalid=np.array([[0, 0, 0, 1], [0, 0, 0, 0]], bool),
    info={},
)


def test_what_became_of_the_matches() -> None:
    """Four decided and two at the time limit, drawn; the one of broken physics is counted apart."""
    common = {"matches": 6, "invalid": 1, "length": 8}
    assert drive.record_of(TRAJECTORY, "a") == {**common, "reward": 0.25, "win": 3, "draw": 2, "loss": 1}
    assert drive.record_of(TRAJECTORY, "b") == {**common, "reward": -0.5, "win": 1, "draw": 2, "loss": 3}
    assert drive.record_of(TRAJECTORY._replace(outcome=None), "b") == {**common, "reward": -0.5}


TOO_FAST = replace(PPO, epochs=2, learning_rate=2.0**61)  # its loss is inf in the first round; that of 2^60 never is


@pytest.mark.parametrize("game", [GAME, Hosted(GAME)], ids=["functional", "hosted"])
def test_a_round_whose_loss_is_no_number_is_taken_back_once_at_half_the_learning_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, game: Any
) -> None:
    with new(tmp_path / "slow") as run:
        expected = go(run, ppo=replace(TOO_FAST, learning_rate=2.0**60), game=game)
        assert not any("halved" in event for event in read_events(run.folder))
    capsys.readouterr()
    with new(tmp_path / "fast") as run:
        assert same(go(run, ppo=TOO_FAST, game=game), expected)
        straight = (run.folder / EVENTS).read_bytes()
        assert [event.get("halved", False) for event in read_events(run.folder)] == [True] + [False] * (ROUNDS - 1)
    told = [line for line in capsys.readouterr().err.splitlines() if "round 1" in line]
    assert told == [
        "round 1: col's value_loss is inf: the round is taken back, and training goes on at half the learning rate"
    ]
    # Gone on with, it is still at half the learning rate.
    with new(tmp_path / "stopped") as run:
        in_round(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped):
            go(run, ppo=TOO_FAST, game=game)
    with Run.open(run.folder) as run:
        assert same(go(run, ppo=TOO_FAST, game=game), expected)
        assert (run.folder / EVENTS).read_bytes() == straight


class Exploding(Hosted):
    """Rewards grow beyond all measure in the third round, so that their squares are no numbers."""

    def step(self, actions: Any) -> Any:
        step = super().step(actions)
        return step._replace(reward={a: r * (1e30 if self._count > 6 else 1) for a, r in step.reward.items()})


def test_what_half_the_learning_rate_does_not_mend_ends_the_training_and_is_saved(tmp_path: Path) -> None:
    with new(tmp_path / "sound") as run:
        expected = go(run, rounds=2, game=Hosted(GAME))
    message = r"round 3: col's value_loss is inf, at half the learning rate as well; .* is saved: start anew"
    with pytest.raises(InputError, match=message) as told, new(tmp_path / "run") as run:
        go(run, game=Exploding(GAME))
    assert "\n" not in str(told.value) and read_status(run.folder)["state"] == "failed"
    assert [event["steps"] for event in read_events(run.folder)] == [PER_ROUND, 2 * PER_ROUND]
    arrays, _ = checkpoint.load(run.folder / CHECKPOINT)
    assert arrays["clock"].tolist() == [2, 2 * PER_ROUND]
    for name, array in checkpoint.flatten(saved_part(expected, GAME)["learners"]).items():
        np.testing.assert_array_equal(arrays[f"learners/{name}"], array)
    # Going on says the same again, and loses nothing.
    with pytest.raises(InputError, match=message), Run.open(run.folder) as run:
        go(run, game=Exploding(GAME))
    assert len(read_events(run.folder)) == 2


class Volatile(Hosted):
    """A game on the host that cannot be saved."""

    def get_state(self) -> dict[str, np.ndarray]:
        raise InputError("cannot be saved")


@pytest.mark.slow
def test_a_game_that_cannot_be_saved_is_trained_without_a_checkpoint(tmp_path: Path) -> None:
    with new(tmp_path / "run") as run:
        state = go(run, rounds=2, save_every=0.0, game=Volatile(GAME))
        assert state.steps == 2 * PER_ROUND and len(read_events(run.folder)) == 2
        assert not (run.folder / CHECKPOINT).exists()


def sparring(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sparring", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_and_resume(tmp_path: Path, number: signal.Signals) -> None:
    """The program itself, stopped in the middle of its training and resumed: bit for bit the uninterrupted run."""
    arguments = ["attack", "robosumo/ant-vs-ant,integrator=euler", "--victim", "zero", "--preset", "smoke"]
    arguments += ["--num-games", "8", "--steps-per-round", "32", "--epochs", "1", "--episodes", "8", "--steps", "5120"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    process = sparring(*arguments, "--out", str(whole), "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    expected = json.loads(out)

    process = sparring(*arguments, "--out", str(cut))
    deadline = time.monotonic() + 200
    while not (cut / EVENTS).exists() or len(read_events(cut)) < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert f"sparring resume {cut}" in err
    assert read_status(cut)["state"] == "interrupted"
    assert 3 <= len(read_events(cut)) < 20

    process = sparring("resume", str(cut), "--json")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    got = json.loads(out)
    assert got.keys() == expected.keys()
    for result in (got, expected):
        for name in ("run", "policy", "command", "wall_time_s"):
            del result[name]
    assert got == expected
    assert (cut / EVENTS).read_bytes() == (whole / EVENTS).read_bytes()
    ours, theirs = (checkpoint.load(folder / "attacker.safetensors")[0] for folder in (cut, whole))
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    with new(tmp_path / "run") as run:
        go(run, rounds=2)
    with Run.open(tmp_path / "run") as run, pytest.raises(InputError, match="epochs was 1, but is 2 now"):
        go(run, settings={"epochs": 2})
