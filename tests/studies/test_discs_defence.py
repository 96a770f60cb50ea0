"""The study of hardened discs: what its cells are, and what is made of rows whose answer is known."""

from __future__ import annotations

from typing import Any

import pytest

import sparring
from sparring.studies import discs_defence as study
from sparring.studies.discs_defence import NONE, PRESETS, SINGLE, TWO


def rows(lost: dict[str, list[float]], reached: dict[str, list[int | None]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for method, values in lost.items():
        for seed, value in enumerate(values):
            own = {"method": method, "train_budget": 1.0, "seed": seed}
            made.append({**own, "kind": "strongest", "test_budget": 1.0, "lost": value, "clean_lost": 0.1})
    for method, values in reached.items():
        for seed, value in enumerate(values):
            own = {"method": method, "train_budget": 1.0, "seed": seed, "kind": "training", "reached": value}
            made.append({**own, "variance": 0.5, "total_variation": 3.0, "gradient_norm": 0.1})
            for steps in (100, 200):
                curve = {"kind": "curve", "steps": steps, "score": 0.1 * seed, "gradient_norm": None}
                made.append({"method": method, "train_budget": 1.0, "seed": seed, **curve})
    return made


def test_a_claim_is_judged_by_pairs() -> None:
    """Two timescales lose .10 less in every pair of seeds, although seeds differ by more than that."""
    lost = {NONE: [0.9, 0.9, 0.9], TWO: [0.2, 0.5, 0.8], SINGLE: [0.3, 0.61, 0.9]}
    made = rows(lost, {TWO: [500, 500, 500], SINGLE: [400, None, 401]})
    told = study.claims(made)
    least = next(line for line in told if "least exploitable" in line and SINGLE in line)
    assert "-0.103" in least and least.endswith("holds |")
    # The single timescale was there earlier in both of the seeds that got there: the opposite of the claim.
    faster = next(line for line in told if "converges faster" in line)
    assert "2 seeds" in faster and faster.endswith("does not hold: the opposite |")
    same = next(line for line in told if "variance" in line)
    assert same.endswith("does not show |")
    text = study.summary(made)
    assert "| single-timescale | 60.3%" in text and "2 of 3" in text
    assert "<svg" in study.figure(made)


def test_one_seed_cannot_tell() -> None:
    lines = study.claims(rows({TWO: [0.1], SINGLE: [0.9]}, {TWO: [1], SINGLE: [2]}))
    assert len(lines) > 2 and all(line.endswith("cannot tell: too few seeds |") for line in lines[2:])


def test_table_4_has_its_victims_and_every_method_the_same_seeds() -> None:
    settings = PRESETS["paper"]
    cells = study.cells(settings, 0)
    assert {(c.method, c.budget) for c in cells if c.method == TWO} == {(TWO, 0.3), (TWO, 0.7), (TWO, 1.0)}
    assert all(c.tests == ((0.3, 0.7, 1.0) if c.method in (NONE, TWO) else (1.0,)) for c in cells)
    seeds = {method: sorted({c.seed for c in cells if c.method == method}) for method in settings.methods}
    assert len(settings.methods) == 9 and all(found == seeds[TWO] and len(found) == 10 for found in seeds.values())


@pytest.mark.long
def test_the_smallest_one_runs(tmp_path: Any) -> None:
    result = sparring.study("discs-defence", preset="smoke", out=str(tmp_path / "run"))
    assert result["cells"] == 3 and (tmp_path / "run" / "figure.svg").exists()
    assert "two-timescale" in (tmp_path / "run" / "summary.md").read_text()
