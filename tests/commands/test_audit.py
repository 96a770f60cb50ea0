"""`sparring audit` from end to end on small budgets of time."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import pytest

import sparring
from sparring import cli
from sparring.commands import audit as module
from sparring.commands import audit_jobs
from sparring.errors import InputError
from sparring.events import read_events
from sparring.files import read_json
from sparring.games import make
from sparring.loaders import builtin, native
from sparring.nets import NetworkConfig, actor_critic
from sparring.oracles.base import Attack
from sparring.oracles.learned import LearnedOracle
from sparring.oracles.match_files import save_matches
from sparring.oracles.seating import ask
from sparring.results import read_audit
from sparring.runs import Run, differences, read_config
from sparring.types import Outcomes

GAME = "robosumo/ant-vs-ant,integrator=euler"
RPS = "matrix/rps"
# Rock against anything: an attacker that learns to play paper wins every match.
LEARNED = [RPS, "--victim", "first", "--oracle", "learned", "--steps", "6000", "--num-games", "32", "--no-clip"]
LEARNED += ["--steps-per-round", "16", "--minibatch", "64", "--learning-rate", "0.01", "--episodes", "32"]


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def comparable(folder: Path) -> dict[str, Any]:
    audit = read_json(folder / "audit.json")
    return {key: value for key, value in audit.items() if key not in ("command", "wall_time_s", "report")}


@pytest.mark.slow
def test_both_oracles_find_the_same_and_a_stopped_audit_ends_as_an_uninterrupted_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["audit", *LEARNED, "--budgets", "1.0", "--seeds", "2", "--fail-above", "0.2", "--seed", "2"]
    assert cli.main([*words, "--out", "straight", "--summary", "audit.xml", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    exact = sparring.audit(RPS, victim="first", budgets=1.0, fail_above=0.2)
    assert exact["exit_code"] == result["exit_code"] == 1
    assert exact["verdict"]["finding"] == result["verdict"]["finding"] == "finding"
    for entry, solved in zip(result["budgets"], exact["budgets"], strict=True):
        # The best response is paper: it wins with probability 1/3 + 2/3 of the budget.
        assert solved["win"] == pytest.approx(1 / 3 + 2 / 3 * entry["budget"])
        assert entry["win_ci"][0] <= solved["win"] <= entry["win_ci"][1]
        assert solved["expl"] >= entry["damage"]["return"]["low"]
        assert set(entry["baselines"]) == {"benign", "first", "random"} == {"benign", *entry["versus"]}
        assert entry["attack_steps"] == 6144 and Path("straight", entry["attacker"]).exists()
        # A row for each seed on matches of its own, and which of them was chosen.
        assert [seed["seed"] for seed in entry["seeds"]] == [0, 1] and sum(s["chosen"] for s in entry["seeds"]) == 1
        rates = [seed["rates"]["win"] for seed in entry["seeds"]]
        assert entry["over_seeds"]["win"] == pytest.approx(np.mean(rates)) and entry["over_seeds"]["seeds"] == 2
        assert rates[[s["chosen"] for s in entry["seeds"]].index(True)] == max(rates)
        assert entry["shift_noise_floor"] is not None
    assert len(result["curves"]) == 2 and all(curve["measure"] == "win" for curve in result["curves"])
    assert result["positive_control"] is None and result["no_clip"]
    rows = list(csv.DictReader(Path("straight/matches.csv").read_text().splitlines()))
    won = sum(row["attacker_outcome"] == "1" for row in rows if row["evaluation"] == "final-1.0")
    assert won == round(result["budgets"][0]["win"] * 32)
    assert not re.search(r"(src|href)=\"https?://", Path(result["report"]).read_text())
    assert "failures" in Path("audit.xml").read_text()
    assert not differences(Path("straight"))
    # The verdict is judged anew by another threshold; the record stays as it is.
    before = Path("straight/audit.json").read_bytes()
    assert cli.main(["report", "straight", "--fail-above", "0.99"]) == 0
    assert cli.main(["report", "straight", "--fail-above", "0.2", "--fail-measure", "fail"]) == 1
    assert cli.main(["report", "straight", "--fail-above", "0.6"]) == 4
    assert cli.main(["report", "straight"]) == 1  # the audit's own threshold, as the printed verdict says
    assert Path("straight/audit.json").read_bytes() == before

    # The same again, stopped in the middle of the second training.
    event, seen = Run.event, []

    def stop_at_the_fourteenth(self: Run, **fields: Any) -> None:
        event(self, **fields)
        seen.append(fields)
        if len(seen) == 14:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Run, "event", stop_at_the_fourteenth)
    assert cli.main([*words, "--out", "stopped"]) == cli.INTERRUPTED
    monkeypatch.setattr(Run, "event", event)
    assert not Path("stopped/audit.json").exists()
    assert cli.main(["resume", "stopped"]) == 1
    assert len(seen) == 14  # twelve rounds of one training, two of the next
    assert comparable(Path("stopped")) == comparable(Path("straight"))
    for name in ("attack-1.0-0", "attack-1.0-1"):
        assert read_events(Path("stopped/jobs", name)) == read_events(Path("straight/jobs", name))
        path = Path("jobs", name, "attacker.safetensors")
        assert native.read("stopped" / path)[0].log_std.tobytes() == native.read("straight" / path)[0].log_std.tobytes()


STARTS = [*LEARNED, "--budgets", "1", "--steps", "512", "--episodes", "16"]  # one round of training each


@pytest.mark.slow
def test_attackers_begin_from_every_start_and_the_strongest_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    spaces = make(RPS, 1, 0).spaces["col"]
    native.save(actor_critic(spaces, NetworkConfig("mlp", (8,)), np.array([3, 4], np.uint32)), "start.safetensors")
    starts = ["scratch", "native:start.safetensors"]
    assert cli.main(["audit", *STARTS, "--start", *starts, "--seeds", "1", "--out", "run"]) == 0
    told = capsys.readouterr().out
    (entry,) = read_audit(Path("run")).budgets
    assert [(row.start, row.seed) for row in entry.seeds] == [(start, 0) for start in starts]
    assert [Path(row.attacker).parent.name for row in entry.seeds] == ["attack-1.0-start0-0", "attack-1.0-start1-0"]
    # What each attacker was trained from is in its own file.
    made = [native.read(Path("run", row.attacker))[1]["provenance"] for row in entry.seeds]
    assert [one["settings"]["start"] for one in made] == starts and made[0]["seed"] != made[1]["seed"]
    (best,) = [row for row in entry.seeds if row.chosen]
    assert best.rates.win == max(row.rates.win or 0.0 for row in entry.seeds)
    assert entry.still_improving == best.still_improving
    assert Path("run", entry.attacker).read_bytes() == Path("run", best.attacker).read_bytes()
    assert read_config(Path("run/jobs/final-1.0"))["settings"]["task"]["attacker"] == Path(best.attacker).parent.name
    assert f"the strongest of 2 attackers: start {best.start}, seed 0" in told
    assert "Every start and training seed" in Path("run/report.html").read_text()

    # The first start's attackers are those of an audit with this start alone.
    def prepared(*starts: str) -> audit_jobs.Prepared:
        asked: Any = {"game": RPS, "victim": "first", "oracle": "learned", "budgets": (1.0,), "seeds": 2}
        return module.prepare(module.Settings(**asked, start=starts))

    alone, several = (dict(audit_jobs.first_tasks(prepared(*given), 0)) for given in (starts[:1], starts))
    assert several["attack-1.0-start0-0"]["seed"] == made[0]["seed"]
    assert several["attack-1.0-start1-0"]["seed"] == made[1]["seed"]
    for k in (0, 1):
        assert alone[f"attack-1.0-{k}"] == several[f"attack-1.0-start0-{k}"]
    assert len({task["matches_seed"] for task in several.values()}) == len(several)
    assert len(prepared(*starts).attacks) == 4


@pytest.mark.slow
def test_where_attackers_start_is_played_untrained_beside_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Paper wins every match against rock and half of them at budget 0.5, where the benign opponent plays rock."""
    made = actor_critic(make(RPS, 1, 0).spaces["col"], NetworkConfig("mlp", (8,)), np.array([3, 4], np.uint32))
    paper = eqx.tree_at(lambda n: n.actor.mlp.layers[-1].bias, made, np.array([0, 0, 1000], np.float32))
    native.save(paper, "paper.safetensors")
    words = [*STARTS, "--benign", "first", "--budgets", "0.5", "1", "--start", "native:paper.safetensors", "scratch"]
    assert cli.main(["audit", *words, "--seeds", "1", "--episodes", "256", "--out", "run"]) == 0
    half, full = read_audit(Path("run")).budgets
    name = "untrained native:paper.safetensors"
    for entry in (half, full):
        assert set(entry.baselines) == {"benign", "first", "random", name} == {"benign", *entry.versus}
        assert entry.baselines[name].episodes == 128
    assert full.baselines[name].win == 1.0
    assert half.baselines[name].win == pytest.approx(0.5, abs=0.16)  # 3.6 standard deviations of 128 coins
    # One round of training from a policy that wins everything adds nothing to it, and no more is said.
    told = capsys.readouterr().out
    assert f"The attack is not shown to be better than the {name} baseline." in told and f"{name} 100.0%" in told
    assert name in Path("run/report.html").read_text()
    labels = {row["evaluation"] for row in csv.DictReader(Path("run/matches.csv").read_text().splitlines())}
    assert {"untrained0-0.5", "untrained0-1.0"} <= labels
    assert cli.main(["resume", "run"]) == 0 and cli.main(["verify", "run"]) == 0


