# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import exact_games
from exact_games import Compilation, Sampling

KUHN = Compilation("kuhn_poker", 60.0)


def test_compilation_is_timed_and_compared() -> None:
    rows = exact_games.compile_games([KUHN, KUHN._replace(limit=0.0)], repeats=1)
    assert [(row["nodes"], row["met"]) for row in rows] == [(58, True), (58, False)]
    first, second = exact_games.report_compilation(rows).splitlines()
    assert first.startswith("compile kuhn_poker (58 nodes)")
    assert first.endswith("limit 60 s")
    assert second.endswith("limit 0 s: MISSED")


@pytest.mark.slow
def test_sampling_is_timed_and_compared() -> None:
    """A game of Kuhn has two or three decisions."""
    rows = exact_games.sample_games([Sampling("kuhn_poker", 256, 1e12)], steps=32, repeats=2)
    (row,) = rows
    assert 2 < row["decisions_per_second"] / row["games_per_second"] < 3
    assert not row["met"]
    assert exact_games.report_sampling(rows).endswith("limit 1e+12 games/s: MISSED")


def test_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    small = exact_games.SECTIONS["compile"]._replace(measure=lambda: exact_games.compile_games([KUHN], 1))
    monkeypatch.setitem(exact_games.SECTIONS, "compile", small)
    assert exact_games.main(["--only", "compile", "--json", str(path)]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert json.loads(path.read_text())["compile"][0]["nodes"] == 58
    with pytest.raises(SystemExit):
        exact_games.main(["--only", "compilation"])
    assert "got 'compilation'" in capsys.readouterr().err
