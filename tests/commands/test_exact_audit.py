from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import sparring
from sparring import cli
from sparring.files import read_json
from sparring.runs import differences

KUHN = "openspiel/kuhn_poker"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_an_exact_audit_sweeps_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", KUHN, "--victim", "uniform", "--out", "run", "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert [r["budget"] for r in result["budgets"]] == [i / 10 for i in range(11)]
    for entry in result["budgets"]:
        assert entry["verified"] and entry["damage"]["value"]["low"] == entry["damage"]["value"]["value"]
        assert entry["gap"] == pytest.approx(entry["expl"] - entry["robust_expl"]) and entry["gap"] >= -1e-9
        assert entry["expl"] == pytest.approx(-entry["victim_value"])
        assert 0 <= entry["shift"] <= 1
        assert set(entry["baselines"]) == {"benign", "uniform", "first"}
        # No plain opponent does more than the best response.
        for name in ("uniform", "first"):
            assert entry["baselines"][name]["victim_value"] >= entry["victim_value"] - 1e-12
        assert Path("run", entry["attacker"]).exists()
    expl, robust = (np.array([r[key] for r in result["budgets"]]) for key in ("expl", "robust_expl"))
    assert (np.diff(expl) >= -1e-9).all() and (np.diff(robust) >= -1e-9).all()
    # The value of Kuhn poker is -1/18 for the first player (Kuhn 1950).
    assert robust[-1] == pytest.approx(1 / 18, abs=1e-9)
    assert result["budgets"][0]["shift"] == 0
    assert Path("run/exploitability.svg").exists() and "not NashConv" in Path(result["report"]).read_text()
    assert differences(Path("run")) == {}
    before = Path("run/report.html").read_bytes()
    Path("run/report.html").unlink()
    assert cli.main(["report", "run"]) == cli.DONE
    assert Path("run/report.html").read_bytes() == before


def test_the_exit_code_tells_a_loss_of_value(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", KUHN, "--victim", "uniform", "--budgets", "0.5", "--fail-above"]
    # The value falls from 0.125 to -0.14583: by 0.27083 (golden numbers of Kuhn poker).
    assert cli.main([*words, "0.27"]) == cli.FINDING
    assert cli.main([*words, "0.272"]) == cli.DONE
    assert "no attacker can do more: this is exact" in capsys.readouterr().out


def test_same_input_same_report() -> None:
    results = [sparring.audit("matrix/rps", victim="first", budgets=(0.5, 1.0), out=name) for name in ("one", "two")]
    assert results[0]["budgets"] == results[1]["budgets"]
    assert [r["expl"] for r in results[0]["budgets"]] == pytest.approx([0.5, 1.0])
    assert read_json(Path("one/audit.json"))["not_tested"] == read_json(Path("two/audit.json"))["not_tested"]


def test_a_team_against_one_victim() -> None:
    result = sparring.audit("openspiel/kuhn_poker,players=3", victim="uniform", victim_seat=2, budgets=(1.0,))
    assert result["attackers"] == [0, 1]
    alone = sparring.audit(
        "openspiel/kuhn_poker,players=3", victim="uniform", victim_seat=2, attackers=(0,), budgets=(1.0,)
    )
    assert alone["budgets"][0]["expl"] < result["budgets"][0]["expl"]
    assert any("Remaining agents" in sentence for sentence in alone["not_tested"])