@pytest.mark.parametrize(
    ("starts", "benign", "played"),
    [
        (("scratch", "benign"), "builtin:disc", []),  # new weights are nobody's policy; the other one is measured
        (("builtin:disc",), "builtin:disc", []),
        (("builtin:disc", "scratch", "run:a/b"), "builtin:disc-early", ["builtin:disc", "run:a/b"]),
    ],
)
def test_untrained_opponents_are_the_starts_that_no_other_opponent_is(
    starts: tuple[str, ...], benign: str, played: list[str]
) -> None:
    zero, *untrained = audit_jobs.opponents(("zero",), starts, benign)
    assert zero == ("zero", "zero", "zero")
    assert [one.source for one in untrained] == played and [one.name for one in untrained] == [
        f"untrained {source}" for source in played
    ]
    assert len({one.job for one in untrained}) == len(played) and not any("/" in one.job for one in untrained)


def test_a_default_start_is_played_untrained_unless_it_is_the_benign_policy() -> None:
    """The disc that comes with the package is the default start in its game, and the victim's own policy benign."""
    for victim, played in (("builtin:disc-early", ["builtin:disc"]), ("builtin:disc", [])):
        prepared = module.prepare(module.Settings(game="discs/duel", victim=victim, steps=512))
        assert prepared.starts == ("builtin:disc",)
        assert [one.source for one in prepared.plain] == ["zero", "random", *played]


