"""The program that compares how attackers of discs are credited runs, and leaves the defaults as they are."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from experiments.discs import credit as program
from sparring.games.discs import learning


@pytest.mark.slow
def test_every_setting_is_tried_and_the_defaults_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(learning.ATTACK["ppo"])
    monkeypatch.setattr(program, "CASES", (("builtin:disc-early", "builtin:disc"),))
    monkeypatch.setattr(program, "VARIED", program.VARIED[:2])
    out = tmp_path / "credit.csv"
    monkeypatch.setattr(
        sys, "argv", ["credit", "--steps", "16384", "--episodes", "20", "--seeds", "1", "--out", str(out)]
    )
    program.main()
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["steps_per_round"], row["gae_lambda"]) for row in rows] == [("64", "0.95"), ("100", "1.0")]
    assert all(0 <= float(row["low"]) <= float(row["win"]) <= float(row["high"]) <= 1 for row in rows)
    assert learning.ATTACK["ppo"] == before
