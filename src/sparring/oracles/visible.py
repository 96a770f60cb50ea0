"""How visible an attack is: from matches with and without it to a record."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.errors import InputError
from sparring.records import replaced
from sparring.types import Outcomes, States, Tracks
from sparring.visibility import Apart, Area, Density, Online, Visibility

if TYPE_CHECKING:
    from sparring.metrics.auc import Auc
    from sparring.metrics.online import Detector, Trial
    from sparring.metrics.windows import View

FOLDS, TOP = 5, 10
FEWEST = 20  # whole matches that are looked at, if there are as many
SHOWN, BINS = 3, 40  # features whose densities are kept, and bins of each


@dataclass(frozen=True)
class Depth:
    """How much is looked at."""

    measures: tuple[str, ...]
    resamples: int  # of the distances
    permutations: int  # of the classifier's labels
    views: tuple[View, ...]  # of the detectors that are fitted, and tried on fresh matches
    transitions: bool  # whether a classifier looks at transitions, too
    importance: bool
    steps: int | None = None  # of whole matches, of each sample; None: all that were kept


# What every audit has time for; and all there is.
_OF_AUDITS = ("wasserstein2", "total-variation")
QUICK = Depth(_OF_AUDITS, 99, 39, ("state",), transitions=False, importance=False, steps=10_000)
FULL_MEASURES = (
    *("wasserstein2", "total-variation", "kl", "hellinger", "wasserstein2-exact", "wasserstein2-sliced"),
    *("wasserstein2-gaussian", "kl-neighbours", "total-variation-classifier", "total-variation-neighbours", "mmd"),
)
_OF_STUDIES = ("wasserstein2", "total-variation", "kl", "hellinger", "mmd")
STUDY = Depth(_OF_STUDIES, 199, 19, ("state",), transitions=False, importance=False)
FULL = Depth(FULL_MEASURES, 499, 199, ("state", "transition"), transitions=True, importance=True)


@dataclass(frozen=True, eq=False)
class Benign:
    """What is known of the victim's world without an attack: two independent samples of matches."""

    first: Outcomes
    again: Outcomes
    names: tuple[str, ...]  # of the features
    floor: Area | None  # the AUC of one half of the benign matches against the other
    reason: str = ""  # why it is not known


def benign(first: Outcomes, again: Outcomes, names: Sequence[str], depth: Depth, seed: int) -> Benign:
    """Two samples of benign matches, and what a classifier tells from one half of all of them and the other."""
    if not all(one.tracks is not None and len(one.tracks.rows) for one in (first, again)):
        return Benign(first, again, tuple(names), None)
    assert first.tracks is not None and again.tracks is not None
    try:
        with _one_thread():
            found = _two_sample(_at_most(first.tracks, depth), _at_most(again.tracks, depth), depth, seed)
    except InputError as error:
        return Benign(first, again, tuple(names), None, str(error))
    return Benign(first, again, tuple(names), _area(found.match))


def visibility(
    without: Benign,
    attacked: Outcomes,
    won: np.ndarray | None,
    *,
    depth: Depth,
    seed: int,
    groups: Mapping[str, Sequence[int]] | None = None,
    detectors: Path | None = None,
    game: str = "",
) -> Visibility:
    """How visible one attack is.

    Args:
      without: the benign matches.
      attacked: matches under the attack.
      won: whether the attackers won each of them, bool [n]; None: the game has no winners.
      depth: how much is looked at.
      seed: of all draws.
      groups: of features, for distances and importance.
      detectors: a folder in which the detectors that are tried are kept.
      game: its id, for these.
    """
    with _one_thread():
        return _visibility(without, attacked, won, depth, seed, groups, detectors, game)


def _one_thread() -> Any:
    """The matrices are small and many: threads would wait for each other, and the order of sums would be theirs."""
    return importlib.import_module("threadpoolctl").threadpool_limits(1)