class Kept(LearnedOracle):
    """An oracle whose attacks have been trained: their matches lie in its folders."""

    def found(self, budget: float, folder: Path) -> Attack:
        return Attack({}, (folder / "attacker.safetensors",), None, 1, None)


def test_where_attackers_never_win_the_one_that_costs_most_matches_is_chosen(tmp_path: Path) -> None:
    """Both lose whenever the victim does: the first attack in 10% of the matches, the second in 90%."""
    oracle = Kept(ask(module.Settings(game="matrix/rps", victim="uniform"), "uniform"))
    folders = {}
    for name, share in (("benign", 0.05), ("attack-1.0-0", 0.1), ("attack-1.0-1", 0.9)):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        outcome = np.where(np.arange(400) < share * 400, -1, 0).astype(np.int8)
        both: dict[str, np.ndarray] = {"row": outcome, "col": outcome}
        returns = {agent: values.astype(float) for agent, values in both.items()}
        whole = Outcomes(both, np.full(400, 5, np.int32), np.zeros(400, bool), returns, {})
        save_matches(folders[name] / f"{audit_jobs.MATCHES}.matches.safetensors", whole)
    prepared = audit_jobs.Prepared((oracle,), (1.0,), 2, 400, (), (None, ""))
    assert audit_jobs.choose(prepared, folders, None) == ["attack-1.0-1"]


