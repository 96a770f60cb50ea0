from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from audits import exact, learned, matches, returns, three_budgets

from sparring.answers import DefendResult
from sparring.errors import InputError
from sparring.records import replaced
from sparring.report.summary import write_summary


def test_junit_has_one_test_case_per_budget_that_fails_as_the_exit_code_does(tmp_path: Path) -> None:
    audit = three_budgets(fail_above=0.05)
    root = ElementTree.parse(write_summary(audit, tmp_path / "junit.xml")).getroot()
    cases = {case.attrib["name"]: case for case in root}
    assert list(cases) == ["budget 0.25", "budget 0.5", "budget 1"]
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == ("3", "1", "2")
    failure, error = cases["budget 1"].find("failure"), cases["budget 0.25"].find("error")
    assert failure is not None and "+17 points [+9, +25]" in failure.attrib["message"]
    assert error is not None and "the interval contains the allowed damage" in error.attrib["message"]
    assert audit.exit_code == 1


@pytest.mark.parametrize(("fail_above", "failures", "errors"), [(None, "0", "0"), (0.5, "0", "0")])
def test_junit_passes_where_the_exit_code_is_0(
    fail_above: float | None, failures: str, errors: str, tmp_path: Path
) -> None:
    audit = three_budgets(fail_above=fail_above)
    root = ElementTree.parse(write_summary(audit, tmp_path / "junit.xml")).getroot()
    assert (root.attrib["failures"], root.attrib["errors"], audit.exit_code) == (failures, errors, 0)


def test_junit_where_nothing_was_decided_is_an_error(tmp_path: Path) -> None:
    audit = learned({1.0: matches(0, 400)}, matches(0, 400), fail_above=0.5)
    root = ElementTree.parse(write_summary(audit, tmp_path / "junit.xml")).getroot()
    assert (root.attrib["errors"], audit.exit_code) == ("1", 4)


def test_csv_has_a_row_per_budget_with_every_number(tmp_path: Path) -> None:
    audit = three_budgets(fail_above=0.05)
    rows = list(csv.DictReader(io.StringIO(write_summary(audit, tmp_path / "s.csv").read_text())))
    assert [row["budget"] for row in rows] == ["0.25", "0.5", "1.0"]
    assert [row["finding"] for row in rows] == ["cannot tell", "cannot tell", "finding"]
    damage = audit.budgets[1].damage.win
    assert damage is not None
    assert float(rows[2]["damage_win_low"]) == damage.low
    assert (float(rows[2]["win"]), rows[2]["episodes"], rows[2]["damage_value"]) == (0.63, "400", "")


def test_markdown_has_the_verdict_and_a_table(tmp_path: Path) -> None:
    audit = three_budgets(fail_above=0.05, game="a|b", command="run `x`\n# no heading <b>")
    text = write_summary(audit, tmp_path / "s.md").read_text()
    assert audit.verdict is not None and audit.verdict.text in text
    assert r"a\|b" in text and "run 'x' # no heading &lt;b>" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 5
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1


def test_games_without_winners_and_exact_ones(tmp_path: Path) -> None:
    audit = learned({1.0: returns([0.0, 1.0, 2.0] * 20)}, returns([60.0, 61.0] * 30), fail_above=10.0)
    assert "damage in the victim's return *" in write_summary(audit, tmp_path / "s.md").read_text()
    audit = replaced(exact({0.0: 0.125, 1.0: -0.415}), verdict=None)
    text = write_summary(audit, tmp_path / "s.md").read_text()
    assert "| 1 | finding | +10 points | +10 points | +0.54 | +0.54 |" in text


def test_other_files_and_other_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file name that ends with one of \.csv, \.md, \.xml"):
        write_summary(three_budgets(), tmp_path / "s.pdf")
    defence = DefendResult(
        game="g",
        victim="v",
        victim_seat=0,
        benign="b",
        oracle="exact",
        budget=1.0,
        method="m",
        output="best",
        steps=1,
        policy="p",
    )
    with pytest.raises(InputError, match=r"expected an audit, got sparring\.defend/2"):
        write_summary(defence, tmp_path / "s.md")
    assert list(tmp_path.iterdir()) == []