def _visibility(
    without: Benign,
    attacked: Outcomes,
    won: np.ndarray | None,
    depth: Depth,
    seed: int,
    groups: Mapping[str, Sequence[int]] | None,
    detectors: Path | None,
    game: str,
) -> Visibility:
    reasons, found = [without.reason] if without.reason else [], Visibility()
    states = (without.first.states, without.again.states, attacked.states)
    if any(one is None or not len(one.rows) for one in states):
        reasons.append("no step of a valid match was seen")
    else:
        found = _with_distances(found, states, without.names, depth, seed, groups)
    tracks = (without.first.tracks, without.again.tracks, attacked.tracks)
    if all(one is not None and len(one.rows) for one in tracks):
        ours, again, theirs = (_at_most(one, depth) for one in tracks if one is not None)
        try:
            found = _with_detection(found, ours, theirs, depth, seed)
            if depth.importance:
                each = {name: (i,) for i, name in enumerate(without.names)}
                found = _with_importance(found, ours, theirs, {**each, **(groups or {})}, seed)
        except InputError as error:
            reasons.append(str(error))
        if depth.views:
            told = None if won is None else np.asarray(won, bool)
            online, why = _online(ours, again, theirs, told, without.names, depth.views, seed, detectors, game)
            found, reasons = replaced(found, online=online), reasons + why
        counts = tuple(len(np.unique(one.match)) for one in (ours, theirs))
        found = replaced(found, matches=counts)
    else:
        kept = all(one is not None for one in tracks)
        why = "no step of a valid match was seen" if kept else "matches were not kept whole"
        reasons.append(f"{why}, so that no classifier looked at them")
    return replaced(found, auc_floor=without.floor, reason="; ".join(dict.fromkeys(reasons)))


def _with_distances(
    found: Visibility,
    states: tuple[States | None, ...],
    names: Sequence[str],
    depth: Depth,
    seed: int,
    groups: Mapping[str, Sequence[int]] | None,
) -> Visibility:
    from sparring.metrics.distances import compare_states
    from sparring.metrics.features import most_variable

    first, again, attacked = states
    assert first is not None and again is not None and attacked is not None
    measured = compare_states(
        first,
        again,
        attacked,
        names,
        seed=seed,
        measures=depth.measures,
        resamples=depth.resamples,
        groups=groups,
    )
    variable = [tuple(names[i] for i in most_variable(one.rows, TOP)) for one in (attacked, first)]
    rows = tuple(
        Apart(
            measure=one.measure,
            features=one.features,
            unit=one.unit,
            **{name: _finite(getattr(one, name)) for name in _NUMBERS},
            above_floor=one.above_floor,
            states=one.states,
            resamples=one.resamples,
            reason=one.reason,
            note=one.note,
        )
        for one in measured
    )
    densities = _densities(first.rows, attacked.rows, names)
    return replaced(found, distances=rows, densities=densities, variable=variable[0], variable_benign=variable[1])


def _densities(benign: np.ndarray, attacked: np.ndarray, names: Sequence[str]) -> tuple[Density, ...]:
    """How often the features that the attack moves most have which value."""
    from sparring.metrics.features import units
    from sparring.metrics.shift import wasserstein2_squared

    unit, moves = units(benign, attacked)
    there = np.flatnonzero(moves)
    apart = wasserstein2_squared(benign[:, there], attacked[:, there]) if len(there) else np.zeros(0)
    rows = []
    for i in there[np.argsort(-np.asarray(apart), kind="stable")][:SHOWN].tolist():
        both = np.concatenate([benign[:, i], attacked[:, i]]).astype(np.float64)
        low, high = np.quantile(both, (0.002, 0.998))
        edges = np.linspace(low, high, BINS + 1) if low < high else both[0] + np.linspace(-1, 1, BINS + 1) * unit[i]
        shares = [np.histogram(np.clip(x[:, i], *edges[[0, -1]]), edges)[0] / len(x) for x in (benign, attacked)]
        rows.append(
            Density(
                feature=str(names[i]),
                edges=tuple(edges.tolist()),
                benign=tuple(shares[0].tolist()),
                attacked=tuple(shares[1].tolist()),
            )
        )
    return tuple(rows)


_NUMBERS = ("value", "corrected", "low", "high", "floor", "floor_low", "floor_high", "p")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _at_most(tracks: Tracks, depth: Depth) -> Tracks:
    """The first matches, of so many steps as there is time for, but 20 at least; they are in no order of success."""
    from sparring.metrics.windows import picked

    if depth.steps is None or len(tracks.match) <= depth.steps:
        return tracks
    ends = np.flatnonzero(np.diff(tracks.match, append=-1)) + 1
    return picked(tracks, np.arange(min(max(int((ends <= depth.steps).sum()), FEWEST), len(ends))))


