from __future__ import annotations

import numpy as np
import pytest

from sparring.games.robosumo.bodies import BODIES
from sparring.games.robosumo.observation import observe, size, slices


@pytest.mark.parametrize(("first", "second"), [("ant", "ant"), ("ant", "spider"), ("bug", "ant")])
def test_blocks_and_their_order(first: str, second: str) -> None:
    a, b = BODIES[first], BODIES[second]
    own, opponent = slices((a, b))
    qpos = np.arange(2 * (a.nq + b.nq), dtype=float).reshape(2, -1) / 100
    qvel = -np.arange(2 * (a.nv + b.nv), dtype=float).reshape(2, -1) / 100
    forces = np.arange(2 * (1 + a.nbody + b.nbody) * 6, dtype=float).reshape(2, -1, 6) / 10
    for mine, other, body, q, v, f in (
        (own, opponent, a, 0, 0, 1),
        (opponent, own, b, a.nq, a.nv, 1 + a.nbody),
    ):
        seen = observe(mine, other, qpos, qvel, forces, -0.5)
        assert seen.shape == (2, size(body))
        assert seen.dtype == np.float32
        opponent_q, opponent_f = (a.nq, 1 + a.nbody) if mine is own else (0, 1)
        for row in range(2):
            expected = [
                *qpos[row, q : q + body.nq],
                *qvel[row, v : v + body.nv],
                *np.minimum(forces[row, f : f + body.nbody].ravel(), 100),
                *qpos[row, opponent_q : opponent_q + 7],
                *np.minimum(forces[row, opponent_f], 100),
            ]
            expected[2] -= 0.5
            expected[body.nq + body.nv + 6 * body.nbody + 2] -= 0.5
            assert seen[row].tolist() == np.array(expected, np.float32).tolist()


def test_blocks_of_the_ant_are_where_the_published_policies_look() -> None:
    # qpos 0-14, qvel 15-28, forces 29-106, opponent's pose 107-113 and torso force 114-119 (RoboSumo's ant).
    own, opponent = slices((BODIES["ant"], BODIES["ant"]))
    qpos, qvel, forces = np.zeros((1, 30)), np.zeros((1, 28)), np.zeros((1, 27, 6))
    qpos[0, 14], qvel[0, 0], forces[0, 1, 0], qpos[0, 15], forces[0, 14, 5] = 1, 2, 3, 4, 5
    seen = observe(own, opponent, qpos, qvel, forces, 0.0)[0]
    assert np.flatnonzero(seen).tolist() == [14, 15, 29, 107, 119]
    assert seen[[14, 15, 29, 107, 119]].tolist() == [1, 2, 3, 4, 5]


def test_forces_are_magnitudes_up_to_100_and_inputs_stay() -> None:
    own, opponent = slices((BODIES["ant"], BODIES["ant"]))
    forces = np.full((1, 27, 6), -7.0)
    forces[0, 1] = 1e6, -1e6, 100, -100, 99, -1
    qpos = np.ones((1, 30))
    seen = observe(own, opponent, qpos, np.zeros((1, 28)), forces, -0.5)[0]
    assert seen[29:35].tolist() == [100, 100, 100, 100, 99, 1]
    assert (seen[35:107] == 7).all()
    assert (qpos == 1).all()
    assert forces[0, 1, 1] == -1e6
