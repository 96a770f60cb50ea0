# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import exact_solvers


def test_robust_victims_are_timed_and_verified() -> None:
    rows = exact_solvers.robust_victims([exact_solvers.Program("kuhn_poker", 60.0)], repeats=1)
    assert [(row["game"], row["nodes"], row["met"]) for row in rows] == [("kuhn_poker", 58, True)]
    assert 0 < rows[0]["seconds"] < 60
    assert "robust victim of kuhn_poker (58 nodes)" in exact_solvers.report_robust(rows)
    assert "MISSED" not in exact_solvers.report_robust(rows)


def test_a_missed_limit_is_said() -> None:
    rows = exact_solvers.robust_victims([exact_solvers.Program("kuhn_poker", 0.0)], repeats=1)
    assert not rows[0]["met"]
    assert exact_solvers.report_robust(rows).endswith(": MISSED")


def test_exploitability_is_timed_beside_openspiel_and_agrees_with_it() -> None:
    rows = exact_solvers.exploitabilities("kuhn_poker", repeats=1)
    assert [row["peer"] for row in rows] == [exact_solvers.PYTHON.name, exact_solvers.NATIVE.name]
    assert all(row["agree"] for row in rows)  # three implementations of one number
    # Kuhn poker is too small for the limits, which are meant for Leduc poker.
    assert exact_solvers.report_exploitabilities([rows[0] | {"met": False}]).endswith("MISSED")


def test_iterations_and_growth_are_timed() -> None:
    (row,) = exact_solvers.iterations("kuhn_poker", updates=20, repeats=1)
    assert row["ratio"] > 1
    assert "evaluations of Expl" in exact_solvers.report_iterations([row])
    small, large = exact_solvers.growth(["kuhn_poker", "kuhn_poker"], repeats=1)
    assert small["nodes"] == large["nodes"] == 58
    assert exact_solvers.report_growth([small, {**large, "met": False}]).endswith("MISSED")
