# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sparring.oracles.learned import LearnedOracle

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import section


@pytest.mark.slow
def test_a_small_audit_is_timed_and_nothing_stays_wrapped(tmp_path: Path) -> None:
    before = LearnedOracle.visibility
    section.main(["--quick", "--json", str(tmp_path / "section.json")])
    assert LearnedOracle.visibility is before
    written = json.loads((tmp_path / "section.json").read_text())
    for one in written["audits"].values():
        assert set(one["parts"]) == {"visibility", "certificate", "stealth_figures"}
        assert one["section"] > 0 and one["share"] == pytest.approx(one["section"] / one["rest"])


def test_a_limit_that_is_missed_is_said() -> None:
    audits = {
        "shipped": {"section": 3.0, "rest": 10.0, "share": 0.3},
        "trained": {"section": 1, "rest": 10, "share": 0.1},
    }
    text = section.report({"audits": audits, "limit": 0.25, "met": {"shipped": False, "trained": True}})
    assert text.splitlines()[0].endswith("adds 30% (limit 25%)  MISSED") and text.endswith("adds 10% (limit 25%)")
