"""How visible an attack is to somebody who may look at whole matches afterwards: classifier two-sample tests.

A classifier learns to tell benign from attacked matches; matches that it has not seen are scored (Lopez-Paz and Oquab
2017). Steps of one match resemble each other, so matches are the unit everywhere: in the folds, in the intervals and in
the permutations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from sparring.errors import InputError, unknown
from sparring.metrics.auc import FALSE_ALARMS, Auc, auc, clustered_variance, roc, score_interval
from sparring.metrics.scorers import discriminant, transition, unit_of
from sparring.metrics.windows import check_tracks, check_window, described, numbered, picked
from sparring.types import Tracks

Kind = Literal["discriminant", "boosting"]
FOLDS, WINDOW, PERMUTATIONS = 5, 10, 199
MOST_NUMBERS = 60_000_000  # of one array, 240 MB: of longer records every second, third, ... step is taken
_RANKS = 3  # arrays as large as the scores of all permutations, that ranking them takes
# A fold's scores come from matches of the other folds, whose models were fitted on its own matches. If there is no
# difference to be found, each pair of folds is then counted twice, and the variance is twice that of independent folds
# (a degenerate U-statistic); if there is one, the models are alike, and the interval is somewhat wide.
_CROSSED = 2.0


class TwoSample(NamedTuple):
    """What a classifier can tell from benign and attacked matches that it has not seen."""

    state: Auc  # of single states
    window: Auc  # of the last w steps
    match: Auc  # of whole matches, by the mean score of their windows
    floor: Auc | None  # of whole benign matches, one half against the other; None: not asked for
    matches: tuple[int, int]  # benign, attacked
    size: int  # w, steps


class Transitions(NamedTuple):
    """Prop. 3.3: the victim's marginal transitions, by a model of benign matches (half of them; the others are met)."""

    residual: Auc  # of steps, by the length of the standardised residual: no attacked match is learned from
    residual_match: Auc  # of whole matches, by its mean
    classifier: TwoSample  # a classifier on the residuals


