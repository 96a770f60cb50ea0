# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import stealth


@pytest.mark.slow
def test_it_runs_and_writes_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stealth.main(["--quick", "--json", str(tmp_path / "stealth.json")])
    written = json.loads((tmp_path / "stealth.json").read_text())
    assert set(written["seconds"]) == {"exact", "sliced", "compare"} and min(written["seconds"].values()) > 0
    assert 50 < written["memory_mb"] < stealth.MEMORY
    assert "limit / compare: " in capsys.readouterr().out


def test_a_missed_target_is_said() -> None:
    ratios = [{"ratio": name, "value": value, "target": 10.0} for name, value in (("a", 9.0), ("b", 11.0))]
    text = stealth.report({"seconds": {"exact": 1.0}, "ratios": ratios, "memory_mb": 2100.0})
    assert "a: 9.00, target at least 10: MISSED\nb: 11.00, target at least 10\n" in text
    assert text.endswith("compare: 2100 MB, limit 2000: TOO MUCH")
