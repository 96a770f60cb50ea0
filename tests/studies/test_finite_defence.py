"""The study of gaps in finite games: its cells, and what is made of rows whose answer is known."""

from __future__ import annotations

from typing import Any

import pytest

import sparring
from sparring.studies import finite_defence as study
from sparring.studies.finite_defence import GAMES, NONE, ORACLE, PRESETS, SINGLE, TWO


def rows(gaps: dict[str, list[float]], game: str = "kuhn_poker") -> list[dict[str, Any]]:
    """Every seed comes down from 1 to its gap, which it has at the last two of twenty points."""
    own = {"game": game, "budget": 1.0, "least_expl": 0.1}
    return [
        {**own, "method": method, "seed": seed, "steps": 100 * at, "gap": gap if at > 18 else 1.0}
        for method, values in gaps.items()
        for seed, gap in enumerate(values)
        for at in range(1, 21)
    ]


def test_the_final_gap_is_that_of_the_last_tenth() -> None:
    made = rows({TWO: [0.25, 0.5]})
    assert study.finals(made, "kuhn_poker", 1.0, TWO) == {0: 0.25, 1: 0.5}
    assert study.finals(made, "leduc_poker", 1.0, TWO) == {}


def test_pairs_are_judged_by_seed() -> None:
    """Two timescales end .1 nearer in every pair, give or take .01; the min oracle differs by chance alone."""
    single = [0.2, 0.5, 0.8]
    made = rows({ORACLE: [0.2, 0.3, 0.7], TWO: [0.11, 0.4, 0.69], SINGLE: single})
    told = study.summary(made)
    assert "| kuhn_poker | 1 | two-timescale, single-timescale | -0.1000 [-0.1248, -0.0752] | nearer |" in told
    assert told.count("cannot be told apart") == 1
    assert "<svg" in study.figure(made)


def test_every_method_has_the_same_steps_and_seeds() -> None:
    found = study.cells(PRESETS["paper"], 4)
    assert len(found) == len(GAMES) * 9 and {(c.updates, c.seeds, c.seed) for c in found} == {(1500, 10, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("game", [GAMES[0], GAMES[2]])
def test_the_min_oracle_learns(game: str) -> None:
    """A uniform first player of Kuhn poker loses 5/12 to a best response (OpenSpiel) and need lose but 1/18."""
    first, last = (study.run(study.Cell(game, 1.0, method, 0, 2, 60, 2, 32)) for method in (NONE, ORACLE))
    start = [row["gap"] for row in first]
    if game == "kuhn_poker":
        assert start == pytest.approx([5 / 12 - 1 / 18] * 2)
    late = [row["gap"] for row in last if row["steps"] == max(r["steps"] for r in last)]
    assert len(late) == 2 and all(0 <= gap < before for gap, before in zip(late, start, strict=True))


@pytest.mark.long
def test_the_smallest_one_runs(tmp_path: Any) -> None:
    result = sparring.study("finite-defence", preset="smoke", out=str(tmp_path / "run"))
    assert result["cells"] == 8 and "| min-oracle |" in (tmp_path / "run" / "summary.md").read_text()
