"""Studies of hardened victims: what their cells are, and what is made of rows whose answer is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import sparring
from sparring.files import plain
from sparring.studies import budget_mismatch, discs_defence, sumo_defence, tag_defence
from sparring.studies import hardening as study
from sparring.studies import hardening_tables as tables
from sparring.studies.hardening import NONE, SINGLE, TWO


def rows(lost: Mapping[str, Sequence[float]], reached: Mapping[str, Sequence[int | None]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for method, values in lost.items():
        for seed, value in enumerate(values):
            own = {"method": method, "train_budget": 1.0, "seed": seed}
            made.append({**own, "kind": "strongest", "test_budget": 1.0, "lost": value, "clean_lost": 0.1})
    for method, values in reached.items():
        for seed, value in enumerate(values):
            own = {"method": method, "train_budget": 1.0, "seed": seed, "kind": "training", "reached": value}
            own["steps"] = 1000
            made.append({**own, "variance": 0.5, "total_variation": 3.0, "gradient_norm": 0.1})
            for steps in (100, 200):
                curve = {"kind": "curve", "steps": steps, "score": 0.1 * seed, "gradient_norm": None}
                made.append({"method": method, "train_budget": 1.0, "seed": seed, **curve})
    return made


def test_a_claim_is_judged_by_pairs() -> None:
    """Two timescales lose .10 less in every pair of seeds, although seeds differ by more than that."""
    lost = {NONE: [0.9, 0.9, 0.9], TWO: [0.2, 0.5, 0.8], SINGLE: [0.3, 0.61, 0.9]}
    made = rows(lost, {TWO: [500, 500, 500], SINGLE: [400, None, 401]})
    told = tables.claims(made)
    least = next(claim for claim in told if "least exploitable" in claim.text and claim.other == SINGLE)
    assert "-0.103" in least.shown and least.verdict == tables.HOLDS
    # The single timescale was there 100 earlier in two seeds, and not within 1000 steps in the third.
    faster = next(claim for claim in told if "converges faster" in claim.text)
    assert faster.shown.startswith("-100 [") and "3 seeds" in faster.shown and faster.verdict == tables.SILENT
    assert next(claim for claim in told if "variance" in claim.text).verdict == tables.SILENT
    words = tables.overall(told)
    assert words[0].endswith("does not hold (0 of 1 comparisons; the opposite in 0).") and "faster" in words[0]
    # None loses .9 in all seeds: by far more in two, and .1 more in the third, which is within the interval.
    assert "is the least exploitable (lost) holds in part (1 of 2" in words[3]
    text = tables.summary(made)
    assert "| single-timescale | 60.3%" in text and "2 of 3" in text
    assert "<svg" in tables.figure(made, "name", "discs/duel")


def test_a_training_that_never_gets_even_counts_with_all_of_its_steps() -> None:
    """Two timescales get there early in two seeds of six, one timescale later in all: that is no faster."""
    two, single = [100, 100, None, None, None, None], [500, 501, 500, 502, 500, 501]
    lost = {TWO: [0.5] * 6, SINGLE: [0.5] * 6}
    made = rows(lost, {TWO: two, SINGLE: single})
    faster = tables.claims(made)[0]
    assert faster.shown.startswith("199 [") and faster.verdict != tables.HOLDS
    assert "2 of 6" in tables.summary(made)
    never = tables.claims(rows(lost, {TWO: [None] * 6, SINGLE: single}))[0]
    assert "faster" in never.text and never.verdict == tables.OPPOSITE


def test_past_opponents_are_left_out_where_gradients_are_compared() -> None:
    told = tables.claims(
        rows({TWO: [0.5], SINGLE: [0.5], "self-play": [0.5]}, {m: [1] for m in (TWO, SINGLE, "self-play")})
    )
    assert [claim.other for claim in told if claim.text == tables.GRADIENT] == [SINGLE]
    assert [claim.other for claim in told if "variance" in claim.text] == [SINGLE, "self-play"]


def test_oscillation_is_that_of_equally_many_matches() -> None:
    """Rounds of 100 and of 200 matches of one course have the same blocks of 400 in their last half."""
    course = [0.0] * 8 + [0.1, 0.3, 0.5, 0.7, 0.1, 0.3, 0.5, 0.7]
    fine = [{"matches": 100, "score": score} for score in course]
    coarse = [{"matches": 200, "score": (a + b) / 2} for a, b in zip(course[::2], course[1::2], strict=True)]
    expected = {"variance": pytest.approx(0.0), "total_variation": pytest.approx(0.0)}
    assert study.oscillation(fine) == study.oscillation(coarse) == expected
    fine[-1]["score"] = 1.1  # the blocks' means are .4 and .5
    assert study.oscillation(fine) == {"variance": pytest.approx(0.005), "total_variation": pytest.approx(0.1)}
    assert study.oscillation(fine[:6])["variance"] is None


def test_one_seed_cannot_tell() -> None:
    told = tables.claims(rows({TWO: [0.1], SINGLE: [0.9]}, {TWO: [1], SINGLE: [2]}))
    assert len(told) == 4 and all(claim.verdict == tables.FEW for claim in told)
    assert all("cannot be told" in line for line in tables.overall(told))


def test_the_advice_is_the_training_budget_of_least_worst_regret() -> None:
    """Trained to 0.3 a victim loses .1/.9, to 1 .3/.4: regrets 0/.5 and .2/0, so 1 is advised."""
    made = []
    for train, tested in ((0.3, (0.1, 0.9)), (1.0, (0.3, 0.4))):
        for test, value in zip((0.3, 1.0), tested, strict=True):
            own = {"kind": "strongest", "method": TWO, "train_budget": train, "test_budget": test, "clean_lost": 0.1}
            made += [{**own, "seed": seed, "lost": value} for seed in (0, 1)]
    text = tables.summary(made)
    assert "0.3: 50.0 points, 1: 20.0 points. Least: trained up to 1." in text
    assert "| two-timescale, 0.3 | 10.0% [10.0, 10.0] | 90.0% [90.0, 90.0] |" in text


def test_where_nobody_wins_the_return_counts() -> None:
    assert study.lost_of({"fail": None, "victim_return": -12.5}) == 12.5
    assert study.lost_of({"fail": 0.25, "victim_return": -0.5}) == 0.25


def test_table_4_has_its_victims_and_every_method_the_same_seeds() -> None:
    settings = discs_defence.PRESETS["paper"]
    cells = study.cells(settings, 0)
    assert {(c.method, c.budget) for c in cells if c.method == TWO} == {(TWO, 0.3), (TWO, 0.7), (TWO, 1.0)}
    assert all(c.tests == ((0.3, 0.7, 1.0) if c.method in (NONE, TWO) else (1.0,)) for c in cells)
    seeds = {method: sorted({c.seed for c in cells if c.method == method}) for method in settings.methods}
    assert len(settings.methods) == 9 and all(found == seeds[TWO] and len(found) == 10 for found in seeds.values())


@pytest.mark.parametrize("module", [discs_defence, sumo_defence, budget_mismatch, tag_defence])
def test_cells_of_every_world_are_plain_and_differ(module: Any) -> None:
    for settings in module.PRESETS.values():
        cells = [asdict(cell) for cell in module.cells(settings, 0)]
        assert all(json.loads(json.dumps(plain(cell))) == plain(cell) for cell in cells)
        assert len({json.dumps(plain(cell)) for cell in cells}) == len(cells)


@pytest.mark.long
def test_a_cell_goes_on_with_what_it_has(tmp_path: Path) -> None:
    """Cut off in the midst of its attacks, with a hardened victim, it gives the same rows, and hardens nothing anew."""
    cell = next(c for c in discs_defence.cells(discs_defence.PRESETS["smoke"], 0) if c.method == TWO)
    cell = replace(cell, tests=(1.0,))
    rows = discs_defence.run(cell, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for folder in (tmp_path / "cut").iterdir():
        if folder.name.startswith("evaluate") or folder.name.endswith("-1"):
            shutil.rmtree(folder)
    (tmp_path / "cut" / "attack-1.0-1").mkdir()  # killed when it was begun
    kept = (tmp_path / "cut" / "defend" / "defend.json").stat().st_mtime_ns
    assert discs_defence.run(cell, tmp_path / "cut") == rows
    assert (tmp_path / "cut" / "defend" / "defend.json").stat().st_mtime_ns == kept


@pytest.mark.long
@pytest.mark.parametrize(("name", "cells"), [("discs-defence", 3), ("tag-defence", 2), ("sumo-defence", 2)])
def test_the_smallest_one_runs(name: str, cells: int, tmp_path: Any) -> None:
    result = sparring.study(name, preset="smoke", out=str(tmp_path / "run"))
    assert result["cells"] == cells and (tmp_path / "run" / "figure.svg").exists()
    assert "two-timescale" in (tmp_path / "run" / "summary.md").read_text()
