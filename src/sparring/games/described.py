"""What a user's game says about itself, looked at before anything is asked of it: agents, spaces, matches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from sparring.errors import InputError, foreign, place
from sparring.types import Box, Dict, Discrete, FunctionalGame, Game, MultiDiscrete, Spaces, VectorGame

MOST_MATCHES = 2**17  # side by side


def is_game(value: Any) -> TypeGuard[Game]:
    """Whether something has the attributes and methods of a game (`sparring.types`).

    Raises:
      InputError: one of its attributes cannot be read.
    """
    with foreign(f"game {type(value).__name__}", "the attributes of a game", value):
        return isinstance(value, VectorGame | FunctionalGame) and not isinstance(value, type)


def check_made(what: str, game: Any, num_games: int, factory: Any) -> None:
    """Refuse what a user's factory has made if it is not a sound game of so many matches.

    Raises:
      InputError: as `check_described`, or the number is another one; the factory's place is named.
    """
    check_described(game)
    if game.num_games != num_games:
        raise InputError(
            f"{what}: expected a game of num_games={num_games} matches side by side, got one of {game.num_games} "
            f"({place(factory)})"
        )


def check_described(game: Any) -> None:
    """Refuse a game whose agents, spaces or number of matches are none.

    Raises:
      InputError: the attribute and the agent are named.
    """
    with foreign(f"game {type(game).__name__}", "id, agents, spaces and num_games", game):
        name, agents, spaces, matches = game.id, game.agents, game.spaces, game.num_games
    what = f"game {name}" if isinstance(name, str) else f"game {type(game).__name__}"
    if not isinstance(name, str):
        raise InputError(f"{what}: id: expected text, got {type(name).__name__}")
    if not isinstance(agents, tuple) or not agents or not all(isinstance(agent, str) for agent in agents):
        raise InputError(f"{what}: agents: expected a tuple of names, at least one, got {_shown(agents)}")
    if twice := [agent for agent in agents if agents.count(agent) > 1]:
        raise InputError(f"{what}: agents: expected names, each once, got {twice[0]!r} twice: {_shown(agents)}")
    if isinstance(matches, bool) or not isinstance(matches, (int, np.integer)) or matches < 1:
        raise InputError(f"{what}: num_games: expected a whole number of at least 1, got {_shown(matches)}")
    if not isinstance(spaces, Mapping):
        raise InputError(f"{what}: spaces: expected a dictionary of each agent's Spaces, got {type(spaces).__name__}")
    if missing := [agent for agent in agents if agent not in spaces]:
        raise InputError(f"{what}: spaces: {missing[0]} has none: expected Spaces for each of {', '.join(agents)}")
    if strange := [agent for agent in spaces if agent not in agents]:
        raise InputError(f"{what}: spaces: {strange[0]!r} is none of the agents {', '.join(agents)}")
    for agent in agents:
        own = spaces[agent]
        if not isinstance(own, Spaces):
            raise InputError(
                f"{what}: spaces of {agent}: expected sparring.types.Spaces(observation, action), got {_kind(own)}"
            )
        _check_space(own.observation, f"{what}: observation space of {agent}")
        _check_space(own.action, f"{what}: action space of {agent}", dictionary=False)


def _check_space(space: Any, what: str, dictionary: bool = True) -> None:
    kinds = (Box, Discrete, MultiDiscrete, Dict) if dictionary else (Box, Discrete, MultiDiscrete)
    if not isinstance(space, kinds) or isinstance(space, type):
        names = ", ".join(kind.__name__ for kind in kinds)
        theirs = type(space).__module__.startswith("gymnasium") and not isinstance(space, type)
        hint = ": convert it with sparring.games.gym_spaces.from_gymnasium" if theirs else ""
        raise InputError(f"{what}: expected one of sparring.types ({names}), got {_kind(space)}{hint}")
    if isinstance(space, Dict):
        parts = space.parts
        if not isinstance(parts, tuple) or not all(
            isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str) for part in parts
        ):
            raise InputError(f"{what}: parts: expected a tuple of (name, space), got {_shown(parts)}")
        for name, part in parts:
            _check_space(part, f"{what}, {name!r}")
        return
    if isinstance(space, Box):
        sizes, expected = space.shape, "shape: expected a tuple of whole numbers of at least 0"
        least = 0
    else:
        sizes = (space.n,) if isinstance(space, Discrete) else space.nvec
        expected = f"{'n' if isinstance(space, Discrete) else 'nvec'}: expected whole numbers of at least 1"
        least = 1
        if not sizes:
            raise InputError(f"{what}: {expected}, got none")
    if not isinstance(sizes, tuple) or not all(
        isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size >= least for size in sizes
    ):
        raise InputError(f"{what}: {expected}, got {_shown(sizes)}")


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
