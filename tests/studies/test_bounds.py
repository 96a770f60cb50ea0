from __future__ import annotations

import csv
import io
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from sparring.commands.study import csv_text
from sparring.studies.bounds import DIVERGENCES, PRESETS, Settings, _nearest, _violated, cells, figure, run, summary

ROWS = [row for cell in cells(PRESETS["smoke"], 0) for row in run(cell)]


def test_cells_cover_the_instances_once() -> None:
    found = cells(Settings(instances=25, per_cell=10), 3)
    assert [(cell.first, cell.instances) for cell in found] == [(0, 10), (10, 10), (20, 5)]
    assert {cell.seed for cell in found} == {3}


def test_an_instance_depends_on_seed_and_number_alone() -> None:
    small = cells(replace(PRESETS["smoke"], instances=6, per_cell=2), 0)
    assert [row for cell in small for row in run(cell)] == ROWS[:6]
    assert run(cells(PRESETS["smoke"], 1)[0])[0] != ROWS[0]


def test_rows_hold_the_formulas_and_no_violation() -> None:
    for row in ROWS:
        gamma, eps = row["gamma"], row["eps"]
        span = row["value_trivial"] * (1 - gamma)  # of the rewards, drawn from [0, 1]
        assert 0 < span <= 1
        assert row["value_paper"] == pytest.approx(2 * eps * span / (1 - gamma) ** 2, rel=1e-6)
        assert row["states_paper"] == pytest.approx(2 * gamma * eps / (1 - gamma), rel=1e-6)
        assert row["value_true"] <= row["value_sharp"] <= row["value_paper"]
        assert row["states_true"] <= row["states_sharp"] <= row["states_paper"]
        assert row["tv_paper"] is None or row["tv_true"] <= row["tv_paper"] * (1 + 1e-8) <= eps * (1 + 1e-7)
        assert row["pairs"] == row["S"] * row["A"] >= row["finite"] >= 0
        assert row["violated_3.1"] == row["violated_3.2"] == row["violated_3.3"] == 0
    assert any(row["finite"] < row["pairs"] for row in ROWS)
    assert {row["benign"] for row in ROWS} == {"all", "part"}
    assert {row["adversary"] for row in ROWS} == {"random", "best response"}


def test_violations_are_found() -> None:
    assert _violated(1.1, 1.0) == _violated(np.nan, 1.0) == 1
    assert _violated(1.0, 1.0) == _violated(np.inf, np.inf) == 0
    assert _violated(np.array([[1.0, 3.0], [np.inf, 5.0]]), np.array([[2.0], [4.0]])) == 3
    broken = [{**ROWS[0], "violated_3.1": 1, "violated_3.3": 4}, *ROWS[1:]]
    assert "Violations: 1 of 40 comparisons with Proposition 3.1" in summary(broken)
    assert "Violations: 0 of 40 comparisons with Proposition 3.1" in summary(ROWS)


def test_nearest_is_the_largest_finite_ratio() -> None:
    seen, done = np.array([[0.1, 0.3], [0.5, np.inf], [0.0, 0.0]]), np.array([[0.4], [np.inf], [0.0]])
    assert _nearest(seen, done) == (0.3, 0.4)
    assert _nearest(seen[1:], done[1:]) == (None, None)


def test_figure_and_summary() -> None:
    read = list(csv.DictReader(io.StringIO(csv_text(ROWS))))
    assert summary(read) == summary(ROWS)
    assert summary(ROWS).count("\n|") == 2 + 4 + len(DIVERGENCES)
    picture = figure(ROWS)
    assert picture == figure(read)
    text = {element.text for element in ElementTree.fromstring(picture).iter() if element.text}
    assert {"3.1, paper", "3.2, sharp", *(f"3.3, {name}" for name in DIVERGENCES.values())} <= text
