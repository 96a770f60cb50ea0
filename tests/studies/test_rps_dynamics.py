from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from sparring.studies.rps_dynamics import LINES, PRESETS, WITH_STEPS, WITHOUT_STEPS, Cell, cells, figure, run, summary

SETTINGS = replace(PRESETS["smoke"], updates=12, points=5)
# The start of the golden runs; see tests/exact/test_dynamics.py for their provenance.
START = {"nu": (0.5123456789, 0.2987654321, 0.188888889), "alpha": (0.2345678901, 0.4456789012, 0.3197532087)}


def test_cells_cover_methods_schedules_and_starts() -> None:
    found = cells(replace(SETTINGS, starts=2), 0)
    assert len(found) == len(set(found)) == 2 * (2 * len(WITH_STEPS) + len(WITHOUT_STEPS))
    assert {cell.method for cell in found} == set(LINES)
    assert len({(cell.nu, cell.alpha) for cell in found}) == 2
    assert found == cells(replace(SETTINGS, starts=2), 0)
    assert {cell.nu for cell in found}.isdisjoint(cell.nu for cell in cells(SETTINGS, 1))


def test_run_meets_the_goldens() -> None:
    rows = run(Cell("SGDA", "constant", 0.1, 0, START["nu"], START["alpha"], updates=10, points=10))
    last, averaged = rows[-1]["expl_last"], rows[-1]["expl_averaged"]
    assert rows[-1]["update"] == 10
    assert last == pytest.approx(0.17794477064631917, abs=1e-9)
    assert averaged == pytest.approx(0.1870863960934571, abs=1e-9)


def test_worst_iterates_are_those_between_rows() -> None:
    start = (0, START["nu"], START["alpha"])
    every = run(Cell("GAMin", "constant", 0.1, *start, updates=12, points=100))
    assert [row["update"] for row in every] == list(range(1, 13))
    thinned = run(Cell("GAMin", "constant", 0.1, *start, updates=12, points=3))
    assert [row["update"] for row in thinned] == [1, 3, 12]
    assert thinned[-1]["expl_worst"] == max(row["expl_last"] for row in every[3:])
    assert thinned[-1]["expl_mean"] == every[-1]["expl_mean"]


@pytest.mark.slow
def test_figure_and_summary() -> None:
    rows = [row for cell in cells(SETTINGS, 0) for row in run(cell)]
    # A table that was read back has text in it.
    assert summary([{key: str(value) for key, value in row.items()} for row in rows]) == summary(rows)
    assert summary(rows).count("\n|") == 2 + 2 * len(WITH_STEPS) + len(WITHOUT_STEPS)
    picture = figure(rows)
    assert picture == figure(rows)
    text = {element.text for element in ElementTree.fromstring(picture).iter() if element.text}
    assert set(LINES) <= text


def test_summary_names_what_is_low() -> None:
    row = {"start": 0, "expl_last": 0.0, "expl_mean": 0.5, "schedule": "none", "update": 9}
    low = {**row, "method": "AIBR", "expl_worst": 0.001, "expl_averaged": 0.2}
    high = {**row, "method": "SIBR", "expl_worst": 0.3, "expl_averaged": 0.001}
    found = summary([low, {**high, "update": 2}, high])
    assert "Last iterates below 0.01 from every start: AIBR." in found
    assert "Averages below 0.01 from every start: SIBR." in found
    assert "| SIBR | none | 0.3 [0.3, 0.3] | 0.001 [0.001, 0.001] | 0.5 [0.5, 0.5] |" in found
