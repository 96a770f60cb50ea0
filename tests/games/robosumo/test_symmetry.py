"""The symmetries against the physics: what is turned before a step is turned after it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring import games
from sparring.errors import InputError
from sparring.games.robosumo import FRAMES as FRAMES_BY_NAME
from sparring.games.robosumo.sumo import RoboSumo
from sparring.games.robosumo.symmetry import Symmetry, Turn
from sparring.nets import Frame

B = 128
# (quarter turns of the own frame, mirrored) that each body allows: `RoboSumo` (Al-Shedivat et al. 2017) draws an ant
# with four equal legs, a bug that is the same from behind, and a spider with a left and a right half.
FRAMES = {
    "ant": {(own, mirrored) for own in range(4) for mirrored in (False, True)},
    "bug": {(own, mirrored) for own in (0, 2) for mirrored in (False, True)},
    "spider": {(0, False), (2, True)},
}
# Degrees off ahead: the least and the most that the opponent lies, the most that the robot and the opponent face.
BEARING = {"ant": (0, 45), "bug": (0, 45), "spider": (-90, 90)}
FACING = {"ant": (45, 45), "bug": (90, 90), "spider": (45, 180)}


class Fights(NamedTuple):
    game: RoboSumo
    symmetry: Symmetry


@pytest.fixture(scope="module", params=["ant", "bug", "spider"])
def fights(request: pytest.FixtureRequest) -> Fights:
    """Matches half a second after their start, with random actions, and robots that point everywhere."""
    game = RoboSumo((request.param, request.param), B, 1)
    game.reset(7)
    rng = np.random.default_rng(0)
    for _ in range(10):
        game.step(random_actions(game, rng))
    for robot in game._slices:
        angle = rng.uniform(-np.pi, np.pi, B)
        w, x, y, z = game._qpos[:, robot.qpos][:, 3:7].T
        c, s = np.cos(angle / 2), np.sin(angle / 2)
        turned = np.array([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w])
        game._qpos[:, robot.qpos.start + 3 : robot.qpos.start + 7] = turned.T
    game.batch.forward(np.arange(B, dtype=np.int32))
    return Fights(game, Symmetry(request.param))


def random_actions(game: RoboSumo, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {a: rng.uniform(-1, 1, (B, game.spaces[a].action.size)).astype(np.float32) for a in game.agents}


def seen(fights: Fights) -> list[jax.Array]:
    return [jnp.asarray(o) for o in fights.game._observe(slice(None)).values()]


@pytest.mark.slow
def test_one_step_of_the_turned_matches_is_the_turned_step(fights: Fights) -> None:
    game, symmetry = fights
    nq, nv = symmetry.body.nq, symmetry.body.nv
    observations = seen(fights)
    mine = symmetry.turn(observations[0])
    theirs = Turn(mine.world, mine.other, mine.own, mine.mirrored)
    found = set(zip(np.asarray(mine.own).tolist(), np.asarray(mine.mirrored).tolist(), strict=True))
    assert found == FRAMES[symmetry.robot] and set(np.asarray(mine.world).tolist()) == set(range(4))

    other = RoboSumo((symmetry.robot, symmetry.robot), B, 1)
    other.reset(0)
    for robot, observation, how in zip(other._slices, observations, (mine, theirs), strict=True):
        state = np.asarray(symmetry.turned(how, observation), np.float64)
        other._qpos[:, robot.qpos], other._qvel[:, robot.qvel] = state[:, :nq], state[:, nq : nq + nv]
        other._qpos[:, robot.qpos.start + 2] -= other.settings.adjust_z
    other.batch.forward(np.arange(B, dtype=np.int32))

    actions = random_actions(game, np.random.default_rng(1))
    turns = dict(zip(game.agents, (mine, theirs), strict=True))
    saved = game.get_state()
    step = game.step(actions)
    game.set_state(saved)
    after = other.step({a: np.asarray(symmetry.turned_action(turns[a], actions[a])) for a in game.agents})
    assert after.outcome is not None and step.outcome is not None
    for agent, how in turns.items():
        np.testing.assert_array_equal(after.outcome[agent], step.outcome[agent])
        expected = np.asarray(symmetry.turned(how, jnp.asarray(step.final_view[agent].observation)))
        error = np.abs(after.final_view[agent].observation - expected)[~step.terminated].max(axis=1)
        # Friction is a pyramid whose sides a mirror exchanges, and the solver stops at a tolerance, which contacts
        # amplify: most matches agree to rounding.
        assert np.median(error) < 1e-3, np.quantile(error, [0.25, 0.5, 0.75])


def test_the_description_is_canonical(fights: Fights) -> None:
    symmetry, observation = fights.symmetry, seen(fights)[0]
    o = np.asarray(symmetry.turned(symmetry.turn(observation), observation))
    opponent = symmetry.observation - 13
    bearing = np.degrees(np.arctan2(o[:, opponent + 1] - o[:, 1], o[:, opponent] - o[:, 0]))
    least, most = BEARING[symmetry.robot]
    assert bearing.min() > least - 1e-3 and bearing.max() < most + 1e-3
    for start, widest in zip((3, opponent + 3), FACING[symmetry.robot], strict=True):
        twist = np.degrees(2 * np.arctan2(o[:, start + 3], o[:, start]))
        assert np.abs(twist).max() < widest + 1e-3 and o[:, start].min() >= 0


def test_turning_back_is_exact(fights: Fights) -> None:
    symmetry = fights.symmetry
    actions = jnp.asarray(np.random.default_rng(2).normal(size=(B, symmetry.body.nu)), jnp.float32)
    for turn in (*map(symmetry.choice, range(symmetry.choices)), symmetry.turn(seen(fights)[1])):
        np.testing.assert_array_equal(symmetry.turned_back(turn, symmetry.turned_action(turn, actions)), actions)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "choices"), [("ant", 8), ("bug", 4), ("spider", 2)])
def test_choices_are_signed_permutations_and_the_first_is_none(name: str, choices: int) -> None:
    symmetry = Symmetry(name)
    assert symmetry.choices == choices
    size, found = symmetry.observation, []
    jacobian = jax.jit(jax.jacobian(symmetry.turned, argnums=1))
    for number in range(choices):
        matrix = np.asarray(jacobian(symmetry.choice(number), jnp.ones(size)))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-6)
        assert (np.abs(matrix).round(5) == 1).sum() == size
        found.append(matrix.round(5).tobytes())
    assert len(set(found)) == choices
    np.testing.assert_array_equal(np.frombuffer(found[0], np.float32).reshape(size, size), np.eye(size))


def test_a_frame_is_named_by_its_family() -> None:
    """What a policy's file names is what makes it again; it is hashable, as what is static under jit must be."""
    for name in FRAMES_BY_NAME:
        frame = games.frame(name)
        assert isinstance(frame, Frame)
        assert frame.name == name and frame == Symmetry(name.removeprefix("robosumo-"))
        assert hash(frame) == hash(games.frame(name))
    for name in ("robosumo-flea", "matrix-ant", "ant", ""):
        with pytest.raises(InputError, match="unknown symmetry"):
            games.frame(name)
