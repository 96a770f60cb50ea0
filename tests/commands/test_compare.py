from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from audits import exact, learned, matches, returns

import sparring
from sparring.commands.compare import Settings, answer, compare, text
from sparring.errors import InputError
from sparring.judgement.words import amount
from sparring.records import replaced
from sparring.report.html import write_report
from sparring.results import read


def runs(folder: Path, before: Any, after: Any) -> tuple[Path, Path]:
    for name, audit in (("before", before), ("after", after)):
        (folder / name).mkdir()
        write_report(audit, folder / name)
    return folder / "before", folder / "after"


def test_the_damage_before_and_after_with_the_interval_of_the_change(tmp_path: Path) -> None:
    first = learned({0.3: matches(200), 1.0: matches(360)}, matches(180), victim="run:weak")
    second = learned({1.0: matches(190), 0.7: matches(180)}, matches(180), victim="run:hardened")
    a, b = runs(tmp_path, first, second)
    result = compare(a, b / "audit.json", tmp_path / "out")
    assert result["schema"] == "sparring.compare/2"
    (entry,) = result["budgets"]
    assert (entry["budget"], result["only_before"], result["only_after"]) == (1.0, [0.3], [0.7])
    before, after, change = (entry["win"][key] for key in ("before", "after", "change"))
    # (190 - 180) / 400 - (360 - 180) / 400, and the distances to the ends of both intervals in quadrature.
    assert change["value"] == pytest.approx(-0.425)
    low = math.hypot(after["value"] - after["low"], before["high"] - before["value"])
    assert change["low"] == pytest.approx(-0.425 - low)
    assert change["high"] < 0
    for part in (
        "run:weak -> run:hardened",
        "budget 1: damage in wins +45 points",
        "fell, beyond the noise, at 1 of 1",
    ):
        assert part in text(result)
    assert "budgets 0.3, 0.7" in text(result) and "lower bound" in text(result)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"compare.json", "compare.svg", "compare.html"}
    assert read(tmp_path / "out" / "compare.json").budgets[0].win.change.value == change["value"]
    words = amount("win", read(tmp_path / "out" / "compare.json").budgets[0].win.change)
    html = (tmp_path / "out" / "compare.html").read_text()
    assert "run:hardened" in html and "<script" not in html and words in html


def test_an_audit_against_itself_shows_no_change_and_nothing_is_written(tmp_path: Path) -> None:
    audit = learned({1.0: returns([0.0, 1.0] * 20)}, returns([5.0, 6.0] * 20))
    a, b = runs(tmp_path, audit, audit)
    result = compare(a, b)
    assert result["budgets"][0]["return"]["change"]["value"] == 0
    assert "No change of the damage is beyond the noise." in text(result)
    assert {p.name for p in tmp_path.iterdir()} == {"before", "after"}


def test_the_command_writes_beside_where_it_is_told_to(tmp_path: Path) -> None:
    audit = learned({1.0: matches(20, 0, 40)}, matches(20, 0, 40))
    a, b = runs(tmp_path, audit, audit)
    result = answer(Settings(before=str(a), after=str(b), out=str(tmp_path / "out")))
    assert result == compare(a, b, tmp_path / "out")
    assert str(tmp_path / "out" / "compare.html") in text(result)
    assert answer(Settings(before=str(a), after=str(b)))["report"] is None


def test_exact_audits_have_no_noise(tmp_path: Path) -> None:
    a, b = runs(tmp_path, exact({1.0: -0.415}), exact({1.0: 0.0}))
    change = compare(a, b)["budgets"][0]["value"]["change"]
    assert change["value"] == change["low"] == change["high"] == pytest.approx(-0.415)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": "robosumo/bug-vs-bug"}, "another game: .* has robosumo/ant-vs-ant, .* has robosumo/bug-vs-bug"),
        ({"victim_seat": 1}, "another victim's seat"),
        ({"attackers": (0,)}, "another attackers' seats"),
        ({"control": "episode"}, "another control"),
        ({"oracle": "exact"}, "another oracle"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_in_one_line(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    audit = learned({1.0: matches(20, 0, 40)}, matches(20, 0, 40))
    a, b = runs(tmp_path, audit, audit)
    from sparring.results import write

    write(replaced(audit, **change), b / "audit.json")
    with pytest.raises(InputError, match=message) as raised:
        compare(a, b)
    assert "\n" not in str(raised.value)


def test_other_budgets_and_other_files_are_refused(tmp_path: Path) -> None:
    benign = matches(20, 0, 40)
    a, b = runs(tmp_path, learned({1.0: benign}, benign), learned({0.5: benign}, benign))
    with pytest.raises(InputError, match=r"no budget is in both audits: .* has 1, .* has 0\.5"):
        compare(a, b)
    with pytest.raises(InputError, match="there is no such folder"):
        compare(a, tmp_path / "nowhere")
    for same in (a, str(a), a / "audit.json", a / ".." / a.name):
        with pytest.raises(InputError, match="are the same audit: give two"):
            compare(a, same)


@pytest.mark.slow
def test_a_hardened_victim_is_compared_with_what_it_was(tmp_path: Path) -> None:
    """Rock is beaten by paper; hardened at full control it is the uniform policy, which nobody beats."""
    how = {"method": "double-oracle", "victim": "first", "budget": 1.0, "updates": 20}
    hardened = sparring.defend("matrix/rps", **how, out=str(tmp_path / "defend"))
    assert hardened["start_expl"] == 1.0 and hardened["expl"] == pytest.approx(0.0, abs=1e-9)
    audits = []
    for name, victim in (("before", "first"), ("after", f"run:{tmp_path}/defend")):
        cast = {"victim": victim, "benign": "uniform", "budgets": [0.5, 1.0]}
        audits.append(sparring.audit("matrix/rps", **cast, out=str(tmp_path / name))["run"])
    result = compare(*audits)
    (half, full) = result["budgets"]
    assert (half["budget"], full["budget"]) == (0.5, 1.0)
    # Against the uniform, benign opponent both are worth 0; under attack one loses the budget, the other nothing.
    for entry, budget in ((half, 0.5), (full, 1.0)):
        assert entry["value"]["before"]["value"] == pytest.approx(budget)
        assert entry["value"]["change"]["value"] == pytest.approx(-budget, abs=1e-9)


def test_a_change_that_is_rounding_is_none(tmp_path: Path) -> None:
    """0.1 + 0.2 is 5.6e-17 more than 0.3."""
    a, b = runs(tmp_path, exact({1.0: -(0.1 + 0.2)}), exact({1.0: -0.3}))
    result = compare(a, b)
    assert result["budgets"][0]["value"]["change"]["value"] == 0
    assert "e-17" not in text(result) and "No change of the damage is beyond the noise." in text(result)
