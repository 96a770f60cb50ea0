from __future__ import annotations

import numpy as np
import pytest
import toys

from sparring.errors import InputError
from sparring.metrics.windows import check_tracks, check_window, described, described_last, joined, picked, steps_of


def test_windows_by_hand_and_never_over_the_end_of_a_match() -> None:
    rows = np.array([[1.0], [3.0], [8.0], [10.0], [14.0]])
    found = described(rows, np.array([0, 1, 2, 0, 1]), 2)
    # Mean, standard deviation and change of the last two steps, or of the first alone.
    assert found.tolist() == [[1, 0, 0], [2, 1, 2], [5.5, 2.5, 5], [10, 0, 0], [12, 2, 4]]
    assert described(rows, np.arange(5), 1).tolist() == rows.tolist()


def test_a_window_sees_nothing_of_the_future() -> None:
    tracks = toys.wandering(3, steps=12, seed=3)
    whole = described(tracks.rows, tracks.step, 5)
    for end in (1, 4, 9):
        part = described(tracks.rows[:end], tracks.step[:end], 5)
        np.testing.assert_array_equal(part, whole[:end])
        newest = [row for row in tracks.rows[max(end - 5, 0) : end].astype(np.float64)]
        np.testing.assert_array_equal(described_last(newest), whole[end - 1])


def test_records_are_joined_and_picked() -> None:
    first, second = toys.wandering(3, steps=4, seed=1), toys.wandering(2, steps=5, seed=2)
    both = joined([first, second])
    assert both.match.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 5 + [4] * 5
    np.testing.assert_array_equal(picked(both, np.array([3, 4])).rows, second.rows)
    assert steps_of(np.array([4, 4, 7, 9, 9, 9])).tolist() == [0, 1, 0, 0, 1, 2]


def test_what_are_no_matches() -> None:
    good = toys.wandering(3, steps=4)
    bad_rows = good.rows.copy()
    bad_rows[2, 1] = np.nan
    for tracks, message in (
        (good._replace(rows=bad_rows), "NaN or infinity"),
        (good._replace(match=good.match[::-1]), "one after the other"),
        (good._replace(step=good.step + 1), "steps 0, 1, 2"),
        (good._replace(rows=good.rows[:0]), r"rows \[n, D\]"),
        (good._replace(rows=good.rows[:5]), r"rows \[n, D\]"),
    ):
        with pytest.raises(InputError, match=message) as refused:
            check_tracks(tracks, "benign")
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="expected 7 features, got 3"):
        check_tracks(good, "benign", 7)
    with pytest.raises(InputError, match="at least one record"):
        joined([])
    for window in (0, 1001, 2.5, True):
        with pytest.raises(InputError, match="window: expected a whole number"):
            check_window(window)