def two_sample(
    benign: Tracks,
    attacked: Tracks,
    *,
    window: int = WINDOW,
    folds: int = FOLDS,
    permutations: int = PERMUTATIONS,
    floor: bool = True,
    kind: Kind = "discriminant",
    seed: int = 0,
) -> TwoSample:
    """A classifier two-sample test of benign against attacked matches, with held-out AUCs of three kinds.

    The classifier is `scorers.Classifier`, or gradient boosting on the features alone, which sees any form of
    difference, and takes as long for every permutation as for the labels themselves: give it fewer. AUCs are taken
    within folds and averaged. Intervals are over matches. The p-value is exact: labels of matches are permuted within
    folds, and the classifier is fitted anew each time.

    Args:
      benign: matches without an attack.
      attacked: matches of the same game with one, of which every step counts as attacked, controlled or not.
      window: w, steps; see `windows.described`.
      folds: K; each match is in one of them.
      permutations: how many, for p-values; 0: none.
      floor: also tell one half of the benign matches from the other.
      kind: of classifier.
      seed: of the folds and the permutations.

    Raises:
      InputError: fewer than two matches of a kind for each fold, tracks that do not fit together, or NaN.
    """
    check_tracks(benign, "benign")
    check_tracks(attacked, "attacked", benign.rows.shape[1])
    window = check_window(window)
    if kind not in get_args(Kind):
        raise unknown("kind of classifier", kind, get_args(Kind))
    m, n = int(numbered(benign.match)[-1]) + 1, int(numbered(attacked.match)[-1]) + 1
    if folds < 2 or min(m, n) < 2 * folds:
        raise InputError(
            f"detection: n is too small: {folds} folds need 2 or more, and {2 * folds} matches of each kind, got {m} "
            f"benign and {n} attacked: play more matches"
        )
    label, fold = np.arange(m + n) >= m, _folds(m, n, folds, seed)
    rng = np.random.default_rng([seed, 1])
    labels = np.stack([label, *(_permuted(label, fold, rng) for _ in range(permutations))], axis=1)
    views = {w: _view((benign, attacked), w, 1 + permutations) for w in {1, window}}
    scores = {}
    for w, (x, match) in views.items():
        if kind == "discriminant":
            scores[w] = _crossed(x, match, labels, fold)
        else:  # the features come before their squares and products
            scores[w] = _boosted(x[:, : benign.rows.shape[1] * (1 if w == 1 else 3)], match, labels, fold, seed)
    of_steps = {w: _auc(scores[w], views[w][1], labels, fold) for w in views}
    match = views[window][1]
    whole = _means(scores[window], match)
    halves = None
    if floor:
        if m < 4 * folds:
            raise InputError(f"detection: the floor needs {4 * folds} benign matches, got {m}: play more, or leave it")
        order = np.random.default_rng([seed, 2]).permutation(m)
        parts = picked(benign, order[: m // 2]), picked(benign, order[m // 2 :])
        halves = two_sample(
            *parts, window=window, folds=folds, permutations=permutations, floor=False, kind=kind, seed=seed
        ).match
    at = np.arange(m + n)
    return TwoSample(of_steps[1], of_steps[window], _auc(whole, at, labels, fold), halves, (m, n), window)


def transitions(
    benign: Tracks,
    attacked: Tracks,
    *,
    window: int = WINDOW,
    folds: int = FOLDS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Transitions:
    """How visible an attack is in what follows from the victim's state and its own action (Prop. 3.3).

    Raises:
      InputError: as `two_sample`, or matches of one step.
    """
    check_tracks(benign, "benign")
    check_tracks(attacked, "attacked", benign.rows.shape[1])
    m = int(numbered(benign.match)[-1]) + 1
    order = np.random.default_rng([seed, 3]).permutation(m)
    model = transition(picked(benign, order[: m // 2]))
    ours, theirs = model.tracks(picked(benign, order[m // 2 :])), model.tracks(attacked)
    found = two_sample(ours, theirs, window=window, folds=folds, permutations=permutations, floor=False, seed=seed)
    held, n = found.matches
    label, rng = np.arange(held + n) >= held, np.random.default_rng([seed, 4])
    labels = np.stack([label, *(rng.permutation(label) for _ in range(permutations))], axis=1)
    match = np.concatenate([numbered(ours.match), numbered(theirs.match) + held])
    length = np.sqrt((np.concatenate([ours.rows, theirs.rows]) ** 2).mean(axis=1))[:, None]
    length = np.repeat(length, labels.shape[1], axis=1)
    together = np.zeros(held + n, int)  # the model has seen none of them: one fold, and no factor
    step = _auc(length, match, labels, together, crossed=1.0)
    return Transitions(step, _auc(_means(length, match), np.arange(held + n), labels, together, crossed=1.0), found)


def importance(
    benign: Tracks,
    attacked: Tracks,
    groups: Mapping[str, Sequence[int]],
    *,
    window: int = WINDOW,
    folds: int = FOLDS,
    repeats: int = 3,
    states: int = 4000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Permutation importance: by how much the held-out AUC of windows falls when a group of features is shuffled.

    Args:
      benign: as for `two_sample`.
      attacked: the same.
      groups: for each name its features, as indices into the rows; such as one for each named feature.
      window: w, steps; mean, spread and change of a feature are shuffled together.
      folds: K.
      repeats: shuffles.
      states: of each fold at most so many are scored.
      seed: of folds and shuffles.

    Returns:
      For each group the mean fall, and its standard deviation over shuffles and folds divided by the root of their
      number; the largest fall first.

    Raises:
      InputError: as `two_sample`, or a feature that there is not.
    """
    check_tracks(benign, "benign")
    size = benign.rows.shape[1]
    check_tracks(attacked, "attacked", size)
    for name, group in groups.items():
        if not len(group) or min(group) < 0 or max(group) >= size:
            raise InputError(f"importance: group {name}: expected features from 0 to {size - 1}, got {list(group)}")
    m, n = int(numbered(benign.match)[-1]) + 1, int(numbered(attacked.match)[-1]) + 1
    if min(m, n) < 2 * folds:
        raise InputError(f"importance: n is too small: {folds} folds need {2 * folds} matches of each kind")
    rng = np.random.default_rng([seed, 5])
    label, fold = np.arange(m + n) >= m, _folds(m, n, folds, seed)
    features, match = _features((benign, attacked), check_window(window))
    unit = unit_of(features)
    falls: dict[str, list[float]] = {name: [] for name in groups}
    for k in range(folds):
        learned = np.flatnonzero(fold[match] != k)
        x, attack = unit(features[learned]), label[match[learned]]
        weights = discriminant(x.T @ x / len(x), x[attack].mean(axis=0) - x[~attack].mean(axis=0))
        held = np.flatnonzero(fold[match] == k)
        held = rng.permutation(held)[:states]
        truth, whole = label[match[held]], features[held]
        best = float(auc(unit(whole) @ weights, truth))
        for name, group in groups.items():
            columns = np.concatenate([np.asarray(group) + size * part for part in range(whole.shape[1] // size)])
            for _ in range(repeats):
                shuffled = whole.copy()
                shuffled[:, columns] = whole[rng.permutation(len(whole))][:, columns]
                falls[name].append(best - float(auc(unit(shuffled) @ weights, truth)))
    found = {name: (float(np.mean(f)), float(np.std(f, ddof=1) / len(f) ** 0.5)) for name, f in falls.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _folds(m: int, n: int, folds: int, seed: int) -> np.ndarray:
    """The fold of each of m benign and n attacked matches, int [m + n]; each has its share of both kinds."""
    rng = np.random.default_rng([seed, 9])
    return np.concatenate([rng.permutation(np.arange(count) % folds) for count in (m, n)])


def _permuted(label: np.ndarray, fold: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The labels of matches shuffled within folds."""
    shuffled = label.copy()
    for k in np.unique(fold):
        ours = np.flatnonzero(fold == k)
        shuffled[ours] = label[rng.permutation(ours)]
    return shuffled


def _features(both: tuple[Tracks, Tracks], window: int) -> tuple[np.ndarray, np.ndarray]:
    """The features of all steps, float64 [n, P], and the match of each; the second record's matches follow."""
    described_ = np.concatenate([described(one.rows, one.step, window) for one in both])
    first = numbered(both[0].match)
    return described_, np.concatenate([first, numbered(both[1].match) + first[-1] + 1])


def _view(both: tuple[Tracks, Tracks], window: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps in units of their deviations, with squares and products, float32 [n, Q], and the match of each.

    Labels are not used, so that permutations of them stay exact.
    """
    features, match = _features(both, window)
    unit = unit_of(features)
    stride = -(-len(features) * max(len(unit.centre), _RANKS * columns) // MOST_NUMBERS)
    step = np.concatenate([one.step for one in both])
    kept = np.flatnonzero(step % stride == 0)  # the first step of every match is among them
    parts = np.array_split(kept, max(len(kept) // 5000, 1))
    return np.concatenate([unit(features[part]).astype(np.float32) for part in parts]), match[kept]


def _crossed(x: np.ndarray, match: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Held-out scores under each labelling of the matches, float32 [n, B].

    Args:
      x: float32 [n, Q].
      match: int [n].
      labels: bool [M, B].
      fold: int [M].
    """
    count = np.bincount(match, minlength=len(fold))
    sums = np.stack([np.bincount(match, column, minlength=len(fold)) for column in x.T], axis=1)
    grams = {k: _gram(x[fold[match] == k]) for k in np.unique(fold)}
    scores = np.zeros((len(x), labels.shape[1]), np.float32)
    for k in grams:
        # Not the whole less one: the rounding of a difference is more than the ridge.
        covariance = sum(gram for other, gram in grams.items() if other != k) / count[fold != k].sum()
        learned, held = fold != k, fold[match] == k
        attacked, number = labels[learned].T, count[learned]
        theirs = attacked @ sums[learned] / (attacked @ number)[:, None]
        ours = ~attacked @ sums[learned] / (~attacked @ number)[:, None]
        weights = discriminant(covariance, (theirs - ours).T)
        scores[held] = x[held] @ weights.astype(np.float32)
    return scores


def _boosted(x: np.ndarray, match: np.ndarray, labels: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """As `_crossed`, by gradient boosting on features [n, P]."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    scores = np.zeros((len(x), labels.shape[1]), np.float32)
    for k in np.unique(fold):
        held = fold[match] == k
        for column, label in enumerate(labels.T):
            # Early stopping would hold steps back, not matches. (Its type is taken from its default, a word.)
            model = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)  # pyright: ignore
            model.fit(x[~held], label[match[~held]])
            scores[held, column] = model.decision_function(x[held])
    return scores


def _gram(x: np.ndarray) -> np.ndarray:
    """The sum of x x', float64 [Q, Q]."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for begin in range(0, len(x), 20_000):
        part = x[begin : begin + 20_000].astype(np.float64)
        total += part.T @ part
    return total


def _means(scores: np.ndarray, match: np.ndarray) -> np.ndarray:
    """The mean score of each match, float64 [M, B]; the steps of a match follow each other."""
    starts = np.flatnonzero(np.diff(match, prepend=-1))
    return np.add.reduceat(scores.astype(np.float64), starts) / np.diff(starts, append=len(match))[:, None]


def _auc(scores: np.ndarray, match: np.ndarray, labels: np.ndarray, fold: np.ndarray, crossed: float = _CROSSED) -> Auc:
    """The mean AUC within folds, of the first labelling; the others are its permutations.

    Args:
      scores: [n, B].
      match: int [n].
      labels: bool [M, B].
      fold: int [M].
      crossed: what the variance of independent folds is multiplied with.
    """
    values, variance, weight, curve = np.zeros(labels.shape[1]), 0.0, 0.0, np.zeros(len(FALSE_ALARMS))
    for k in np.unique(fold):
        held = fold[match] == k
        ours = labels[match[held]]
        # A pair of a benign and an attacked match counts alike in every fold.
        pairs = float(labels[fold == k, 0].sum() * (~labels[fold == k, 0]).sum())
        values += pairs * auc(scores[held], ours)
        variance += pairs**2 * clustered_variance(scores[held, 0], ours[:, 0], match[held])
        curve += pairs * roc(scores[held, 0], ours[:, 0])
        weight += pairs
    values /= weight
    along = tuple((curve / weight).tolist())
    rarer = int(min(labels[:, 0].sum(), (~labels[:, 0]).sum()))
    interval = score_interval(float(values[0]), crossed * variance / weight**2, rarer)
    permuted = values[1:]
    if not len(permuted):
        return Auc(float(values[0]), interval, None, None, along)
    p = (1 + np.count_nonzero(permuted >= values[0])) / (1 + len(permuted))
    low, high = np.quantile(permuted, (0.025, 0.975))
    return Auc(float(values[0]), interval, float(p), (float(low), float(high)), along)
