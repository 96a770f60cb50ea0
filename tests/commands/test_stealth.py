"""`sparring stealth`: attacks of discs, of a finite game by matches and exactly, and input that means nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sparring
from sparring import cli, detectors
from sparring.commands.common import from_config, perform
from sparring.errors import InputError

FEW: dict[str, Any] = {"budgets": (1.0,), "episodes": 40}
DISCS: dict[str, Any] = {"victim": "builtin:disc-early", "budgets": (1.0,), "episodes": 40}


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_the_attackers_that_come_with_the_package_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "stealth",
        "discs/duel",
        "--victim",
        "builtin:disc-early",
        "--budgets",
        "1",
        "--episodes",
        "40",
        "--out",
        "run",
    ]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "builtin:disc-early-attack-1" in said and "benign against benign" in said
    result = json.loads(Path("run/stealth.json").read_text())
    (row,) = result["rows"]
    seen = row["visibility"]
    assert seen["auc_match"]["value"] > 0.7 and seen["matches"] == [40, 40]
    assert {d["features"] for d in seen["distances"]} == {"all features", "position", "velocity", "time"}
    assert result["features"][-1] == "remaining time" and len(result["features"]) == 9
    page = Path("run/stealth.html").read_text()
    assert "How visible are attacks" in page and "What the classifier looks at" in page
    # Its detector runs on a stream.
    detector = detectors.read("run/detector-state.safetensors")
    assert detector.game == "discs/duel" and detector.names == tuple(result["features"])
    lines = "".join(json.dumps({"observation": [0.0] * 9, "first": k == 0}) + "\n" for k in range(3))
    command = [sys.executable, "-m", "sparring", "detect", "run/detector-state.safetensors"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    # The same seed gives the same record.
    again = sparring.stealth("discs/duel", **DISCS)
    assert again["rows"] == json.loads(Path("run/stealth.json").read_text())["rows"]


@pytest.mark.slow
def test_features_can_be_chosen_and_all_agents_looked_at() -> None:
    found = sparring.stealth(
        "discs/duel", **DISCS, attacker="random", states="joint", features="*velocity", discount=0.9
    )
    assert len(found["features"]) == 8 and found["features"][0] == "disc0 own forward velocity"
    assert found["discount"] == 0.9 and found["rows"][0]["attacker"] == "random"
    assert found["rows"][0]["visibility"]["importance"][0][0].endswith("velocity")


def test_in_a_finite_game_distances_are_exact_and_the_papers_bounds_stand_beside_them() -> None:
    """Kuhn poker against an attacker that always passes, at budget .5: by hand, the second player's choices."""
    found = sparring.stealth("openspiel/kuhn_poker", victim="uniform", attacker="first", budgets=(0.5,))
    (row,) = found["rows"]
    known = {d["measure"]: d["value"] for d in row["visibility"]["distances"]}
    played = sparring.evaluate("openspiel/kuhn_poker", victim="uniform", attacker="first", budget=0.5)
    assert row["victim_value"] == pytest.approx(played["victim_value"])
    # The victim decides at 3 cards with an empty history always, and after "pass, bet" with probability .5 times that
    # of a bet: .5 without the attack and .25 with it. Of all its decisions that is .2 and .25 / 2.25 = 1 / 9 ...
    before, after = 0.25 / 1.25, 0.125 / 1.125
    assert known["total variation"] == pytest.approx(before - after)
    assert [bound["name"] for bound in row["bounds"]] == ["Proposition 3.1", "Proposition 3.2"]
    assert all(bound["true"] <= bound["sharp"] + 1e-12 for bound in row["bounds"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"game": "discs/duel", "victim": "zero", "benign": "zero"}, "give --attacker POLICY"),
        ({"game": "discs/duel", **DISCS, "episodes": 10}, "episodes: expected at least 20, got 10"),
        ({"game": "discs/duel", **DISCS, "features": ("hip*",)}, "feature"),
        ({"game": "discs/duel", **DISCS, "discount": 0.0}, "discount: expected a number above 0 and at most 1"),
        ({"game": "discs/duel", **DISCS, "budgets": (1.0, 1.0)}, "budgets: expected different ones, got 1 twice"),
        ({"game": "discs/duel", **DISCS, "attacker": "builtin:ant"}, "it was made for observations of size 120"),
        (
            {"game": "openspiel/kuhn_poker", "victim": "uniform", "attacker": "first", "episodes": 40},
            "episodes: the answer is exact, which does not read it: use --oracle sampled",
        ),
    ],
)
def test_what_cannot_be_looked_at_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sparring.stealth(settings.pop("game"), **settings, out="run")
    assert not Path("run").exists()


@pytest.mark.slow
def test_matches_that_are_not_the_asked_ones_are_not_looked_at() -> None:
    """Of a run that was interrupted: another kind of file, other matches, one bit that has flipped."""
    sparring.stealth("openspiel/kuhn_poker", victim="uniform", attacker="first", oracle="sampled", out="run", **FEW)
    for name in ("stealth.json", "manifest.json"):
        Path("run", name).unlink()
    status = json.loads(Path("run/status.json").read_text())
    Path("run/status.json").write_text(json.dumps({**status, "state": "running"}))
    attacked, benign = Path("run/attack-0.matches.safetensors"), Path("run/benign-0.matches.safetensors")
    own = attacked.read_bytes()
    flipped = bytearray(own)
    flipped[-2000] ^= 1
    damage = {
        "has no matches": Path("run/detector-state.safetensors").read_bytes(),
        "has other matches: expected budget 1.0, got 0.0": benign.read_bytes(),
        "is damaged": bytes(flipped),
    }
    for message, content in damage.items():
        attacked.write_bytes(content)
        with pytest.raises(InputError, match=message):
            perform("stealth", from_config(Path("run"))[1], resume=Path("run"))
    attacked.write_bytes(own)
    assert perform("stealth", from_config(Path("run"))[1], resume=Path("run"))["rows"]


def test_what_is_kept_beside_a_result_is_no_policy(tmp_path: Path) -> None:
    Path("run").mkdir()
    Path("run/detector-state.safetensors").touch()
    with pytest.raises(InputError, match="expected a run folder with one policy, found none"):
        sparring.stealth("discs/duel", victim="builtin:disc-early", attacker="run:run")
