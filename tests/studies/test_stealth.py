"""Studies of stealth: what their rows show, and a small one from end to end."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import sparring
from sparring.studies import discs_stealth, stealth, stealth_tables


def attack(name: str, budget: float, seed: int, shift: float, won: int) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": "attack", "attack": name, "budget": budget, "penalty": 0.0, "seed": seed}
    row |= {"matches": 400, "wins": won, "fails": won, "auc_state": 0.6, "auc_match": 0.5 + shift}
    for measure in ("wasserstein2", "kl", "hellinger", "total-variation"):
        row |= {measure: shift + 0.1, f"{measure}_corrected": shift, f"{measure}_floor": 0.1}
        row |= {f"{measure}_floor_high": 0.12, f"{measure}_p": 0.01}
    return row


def matched(which: str, seed: int, shift: float) -> dict[str, Any]:
    own = attack("matched", 0.3, seed, shift, 250)
    pair = {"which": which, "constrained": 0.3, "steps": 1000, "equivalent": seed != 2, "difference": 0.01}
    return {**own, "kind": "matched", **pair}


ROWS = [
    row
    for seed in range(4)
    for row in (
        attack("budget 0.3", 0.3, seed, 0.10 + 0.01 * seed, 200 + seed),
        attack("budget 1", 1.0, seed, 0.30 + 0.02 * seed, 300 - seed),
        attack("hides, penalty 0.1", 1.0, seed, 0.05, 260),
        matched("constrained", seed, 0.11),
        matched("unconstrained", seed, 0.11 + 0.05 * (-1) ** seed),
    )
]


def test_claims_are_judged_by_their_effects_over_seeds() -> None:
    """By hand: budget 1 less budget .3 is .20, .21, .22, .23; the matched pairs differ by +-.05."""
    told = stealth_tables.claims(ROWS)
    first = next(line for line in told if "budget 0.3 moves the states less than budget 1 (wasserstein2)" in line)
    assert "0.215 [0.194, 0.236]" in first and first.endswith("| holds |")
    equal = next(line for line in told if "at equal winning rates" in line and "(kl)" in line)
    assert equal.endswith("| not shown |") and " 0 [" in equal
    more = next(line for line in told if "wins more often" in line)
    assert more.endswith("| holds |")
    assert all("cannot tell: one seed" in line for line in stealth_tables.claims(ROWS[:5])[2:])


def test_the_summary_and_the_figure_show_every_attack_and_pair() -> None:
    said = stealth_tables.summary(ROWS)
    for part in (
        "| hides, penalty 0.1 | 65.0 [65.0, 65.0]%",
        "| budget 0.3: constrained | 3 of 4 |",
        "| claim | effect | verdict |",
    ):
        assert part in said
    drawn = stealth_tables.figure(ROWS, "discs-stealth", "discs/duel")
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    for part in ("squared Hellinger", "hides, penalty 0.1", "matched, budget 0.3", "victim does not fail"):
        assert part in drawn


def test_a_distance_that_is_not_known_is_left_out() -> None:
    rows = [{**row, "kl_corrected": None} if row["seed"] == 0 else row for row in ROWS]
    line = next(
        line for line in stealth_tables.claims(rows) if "budget 0.3 moves the states less than budget 1 (kl)" in line
    )
    assert "0.22 [" in line  # of .21, .22, .23


def test_there_is_a_cell_for_each_seed_and_seeds_differ() -> None:
    cells = stealth.cells(discs_stealth.PRESETS["paper"], 0)
    assert len(cells) == 10 == len({cell.seed for cell in cells})
    assert cells == stealth.cells(discs_stealth.PRESETS["paper"], 0)
    assert cells[0].seed != stealth.cells(discs_stealth.PRESETS["paper"], 1)[0].seed


@pytest.mark.long
def test_a_small_study_is_gone_on_with_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = sparring.study("discs-stealth", preset="smoke", out="run")
    table = Path(result["table"]).read_text()
    assert {"attack", "matched", "variable"} <= {line.split(",")[1] for line in table.splitlines()[1:]}
    # A cell whose rows are lost is computed from the matches that it has kept.
    Path("run/jobs/00000/rows.json").unlink()
    cell = stealth.cells(discs_stealth.PRESETS["smoke"], 0)[0]
    again = stealth.run(cell, Path("run/jobs/00000"))
    assert len(again) == result["rows"]
