"""`sparring audit` from end to end on small budgets of time."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparring
from sparring import cli
from sparring.commands import audit as module
from sparring.commands.learned import curve
from sparring.files import read_json
from sparring.loaders import builtin, native
from sparring.report.html import rewrite_report
from sparring.runs import differences

GAME = "robosumo/ant-vs-ant,integrator=euler"
TRAINED = ["audit", GAME, "--victim", "zero", "--steps", "512", "--num-games", "8", "--steps-per-round", "32"]
TRAINED += ["--episodes", "6", "--budgets", "0.5", "1.0", "--no-clip", "--seed", "2"]


def comparable(folder: Path) -> dict[str, Any]:
    audit = read_json(folder / "audit.json")
    return {key: audit[key] for key in ("game", "budgets", "curves", "victim", "benign", "not_tested")}


def test_a_trained_audit_stopped_half_way_equals_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*TRAINED, "--out", "straight", "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert [r["budget"] for r in result["budgets"]] == [0.5, 1.0]
    for entry in result["budgets"]:
        assert set(entry["baselines"]) == {"benign", "zero", "random"}
        assert entry["shift"] >= 0 and entry["oracle"] == "learned (lower bound)" and entry["attack_steps"] == 512
    assert result["no_clip"] and "clip" not in result
    page = Path(result["report"]).read_text()
    assert not re.search(r"(src|href)=\"https?://", page)
    assert differences(Path("straight")) == {}

    command = [sys.executable, "-m", "sparring", *TRAINED, "--out", "stopped"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not Path("stopped/evaluations.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    assert process.returncode == cli.INTERRUPTED, errors
    assert not Path("stopped/audit.json").exists()
    assert cli.main(["resume", "stopped"]) == cli.DONE
    assert comparable(Path("stopped")) == comparable(Path("straight"))

    before = Path("straight/report.html").read_bytes()
    Path("straight/report.html").unlink()
    assert rewrite_report(Path("straight")).read_bytes() == before


def test_the_shipped_audit_needs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = sparring.audit(GAME, episodes=4, out="run")
    assert result["victim"] == "builtin:ant"
    assert [r["attacker"] for r in result["budgets"]] == [f"builtin:ant-attack-{b}" for b in ("0.3", "0.7", "1")]
    assert all(curve["points"] for curve in result["curves"])
    assert ("clip" in result) != ("no_clip" in result)
    assert not list(Path("run").glob("attacker*"))


def test_the_exit_code_tells_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    damage = {"win": 0.9, "baselines": {"benign": {"win": 0.5}}}
    allowed = {"win": 0.55, "baselines": {"benign": {"win": 0.5}}}
    settings = module.Settings(game=GAME, fail_above=0.3)
    assert module.finding(settings, {"budgets": [allowed, damage]})
    assert not module.finding(settings, {"budgets": [allowed]})
    assert not module.finding(module.Settings(game=GAME), {"budgets": [damage]})
    assert cli.main([*TRAINED[:-4], "--no-clip", "--fail-above", "-1", "--out", "run"]) == cli.FINDING


def test_a_victim_in_python_may_be_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def still(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.zeros((len(observation), 8))

    by_function = sparring.evaluate(GAME, victim=still, attacker="random", benign="zero", episodes=4)
    by_name = sparring.evaluate(GAME, victim="zero", attacker="random", benign="zero", episodes=4)
    assert by_function["victim_return"] == by_name["victim_return"]
    assert read_json(Path(by_function["run"]) / "config.json")["settings"]["victim"] == "<function>"


def test_curve_counts_the_matches_of_one_training() -> None:
    events = [{"training": "a", "steps": 10 * i, "win": i % 2, "draw": 0, "loss": 1} for i in range(1, 7)]
    events.append({"training": "b", "steps": 10, "win": 50, "draw": 0, "loss": 0})
    points = curve(events, "a", points=2)
    # Rounds 1-3 have wins 1, 0, 1 of 5 matches, rounds 4-6 wins 0, 1, 0 of 4.
    assert [(p[0], p[1]) for p in points] == [(30.0, 2 / 5), (60.0, 1 / 4)]
    assert all(low <= rate <= high for _, rate, low, high in points)


@pytest.mark.parametrize("name", builtin.names())
def test_shipped_policies_are_small_and_say_how_they_were_made(name: str) -> None:
    path = builtin.path(name)
    assert path.stat().st_size < 200_000
    made = native.read(path)[1]["provenance"]
    assert made["steps"] > 0 and made["command"] and made["settings"] and made["measured"]
    assert "/tmp" not in json.dumps(made) and "/work" not in json.dumps(made)
    for rates in made["measured"].values():
        assert rates["episodes"] >= 100 and 0 <= rates["win"] <= 1
