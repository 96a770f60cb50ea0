"""`sparring defend` where a game can only be simulated, on small budgets of time."""

from __future__ import annotations

import html
import os
import re
import signal
from itertools import cycle, islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import sparring
from sparring import cli
from sparring.commands import defend
from sparring.commands.defend_simulated import prepare
from sparring.defences.adversarial_training import SCHEDULES, of_the_moment
from sparring.errors import InputError
from sparring.events import read_events
from sparring.files import read_json, write_json
from sparring.games import make
from sparring.loaders import native
from sparring.oracles.defending import LearnedMethod, method_of
from sparring.oracles.hardening_curve import FIELDS, HardeningCurve, curve_points, oscillation_of
from sparring.policies import PoolPolicy
from sparring.runs import Run, differences
from sparring.training import Opponents, Pool, train

DUEL = "discs/duel"
TINY: dict[str, Any] = {
    "num_games": 16,
    "steps_per_round": 64,
    "minibatch": 256,
    "epochs": 2,
    "attack_steps": 0,
    "episodes": 8,
    "steps": 6 * 16 * 64,
}
EARLY = {"victim": "builtin:disc-early", "budget": 1.0, **TINY}


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(**changes: Any) -> defend.Settings:
    return defend.Settings(game=DUEL, **{**EARLY, **changes})


