"""Games by id: `family/name`, with options after commas, or a user's `package.module:factory`.

A family is a module of this package, found by its file name. It has two functions: `names() -> tuple[str, ...]` and
`make(name, num_games, threads, options) -> Game`. Heavy imports belong inside `make`.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

import numpy as np

from sparring.errors import InputError, check_type, factory, foreign, place, unknown
from sparring.games.described import MOST_MATCHES, check_made
from sparring.types import FunctionalGame, Game, SimulatedGame, VectorGame


def names() -> tuple[str, ...]:
    """The ids of all games that can be listed; families that take files or other packages' names show examples."""
    return tuple(f"{family}/{name}" for family in _families() for name in _load(family).names())


def make(game_id: str, num_games: int = 1, threads: int = 0) -> Game:
    """The game called `game_id`.

    Args:
      game_id: such as `robosumo/ant-vs-ant,integrator=euler`; or `package.module:factory`, a user's function that
        is called with `num_games` and returns a `VectorGame` or a `FunctionalGame`.
      num_games: B, matches played side by side.
      threads: to step a game on the host with; 0 means all cores.

    Raises:
      InputError: unknown family, name or option, a bad value, a package that the game needs and that is not installed,
        or a user's module or function that raises an exception or returns no game (its file and line are named).
    """
    check_type("game", game_id, str, "an id, such as 'robosumo/ant-vs-ant'")
    for name, value in (("num_games", num_games), ("threads", threads)):
        check_type(f"{game_id}: {name}", value, (int, np.integer), "a whole number")
    if num_games < 1 or threads < 0:
        raise InputError(f"{game_id}: expected num_games >= 1 and threads >= 0, got {num_games} and {threads}")
    if num_games > MOST_MATCHES:
        raise InputError(
            f"{game_id}: num_games: expected at most {MOST_MATCHES:,} matches side by side, got {num_games:,}"
        )
    family, slash, rest = game_id.partition("/")
    if not slash:
        if ":" in game_id:
            return _from_factory(game_id, num_games)
        raise InputError(
            f"game {game_id!r}: expected family/name, such as robosumo/ant-vs-ant, or package.module:factory"
        )
    if family not in _modules() or not _is_family(family):
        raise unknown("game family", family, _families())
    name, *parts = _split(rest)
    options: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or key in options:
            raise InputError(f"game {game_id!r}: expected options as ,name=value, each once, got {part!r}")
        options[key] = value
    try:
        return _load(family).make(name, num_games, threads, options)
    except ModuleNotFoundError as error:
        # Of a game that another package brings, such as gymnasium/Ant-v5: `require` has named what our own games need.
        if error.name is None or error.name.partition(".")[0] == "sparring":
            raise
        missing = error.name.partition(".")[0]
        raise InputError(f"{game_id}: needs the Python package {missing}: pip install {missing}") from error


def frame(name: str) -> Any:
    """The symmetry (`nets.Frame`) that a policy's file names: `FAMILY-NAME`, supplied by the family's module.

    Raises:
      InputError: a name that no family knows.
    """
    family = name.partition("-")[0]
    if family not in _families() or not hasattr(_load(family), "frame"):
        raise unknown("symmetry", name, [f for f in _families() if hasattr(_load(f), "frame")])
    return _load(family).frame(name)


def _split(text: str) -> list[str]:
    """The parts between commas; one within parentheses separates nothing.

    Raises:
      InputError: parentheses that do not match.
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise InputError(f"game {text!r}: expected a closing parenthesis for each opening one")
    return parts


def _modules() -> tuple[str, ...]:
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__)))


def _families() -> tuple[str, ...]:
    return tuple(name for name in _modules() if _is_family(name))


def _is_family(module: str) -> bool:
    # A module without both functions is a helper, such as a wrapper for another library's interface.
    return hasattr(_load(module), "names") and hasattr(_load(module), "make")


def _load(family: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{family}")


def _from_factory(path: str, num_games: int) -> Game:
    make_it = factory("game", path)
    what = f"game {path!r}"
    with foreign(what, "a function that takes num_games and returns a game", make_it):
        made = make_it(num_games=num_games)
    with foreign(what, "a game", made):
        if not isinstance(made, VectorGame | FunctionalGame):
            raise InputError(f"{what}: {_not_a_game(made)} ({place(make_it)})")
        check_made(what, made, num_games, make_it)
    return made


def _not_a_game(made: Any) -> str:
    protocol = FunctionalGame if hasattr(made, "init") else VectorGame
    needed = [name for part in (SimulatedGame, protocol) for name in vars(part) if not name.startswith("_")]
    lacking = [name for name in needed if not hasattr(made, name)]
    kind = type(made)
    got = "None" if made is None else f"{kind.__module__}.{kind.__qualname__}, which has no {', '.join(lacking)}"
    return f"expected that it returns a game ({protocol.__name__} in sparring.types), got {got}"
