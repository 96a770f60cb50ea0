"""What the numbers are called that agents see: for figures, tables and choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sparring.errors import InputError
from sparring.types import AgentID, Box, Dict, Discrete, Game, Space


def feature_names(game: Game, observers: Sequence[AgentID]) -> tuple[str, ...]:
    """The names of the columns of `States.rows` and `Tracks.rows`, with the observer in front where there are several.

    A game says what its observations' entries are in a mapping `features`; of any other, the parts of the space are
    counted: `observation 3`, of a choice `observation = 3`, and in a dictionary by its parts' names.

    Raises:
      InputError: the game names another number of features than it shows.
    """
    told, names = getattr(game, "features", {}), []
    for agent in observers:
        space = game.spaces[agent].observation
        own = tuple(told[agent]) if agent in told else tuple(_counted(space, "observation"))
        if len(own) != space.size:
            raise InputError(f"{game.id}: features of {agent}: expected {space.size} names, got {len(own)}")
        names += [f"{agent} {name}" if len(observers) > 1 else name for name in own]
    return tuple(names)


def quantity(name: str) -> str:
    """The group that a feature belongs to: the last word of its name, `velocity` of `hip 2 velocity`.

    Of a name that ends in a number, the word before it.
    """
    words = [word for word in name.split() if word != "="]
    while len(words) > 1 and words[-1].isdecimal():
        words.pop()
    return words[-1]


def by_quantity(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Features by `quantity`, where there are several quantities, and several features of some; else no group."""
    groups: dict[str, tuple[int, ...]] = {}
    for i, name in enumerate(names):
        groups[quantity(name)] = (*groups.get(quantity(name), ()), i)
    groups = {name if name not in names else f"{name} (group)": indices for name, indices in groups.items()}
    return groups if 1 < len(groups) < len(names) else {}


def _counted(space: Space, name: str) -> Iterator[str]:
    if isinstance(space, Dict):
        for part, inner in space.parts:
            yield from _counted(inner, part if name == "observation" else f"{name} {part}")
    elif isinstance(space, Box):
        yield from ([name] if space.size == 1 else [f"{name} {i}" for i in range(space.size)])
    elif isinstance(space, Discrete):
        yield from (f"{name} = {i}" for i in range(space.n))
    else:
        yield from (f"{name} {k} = {i}" for k, n in enumerate(space.nvec) for i in range(n))
