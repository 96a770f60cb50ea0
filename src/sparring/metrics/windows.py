"""What the last steps of a match looked like: mean, spread and change of every feature over a window of w steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from sparring.errors import InputError
from sparring.types import Tracks

View = Literal["state", "transition"]


def check_tracks(tracks: Tracks, what: str, features: int | None = None) -> None:
    """Refuse what is no record of whole matches.

    Raises:
      InputError: no step, sizes that do not fit, NaN or infinity, or matches that are not one after the other.
    """
    rows, n = np.asarray(tracks.rows), len(tracks.match)
    if rows.ndim != 2 or not rows.size or len(rows) != n or len(tracks.step) != n or len(tracks.action) != n:
        raise InputError(f"{what}: expected tracks with rows [n, D] and n matches, steps and actions, got {rows.shape}")
    if features is not None and rows.shape[1] != features:
        raise InputError(f"{what}: expected {features} features, got {rows.shape[1]}: give tracks of the same game")
    if not np.isfinite(rows).all() or not np.isfinite(tracks.action).all():
        raise InputError(f"{what}: the tracks contain NaN or infinity")
    if (np.diff(tracks.match) < 0).any() or not (np.asarray(tracks.step) == steps_of(tracks.match)).all():
        raise InputError(f"{what}: expected whole matches, one after the other, with steps 0, 1, 2, ... in each")


def starts_of(match: np.ndarray) -> np.ndarray:
    """Where each match begins, int [m]."""
    return np.flatnonzero(np.diff(match, prepend=match[0] - 1))


def numbered(match: np.ndarray) -> np.ndarray:
    """The matches numbered 0 .. m-1 in their order, int [n]."""
    return np.cumsum(np.diff(match, prepend=match[0]) != 0)


def steps_of(match: np.ndarray) -> np.ndarray:
    """Steps since the match began, int [n]."""
    match = np.asarray(match)
    return np.arange(len(match)) - starts_of(match)[numbered(match)]


def joined(tracks: Sequence[Tracks]) -> Tracks:
    """Several records as one, their matches numbered anew.

    Raises:
      InputError: none, or records of different sizes.
    """
    if not tracks:
        raise InputError("tracks: expected at least one record of matches, got none")
    for one in tracks:
        check_tracks(one, "tracks", tracks[0].rows.shape[1])
    count, match = 0, []
    for one in tracks:
        match.append(numbered(one.match) + count)
        count = int(match[-1][-1]) + 1
    whole = Tracks(*(np.concatenate(parts) for parts in zip(*tracks, strict=True)))
    return whole._replace(match=np.concatenate(match))


def picked(tracks: Tracks, matches: np.ndarray) -> Tracks:
    """The matches with these numbers (counted from 0 in the order of the tracks), which keep their order."""
    kept = np.isin(numbered(tracks.match), matches)
    return Tracks(*(np.asarray(column)[kept] for column in tracks))


def described(rows: np.ndarray, step: np.ndarray, window: int) -> np.ndarray:
    """What can be known at each step, float64 [n, D], or [n, 3 D] for a window of more than one step.

    Of the last `window` steps of the match, or as many as there have been: the mean of each feature, its standard
    deviation, and its change from the first to the last of them. Nothing later is used.

    Args:
      rows: float [n, D], of whole matches one after the other.
      step: int [n], steps since the match began.
      window: w, at least 1.
    """
    rows = np.asarray(rows, np.float64)
    if window == 1:
        return rows
    there = np.minimum(step + 1, window)
    mean, square = np.zeros_like(rows), np.zeros_like(rows)
    for lag in range(window):  # no array of [n, w, D] is made
        at = np.flatnonzero(there > lag)
        mean[at] += rows[at - lag]
    mean /= there[:, None]
    for lag in range(window):
        at = np.flatnonzero(there > lag)
        square[at] += (rows[at - lag] - mean[at]) ** 2
    first = np.arange(len(rows)) - there + 1
    return np.concatenate([mean, np.sqrt(square / there[:, None]), rows - rows[first]], axis=1)


def described_last(rows: Sequence[np.ndarray]) -> np.ndarray:
    """What `described` gives for the newest of a window's rows, bit for bit, float64 [3 D].

    Args:
      rows: float64 [D] each, the oldest first.
    """
    mean, square = np.zeros_like(rows[-1]), np.zeros_like(rows[-1])
    for row in reversed(rows):  # sums in the order of `described`
        mean += row
    mean /= len(rows)
    for row in reversed(rows):
        square += (row - mean) ** 2
    return np.concatenate([mean, np.sqrt(square / len(rows)), rows[-1] - rows[0]])


def check_window(window: object) -> int:
    """The number of steps, if it is one.

    Raises:
      InputError: it is not.
    """
    if isinstance(window, bool) or not isinstance(window, (int, np.integer)) or not 1 <= window <= 1000:
        raise InputError(f"window: expected a whole number of steps from 1 to 1000, got {window!r}")
    return int(window)
