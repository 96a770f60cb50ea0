"""The program that measures how visible the shipped attacks are, on few matches."""

from __future__ import annotations

import json

import pytest

from experiments.discs import detection as program


@pytest.mark.slow
def test_every_part_is_measured_and_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"MATCHES": 40, "FRESH": 40, "MANY": 40, "SLOTS": 20, "BUDGETS": ("1",)}.items():
        monkeypatch.setattr(program, name, value)
    program.main()
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["what"] for one in found] == ["two-sample", "transitions", "importance", *["trial"] * 7]
    assert all(one["budget"] == 1 and one["seconds"] >= 0 for one in found)
    assert found[0]["found"]["match"]["interval"][0] > 0.5  # full control is seen even in 40 matches
    assert set(found[2]["found"]) == set(program.FEATURES)
    assert {one["calibration"] for one in found[3:]} == {30, 40}
