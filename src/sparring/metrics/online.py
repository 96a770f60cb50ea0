"""`Detector`: what a defender runs while matches are played. Frozen arrays and settings; `sparring.detectors` keeps it.

A step's score says how unusual it looks: by a classifier where attacked matches are given, else by its Mahalanobis
distance from benign play; in what was seen (`state`), or in what followed from it and the victim's own action, as
standardised residuals of a model of benign transitions (`transition`, Prop. 3.3). Scores are added up by one of
`sequential`'s statistics, whose threshold is calibrated on benign matches that nothing was fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparring.errors import InputError, unknown
from sparring.metrics.intervals import Interval, wilson
from sparring.metrics.scorers import Classifier, Distance, Transition, classifier, distance, transition
from sparring.metrics.sequential import (
    Martingale,
    Statistic,
    Threshold,
    advanced,
    begun,
    check_alpha,
    needed,
    paths,
    shown,
    threshold,
)
from sparring.metrics.windows import (
    View,
    check_tracks,
    check_window,
    described,
    described_last,
    joined,
    numbered,
    picked,
)
from sparring.types import Tracks

WINDOW, ALPHA = 10, 0.01
STATISTICS = ("cusum", "cusum-two-sided", "betting")
VIEWS = ("state", "transition")
_LEAST = 8  # benign matches to fit on


@dataclass(frozen=True, eq=False)
class Detector:
    """A calibrated detector. Make it with `fit_detector`; run it with `Stream`."""

    game: str  # the game's id
    names: tuple[str, ...]  # of the features that it sees, in order
    actions: int  # numbers in the victim's own action; 0: it is not looked at
    one_hot: bool  # the action is a discrete choice
    view: View
    window: int  # steps
    statistic: Statistic
    alpha: float  # false alarms per match that were asked for
    scorer: Classifier | Distance
    transition: Transition | None  # None: view `state`
    centre: float  # a benign step's mean score
    spread: float  # and its deviation
    threshold: float  # an alarm is raised where the statistic is above it
    rate: float  # false alarms per match that are certified with 95% confidence over the calibration
    calibration: np.ndarray  # float64 [n], the largest value of each benign match, sorted
    certified: str  # the rate in one sentence

    def scores(self, tracks: Tracks) -> np.ndarray:
        """The score of each step in deviations above its benign mean, float64 [n]; NaN where there is none.

        Raises:
          InputError: tracks of another game's size.
        """
        check_tracks(tracks, "detector", len(self.names))
        if self.transition is None:
            return (self.scorer(described(tracks.rows, tracks.step, self.window)) - self.centre) / self.spread
        if tracks.action.shape[1] != self.actions:
            raise InputError(f"detector: expected actions of {self.actions} numbers, got {tracks.action.shape[1]}")
        found = np.full(len(tracks.rows), math.nan)
        residuals = self.transition.tracks(tracks)
        features = described(residuals.rows, residuals.step, self.window)
        # A transition is known when its next state is seen.
        found[np.asarray(tracks.step) > 0] = (self.scorer(features) - self.centre) / self.spread
        return found

    def paths(self, tracks: Tracks) -> np.ndarray:
        """The statistic after each step, float64 [M, T]; after its end a match keeps its last value."""
        return paths(self.statistic, padded(self.scores(tracks), tracks.match))


def fit_detector(
    benign: Tracks | Sequence[Tracks],
    attacked: Tracks | Sequence[Tracks] | None = None,
    *,
    game: str = "",
    names: Sequence[str] | None = None,
    view: View = "state",
    window: int = WINDOW,
    statistic: Statistic = "cusum",
    alpha: float = ALPHA,
    calibration: Tracks | None = None,
    seed: int = 0,
) -> Detector:
    """Fit a detector, and calibrate it on benign matches of their own.

    A detector that adapts to new attackers is fitted with their matches, too: `attacked=(first, second)`.

    Args:
      benign: matches without an attack.
      attacked: matches with one; None: the detector knows benign play alone.
      game: the game's id, kept with the detector.
      names: of the features; by default their numbers.
      view: what is looked at.
      window: w, steps; see `windows.described`.
      statistic: how scores are added up.
      alpha: false alarms per match.
      calibration: benign matches for the threshold alone; None: half of `benign`, or as many as alpha asks for, but no
        more than three quarters. They are drawn by the seed.
      seed: of that draw.

    Raises:
      InputError: too few matches to fit on, tracks that do not fit together, NaN, or settings out of range.
    """
    benign = _one(benign)
    check_tracks(benign, "benign")
    size = benign.rows.shape[1]
    for what, value, known in (("view", view, VIEWS), ("statistic", statistic, STATISTICS)):
        if value not in known:
            raise unknown(f"{what} of a detector", value, known)
    check_alpha(alpha)
    window = check_window(window)
    names = tuple(str(i) for i in range(size)) if names is None else tuple(map(str, names))
    if len(names) != size or len(set(names)) < size:
        raise InputError(f"names: expected {size} different names, one for each feature, got {len(set(names))}")
    if calibration is None:
        m = int(numbered(benign.match)[-1]) + 1
        held = min(max(m // 2, needed(alpha)), m * 3 // 4)
        order = np.random.default_rng([seed, 6]).permutation(m)
        benign, calibration = picked(benign, order[held:]), picked(benign, order[:held])
    check_tracks(calibration, "calibration", size)
    if (m := int(numbered(benign.match)[-1]) + 1) < _LEAST:
        raise InputError(f"detector: n is too small: expected {_LEAST} or more benign matches to fit on, got {m}")
    attacks = None if attacked is None else _one(attacked)
    if attacks is not None:
        check_tracks(attacks, "attacked", size)
    model = transition(benign) if view == "transition" else None
    scorer = _scorer(benign, attacks, model, window)
    centre, spread = _benign_scores(benign, attacks, model, window)
    action = np.asarray(benign.action)
    settings: dict[str, Any] = {
        "game": game,
        "names": names,
        "actions": action.shape[1] if model is not None else 0,
        "one_hot": bool(action.shape[1] > 1 and np.isin(action, (0, 1)).all() and (action.sum(axis=1) == 1).all()),
        "view": view,
        "window": window,
        "statistic": statistic,
        "alpha": float(alpha),
        "scorer": scorer,
        "transition": model,
        "centre": centre,
        "spread": spread,
    }
    free = Detector(threshold=math.inf, rate=1.0, calibration=np.zeros(0), certified="", **settings)
    largest = np.sort(free.paths(calibration).max(axis=1))
    found: Threshold = threshold(largest, alpha)
    return Detector(threshold=found.value, rate=found.rate, calibration=largest, certified=found.text, **settings)


def _one(tracks: Tracks | Sequence[Tracks]) -> Tracks:
    return tracks if isinstance(tracks, Tracks) else joined(tracks)


def _scorer(benign: Tracks, attacked: Tracks | None, model: Transition | None, window: int) -> Classifier | Distance:
    ours = _features(benign, model, window)
    return distance(ours) if attacked is None else classifier(ours, _features(attacked, model, window))


def _features(tracks: Tracks, model: Transition | None, window: int) -> np.ndarray:
    tracks = tracks if model is None else model.tracks(tracks)
    return described(tracks.rows, tracks.step, window)


def _benign_scores(
    benign: Tracks, attacked: Tracks | None, model: Transition | None, window: int
) -> tuple[float, float]:
    """Mean and deviation of the scores of benign steps that the scorer has not seen, by fitting it to halves."""
    m = int(numbered(benign.match)[-1]) + 1
    halves = np.arange(m) % 2
    found = []
    for half in (0, 1):
        learned = picked(benign, np.flatnonzero(halves != half))
        scorer = _scorer(learned, attacked, model, window)
        found.append(scorer(_features(picked(benign, np.flatnonzero(halves == half)), model, window)))
    scores = np.concatenate(found)
    return float(scores.mean()), max(float(scores.std()), 1e-12)


def padded(scores: np.ndarray, match: np.ndarray) -> np.ndarray:
    """Scores of steps as [M, T], NaN after a match's end."""
    row = numbered(match)
    length = np.bincount(row)
    step = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    found = np.full((len(length), int(length.max())), math.nan)
    found[row, step] = scores
    return found


