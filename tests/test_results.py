"""The JSON contract: what is written is read again, older files too, and what is wrong is named in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audits import exact, learned, matches, returns, three_budgets

from sparring import results
from sparring.answers import AuditResult, CertifyResult, DefendResult, EvaluateResult
from sparring.errors import InputError
from sparring.judgement import judged
from sparring.metrics.intervals import newcombe, wilson
from sparring.records import replaced
from sparring.results import KINDS, encode, json_schema, plain, read, read_audit, write


def evaluated(**changes: Any) -> EvaluateResult:
    values = {"game": "g", "victim": "v", "victim_seat": 0, "benign": "b", "oracle": "sampled", "attacker": "a"}
    return EvaluateResult(**{**values, "budget": 0.5, **changes})


@pytest.mark.parametrize(
    "record",
    [
        three_budgets(fail_above=0.05),
        learned({1.0: returns([0.0, 1.0, 2.0], invalid=1)}, returns([3.0, 2.0, 3.0])),
        exact({0.0: 0.125, 1.0: -0.4}),
        evaluated(win=0.25, win_ci=(0.1, 0.5), episodes=4),
    ],
    ids=["learned", "without winners", "exact", "evaluate"],
)
def test_what_is_written_is_read_again(record: Any, tmp_path: Path) -> None:
    path = write(record, tmp_path / "result.json")
    assert read(path) == record
    assert read(path.read_bytes()) == record
    assert read(json.loads(path.read_text())) == record
    assert json.loads(path.read_text()) == plain(record)


def test_flat_keys_stay_where_they_were_and_the_new_ones_are_there() -> None:
    audit = plain(three_budgets(fail_above=0.05))
    assert audit["schema"] == "sparring.audit/2"
    assert audit["verdict"].keys() >= {"finding", "measure", "budget", "text", "fail_above", "damage"}
    first = audit["budgets"][0]
    for key in ("win", "win_ci", "draw", "loss", "victim_return", "victim_return_ci", "attacker_return", "episodes"):
        assert first[key] is not None
    assert first["fail"] == first["win"]
    assert set(first["damage"]) == {"win", "fail", "return", "value"}
    assert first["damage"]["return"]["low"] <= first["damage"]["return"]["value"] <= first["damage"]["return"]["high"]


def test_numpy_numbers_paths_and_nan_become_plain_json(tmp_path: Path) -> None:
    record: Any = evaluated(
        budget=np.float32(0.5), win=np.float64(0.5), episodes=np.int64(4), victim_return=float("nan"), attacker=tmp_path
    )
    found = plain(record)
    assert (found["budget"], found["win"], found["episodes"]) == (0.5, 0.5, 4)
    assert (found["victim_return"], found["attacker"]) == (None, str(tmp_path))


def test_a_record_of_other_types_is_not_written(tmp_path: Path) -> None:
    bad: Any = evaluated(win="often")
    with pytest.raises(InputError, match=r"EvaluateResult: Expected `float \| null`, got `str` - at `\$\.win`"):
        write(bad, tmp_path / "result.json")
    with pytest.raises(InputError, match="expected plain JSON, got object"):
        write(evaluated(settings={"x": object()}), tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    audit = plain(three_budgets())
    cases = [
        ({**audit, "schema": "sparring.audit/3"}, "was written by a newer version of sparring"),
        ({**audit, "schema": "sparring.poem/2"}, "expected a schema such as sparring.audit/2, got 'sparring.poem/2'"),
        ({**audit, "schema": 2}, "expected a schema such as"),
        ({**audit, "budgets": [{**audit["budgets"][0], "win": "x"}]}, r"got `str` - at `\$\.budgets\[0\]\.win`"),
        ({key: value for key, value in audit.items() if key != "game"}, "missing required field `game`"),
        ({}, "audit.json has no schema, .* it has no game"),
    ]
    for data, message in cases:
        path = tmp_path / "audit.json"
        path.write_text(json.dumps(data))
        with pytest.raises(InputError, match=message) as raised:
            read(path)
        assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    for text, message in (("[1]", "expected a JSON object, got list"), ("{", "is no JSON")):
        (tmp_path / "audit.json").write_text(text)
        with pytest.raises(InputError, match=message):
            read(tmp_path / "audit.json")
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / "nowhere.json")


def test_an_audit_is_found_in_its_folder_and_nothing_else_is_taken_for_one(tmp_path: Path) -> None:
    audit = three_budgets()
    write(audit, tmp_path / "audit.json")
    assert read_audit(tmp_path) == read_audit(tmp_path / "audit.json") == audit
    write(replaced(audit, budgets=()), tmp_path / "empty.json")
    with pytest.raises(InputError, match=r"empty.json: the audit has no budgets: expected at least one result"):
        read_audit(tmp_path / "empty.json")
    write(evaluated(), tmp_path / "evaluate.json")
    with pytest.raises(InputError, match=r"expected an audit, got sparring\.evaluate/2"):
        read_audit(tmp_path / "evaluate.json")


def old_rates(wins: int, draws: int, n: int = 400) -> dict[str, Any]:
    """Rates as the first version wrote them."""
    counts = {"win": wins, "draw": draws, "loss": n - wins - draws}
    result: dict[str, Any] = {key: count / n for key, count in counts.items()}
    result |= {f"{key}_ci": list(wilson(count, n)) for key, count in counts.items()}
    result |= {"episodes": n, "invalid": 0, "mean_length": 212.5, "victim_return": -10.0, "attacker_return": 12.0}
    return result | {"victim_return_ci": [-12.0, -8.0], "attacker_return_ci": None}


def old_audit() -> dict[str, Any]:
    result = old_rates(252, 20) | {
        "budget": 1.0,
        "attacker": "builtin:ant-attack-1",
        "attack_steps": 2_000_000,
        "oracle": "learned (lower bound)",
        "shift": 0.4,
        "shift_noise_floor": 0.05,
        "baselines": {"benign": old_rates(184, 30), "zero": old_rates(20, 60, 200)},
    }
    return {
        "game": "robosumo/ant-vs-ant",
        "victim": "builtin:ant",
        "victim_seat": 0,
        "benign": "the victim's own policy",
        "seed": 3,
        "command": "sparring audit robosumo/ant-vs-ant --seed 3",
        "versions": {"sparring": "0.1.0"},
        "settings": {"control": "step", "train_game": None, "budgets": [1.0]},
        "budgets": [result],
        "curves": [{"budget": 1.0, "seed": 0, "points": [[1e5, 0.4, 0.3, 0.5]]}],
        "wall_time_s": 150.0,
        "not_tested": ["Attackers with memory were not tried."],
        "no_clip": "no OpenGL here",
        "report": "runs/x/report.html",
    }


def test_audits_of_the_first_version_are_converted() -> None:
    audit = judged(read(old_audit()), fail_above=0.05)
    assert isinstance(audit, AuditResult) and audit.verdict is not None
    damage = audit.budgets[0].damage
    assert damage.win is not None and damage.return_ is None
    assert (damage.win.low, damage.win.high) == pytest.approx(newcombe(252, 400, 184, 400))
    assert (audit.verdict.finding, audit.exit_code) == ("finding", 1)
    assert (audit.budgets[0].fail, audit.attackers, audit.control) == (252 / 400, (1,), "step")
    assert read(plain(audit)) == audit
    # Then, a game without winners drew all matches, and nothing was found.
    drawn = old_audit()
    drawn["budgets"][0] |= old_rates(0, 400) | {"baselines": {"benign": old_rates(0, 400)}}
    assert judged(read(drawn), fail_above=0.05).exit_code == 4


def test_exact_audits_of_the_first_version_are_converted() -> None:
    def chances(value: float) -> dict[str, Any]:
        values = {"win": 0.6, "draw": 0.0, "loss": 0.4, "victim_return": value, "attacker_return": -value}
        return (
            values
            | {f"{key}_ci": [v, v] for key, v in values.items()}
            | {"episodes": 0, "invalid": 0, "mean_length": 2.5}
        )

    result = chances(-0.415) | {"budget": 1.0, "expl": 0.415, "robust_expl": 0.055, "gap": 0.36, "verified": True}
    result |= {"attacker": "attacker.json", "oracle": "exact", "shift": 0.2, "baselines": {"benign": chances(0.125)}}
    old = {**old_audit(), "oracle": "exact", "attackers": [1], "budgets": [result]}
    del old["curves"], old["no_clip"]
    audit = judged(read(old))
    # The key `victim_return` held a value, discounted where the game is (DECISIONS 32).
    assert (audit.budgets[0].victim_value, audit.budgets[0].victim_return) == (-0.415, None)
    assert audit.verdict is not None and audit.verdict.measure == "value"
    assert audit.verdict.damage is not None and audit.verdict.damage.value == pytest.approx(0.54)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budgets": [{"budget": 1.0}]}, "a budget lacks 'baselines'"),
        ({"budgets": [7]}, "Expected `object`, got `int`"),
        ({"settings": []}, "Expected `object`, got `array`"),
        ({"seed": "x"}, "Expected `int`, got `str`"),
    ],
)
def test_a_broken_audit_of_the_first_version_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(old_audit() | change)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"win": 0.5}, "it is no such audit: it has no game"),
        ({key: value for key, value in old_audit().items() if key != "not_tested"}, "it has no not_tested"),
        # An audit of today whose schema was lost would be converted, and its exact values taken for discounted ones.
        ({key: value for key, value in plain(three_budgets()).items() if key != "schema"}, "it has agents, which"),
    ],
)
def test_what_has_no_schema_is_an_audit_of_the_first_version_or_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read(data)
    assert "\n" not in str(refused.value)


def test_the_shipped_json_schema_is_the_records() -> None:
    assert json.loads(results.SCHEMA_FILE.read_text()) == json_schema(), "run results.write_json_schema()"
    assert len(json_schema()["anyOf"]) == len(KINDS)
    for kind, record in KINDS.items():
        assert record.__struct_fields__[0] or kind
        assert json_schema()["$defs"][record.__name__]["properties"]["schema"]["enum"] == [f"sparring.{kind}/2"]


def test_every_kind_can_be_made_and_read() -> None:
    who = {"game": "g", "victim": "v", "victim_seat": 0, "benign": "b", "oracle": "exact", "budget": 1.0}
    values = {"expl": 0.1, "robust_expl": 0.0, "gap": 0.1, "lower": 0.0, "upper": 0.0, "verified": True, "exact": False}
    for record in (
        CertifyResult(**who, **values),
        DefendResult(**who, method="min-oracle", output="best", steps=10, policy="victim.json"),
    ):
        assert read(encode(record)) == record


def test_matches_helper_is_what_it_says() -> None:
    flags = matches(3, 2, 10, invalid=1).flags()
    assert flags is not None
    assert [int(flags[key].sum()) for key in ("win", "draw", "loss")] == [3, 3, 5]  # the invalid one is a draw
