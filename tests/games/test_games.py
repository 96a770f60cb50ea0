from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sparring.errors import InputError
from sparring.games import make, names
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame


def test_the_nine_sumo_games_and_their_agents() -> None:
    sumo = [name for name in names() if name.startswith("robosumo/")]
    assert len(sumo) == 9
    for name in sumo:
        first, second = name.removeprefix("robosumo/").split("-vs-")
        game = make(name, threads=1)
        assert game.id == name
        assert game.num_games == 1
        assert game.agents == (f"{first}0", f"{second}1")


def test_options_are_part_of_the_id() -> None:
    game = make("robosumo/ant-vs-bug,integrator=euler,contact_forces=off,adjust_z=-0.25", num_games=2, threads=1)
    assert game.id == "robosumo/ant-vs-bug,contact_forces=off,adjust_z=-0.25,integrator=euler"
    assert make(game.id).id == game.id
    assert make("robosumo/ant-vs-bug,integrator=rk4").id == "robosumo/ant-vs-bug"


def test_listing_loads_neither_mujoco_nor_jax() -> None:
    code = (
        "import sys; from sparring.games import names; assert len(names()) > 9\n"
        "print([m for m in ('jax', 'torch', 'mujoco', 'pyspiel', 'ray', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("game_id", "message"),
    [
        ("robotsumo/ant-vs-ant", "unknown game family 'robotsumo': did you mean robosumo"),
        ("robosumo/ant-vs-bag", "unknown robosumo game 'ant-vs-bag': did you mean ant-vs-bug"),
        ("robosumo/ant-vs-ant,euler", "expected options as ,name=value, each once, got 'euler'"),
        ("robosumo/ant-vs-ant,adjust_z=0,adjust_z=1", "each once, got 'adjust_z=1'"),
        ("robosumo/ant-vs-ant,speed=2", "unknown robosumo option 'speed'"),
        ("pettingzoo_wrapper/x", "unknown game family"),
        ("ant-vs-ant", "expected family/name"),
        (
            "no.such.module:factory",
            "there is no module no in .* or among the installed ones; install it, or run from the folder",
        ),
        ("math:factory", "unknown function in math 'factory'"),
        (":x", "expected package.module:factory"),
        ("..a:b", "expected package.module:factory"),
        ("__main__:no_such_name", "unknown function in __main__ 'no_such_name'"),
        ("math:pi", "expected a function, got float"),
    ],
)
def test_bad_ids_are_refused(game_id: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(game_id)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("num_games", "threads"), [(0, 0), (1, -1)])
def test_bad_sizes_are_refused(num_games: int, threads: int) -> None:
    with pytest.raises(InputError, match="expected num_games >= 1 and threads >= 0"):
        make("robosumo/ant-vs-ant", num_games, threads)


def test_a_users_factory_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = SimpleNamespace(factory=lambda num_games: MatrixGame(ROCK_PAPER_SCISSORS, num_games))
    monkeypatch.setitem(sys.modules, "a_users_module", module)
    game = make("a_users_module:factory", num_games=7)
    assert isinstance(game, MatrixGame) and game.num_games == 7


def test_a_task_whose_package_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gymnasium's own MuJoCo tasks import imageio, which Gymnasium does not bring."""
    monkeypatch.setitem(sys.modules, "imageio", None)
    with pytest.raises(InputError, match=r"gymnasium/Ant-v5: needs the Python package imageio: pip install imageio$"):
        make("gymnasium/Ant-v5")
