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


def matrix(name: str, rows: list[list[float]]) -> str:
    np.save(name, np.array(rows))
    return f"matrix/{name}"


def playing(name: str, *probabilities: float) -> str:
    Path(name).write_text(json.dumps({"0": {str(action): p for action, p in enumerate(probabilities)}}))
    return f"tabular:{name}"


def test_payoffs_that_the_victim_never_meets_hide_no_damage() -> None:
    """Row 0 pays 1 or 0: the attack takes .5 from the victim, which never plays the row that pays ten billion."""
    game = matrix("large.npy", [[1.0, 0.0], [1e10, 1e10]])
    found = sparring.audit(game, victim="first", budgets=[1.0], fail_above=0.1, out="audit")
    assert found["exit_code"] == cli.FINDING and found["verdict"]["damage"]["value"] == 0.5
    assert found["scale"] == {"low": 0.0, "high": 1.0, "range_from": "game", "rounding": pytest.approx(1e-13)}
    near = sparring.audit(matrix("near.npy", [[1e10, 1e10 - 5]]), victim="first", budgets=[1.0], out="near")
    assert (
        near["verdict"]["damage"]["value"] == 2.5 and "from 9999999997.5 down to 9999999995," in near["verdict"]["text"]
    )


def test_the_range_of_values_is_what_an_attacker_can_make_of_this_victim() -> None:
    """A first player of Kuhn poker that always passes loses 1 to bets, and is even where the other one passes, too."""
    scale = sparring.audit(KUHN, victim="first", budgets=[1.0], out="first")["scale"]
    assert (scale["low"], scale["high"]) == pytest.approx((-1.0, 0.0), abs=1e-12)
    scale = sparring.audit("matrix/rps", victim="first", budgets=[1.0], out="rps")["scale"]
    assert (scale["low"], scale["high"]) == (-1.0, 1.0)


@pytest.mark.parametrize("gamma", [0.99, 0.9999, 0.99999])
@pytest.mark.parametrize("spread", [0.0, 1e-7])
def test_rounding_of_long_games_is_no_finding(gamma: float, spread: float) -> None:
    """What the attacker does changes nothing, so every damage is 0; a value is off by 1 / (1 - gamma) roundings."""
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(6), size=(6, 2, 2))
    P[:, :, 1] = P[:, :, 0]
    r = np.broadcast_to(0.1 + spread * rng.random((6, 2, 1)), (6, 2, 2))
    np.savez("long.npz", P=P, r=r, rho=np.full(6, 1 / 6), gamma=gamma)
    found = sparring.audit("markov/long.npz", victim="first", budgets=[0.3, 0.7, 1.0], fail_above=0, out="long")
    assert found["exit_code"] == cli.DONE and found["verdict"]["finding"] == "none"


@pytest.mark.parametrize("gamma", [0.99999, 0.999999999])
def test_a_loss_that_comes_once_is_found_in_games_that_hardly_end(gamma: float) -> None:
    """The first state pays 1 or 0, and nothing is paid afterwards: the benign opponent costs half of it."""
    P, r = np.zeros((2, 1, 2, 2)), np.zeros((2, 1, 2))
    P[..., 1], r[0, 0] = 1, (1, 0)
    np.savez("once.npz", P=P, r=r, rho=[1.0, 0.0], gamma=gamma)
    found = sparring.audit("markov/once.npz", victim="uniform", budgets=[1.0], fail_above=0.1, out="once")
    assert found["exit_code"] == cli.FINDING and found["verdict"]["damage"]["value"] == pytest.approx(0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("actions", "budget"), [(2, 0.6), (2, 0.3), (3, 0.9), (5, 0.1)])
def test_damage_that_is_just_allowed_is_no_finding_in_any_measure(actions: int, budget: float) -> None:
    """The attacker wins with one action of n; the benign opponent plays all alike: the damage is eps (n - 1) / n."""
    game = matrix("one.npy", [[-1.0] + [1.0] * (actions - 1)])
    allowed = float(f"{budget * (actions - 1) / actions:.6g}")
    for measure, most in (("win", allowed), ("fail", allowed), ("value", 2 * allowed)):
        asked = {"budgets": [budget], "fail_above": most, "fail_measure": measure}
        assert sparring.audit(game, victim="first", out=measure, **asked)["exit_code"] == cli.DONE


@pytest.mark.slow
def test_rounding_is_no_change_of_the_damage_and_a_change_is_no_rounding() -> None:
    """Two actions that are the same at gamma .99999; and a victim that loses .05 instead of .5."""
    rng = np.random.default_rng(1)
    P, r = rng.dirichlet(np.ones(4), size=(4, 2, 2)), rng.normal(size=(4, 2, 2))
    P[:, 1], r[:, 1] = P[:, 0], r[:, 0]
    np.savez("alike.npz", P=P, r=r, rho=np.full(4, 0.25), gamma=0.99999)
    for name, one in (("a", 0.3), ("b", 0.7)):
        Path(f"{name}.json").write_text(json.dumps({str(state): {"0": one, "1": 1 - one} for state in range(4)}))
        sparring.audit("markov/alike.npz", victim=f"tabular:{name}.json", budgets=[0.3, 1.0], out=name)
    assert "No change of the damage is beyond the noise." in sparring.compare("a", "b")["text"]
    game = matrix("third.npy", [[0.0, 1.0], [0.9, 1.0], [1e10, 1e10]])
    for name, victim in (("c", playing("c.json", 1, 0, 0)), ("d", playing("d.json", 0, 1, 0))):
        sparring.audit(game, victim=victim, budgets=[1.0], out=name)
    assert "The damage fell, beyond the noise, at 1 of 1 budgets." in sparring.compare("c", "d")["text"]
    advice = sparring.budgets(["c", "d"], trained_at=["none", 1.0])
    assert advice["advised"] == "1" and advice["alike"] == []
