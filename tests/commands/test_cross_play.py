"""`sparring evaluate` of several victims and attackers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sparring
from sparring import cli
from sparring.commands.cross_play import attackers_of, cell_seed, victims_of
from sparring.errors import InputError
from sparring.files import read_json
from sparring.runs import differences

RPS, DUEL = "matrix/rps", "discs/duel"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def cell(result: dict[str, Any], victim: str, attacker: str | None) -> dict[str, Any]:
    (row,) = [row for row in result["rows"] if row["victim"] == victim]
    return row["clean"] if attacker is None else next(one for one in row["cells"] if one["attacker"] == attacker)


def test_every_victim_meets_every_attacker_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    # Against the column's action 0 the victim's action 0 draws, action 2 beats it, and it beats action 1.
    for action in "12":
        Path(f"{action}.json").write_text(json.dumps({"0": {action: 1.0}}))
    words = ["evaluate", RPS, "--victim", "first", "tabular:2.json", "--budget", "0.5", "--out", "run"]
    assert cli.main([*words, "--attacker", "tabular:2.json", "tabular:1.json", "first"]) == 0
    told = capsys.readouterr().out
    result = read_json(Path("run/evaluate.json"))
    assert (result["schema"], result["oracle"], result["budget"]) == ("sparring.cross-play/2", "exact", 0.5)
    assert result["victim"] == "first, tabular:2.json"
    # Half of the time the benign opponent plays uniformly, which is worth 0.
    values = [[one["victim_value"] for one in row["cells"]] for row in result["rows"]]
    assert values == [pytest.approx([-0.5, 0.5, 0.0]), pytest.approx([0.0, -0.5, 0.5])]
    assert [row["clean"]["victim_value"] for row in result["rows"]] == pytest.approx([0.0, 0.0])
    damage = result["rows"][0]["cells"][0]["damage"]["value"]
    assert damage["value"] == damage["low"] == damage["high"] == pytest.approx(0.5)
    assert "All numbers are exact." in told and str(Path("run/cross-play.html").resolve()) in told
    assert not differences(Path("run"))
    page = Path("run/cross-play.html").read_text()
    assert "tabular:1.json" in page and "<script" not in page and Path("run/cross-play.svg").exists()


def test_a_cell_does_not_change_with_the_other_cells() -> None:
    asked: dict[str, Any] = {"oracle": "sampled", "episodes": 24, "budget": 0.5}
    few = sparring.evaluate(RPS, victim="first", attacker=["uniform", "first"], **asked)
    many = sparring.evaluate(RPS, victim=["uniform", "first"], attacker=["first", "uniform"], **asked)
    for attacker in ("first", "uniform", None):
        assert cell(few, "first", attacker) == cell(many, "first", attacker)
    seeds = [cell_seed(0, v, a) for v in ("first", "uniform") for a in ("first", "uniform", None)]
    assert len(set(seeds)) == 6 and cell_seed(1, "first", None) != seeds[2]
    row = many["rows"][0]
    assert row["clean"]["episodes"] == 24 and row["cells"][0]["win_ci"][0] <= row["cells"][0]["win"]
    assert row["cells"][0]["damage"]["win"]["value"] == row["cells"][0]["win"] - row["clean"]["win"]


@pytest.mark.slow
def test_a_simulated_game_shows_wins_and_clean_performance_beside(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "evaluate",
        DUEL,
        "--victim",
        "builtin:disc",
        "builtin:disc-early",
        "--attacker",
        "zero",
        "--budget",
        "0.5",
    ]
    assert cli.main([*words, "--benign", "zero", "--episodes", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["oracle"] == "sampled" and [len(row["cells"]) for row in result["rows"]] == [1, 1]
    for row in result["rows"]:
        assert row["benign"] == "zero" and row["clean"]["episodes"] == row["cells"][0]["episodes"] == 4


def test_a_plan_counts_the_cells() -> None:
    plan = sparring.evaluate(RPS, victim=["uniform", "first"], attacker=["first", "uniform"], dry_run=True)
    assert plan["cells"] == 6
    assert "cells" not in sparring.evaluate(RPS, victim="first", attacker="first", dry_run=True)


def test_one_victim_and_one_attacker_are_no_matrix() -> None:
    alone = sparring.evaluate(RPS, victim=["first"], attacker=["uniform"], budget=0.5)
    assert alone["schema"] == "sparring.evaluate/2" and alone["settings"]["victim"] == ["first"]
    assert (
        alone["victim_value"] == sparring.evaluate(RPS, victim="first", attacker="uniform", budget=0.5)["victim_value"]
    )
    assert not (Path(alone["run"]) / "cross-play.html").exists()


def test_who_attacks_in_a_team() -> None:
    team = ("a", "b")
    # Names without + are one joint attacker, as they are without a matrix.
    assert [one.source for one in attackers_of(("x", "y"), team)] == [{"a": "x", "b": "y"}]
    assert [one.source for one in attackers_of(("x",), team)] == ["x"]
    columns = attackers_of(("x+y", "z"), team)
    assert [one.name for one in columns] == ["x+y", "z"]
    assert [one.source for one in columns] == [{"a": "x", "b": "y"}, "z"]
    # Where there is one agent, a file's name may hold a +.
    assert [one.source for one in attackers_of(("native:x+y", "z"), ("a",))] == ["native:x+y", "z"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((("x", "y"), ("a", "b", "c")), "attacker: expected one policy, or one for each of a, b, c .*, got 2"),
        ((("x+y", "z"), ("a", "b", "c")), "attacker: expected one policy, or one for each of a, b, c .*, got 2"),
        ((("x", "x"), ("a",)), "attacker: expected policies, each once, got x, x"),
        (((), ("a",)), "attacker: expected one policy, got 0"),
    ],
)
def test_attackers_that_cannot_be_are_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        attackers_of(*given)
    assert "\n" not in str(raised.value)


def test_victims_that_cannot_be_are_refused() -> None:
    for given, message in (
        ((), "victim: expected a policy, or several, got none"),
        (("x", "y", "x"), "victim: expected policies, each once, got x, y, x"),
        (
            ("x", print),
            "victim: expected names, as several victims are given by name, got <builtin_function_or_method>",
        ),
    ):
        with pytest.raises(InputError, match=message):
            victims_of(given)
    with pytest.raises(InputError, match="the answer is exact"):
        sparring.evaluate(RPS, victim=["first", "uniform"], attacker="first", episodes=4)
    assert not Path("runs").exists()


def test_a_team_of_three_player_poker_is_set_against_two_victims() -> None:
    game = "openspiel/kuhn_poker,players=3"
    asked: dict[str, Any] = {"victim_seat": 2, "victim": ["uniform", "first"]}
    crossed = sparring.evaluate(game, attacker=["first+uniform", "uniform"], **asked)
    for victim in ("uniform", "first"):
        one = sparring.evaluate(game, victim=victim, victim_seat=2, attacker=["first", "uniform"])
        assert cell(crossed, victim, "first+uniform")["victim_value"] == pytest.approx(one["victim_value"])
        assert cell(crossed, victim, "uniform")["damage"]["value"]["value"] == pytest.approx(0.0)