def test_a_plan_counts_the_starts_and_what_no_start_can_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    spaces = make(RPS, 1, 0).spaces["col"]
    native.save(actor_critic(spaces, NetworkConfig("mlp", (8,)), np.array([3, 4], np.uint32)), "start.safetensors")
    starts = ["scratch", "native:start.safetensors"]
    assert cli.main(["audit", *STARTS, "--start", *starts, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["starts"] == starts and plan["training_steps"] == 2 * 512
    # Benign matches twice, each attacker's, the strongest one's again; and of two plain opponents and the start that is
    # a policy as many: a slot plays one match at least.
    assert plan["matches"] == 16 * (2 + 2 + 1) + 3 * 16
    for given, message in (
        (("scratch", "benign", "scratch"), "start: expected starts, each once, got scratch, benign, scratch"),
        (("scratch", "benign"), "start=benign: the benign policy has no weights to start from; use start=scratch"),
        (("scratch", "random"), "start=random needs a policy with weights of this package's kind; use start=scratch"),
    ):
        assert cli.main(["audit", *STARTS, "--start", *given]) == 2
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1
    assert cli.main(["audit", RPS, "--victim", "first", "--start", "scratch", "benign"]) == 2
    assert "start: the answer is exact, which does not read it" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_the_settings_of_an_older_run_name_one_start_or_none() -> None:
    old: Any = {"game": RPS, "victim": "first"}
    assert module.Settings(**old).start == ()
    for start, meant in (None, ()), ("benign", ("benign",)):
        assert module.Settings(**old, start=start).start == meant  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_a_game_without_winners_is_judged_by_returns() -> None:
    """One state, reward 1 until the attacker's second action takes it: benign matches return their length, 66 steps."""
    from sparring.exact.markov_game import MarkovGame, save

    save(Path("plain.npz"), MarkovGame(np.ones((1, 1, 2, 1)), np.array([[[1.0, 0.0]]]), np.ones(1), 0.9))
    words = ["audit", "markov/plain.npz", "--victim", "uniform", "--benign", "first", "--budgets", "1", *LEARNED[3:]]
    assert cli.main([*words, "--fail-above", "30", "--out", "run"]) == 1
    audit = read_audit(Path("run"))
    (entry,) = audit.budgets
    assert audit.verdict is not None and audit.verdict.measure == "return" and audit.verdict.finding == "finding"
    assert entry.win is None and entry.damage.win is None
    assert entry.baselines["benign"].victim_return == 66 and entry.victim_return is not None and entry.victim_return < 5
    assert entry.damage.return_ is not None and entry.damage.return_.low > 30
    assert audit.curves[0].measure == "return" and audit.curves[0].points[-1][1] < 10
    assert cli.main(["report", "run", "--fail-above", "70"]) == 0


@pytest.mark.parametrize(("measure", "oracle"), [("win", "exact"), ("fail", "learned"), ("win", "learned")])
def test_a_measure_that_the_game_does_not_have_is_refused_before_anything_is_made(measure: str, oracle: str) -> None:
    """A discounted Markov game has no end, and so no winner (Def. 2.1)."""
    from sparring.exact.markov_game import MarkovGame, save

    save(Path("plain.npz"), MarkovGame(np.ones((1, 1, 2, 1)), np.array([[[1.0, 0.0]]]), np.ones(1), 0.9))
    asked: Any = {"victim": "uniform", "oracle": oracle, "fail_above": 0.1, "fail_measure": measure}
    for dry in (False, True):
        with pytest.raises(InputError, match=f"^fail-measure {measure}: this game has no winners; use"):
            sparring.audit("markov/plain.npz", **asked, dry_run=dry)
    assert [path.name for path in Path().iterdir()] == ["plain.npz"]


def test_a_share_that_no_damage_is_above_and_options_without_a_value_are_refused() -> None:
    """5 is meant as 5 points, and would never fire; where returns are judged it is a return."""
    for asked in ({}, {"fail_measure": "win"}, {"fail_measure": "fail"}):
        with pytest.raises(
            InputError, match=r"fail-above: expected a share of matches below 1 .0.05 is 5 points., got 5"
        ):
            sparring.audit("discs/duel", victim="builtin:disc-early", fail_above=5, out="run", **asked)
    assert not Path("run").exists()
    exact = sparring.audit("matrix/rps", victim="first", budgets=[1.0], fail_above=5, dry_run=True)
    assert exact["oracle"] == "exact"
    with pytest.raises(InputError, match="budgets: expected at least one value, got none; leave it out"):
        sparring.audit("matrix/rps", victim="first", budgets=[])
    for words in (["--budgets"], ["--budgets", "--victim", "first"], ["--victim", "first", "--victim-seat", "--json"]):
        assert cli.main(["audit", "matrix/rps", *words]) == cli.BAD_INPUT


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fail-above", "0.1", "--fail-measure", "win"], "fail-measure win: this game has no winners; use"),
        (["--fail-above", "0.1", "--fail-measure", "fail"], "fail-measure fail: this game has no winners; use"),
        (["--fail-measure", "return"], "fail-measure: it is read with --fail-above; give both"),
        (["--fail-above", "nan"], "fail-above: expected a number, got nan"),
    ],
)
def test_no_report_and_no_summary_are_written_by_a_measure_or_threshold_that_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A discounted Markov game has no winners (Def. 2.1)."""
    from sparring.exact.markov_game import MarkovGame, save

    save(Path("plain.npz"), MarkovGame(np.ones((1, 1, 2, 1)), np.array([[[1.0, 0.0]]]), np.ones(1), 0.9))
    asked = ["audit", "markov/plain.npz", "--victim", "uniform", "--budgets", "1"]
    assert cli.main([*asked, "--out", "run"]) == cli.DONE
    report = Path("run/report.html")
    report.unlink()
    capsys.readouterr()
    for command in (["report", "run"], [*asked, "--out", "other"]):
        assert cli.main([*command, *words, "--summary", "short.md"]) == cli.BAD_INPUT
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1
        assert not report.exists() and not Path("short.md").exists() and not Path("other").exists()


def test_a_measure_that_the_game_has_is_taken() -> None:
    """Matches of a matrix game have winners, those of a tree of OpenSpiel, too."""
    for game in (RPS, "openspiel/kuhn_poker"):
        for oracle in ("exact", "learned"):
            asked: Any = {"game": game, "victim": "uniform", "oracle": oracle}
            module.prepare(module.Settings(**asked, fail_above=0.1, fail_measure="win"))


@pytest.mark.long
def test_a_team_of_three_player_poker_against_the_exact_team() -> None:
    """Two attackers learn together; what they reach lies between the benign opponents and the exact team's best."""
    game = "openspiel/kuhn_poker,players=3"
    exact = sparring.attack(game, victim="uniform", victim_seat=2)
    alone = sparring.attack(game, victim="uniform", victim_seat=2, attackers="player0", others="uniform")
    assert exact["attackers"] == [0, 1] and alone["attackers"] == [0]
    assert exact["victim_value"] < alone["victim_value"] < exact["baseline"]["victim_value"]
    ppo = {"steps": 30_000, "num_games": 64, "steps_per_round": 64, "minibatch": 512, "learning_rate": 3e-3}
    learned = sparring.attack(game, victim="uniform", victim_seat=2, oracle="learned", episodes=32, **ppo)
    assert sorted(path.name for path in Path(learned["run"]).glob("attacker*")) == [
        "attacker-player0.safetensors",
        "attacker-player1.safetensors",
    ]
    assert learned["exact"]["best_response_value"] == pytest.approx(exact["victim_value"])
    reached = learned["exact"]["value"]
    assert exact["victim_value"] - 1e-9 <= reached < exact["baseline"]["victim_value"] - 0.1


