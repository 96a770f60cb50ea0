"""The symmetries against the physics: what is turned before a step is turned after it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.games.robosumo import symmetry
from sparring.games.robosumo.sumo import RoboSumo
from sparring.games.robosumo.symmetry import (
    CHOICES,
    OBSERVATION,
    View,
    choice,
    turned,
    turned_back,
    turned_joints,
    view,
)

B = 128


@pytest.fixture(scope="module")
def fights() -> RoboSumo:
    """Matches half a second after their start, with random actions: the robots point everywhere."""
    game = RoboSumo(("ant", "ant"), B, 1)
    game.reset(7)
    rng = np.random.default_rng(0)
    for _ in range(10):
        game.step({agent: rng.uniform(-1, 1, (B, 8)).astype(np.float32) for agent in game.agents})
    # Turned about z by any angle, so that every description occurs.
    for robot in game._slices:
        angle = rng.uniform(-np.pi, np.pi, B)
        w, x, y, z = game._qpos[:, robot.qpos][:, 3:7].T
        c, s = np.cos(angle / 2), np.sin(angle / 2)
        game._qpos[:, robot.qpos.start + 3 : robot.qpos.start + 7] = np.array(
            [c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w]
        ).T
    game.batch.forward(np.arange(B, dtype=np.int32))
    return game


def test_one_step_of_the_turned_matches_is_the_turned_step(fights: RoboSumo) -> None:
    first, second = fights.agents
    seen = fights._observe(slice(None))
    mine = view(jnp.asarray(seen[first]))
    theirs = View(mine.world, mine.other, mine.own, mine.mirrored)
    assert {tuple(v) for v in np.array(mine[:2]).T.tolist()} == {(w, o) for w in range(4) for o in range(4)}
    assert set(np.asarray(mine.mirrored).tolist()) == {True, False}

    other = RoboSumo(("ant", "ant"), B, 1)
    other.reset(0)
    for robot, agent, how in zip(other._slices, other.agents, (mine, theirs), strict=True):
        observation = np.asarray(turned(how, jnp.asarray(seen[agent])), np.float64)
        other._qpos[:, robot.qpos], other._qvel[:, robot.qvel] = observation[:, :15], observation[:, 15:29]
        other._qpos[:, robot.qpos.start + 2] -= other.settings.adjust_z
    other.batch.forward(np.arange(B, dtype=np.int32))

    rng = np.random.default_rng(1)
    actions = {agent: rng.uniform(-1, 1, (B, 8)).astype(np.float32) for agent in fights.agents}
    step = fights.step(actions)
    turned_actions = {a: np.asarray(turned_joints(h, actions[a])) for a, h in ((first, mine), (second, theirs))}
    after = other.step(turned_actions)
    np.testing.assert_array_equal(after.winner, step.winner)
    for agent, how in ((first, mine), (second, theirs)):
        expected = np.asarray(turned(how, jnp.asarray(step.final_observation[agent])))
        error = np.abs(after.final_observation[agent] - expected)[~step.terminated]
        # The contact solver's friction is a pyramid, which a turn exchanges but does not keep to the last bit, and a
        # contact may come a substep sooner: most matches agree to rounding, none of the kinematics is far off.
        assert np.quantile(error.max(axis=1), 0.75) < 1e-2
        assert np.median(error[:, :15].max(axis=1)) < 1e-5


def test_the_view_is_canonical(fights: RoboSumo) -> None:
    seen = jnp.asarray(fights._observe(slice(None))[fights.agents[0]])
    o = np.asarray(turned(view(seen), seen))
    bearing = np.degrees(np.arctan2(o[:, 108] - o[:, 1], o[:, 107] - o[:, 0]))
    assert bearing.min() > -1e-3 and bearing.max() < 45 + 1e-3
    for start in (3, 110):
        twist = np.degrees(2 * np.arctan2(o[:, start + 3], o[:, start]))
        assert np.abs(twist).max() < 45 + 1e-3 and o[:, start].min() >= 0


@pytest.mark.parametrize("number", range(CHOICES))
def test_turning_back_is_exact(number: int, fights: RoboSumo) -> None:
    actions = jnp.asarray(np.random.default_rng(number).normal(size=(B, 8)), jnp.float32)
    for how in (choice(number), view(jnp.asarray(fights._observe(slice(None))[fights.agents[1]]))):
        np.testing.assert_array_equal(turned_back(how, turned_joints(how, actions)), actions)


def test_choices_are_signed_permutations_and_the_first_is_none() -> None:
    found = []
    for number in range(CHOICES):
        matrix = np.asarray(jax.vmap(lambda o, n=number: turned(choice(n), o))(jnp.eye(OBSERVATION)))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(OBSERVATION), atol=1e-6)
        assert (np.abs(matrix).round(5) == 1).sum() == OBSERVATION
        found.append(matrix.round(5).tobytes())
    assert len(set(found)) == CHOICES
    np.testing.assert_array_equal(np.frombuffer(found[0], np.float32).reshape(OBSERVATION, -1), np.eye(OBSERVATION))
    assert symmetry.CHOICES == 8