def words(**options: Any) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.slow
def test_a_victim_is_hardened_and_a_stopped_run_ends_as_an_uninterrupted_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["defend", DUEL, *words(**{**EARLY, "method": "two-timescale", "attack_steps": 2048, "clean_share": 0.25})]
    assert cli.main([*given, "--out", "straight"]) == cli.DONE
    told = capsys.readouterr().out
    result = read_json(Path("straight/defend.json"))
    assert (result["oracle"], result["method"], result["steps"]) == ("learned (lower bound)", "two-timescale", 6144)
    assert [point["steps"] for point in result["curve"]] == [1024 * i for i in range(1, 7)]
    assert all(point["gradient_norm"] > 0 for point in result["curve"])
    assert result["oscillation"]["rounds"] >= 2 and result["oscillation"]["variance"] >= 0
    # The attackers learn ten times as fast, and as fast as in an attack.
    assert result["ratio"] == 10 and result["learning_rate"] == pytest.approx(1e-4)
    for test in (result["before"], result["after"]):
        assert test["attack_steps"] == 2048 and Path(test["attack"]).exists()
        assert test["clean"]["episodes"] == test["attacked"]["episodes"] == 8
        low, high = test["attacked"]["win_ci"]
        assert low <= test["attacked"]["win"] <= high and test["damage"]["win"] is not None
    assert result["before"]["attack"] != result["after"]["attack"]
    assert "lower bound" in told and "fresh attackers of 2,048 steps" in told and "victim.safetensors" in told
    lost = result["after"]["attacked"]["fail"]
    assert f"the victim loses {lost:.1%}" in told and lost == 1 - result["after"]["attacked"]["loss"]
    assert not differences(Path("straight"))
    # Its report says the same, and is made again from the result alone; it is no part of the manifest.
    page = Path("straight/report.html").read_text()
    assert "What fresh attackers find is a lower bound: each was trained for 2,048 steps" in page
    assert "fresh attacker: the attacker wins" in page and "benign opponent: the victim loses" in page
    assert "total variation of the score" in page and "<svg" in page
    table = page.partition("<h2>Settings</h2>")[2].partition("</table>")[0]
    assert dict(re.findall("<tr><td>(.*?)</td><td>(.*?)</td></tr>", html.unescape(table))) == {
        "game": DUEL,
        "method": "two-timescale",
        "agent of the victim": "disc0",
        "agents of the attackers": "disc1",
        "benign opponent": "builtin:disc-early",  # the victim's own policy
        "budget of the training": "1",
        "budget of the fresh attackers": "1",
        "share of the matches at budget 0": "0.25",
        "the victim starts from": "builtin:disc-early",
        "the attackers start from": "builtin:disc",  # that comes with the package for their seat
        "fresh attackers start from": "builtin:disc",
        "steps of all matches together": "6,144",
        "steps of each fresh attacker": "2,048",
        "matches of each evaluation": "8",
        "learning rate of the victim": "0.0001",
        "the attackers' learning rate over the victim's": "10",
        "updates of the attackers for each of the victim's": "1",
        "matches side by side": "16",
        "steps of each match between two updates": "64",
        "PPO: passes over each round's steps": "2",
        "PPO: steps per gradient step": "256",
        "seed": "0",
    }
    Path("straight/report.html").unlink()
    assert cli.main(["report", "straight", "--summary", "short.md"]) == cli.DONE
    assert Path("straight/report.html").read_text() == page and not differences(Path("straight"))
    short = Path("short.md").read_text()
    assert "| | before | after | change |" in short and "lower bound" in short and "discs/duel" in short
    capsys.readouterr()
    for words_, message in (
        (["report", "straight", "--summary", "short.xml"], "there is Markdown alone"),
        (["report", "straight", "--fail-above", "0.1"], "it is read with audits"),
        (["compare", "straight", "straight"], "this is a hardening, not an audit: audit its victim with --victim run:"),
    ):
        assert cli.main(words_) == cli.BAD_INPUT
        assert message in capsys.readouterr().err
    # The file is the hardened victim by both names, and not the one that it began as.
    game = make(DUEL, 1, 0)
    hardened: Any = native.read(result["policy"])[0]
    for name in ("run:straight", f"native:{result['policy']}"):
        loaded: Any = sparring.load_policy(name, game, "disc0")
        np.testing.assert_array_equal(loaded.log_std, hardened.log_std)
    start: Any = sparring.load_policy("builtin:disc-early", game, "disc0")
    assert not np.array_equal(start.actor.mlp.layers[0].weight, hardened.actor.mlp.layers[0].weight)

    event, seen = Run.event, []

    def stop_at_the_sixth(self: Run, **fields: Any) -> None:
        event(self, **fields)
        seen.append(fields)
        if len(seen) == 6:  # the first two are of the first attack, so this is round 4 of 6 of the hardening
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Run, "event", stop_at_the_sixth)
    assert cli.main([*given, "--out", "stopped"]) == cli.INTERRUPTED
    assert 1 <= len(read_events(Path("stopped/jobs/harden"))) < 6
    # Of what was begun with other settings, the difference is told, and nothing is changed.
    config = read_json(Path("stopped/config.json"))
    write_json(Path("stopped/config.json"), {**config, "settings": {**config["settings"], "clean_share": 0.5}})
    capsys.readouterr()
    assert cli.main(["resume", "stopped"]) == cli.BAD_INPUT
    told = capsys.readouterr().err
    assert "clean_share was 0.25 when this job was begun, but is 0.5 now" in told and told.count("\n") == 1
    write_json(Path("stopped/config.json"), config)
    assert cli.main(["resume", "stopped"]) == cli.DONE
    both = [read_json(Path(name, "defend.json")) for name in ("straight", "stopped")]
    for one in both:
        for name in ("command", "wall_time_s", "policy", "figure"):
            del one[name]
        for test in ("before", "after"):
            del one[test]["attack"]
    assert both[0] == both[1]
    for name in ("victim.safetensors", "curve.svg", "jobs/harden/events.jsonl", "jobs/after/attacker.safetensors"):
        assert Path("straight", name).read_bytes() == Path("stopped", name).read_bytes(), name