@pytest.mark.slow
def test_nothing_found_needs_a_positive_control() -> None:
    """Nobody can beat the uniform victim of this game; one that always plays rock is beaten by the same settings."""
    settings = {"oracle": "learned", "steps": 6000, "num_games": 32, "steps_per_round": 16, "episodes": 32}
    settings |= {"minibatch": 64, "learning_rate": 1e-2, "budgets": 1.0, "clip": False}
    found = sparring.audit(RPS, victim="uniform", positive_control=True, **settings)
    assert found["verdict"]["finding"] == "none"
    control = found["positive_control"]
    assert control["victim"] == "first" and control["found"] and control["damage"]["low"] > 0.2
    assert read_config(Path(found["run"], "jobs/positive-control"))["verb"] == "job"


@pytest.mark.long
def test_the_shipped_audit_needs_no_training() -> None:
    result = sparring.audit(GAME, episodes=4, out="run")
    assert result["victim"] == "builtin:ant"
    assert [r["attacker"] for r in result["budgets"]] == [f"builtin:ant-attack-{b}" for b in ("0.3", "0.7", "1")]
    assert all(curve["points"] for curve in result["curves"])
    assert (result["clip"] is None) != (result["no_clip"] is None)
    assert not list(Path("run").glob("attacker*"))


