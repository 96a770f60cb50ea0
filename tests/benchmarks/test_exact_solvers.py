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
    assert "robust victim of kuhn_poker (58 nodes)" in exact_solvers.report(rows)
    assert "MISSED" not in exact_solvers.report(rows)


def test_a_missed_limit_is_said() -> None:
    rows = exact_solvers.robust_victims([exact_solvers.Program("kuhn_poker", 0.0)], repeats=1)
    assert not rows[0]["met"]
    assert exact_solvers.report(rows).endswith(": MISSED")