def _two_sample(ours: Tracks, theirs: Tracks, depth: Depth, seed: int) -> Any:
    from sparring.metrics.detection import two_sample

    return two_sample(ours, theirs, folds=FOLDS, permutations=depth.permutations, floor=False, seed=seed)


def _with_detection(found: Visibility, ours: Tracks, theirs: Tracks, depth: Depth, seed: int) -> Visibility:
    told = _two_sample(ours, theirs, depth, seed)
    areas = {"auc_state": told.state, "auc_window": told.window, "auc_match": told.match}
    if depth.transitions:
        from sparring.metrics.detection import transitions

        areas["auc_transition"] = transitions(ours, theirs, permutations=depth.permutations, seed=seed).classifier.match
    return replaced(found, **{name: _area(one) for name, one in areas.items()})


def _with_importance(
    found: Visibility, ours: Tracks, theirs: Tracks, groups: Mapping[str, Sequence[int]], seed: int
) -> Visibility:
    from sparring.metrics.detection import importance

    falls = importance(ours, theirs, groups, repeats=1, states=2000, seed=seed)
    return replaced(found, importance=tuple((name, fall) for name, (fall, _) in falls.items()))


def _area(found: Auc) -> Area:
    low, high = found.interval
    null = None if found.null is None else (float(found.null[0]), float(found.null[1]))
    return Area(value=float(found.value), low=float(low), high=float(high), roc=found.roc, p=found.p_value, null=null)


def _online(
    ours: Tracks,
    again: Tracks,
    theirs: Tracks,
    won: np.ndarray | None,
    names: Sequence[str],
    views: Sequence[View],
    seed: int,
    folder: Path | None,
    game: str,
) -> tuple[tuple[Online, ...], list[str]]:
    """Detectors fitted on the first benign matches and on half of the attacked ones, tried on all others."""
    from sparring import detectors
    from sparring.metrics.online import fit_detector, trial
    from sparring.metrics.windows import numbered, picked

    matches = np.unique(theirs.match)
    order = np.random.default_rng([seed, 11]).permutation(len(matches))
    known, fresh = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    rows: list[Online] = []
    why: list[str] = []
    for view in views:
        try:
            if numbered(theirs.match)[-1] < 1:
                raise InputError("n is too small: expected attacked matches to learn from and others to try it on")
            detector = fit_detector(ours, picked(theirs, known), game=game, names=names, view=view, seed=seed)
            lost = None if won is None else won[matches[fresh]]
            tried = trial(detector, again, picked(theirs, fresh), lost, seed=seed)
        except InputError as error:
            why.append(f"{view}: {error}")
            continue
        path = None
        if folder is not None:
            path = folder / f"detector-{view}.safetensors"
            detectors.save(detector, path, {"game": game, "view": view, "seed": seed})
        rows.append(_tried(detector, tried, path, again, picked(theirs, fresh)))
    return tuple(rows), why


def _tried(detector: Detector, tried: Trial, path: Path | None, benign: Tracks, attacked: Tracks) -> Online:
    steps = np.unique(np.linspace(1, int(attacked.step.max()) + 1, 40).astype(int))
    return Online(
        view=detector.view,
        statistic=detector.statistic,
        alpha=detector.alpha,
        certified=detector.certified,
        file=None if path is None else path.name,
        false_alarms=tried.false_alarms,
        false_alarms_ci=_pair(tried.false_alarms_interval),
        benign_matches=tried.benign_matches,
        caught=tried.caught,
        caught_ci=_pair(tried.caught_interval),
        attacked_matches=tried.attacked_matches,
        steps=tried.steps,
        in_time=tried.in_time,
        in_time_ci=None if tried.in_time_interval is None else _pair(tried.in_time_interval),
        matches_to_detection=tried.matches,
        at_step=tuple(steps.tolist()),
        caught_by=_by(detector, attacked, steps),
        false_by=_by(detector, benign, steps),
    )


def _by(detector: Detector, tracks: Tracks, steps: np.ndarray) -> tuple[float, ...]:
    """The share of matches with an alarm by each step."""
    above = detector.paths(tracks) > detector.threshold
    first = np.where(above.any(axis=1), above.argmax(axis=1) + 1, np.inf)
    return tuple(float((first <= step).mean()) for step in steps)


def _pair(ends: Any) -> tuple[float, float]:
    return float(ends[0]), float(ends[1])