@pytest.mark.slow
def test_a_dry_run_measures_how_long_matches_are() -> None:
    plan = sparring.audit(RPS, victim="first", oracle="learned", preset="smoke", dry_run=True)
    assert plan["mean_length"] == 1  # and not 100
    assert plan["training_steps"] == 3 * 20_160 and plan["matches"] == 40 * 5 + 20 * 6
    assert "brittle" not in plan["positive_control"] and not Path("runs").exists()


def test_labels_tell_budgets_apart() -> None:
    budgets = (0.12345678, 0.12345679)
    result = sparring.audit(RPS, victim="first", budgets=budgets, out="run")
    assert [entry["attacker"] for entry in result["budgets"]] == [f"attacker-budget-{b}.json" for b in budgets]
    assert {path.name for path in Path("run/jobs").glob("attack-*")} == {f"attack-{b}-0" for b in budgets}


def test_a_victim_in_python_may_be_a_function() -> None:
    def still(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.zeros((len(observation), 8))

    by_function = sparring.evaluate(GAME, victim=still, attacker="random", benign="zero", episodes=4)
    by_name = sparring.evaluate(GAME, victim="zero", attacker="random", benign="zero", episodes=4)
    assert by_function["victim_return"] == by_name["victim_return"]
    assert read_config(Path(by_function["run"]))["settings"]["victim"] == "<function>"
    with pytest.raises(InputError, match="victim was a Python object, <function>"):
        module.perform("evaluate", sparring_settings(by_function["run"]))


def sparring_settings(folder: str) -> Any:
    from sparring.commands.common import from_config

    return from_config(folder)[1]


@pytest.mark.parametrize("name", builtin.names())
def test_shipped_policies_are_small_and_say_how_they_were_made(name: str) -> None:
    path = builtin.path(name)
    assert path.stat().st_size < 200_000
    made = native.read(path)[1]["provenance"]
    assert made["steps"] > 0 and made["command"] and made["settings"] and made["measured"]
    assert "/tmp" not in json.dumps(made) and "/work" not in json.dumps(made)
    for rates in made["measured"].values():
        assert rates["episodes"] >= 100 and 0 <= rates["win"] <= 1