@pytest.mark.parametrize("method", get_args(LearnedMethod))
def test_every_method_is_set_up_as_it_is_called(method: str) -> None:
    """Who learns at which rate, who takes turns or waits, and whom the victim meets."""
    prepared = prepare(settings(method=method, attack_steps=64), make(DUEL, 1, 0))
    game = make(DUEL, 16, 0)
    fixed: Any = prepared.hardening.start if method == "retrain" else None
    trained, budgets = method_of(prepared.hardening, game, fixed)
    assert list(trained.sides) == (["victim"] if method == "retrain" else ["victim", "disc1"])
    np.testing.assert_array_equal(budgets, np.ones(16, np.float32))
    victim, attack = prepared.hardening.victim, prepared.hardening.attacker.config.ppo
    assert attack.learning_rate / victim.learning_rate == pytest.approx(10 if method == "two-timescale" else 1)
    assert bool(trained.sides["victim"].waits) == (method == "min-oracle")
    assert trained.sides["victim"].every == (2 if method == "alternating" else 1)
    assert (victim.magnet, attack.magnet) == ((0.05, 0.05) if method == "regularised" else (0, 0))
    network: Any = prepared.hardening.start
    current: Any = dict.fromkeys(trained.sides, network)
    past = {name: Pool((0,), (network,)) for name in trained.sides}
    mixed: Any = trained.play(Opponents(current, past, 0))["disc1"]
    if method in ("self-play", "fictitious-play"):
        share = 0.5 if method == "self-play" else 1.0
        assert isinstance(mixed.adversarial, PoolPolicy) and max(mixed.adversarial.probability) == share
    else:
        assert mixed.adversarial is (fixed if method == "retrain" else network)


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "architecture"), list(zip(get_args(LearnedMethod), cycle(["mlp", "lstm"]), strict=False))
)
def test_every_method_trains_networks_of_either_kind_from_scratch(method: str, architecture: str) -> None:
    changes = {"steps_per_round": 16, "steps": 12 * 16 * 16, "attacker_start": "scratch", "benign": "builtin:disc"}
    attack = {"attacker": "builtin:disc"} if method == "retrain" else {}
    result = sparring.defend(
        DUEL, **{**EARLY, **changes, **attack, "victim": "scratch", "method": method, "architecture": architecture}
    )
    assert result["start"] == "scratch" and result["after"]["attacked"] is None
    file = Path(result["policy"])
    if method == "double-oracle":
        file = file.parent / read_json(file)["policies"][0]
    assert (native.read(str(file))[0].recurrent) == (architecture == "lstm")
    assert max(point["pool"] for point in result["curve"]) > 0 or method not in ("self-play", "fictitious-play")
    assert "not measured" in defend.text(result)
    # The learned min oracle's victim has waited, and a population has no gradient of its own.
    learned = sum(point["gradient_norm"] is not None for point in result["curve"])
    assert learned == {"min-oracle": 1, "alternating": 6, "double-oracle": 0}.get(method, 12)


@pytest.mark.long
def test_retrain_trains_its_attacker_first() -> None:
    result = sparring.defend(DUEL, **{**EARLY, "method": "retrain", "attack_steps": 1024})
    assert Path(result["run"], "jobs/fixed/attacker.safetensors").exists()
    assert all(point["attacker_entropy"] is None for point in result["curve"])


def test_the_attackers_learn_more_often_where_that_is_asked_for() -> None:
    prepared = prepare(settings(method="two-timescale", attacker_rounds=3, ratio=1.0), make(DUEL, 1, 0))
    method, _ = method_of(prepared.hardening, make(DUEL, 16, 0))
    assert (method.sides["victim"].every, method.sides["disc1"].every) == (3, 1)


