"""Samples of states, made ready to be compared: checked, thinned, and in bundles that are drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.metrics.resampling import AGAIN, ATTACKED, BENIGN, LEAST_MATCHES, Pool
from sparring.types import States

_BUNDLES = 500  # of a sample: more matches are drawn in bundles
_UNEVEN = 1.25  # samples are thinned if one has so many times the states a match of another


class Prepared(NamedTuple):
    """All states in one pool, and what was done to them."""

    pool: Pool
    matches: tuple[int, int]  # benign and attacked
    spare: int  # further benign matches, for the floor
    notes: tuple[str, ...]

    def compared(self) -> tuple[np.ndarray, np.ndarray]:
        """The benign and the attacked states, float64 [n, D] and [m, D]."""
        part = self.pool.part[self.pool.match]
        return self.pool.rows[part == BENIGN], self.pool.rows[part == ATTACKED]


def check_states(benign: States, again: States | None, attacked: States, names: Sequence[str]) -> None:
    """Refuse samples that cannot be compared.

    Raises:
      InputError: shapes that do not fit, other features, no states, or a value that is not finite.
    """
    if len(set(names)) < len(names) or not len(names):
        twice = next((name for name in names if list(names).count(name) > 1), None)
        got = "none" if twice is None else f"{twice!r} twice"
        raise InputError(f"names: expected at least one, and all different, got {got}")
    for what, sample in (("benign", benign), ("again", again), ("attacked", attacked)):
        if sample is None:
            continue
        rows, match = np.asarray(sample.rows), np.asarray(sample.match)
        if rows.ndim != 2 or match.shape != rows.shape[:1]:
            raise InputError(
                f"{what}: expected states [n, D] and their matches [n], got {list(rows.shape)} and {list(match.shape)}"
            )
        if not len(rows):
            raise InputError(f"{what}: expected at least one state of a valid match, got none: play more matches")
        if rows.shape[1] != len(names):
            raise InputError(
                f"{what}: expected {len(names)} features ({names[0]}, ...), got {rows.shape[1]}: compare states of one "
                "game and one agent"
            )
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise InputError(
                f"{what}: feature {names[column]} of state {row} is {rows[row, column]}: leave invalid matches out"
            )


def prepared(benign: States, again: States | None, attacked: States, rng: np.random.Generator) -> Prepared:
    """Put three samples into one pool.

    The steps, each with a note if it changed something: where `again` is None, half of the benign matches are taken for
    it. Of the attacked matches, no more are kept than `again` has: the floor needs a benign sample as large as the
    attacked one. Samples with more states a match than another are thinned to the same number a match. Matches are put
    into bundles.

    Args:
      benign: as `check_states` accepts them.
      again: further benign matches or None.
      attacked: attacked matches.
      rng: for the draws.
    """
    notes = []
    rows = [np.asarray(benign.rows, np.float64), np.zeros((0, benign.rows.shape[1])), np.asarray(attacked.rows, float)]
    match = [_numbered(benign.match), np.zeros(0, np.int64), _numbered(attacked.match)]
    if again is not None:
        rows[AGAIN], match[AGAIN] = np.asarray(again.rows, np.float64), _numbered(again.match)
    elif (count := int(match[BENIGN].max()) + 1) >= 2 * LEAST_MATCHES:
        half = rng.permutation(count) < count // 2
        taken = half[match[BENIGN]]
        rows[AGAIN], match[AGAIN] = rows[BENIGN][taken], _numbered(match[BENIGN][taken])
        rows[BENIGN], match[BENIGN] = rows[BENIGN][~taken], _numbered(match[BENIGN][~taken])
        notes.append(f"no second benign sample: {count // 2} of {count} benign matches were taken for it")
    counts = [int(numbers.max()) + 1 if len(numbers) else 0 for numbers in match]
    if counts[ATTACKED] > counts[AGAIN] >= LEAST_MATCHES:
        kept = (rng.permutation(counts[ATTACKED]) < counts[AGAIN])[match[ATTACKED]]
        rows[ATTACKED], match[ATTACKED] = rows[ATTACKED][kept], _numbered(match[ATTACKED][kept])
        notes.append(f"{counts[AGAIN]} of {counts[ATTACKED]} attacked matches are compared, as many as benign ones")
        counts[ATTACKED] = counts[AGAIN]
    notes += _evened(rows, match, counts, rng)
    size = -(-max(counts) // _BUNDLES)
    if size > 1:
        match = [
            (rng.permutation(n) // size)[numbers] if n else numbers for n, numbers in zip(counts, match, strict=True)
        ]
        notes.append(f"matches are drawn in bundles of {size}")
    bundles = [-(-n // size) for n in counts]
    begin = np.concatenate([[0], np.cumsum(bundles)[:-1]])
    pool = Pool(
        np.concatenate(rows),
        np.concatenate([numbers + first for numbers, first in zip(match, begin, strict=True)]),
        np.repeat([BENIGN, AGAIN, ATTACKED], bundles),
    )
    return Prepared(pool, (counts[BENIGN], counts[ATTACKED]), counts[AGAIN], tuple(notes))


def _numbered(match: np.ndarray) -> np.ndarray:
    """The matches as 0, 1, ..."""
    return np.unique(np.asarray(match), return_inverse=True)[1].astype(np.int64)


def _evened(rows: list[np.ndarray], match: list[np.ndarray], counts: list[int], rng: np.random.Generator) -> list[str]:
    """Thin samples, in place, to about the same number of states a match; what was done, in words."""
    density = [len(part) / n if n else np.inf for part, n in zip(rows, counts, strict=True)]
    if max(d for d in density if np.isfinite(d)) <= _UNEVEN * min(density):
        return []
    for which, n in enumerate(counts):
        if n and density[which] > min(density):
            size = max(1, round(min(density) * n))
            kept = np.sort(rng.choice(len(rows[which]), size, replace=False))
            rows[which], match[which] = rows[which][kept], match[which][kept]
    return [f"thinned to {min(density):.3g} states a match in every sample"]
