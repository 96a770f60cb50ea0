from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from sparring.exact.problem import exploitability
from sparring.studies import convergence
from sparring.studies.convergence import GAMES, GROWING, MARKOV, MIN_ORACLE, PRESETS, Cell, cells, figure, run, summary

SETTINGS = replace(PRESETS["smoke"], fractions=(0.6, 0.5, 0.4), updates=40)


def cell(game: str, fraction: float = 0.5, updates: int = 200, ratio: float | None = None) -> Cell:
    return Cell(game, 0, 7, MIN_ORACLE, ratio, fraction, 1.0, updates)


def test_cells_share_the_instances() -> None:
    found = cells(replace(SETTINGS, instances=2), 0)
    assert len(found) == len(set(found)) == len(GAMES) * 2 * 3 * 3
    assert len({(cell.game, cell.instance, cell.seed) for cell in found}) == len(GAMES) * 2
    assert found == cells(replace(SETTINGS, instances=2), 0)
    assert [cell.ratio for cell in found if cell.method == GROWING][:2] == pytest.approx([40 / 0.36, 160.0])


@pytest.mark.parametrize(
    ("game", "least"),
    # Values in [0, 1]: (0 + 1) / 2; and (-1/18 + 2) / 4, where the value of Kuhn poker to the first player is -1/18.
    [("matrix_rps", -0.5), ("kuhn_poker", -(2 - 1 / 18) / 4)],
)
def test_games_are_rescaled(game: str, least: float) -> None:
    (row,) = run(cell(game))
    assert row["least_expl"] == pytest.approx(least, abs=1e-9)
    problem, start = convergence._instance(cell(game))
    assert row["start_gap"] == pytest.approx(exploitability(problem, start.nu) - least, abs=1e-9)


@pytest.mark.parametrize("game", list(GAMES))
def test_updates_are_the_first_that_suffice(game: str) -> None:
    (row,) = run(cell(game))
    assert row["mean_gap"] < row["delta"]
    # One update fewer is not enough, and a larger delta needs no more of them.
    (given_up,) = run(cell(game, updates=row["updates"] - 1))
    assert given_up["updates"] is None
    assert given_up["given_up_at"] == row["updates"] - 1
    assert given_up["mean_gap"] >= given_up["delta"]
    assert run(cell(game, fraction=0.8))[0]["updates"] <= row["updates"]


def test_values_lie_between_0_and_1() -> None:
    problem, start = convergence._instance(cell(MARKOV))
    assert 0 <= -exploitability(problem, start.nu) <= problem.victim_response(start.alpha).value <= 1


def row(method: str, fraction: float, updates: int | None, instance: int = 0) -> dict[str, object]:
    return {
        "game": "kuhn_poker",
        "instance": instance,
        "method": method,
        "fraction": fraction,
        "delta": fraction / 10,
        "updates": updates,
    }


def test_summary_finds_the_slope() -> None:
    # updates = 3 / fraction^2 has slope 2; two points, or none, have no slope here.
    square = [row("square", 0.5**k, 3 * 4**k) for k in range(1, 5)]
    few = [row("few", 0.5**k, 5 if k < 3 else None) for k in range(1, 5)]
    found = summary([*square, *few])
    assert "| Kuhn poker, seat 0 | square | 4 of 4 | 2.00 [2.00, 2.00] | 768 [768, 768] |" in found
    assert "| Kuhn poker, seat 0 | few | 2 of 4 | - | - |" in found


@pytest.mark.slow
def test_figure_and_summary() -> None:
    rows = [row for cell in cells(SETTINGS, 0) for row in run(cell)]
    # A table that was read back has text in it, and nothing where there was None.
    text = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
    assert summary(text) == summary(rows)
    picture = figure(rows)
    assert picture == figure(text)
    assert set(GAMES.values()) <= {element.text for element in ElementTree.fromstring(picture).iter()}
