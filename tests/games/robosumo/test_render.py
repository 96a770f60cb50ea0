from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import opengl
import pytest

from sparring.errors import InputError
from sparring.games import make
from sparring.games.robosumo.render import frame
from sparring.games.robosumo.sumo import RoboSumo


@pytest.fixture(scope="module")
def game() -> RoboSumo:
    opengl.needed()
    game = make("robosumo/ant-vs-bug", num_games=2)
    assert isinstance(game, RoboSumo)
    game.reset(0)
    return game


def _share(picture: np.ndarray, reddish: bool) -> float:
    """Part of the picture in a robot's colour: (.5, .25, .25) or (.25, .5, .5)."""
    red, green, blue = (picture[..., c].astype(int) for c in range(3))
    ours = (red > 1.5 * green) & (red > 1.5 * blue) if reddish else (green > 1.3 * red) & (blue > 1.3 * red)
    return ours.mean()


def test_both_robots_are_in_the_picture(game: RoboSumo) -> None:
    for match in range(2):
        picture = frame(game, match)
        assert picture.shape == (480, 640, 3)
        assert picture.dtype == np.uint8
        assert _share(picture, reddish=True) > 0.003
        assert _share(picture, reddish=False) > 0.003
    assert (game.frame(1) == frame(game, 1)).all()


def test_pictures_have_the_size_that_is_asked_for(game: RoboSumo) -> None:
    """Larger ones than the model's buffer too; and afterwards the usual one is as it was."""
    usual = frame(game)
    for width, height in ((480, 368), (800, 600), (97, 63)):
        picture = game.frame(1, (width, height))
        assert picture.shape == (height, width, 3)
        assert _share(picture, reddish=True) > 0.003 and _share(picture, reddish=False) > 0.003
    np.testing.assert_array_equal(frame(game), usual)
    with pytest.raises(InputError, match="size: expected width and height"):
        game.frame(0, (0, 100))


def test_pictures_show_the_moment_and_drawing_changes_nothing(game: RoboSumo) -> None:
    first = frame(game)
    assert (frame(game) == first).all()
    assert (frame(game, 1) != first).any()
    before = game.get_state()
    step = game.step({"ant0": np.ones((2, 8)), "bug1": np.ones((2, 12))})
    assert (frame(game) != first).any()
    views = game.set_state(before)
    frame(game)
    again = game.step({"ant0": np.ones((2, 8)), "bug1": np.ones((2, 12))})
    now, then, first = (seen["ant0"].observation.tolist() for seen in (again.view, step.view, views))
    assert now == then != first


def test_without_opengl_the_reason_is_told() -> None:
    code = (
        "from sparring.games import make; from sparring.games.robosumo.render import NoPicture, frame\n"
        "game = make('robosumo/ant-vs-ant'); game.reset(0)\n"
        "try: frame(game)\n"
        "except NoPicture as error: print(error)\n"
    )
    environment = os.environ | {"MUJOCO_GL": "disable"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("no picture: OpenGL cannot be used")
    assert done.stdout.count("\n") == 1


@pytest.mark.usefixtures("game")  # skips where nothing can be drawn
def test_a_program_that_has_drawn_ends_quietly() -> None:
    # Finalizers run from where the first of them was made, as JAX does on import: after EGL's own end.
    code = (
        "import weakref; from sparring.games import make; weakref.finalize(make, int)\n"
        "game = make('robosumo/ant-vs-ant'); game.reset(0); game.frame()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
