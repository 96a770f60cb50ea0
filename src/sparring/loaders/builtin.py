"""`builtin:NAME`: trained agents that come with the package (`sparring list` says how strong they are)."""

from __future__ import annotations

from pathlib import Path

from sparring.errors import unknown
from sparring.loaders import native
from sparring.nets import ActorCritic
from sparring.types import AgentID, Game

FOLDER = Path(__file__).parents[1] / "data"


def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


def load(argument: str, game: Game, agent: AgentID) -> ActorCritic:
    if argument not in names():
        raise unknown("builtin policy", argument, names())
    return native.load(str(path(argument)), game, agent)


def path(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"
