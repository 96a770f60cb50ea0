"""From matches to how visible an attack is: what is known, and why something is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparring import detectors
from sparring.oracles import visible
from sparring.types import Outcomes, States, Tracks

NAMES = ("a position", "b position", "c velocity")
STEPS = 12


def matches(n: int, seed: int, shift: float = 0.0, whole: bool = True) -> Outcomes:
    """n matches of 12 steps of three features, the last of which an attack moves by so many deviations."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n * STEPS, 3)) + 0.3 * np.repeat(rng.normal(size=(n, 3)), STEPS, axis=0)
    rows[:, 2] += shift
    match, step = np.repeat(np.arange(n), STEPS), np.tile(np.arange(STEPS), n)
    action = rng.normal(size=(len(rows), 1)).astype(np.float32)
    tracks = Tracks(rows.astype(np.float32), action, np.zeros(len(rows), bool), match, step)
    states = States(rows.astype(np.float32), match, step)
    kept: dict[str, Any] = {"states": states, "tracks": tracks if whole else None}
    return Outcomes(None, np.full(n, STEPS, np.int32), np.zeros(n, bool), {}, {}, **kept)


def looked_at(attacked: Outcomes, depth: visible.Depth = visible.QUICK, **more: Any) -> Any:
    without = visible.benign(matches(60, 1), matches(60, 2), NAMES, depth, 0)
    return visible.visibility(without, attacked, more.pop("won", None), depth=depth, seed=0, **more)


def test_a_visible_attack_is_seen_where_it_is() -> None:
    found = looked_at(matches(60, 3, shift=1.0), won=np.arange(60) % 2 == 0)
    assert found.matches == (60, 60) and found.reason == ""
    assert [d.measure for d in found.distances] == list(visible.QUICK.measures)
    assert all(d.p is not None and d.p < 0.02 and d.above_floor for d in found.distances)
    assert found.auc_match is not None and found.auc_match.low > 0.8 > found.auc_state.value > 0.7
    assert found.auc_floor is not None and found.auc_floor.low < 0.5 < found.auc_floor.high
    assert found.densities[0].feature == "c velocity" and sum(found.densities[0].attacked) == pytest.approx(1)
    assert len(found.auc_match.roc) == 41 and found.auc_match.roc[-1] == 1
    (online,) = found.online
    assert online.view == "state" and online.caught > 0.2 > online.false_alarms and online.benign_matches == 60
    assert online.caught_by[-1] == online.caught and online.at_step[-1] == STEPS
    assert online.in_time is not None


def test_an_audit_looks_at_as_many_whole_matches_as_it_has_time_for() -> None:
    short = replace(visible.QUICK, steps=30 * STEPS + 5)
    assert looked_at(matches(60, 3), short).matches == (30, 30)
    assert looked_at(matches(60, 3), replace(short, steps=3)).matches == (visible.FEWEST, visible.FEWEST)


def test_no_attack_is_told_from_none() -> None:
    found = looked_at(matches(60, 4))
    assert found.auc_match.low < 0.5 < found.auc_match.high
    assert not any(d.above_floor for d in found.distances) and found.online[0].in_time is None


@pytest.mark.slow
def test_all_there_is_with_groups_and_detectors_in_files(tmp_path: Any) -> None:
    groups = {"position": (0, 1), "velocity": (2,)}
    found = looked_at(matches(40, 5, 1.0), visible.FULL, groups=groups, detectors=tmp_path, game="test/game")
    assert {d.measure for d in found.distances} == set(visible.FULL_MEASURES)
    by_group = {d.features: d.value for d in found.distances if d.measure == "wasserstein2"}
    assert by_group["velocity"] > 5 * by_group["position"]
    assert found.importance[0][0] in ("c velocity", "velocity") and found.importance[0][1] > 0.1
    assert len(found.importance) == len(NAMES) + len(groups)
    assert [one.view for one in found.online] == ["state", "transition"]
    detector = detectors.read(tmp_path / found.online[0].file)
    assert detector.names == NAMES and detector.game == "test/game"
    assert found.auc_transition is not None and found.variable[0] in NAMES


def test_what_cannot_be_told_is_said() -> None:
    few = looked_at(matches(4, 6, 1.0))
    assert few.auc_match is None and "n is too small" in few.reason
    assert few.distances[0].value is not None and "n too small" in few.distances[0].reason
    unkept = looked_at(matches(30, 7, 1.0, whole=False))
    assert unkept.auc_match is None and unkept.matches == (0, 0) and "not kept whole" in unkept.reason
    nothing = matches(30, 8)
    assert nothing.states is not None
    blank = nothing._replace(states=States(nothing.states.rows[:0], np.zeros(0, int), np.zeros(0, int)))
    assert "no step of a valid match was seen" in looked_at(blank).reason


def test_the_same_matches_and_seed_give_the_same_record() -> None:
    assert looked_at(matches(30, 9, 0.5)) == looked_at(matches(30, 9, 0.5))
