"""Policies by name: one file per format, found by its file name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import Any

from sparring.errors import InputError, unknown
from sparring.games.finite import finite, infosets, nash
from sparring.games.tree import SampledTree
from sparring.loaders import tabular
from sparring.policy import CallablePolicy, Policy, TabularPolicy, simple_policy
from sparring.types import AgentID, Game

PLAIN = ("random", "uniform", "zero", "first", "nash")


def formats() -> tuple[str, ...]:
    """The prefixes that a policy's name can have: `robosumo-zoo` for `robosumo-zoo:FILE.npy`."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__)))


def load(spec: str, game: Game, agent: AgentID) -> Policy:
    """The policy called `spec`, for one agent of a game.

    Args:
      spec: `random`, `uniform`, `zero`, `first` (legal action), `nash`, `FORMAT:ARGUMENT` (see `formats`), or
        `package.module:factory`, where `factory(spaces)` returns a `Policy` or a function
        `(observation [B, D], rng) -> action [B, ...]`.
      game: the game that it is to play.
      agent: whom it is to play.

    Raises:
      InputError: an unknown name (the nearest ones are offered), a missing or damaged file, or a policy whose sizes
        are not those of the agent (both are shown).
    """
    if agent not in game.spaces:
        raise unknown("agent", agent, game.agents)
    if (policy := _plain(spec, game, agent)) is not None:
        return policy
    prefix, colon, argument = spec.partition(":")
    if not colon:
        raise unknown("policy", spec, [*PLAIN, *(f"{name}:..." for name in formats()), *_builtins()])
    if prefix in formats():
        module = importlib.import_module(f"{__name__}.{prefix.replace('-', '_')}")
        return module.load(argument, game, agent)
    if "." in prefix or (prefix.isidentifier() and importlib.util.find_spec(prefix) is not None):
        return _from_factory(prefix, argument, game, agent)
    raise unknown("policy format", prefix, [*formats(), "package.module"])


def check_spaces(policy_observation: int, policy_action: int, game: Game, agent: AgentID, source: str) -> None:
    """Refuse a policy whose sizes are not the agent's.

    Raises:
      InputError: both sizes are shown.
    """
    spaces = game.spaces[agent]
    size = getattr(spaces.action, "n", None) or getattr(spaces.action, "size", 0)
    if policy_observation != spaces.observation:
        raise InputError(
            f"{source}: it takes observations of size {policy_observation}, but {agent} of {game.id} has "
            f"{spaces.observation}"
        )
    if policy_action != size:
        raise InputError(f"{source}: it has {policy_action} actions, but {agent} of {game.id} has {size}")


def _plain(name: str, game: Game, agent: AgentID) -> Policy | None:
    solvable = finite(game)
    if name == "nash":
        if solvable is None:
            raise InputError(f"policy nash: {game.id} can only be simulated; expected a game that can be solved")
        return TabularPolicy(nash(solvable, agent))
    # In a tree, which actions are legal depends on the information set.
    own = tabular.plain(name, infosets(solvable, agent)) if isinstance(solvable, SampledTree) else None
    return own or simple_policy(name, game.spaces[agent])


def _builtins() -> list[str]:
    from sparring.loaders.builtin import names

    return [f"builtin:{name}" for name in names()]


def _from_factory(module_name: str, attribute: str, game: Game, agent: AgentID) -> Policy:
    if not all(part.isidentifier() for part in module_name.split(".")) or not attribute.isidentifier():
        raise InputError(f"policy {module_name}:{attribute}: expected package.module:factory")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(f"policy {module_name}:{attribute}: cannot import {module_name} ({error})") from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise unknown(f"factory in {module_name}", attribute, [n for n in vars(module) if not n.startswith("_")])
    made: Any = factory(game.spaces[agent])
    if isinstance(made, Policy):
        return made
    if callable(made):
        return CallablePolicy(made)
    raise InputError(f"policy {module_name}:{attribute}: expected a Policy or a function, got {type(made).__name__}")