@pytest.mark.slow
def test_budgets_reach_the_slots() -> None:
    prepared = prepare(settings(clean_share=0.25, budget_range=(0.2, 0.8)), make(DUEL, 1, 0))
    game = make(DUEL, 16, 0)
    method, budgets = method_of(prepared.hardening, game)
    np.testing.assert_allclose(np.sort(budgets), [*[0] * 4, *np.linspace(0.2, 0.8, 12)], rtol=1e-6)
    curve = HardeningCurve(prepared.hardening.question.threat, budgets)
    for state in islice(train(game, method, 0), 2):
        curve.add(state)
        played: Any = state.trajectory
    controlled = np.asarray(played.agents["disc1"].controlled)
    valued = np.asarray(played.agents["disc1"].valued)
    # 64 steps in each slot: within 5 standard deviations of the binomial.
    assert (np.abs(controlled.mean(0) - budgets) <= 5 * np.sqrt(budgets * (1 - budgets) / 64)).all()
    np.testing.assert_array_equal(valued, np.tile(budgets > 0, (64, 1)))
    # What is recorded of a round is split in the same way. No match has ended within the first 64 steps.
    first, second = (dict(zip(FIELDS, row, strict=True)) for row in curve.rows)
    assert first["matches"] == 0 and np.isnan([first["win"], first["score"]]).all()
    ended = np.asarray(played.terminated)
    assert second["matches"] == ended[:, budgets > 0].sum() > 0 and second["steps"] == 2048
    lost = (np.asarray(played.outcome["disc1"]) == 1)[:, budgets > 0]
    assert second["win"] == pytest.approx(lost.sum() / second["matches"])
    # A duel pays its outcome at the end, so that the score is 1 - 2 win but for draws.
    assert second["score"] == pytest.approx(1 - 2 * second["win"])


@pytest.mark.slow
def test_matches_of_past_victims_say_nothing_about_the_present_one() -> None:
    """Self-play's odd slots may hold a past victim: the first round's row is that of the even slots alone."""
    prepared = prepare(settings(method="self-play", clean_share=0.25), make(DUEL, 1, 0))
    game = make(DUEL, 16, 0)
    method, budgets = method_of(prepared.hardening, game)
    live = of_the_moment(prepared.hardening.schedule, 16)
    np.testing.assert_array_equal(live, [True, False] * 8)
    np.testing.assert_array_equal(of_the_moment(SCHEDULES["two-timescale"], 3), [True] * 3)
    curve = HardeningCurve(prepared.hardening.question.threat, budgets, live)
    for state in islice(train(game, method, 0), 2):
        curve.add(state)
        played: Any = state.trajectory
    row = dict(zip(FIELDS, curve.rows[1], strict=True))
    ended, lost = np.asarray(played.terminated), np.asarray(played.outcome["disc1"]) == 1
    attacked, clean = live & (budgets > 0), live & (budgets == 0)
    assert clean.any() and row["matches"] == ended[:, attacked].sum() > 0
    assert row["win"] == pytest.approx(lost[:, attacked].sum() / row["matches"])
    assert row["clean"] == pytest.approx(1 - 2 * lost[:, clean].sum() / ended[:, clean].sum())


def rows(score: list[float | None]) -> list[list[float | None]]:
    return [[1024.0 * i, 10.0, s, 0.5, None, None, 1.0, 2.0, 0.0] for i, s in enumerate(score, 1)]


def test_the_oscillation_is_that_of_the_last_half() -> None:
    """Of 9, 9, 1, 3, 2: half of five rounds begins with the third. Variance of 1, 3, 2: 1. Steps 2 and 1."""
    found = oscillation_of(rows([9.0, 9.0, 1.0, 3.0, 2.0]))
    assert (found.rounds, found.variance, found.total_variation) == (3, pytest.approx(1.0), pytest.approx(3.0))
    assert oscillation_of(rows([1.0, None])).variance is None


