"""When a RoboSumo match is lost, and what a step is worth (Al-Shedivat et al. 2017), for B matches at once.

Positions are torsos', `float64 [B, 3]`, metres, heights already adjusted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STEP_LIMIT = 501  # the longest match
CONTROL_DT = 0.05  # s
MIN_HEIGHT = 0.29
TALL = 0.6  # m
RING_MARGIN = 0.1  # m beyond the border
WIN, LOSE, DRAW = 2000.0, -2000.0, -1000.0


class Terms(NamedTuple):
    """One robot's terms of one step, each `float64 [B]`. The reward is the sum of the first six.

    The last three are for shaping only: metres by which the robot's own motion brought it nearer to the opponent, the
    change of how much farther from the centre (in the square's norm) the opponent is than the robot itself, and the
    seconds that it kept low, times the metres below `TALL`.
    """

    win: np.ndarray
    lose: np.ndarray
    draw: np.ndarray
    ctrl: np.ndarray
    move: np.ndarray
    push: np.ndarray
    approach: np.ndarray
    ring: np.ndarray
    low: np.ndarray

    @property
    def reward(self) -> np.ndarray:
        return self.win + self.lose + self.draw + self.ctrl + self.move + self.push


def lost(position: np.ndarray, tatami_size: float) -> np.ndarray:
    """The torso is too low or left the ring; bool [B]."""
    return (position[:, 2] < MIN_HEIGHT) | (_off_centre(position) >= tatami_size + RING_MARGIN)


def terms(
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
    lost: tuple[np.ndarray, np.ndarray],
    late: np.ndarray,
    action: np.ndarray,
) -> Terms:
    """The terms of one robot.

    Args:
      before, after: positions of (the robot, its opponent) around the step.
      lost: whether (the robot, its opponent) lost at this step; both can be.
      late: bool [B], the match reached `STEP_LIMIT`; it costs both robots, even if it was decided at that step.
      action: [B, A] as the policy gave it, not clamped.
    """
    (own_before, opponent_before), (own, opponent) = before, after
    toward = opponent[:, :2] - own_before[:, :2]
    distance = np.sqrt((toward * toward).sum(axis=1))
    moved = own[:, :2] - own_before[:, :2]
    # Torsos are solid, so a distance of 0 is out of reach; the bound only keeps the division defined.
    approach = (moved * toward).sum(axis=1) / np.maximum(distance, 1e-9)
    lead = _off_centre(opponent) - _off_centre(own)
    lead_before = _off_centre(opponent_before) - _off_centre(own_before)
    return Terms(
        win=WIN * lost[1],
        lose=LOSE * lost[0],
        draw=DRAW * late,
        ctrl=-0.1 * np.square(action, dtype=np.float64).sum(axis=1),
        move=0.1 * np.maximum(approach / CONTROL_DT, 0.0),
        push=-10.0 * np.exp(-np.sqrt((opponent[:, :2] ** 2).sum(axis=1))),
        approach=approach,
        ring=lead - lead_before,
        low=CONTROL_DT * np.maximum(TALL - own[:, 2], 0.0),
    )


def _off_centre(position: np.ndarray) -> np.ndarray:
    return np.abs(position[:, :2]).max(axis=1)