class Seen(NamedTuple):
    """What a step of a live match says."""

    step: int  # since the match began
    value: float  # of the statistic
    alarm: bool  # it is above the threshold for the first time in this match


class Stream:
    """A detector on one live stream: matches one after the other, step by step.

    It gives what `Detector.paths` gives for whole matches. `finish` ends a match and bets on it (`Martingale`).
    """

    def __init__(self, detector: Detector, seed: int = 0) -> None:
        self.detector = detector
        self.matches, self.caught = 0, 0
        self.log_wealth = 0.0  # of the bets on whole matches
        self.across = False  # the wealth has reached 1 / alpha
        self._martingale = Martingale(detector.calibration, seed)
        self._step = -1

    def begin(self) -> None:
        """A match begins; one that is going on is finished."""
        self.finish()
        self._running, self._rows, self._step = begun(1), [], -1
        self._before: tuple[np.ndarray, np.ndarray] | None = None
        self._largest, self._alarmed = -math.inf, False
        self.matches += 1

    def add(self, row: np.ndarray, action: np.ndarray | None = None) -> Seen:
        """One step.

        Args:
          row: float [D], what the victim sees, flat and finite.
          action: float [A], what it does; read by detectors of transitions alone.

        Raises:
          InputError: such a detector is given none.
        """
        detector = self.detector
        if not self.matches or self._step < -1:
            self.begin()
        self._step += 1
        row = np.asarray(row, np.float32)
        score = math.nan
        if detector.transition is None:
            score = self._score(row.astype(np.float64))
        else:
            if action is None:
                raise InputError("action: this detector looks at transitions, which needs the agent's own action")
            if self._before is not None:
                rows, done = (one[None] for one in self._before)
                score = self._score(detector.transition.residuals(rows, done, row[None].astype(np.float64))[0])
            self._before = row, np.asarray(action, np.float32)
        self._running = advanced(detector.statistic, self._running, np.array([score]))
        value = float(shown(detector.statistic, self._running)[0])
        self._largest = max(self._largest, value)
        alarm = value > detector.threshold and not self._alarmed
        if alarm:
            self._alarmed = True
            self.caught += 1
        return Seen(self._step, value, alarm)

    def finish(self) -> bool:
        """The match is over; returns whether the bets on whole matches reach 1 / alpha with it, for the first time."""
        if self._step < 0:
            return False
        self._step = -2
        self.log_wealth = self._martingale.add(self._largest)
        reached = not self.across and self.log_wealth >= -math.log(self.detector.alpha)
        self.across |= reached
        return reached

    def _score(self, row: np.ndarray) -> float:
        """The score of the last steps, whose newest row this is."""
        detector, features = self.detector, row
        if detector.window > 1:
            self._rows = [*self._rows[1 - detector.window :], row]
            features = described_last(self._rows)
        return float((detector.scorer(features[None])[0] - detector.centre) / detector.spread)


