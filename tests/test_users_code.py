"""Modules of users that do not do what is expected: one line names the module, its line, and what was expected.

The expected line numbers are those of the text of each module below.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sparring import evaluate
from sparring.errors import InputError
from sparring.games import make
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.loaders import load

RPS = MatrixGame(ROCK_PAPER_SCISSORS)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("users_")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def refused(kind: str, folder: Path, text: str) -> str:
    """The line with which `make` or `load` refuses the function `made` of a module."""
    (folder / f"users_{kind}.py").write_text(text)
    sys.modules.pop(f"users_{kind}", None)
    spec = f"users_{kind}:made"
    with pytest.raises(InputError) as error:
        make(spec, num_games=3) if kind == "game" else load(spec, RPS, "row")
    line = str(error.value)
    assert "\n" not in line and spec.partition(":")[0] in line
    return line


@pytest.mark.parametrize("kind", ["game", "policy"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def made(:", "SyntaxError: invalid syntax ({file}:1)"),
        (
            "import json\n\nx = json.loads('')\n",
            "JSONDecodeError: Expecting value: line 1 column 1 (char 0) ({file}:3)",
        ),
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package' ({file}:1)"),
        ("raise SystemExit('usage: mine')\n", "SystemExit: usage: mine ({file}:1)"),
        ("\n\ndef made():\n    pass\n", "takes 0 positional arguments but 1 was given ({file}:3)"),
        ("def made(*a, **k):\n    return 1 / 0\n", "ZeroDivisionError: division by zero ({file}:2)"),
        ("def made(*a, **k):\n    return None\n", "got None ({file}:1)"),
        ("made = 3\n", "users_{kind}:made': expected a function, got int ({file})"),
        ("def make(x):\n    pass\n", "unknown function in users_{kind} 'made': did you mean make?"),
    ],
)
def test_a_module_that_does_not_do_what_is_expected(kind: str, text: str, expected: str, folder: Path) -> None:
    if kind == "game":  # it is called with one argument by name
        expected = expected.replace("takes 0 positional arguments but 1 was given", "keyword argument 'num_games'")
    expected = expected.replace("{file}", str(folder / f"users_{kind}.py")).replace("{kind}", kind)
    assert expected in refused(kind, folder, text)


def test_a_gymnasium_task_is_no_game(folder: Path) -> None:
    text = "import gymnasium\n\ndef made(num_games):\n    return gymnasium.make('CartPole-v1')\n"
    line = refused("game", folder, text)
    assert "expected that it returns a game (VectorGame in sparring.types), got gymnasium." in line
    assert "which has no id, agents" in line and line.endswith(f"({folder / 'users_game.py'}:3)")


def test_a_game_of_another_number_of_matches_is_refused(folder: Path) -> None:
    text = (
        "from sparring.games.matrix import *\n\ndef made(num_games):\n    return MatrixGame(ROCK_PAPER_SCISSORS, 2)\n"
    )
    assert "expected a game of num_games=3 matches side by side, got one of 2" in refused("game", folder, text)


def test_what_is_no_policy_is_refused(folder: Path) -> None:
    line = refused("policy", folder, "def made(spaces):\n    return 3\n")
    assert line.endswith(f"expected that it returns a Policy or a function, got int ({folder / 'users_policy.py'}:1)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "class made:\n    def __init__(self, spaces):\n        pass\n    def __call__(self, observation):\n"
            "        return observation\n",
            "agent row: its policy: expected a function (observation, rng) -> actions; it raised TypeError: "
            "made.__call__() takes 2 positional arguments but 3 were given ({file}:1)",
        ),
        (
            "def made(spaces):\n    return mine\n\ndef mine(observation, rng, more):\n    return observation\n",
            "its policy: expected a function (observation, rng) -> actions; it raised TypeError: mine() missing 1 "
            "required positional argument: 'more' ({file}:4)",
        ),
        (
            "class made:\n    traceable = False\n    def __init__(self, spaces):\n        pass\n"
            "    def initial_state(self):\n        pass\n    def act(self, key, view, state):\n        pass\n",
            "agent row: its policy, initial_state: expected a state for so many matches; it raised TypeError: "
            "made.initial_state() takes 1 positional argument but 2 were given ({file}:1)",
        ),
        (
            "class made:\n    traceable = False\n    def __init__(self, spaces):\n        pass\n"
            "    def initial_state(self, batch):\n        return ()\n    def act(self, view):\n        pass\n",
            "agent row: its policy: it raised TypeError: made.act() takes 2 positional arguments but 4 were given "
            "({file}:1)",
        ),
    ],
    ids=["a class without rng", "a function of three", "a state of no batch", "an act of one"],
)
def test_a_policy_that_is_called_otherwise_is_named(text: str, expected: str, folder: Path) -> None:
    """As the class is made and called by `sparring evaluate`."""
    (folder / "users_policy.py").write_text(text)
    sys.modules.pop("users_policy", None)
    with pytest.raises(InputError) as error:
        evaluate("matrix/rps", victim="users_policy:made", attacker="first", oracle="sampled", episodes=4)
    line = str(error.value)
    assert "\n" not in line and expected.replace("{file}", str(folder / "users_policy.py")) in line