def test_the_gain_is_what_five_rounds_cost_beyond_the_five_before() -> None:
    points = curve_points(rows([4.0] * 5 + [1.0] * 5 + [None]))
    gains = [point.gain for point in points]
    assert gains[:9] == [None] * 9 and gains[9] == pytest.approx(3.0)
    # The last round has no score: four of 1 against one of 1 and four of 4.
    assert gains[10] == pytest.approx((4 * 4.0 + 1.0) / 5 - 1.0)
    assert points[-1].score is None and points[-1].gradient_norm is None
    many = curve_points(rows([float(i) for i in range(1000)]))
    assert len(many) == 400 and many[-1].steps == 1024 * 1000 and sum(point.matches for point in many) == 10_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "double-oracel"}, "method: expected|unknown method|did you mean"),
        ({"updates": 5}, "updates: it is read in games that can be enumerated alone"),
        ({"output": "last"}, "output: it is read in games that can be enumerated"),
        ({"decay": 0.5}, "decay: it is read in games that can be enumerated"),
        ({"temperature": 0.5}, "temperature: it is read in games that can be enumerated"),
        ({"victim": "builtin:ant"}, "made for observations of size 120, but those of disc0 in discs/duel"),
        (
            {"method": "retrain", "attacker": "builtin:ant"},
            "made for observations of size 120, but those of disc1 in discs/duel",
        ),
        ({"attacker_start": "builtin:ant"}, "made for observations of size 120, but those of disc1 in"),
        ({"method": "self-play", "ratio": 5.0}, "ratio: self-play does not read it: use method=two-timescale"),
        ({"magnet": 0.1}, "magnet: min-oracle does not read it: use method=regularised"),
        ({"attacker": "zero"}, "attacker: min-oracle does not read it: use method=retrain"),
        ({"attacker_rounds": 2}, "attacker-rounds: min-oracle does not read it"),
        ({"method": "two-timescale", "attacker_rounds": 0}, "attacker-rounds: expected at least 1, got 0"),
        ({"method": "two-timescale", "ratio": -1.0}, "ratio: expected a positive number, got -1.0"),
        ({"attack_steps": -1}, "attack-steps: expected at least 0, got -1"),
        ({"learning_rate": 0.0}, "learning-rate: expected a positive number"),
        ({"budget": 1.5}, r"budget: expected a probability in \[0, 1\]"),
        ({"budget_range": (0.5, 0.2)}, "budget-range: expected the lower budget first, got 0.5 0.2"),
        ({"budget_range": (0.5,)}, "budget-range: expected two budgets, got 1"),
        ({"clean_share": 1.0}, "clean-share: expected a share in"),
        ({"victim": "zero"}, "victim=zero: expected a policy with weights"),
        ({"victim": "scratch"}, "victim=scratch: give benign=POLICY"),
        ({"architecture": "lstm"}, "architecture: both sides start from given weights"),
        ({"method": "retrain"}, "attack-steps=0: retrain needs an attacker"),
        (
            {"method": "retrain", "attacker": "builtin:disc", "attacker_start": "scratch"},
            "attacker-start: retrain meets one fixed attacker: use attacker=POLICY",
        ),
        ({"method": "self-play", "num_games": 1}, "num-games: self-play needs at least 2"),
        ({"attacker_start": "zero"}, "start=zero needs a policy with weights"),
        ({"episodes": 0}, "episodes: expected at least 1"),
        ({"game": "matrix/rps", "victim": None, "num_games": None, "steps": None}, "games that can only be simulated"),
        ({"game": "matrix/rps", "method": "regularised", "bare": True}, "method=regularised: networks learn by it"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_before_anything_is_made(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    given = {"game": DUEL, **({} if changes.pop("bare", False) else EARLY), **changes}
    with pytest.raises(InputError, match=message) as told:
        sparring.defend(**given)  # pyright: ignore[reportArgumentType]  # settings by name
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_the_command_line_refuses_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["defend", DUEL, "--victim", "builtin:disc-early", "--updates", "5"]) == cli.BAD_INPUT
    assert capsys.readouterr().err.count("\n") == 1


def test_a_dry_run_plans_and_leaves_nothing(tmp_path: Path) -> None:
    planned = sparring.defend(DUEL, **{**EARLY, "attack_steps": 1000, "dry_run": True})
    # A round has 1,024 steps: two attacks of 1,024 and the hardening.
    assert planned["training_steps"] == 6144 + 2 * 1000 and planned["method"] == "min-oracle"
    assert not list(tmp_path.iterdir())