class Trial(NamedTuple):
    """A detector on matches that it was not made from."""

    false_alarms: float  # of benign matches, the share with an alarm
    false_alarms_interval: Interval
    benign_matches: int
    caught: float  # of attacked matches, the share with an alarm
    caught_interval: Interval
    attacked_matches: int
    steps: float | None  # to detection, the median over all attacked matches; None: fewer than half are caught
    steps_interval: tuple[float | None, float | None]  # 95%; None: it is never caught
    steps_of_caught: float | None  # the median over those that are caught
    in_time: float | None  # of the matches that the attacker wins, the share with an alarm before the last step
    in_time_interval: Interval | None
    matches: float | None  # to detection by bets on whole matches, the median over orders of the attacked matches
    matches_false: float  # of orders of the benign matches, the share in which these bets ever raise an alarm


def trial(
    detector: Detector, benign: Tracks, attacked: Tracks, won: np.ndarray | None = None, orders: int = 20, seed: int = 0
) -> Trial:
    """Measure a detector on fresh matches.

    Args:
      detector: fitted and calibrated on others.
      benign: fresh benign matches.
      attacked: fresh attacked ones.
      won: bool [m], whether the attacker won each of them; None: the game has no winners.
      orders: in how many random orders the bets on whole matches are made.
      seed: of the orders.

    Raises:
      InputError: tracks that do not fit, or `won` of another size.
    """
    ours, theirs = detector.paths(benign), detector.paths(attacked)
    length = np.bincount(numbered(attacked.match))
    if won is not None and np.asarray(won).shape != length.shape:
        raise InputError(f"won: expected {len(length)} entries, one for each attacked match, got {np.size(won)}")
    false = int((ours.max(axis=1) > detector.threshold).sum())
    above = theirs > detector.threshold
    caught = above.any(axis=1)
    steps = np.where(caught, above.argmax(axis=1) + 1.0, math.inf)
    n = len(steps)
    share, span = None, None
    if won is not None and np.any(won):
        lost = np.asarray(won, bool)
        early = int((steps < length)[lost].sum())
        share, span = early / int(lost.sum()), wilson(early, int(lost.sum()))
    rng = np.random.default_rng([seed, 8])
    needed_ = [_matches(detector, rng.permutation(theirs.max(axis=1)), k) for k in range(orders)]
    falsely = [_matches(detector, rng.permutation(ours.max(axis=1)), k) for k in range(orders)]
    return Trial(
        false / len(ours),
        wilson(false, len(ours)),
        len(ours),
        float(caught.mean()),
        wilson(int(caught.sum()), n),
        n,
        _known(np.sort(steps)[(n - 1) // 2]),
        tuple(_known(end) for end in _median_ends(steps)),  # pyright: ignore[reportArgumentType]  # there are two
        float(np.median(steps[caught])) if caught.any() else None,
        share,
        span,
        _known(float(np.sort(needed_)[(orders - 1) // 2])),
        float(np.isfinite(falsely).mean()),
    )


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _median_ends(values: np.ndarray) -> Iterator[float]:
    """The order statistics between which the median lies with 95% confidence."""
    from scipy.stats import binom

    n, ordered = len(values), np.sort(values)
    k = int(binom.ppf(0.025, n, 0.5))  # as many values are below the median with a probability of 97.5% at least
    yield float(ordered[max(k - 1, 0)])
    yield float(ordered[min(n - k, n - 1)])


def _matches(detector: Detector, largest: np.ndarray, seed: int) -> float:
    """After how many matches the bets on whole matches reach 1 / alpha."""
    bets = Martingale(detector.calibration, seed)
    for i, value in enumerate(largest):
        if bets.add(float(value)) >= -math.log(detector.alpha):
            return i + 1.0
    return math.inf
