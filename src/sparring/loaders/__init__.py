"""Policies by name: one file per format, found by its file name.

A format is a module of this package with `load(argument, game, agent) -> Policy`. One that takes options, as in
`run:DIR,policy=attacker`, names them in `OPTIONS`, a tuple of strings, and has `load(argument, options, game, agent)`;
`options` is then a dictionary of strings.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Collection

from sparring.errors import InputError, check_type, factory, foreign, place, unknown
from sparring.files import path_of
from sparring.games.finite import finite, nash
from sparring.policies import CallablePolicy, TabularPolicy, simple_policy
from sparring.types import AgentID, Game, Policy

PLAIN = ("random", "uniform", "zero", "first", "nash")


def formats() -> tuple[str, ...]:
    """The prefixes that a policy's name can have: `robosumo-zoo` for `robosumo-zoo:FILE.npy`."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__)))


def load(spec: str, game: Game, agent: AgentID) -> Policy:
    """The policy called `spec`, for one agent of a game.

    Args:
      spec: `random`, `uniform`, `zero`, `first` (legal action), `nash`, `FORMAT:ARGUMENT` (see `formats`), with options
        after commas where the format has some, or `package.module:factory`, where `factory(spaces)` returns a `Policy`
        or a function `(observation [B, ...], rng) -> action [B, ...]`.
      game: the game that it is to play.
      agent: whom it is to play.

    Raises:
      InputError: an unknown name or option (the nearest ones are offered), a missing or damaged file, a policy whose
        sizes are not those of the agent (both are shown), or a user's module or function that raises an exception or
        returns no policy (its file and line are named).
    """
    check_type("policy", spec, str, "a name, such as 'builtin:ant'")
    if not (hasattr(game, "spaces") and hasattr(game, "agents")):
        kind = type(game).__name__
        raise InputError(f"policy {spec!r}: game: expected a game, as make_game returns it, got {kind}")
    if agent not in game.agents:
        raise unknown("agent", agent, game.agents)
    if (policy := _plain(spec, game, agent)) is not None:
        return policy
    prefix, colon, argument = spec.partition(":")
    if not colon:
        raise unknown("policy", spec, [*PLAIN, *(f"{name}:..." for name in formats()), *_builtins()])
    if prefix in formats():
        module = importlib.import_module(f"{__name__}.{prefix.replace('-', '_')}")
        known = getattr(module, "OPTIONS", None)
        if known is None:
            return module.load(argument, game, agent)
        argument, options = _options(spec, argument, known)
        return module.load(argument, options, game, agent)
    if "." in prefix or _is_module(prefix):
        return _from_factory(spec, game, agent)
    refused = unknown("policy format", prefix, [*formats(), "package.module"])
    raise InputError(
        f"{refused}; and there is no module {prefix!r} that can be imported in {os.getcwd()}: for one of your own, run "
        "from the folder that holds it, or install it"
    )


def check_spaces(policy_observation: int, policy_action: int, game: Game, agent: AgentID, source: str) -> None:
    """Refuse a policy whose sizes are not the agent's.

    Args:
      policy_observation: the numbers in one observation that the policy takes.
      policy_action: the actions between which it chooses, or the numbers in one action.
      game: the game that it is to play.
      agent: whom it is to play.
      source: the policy's name and file.

    Raises:
      InputError: both sizes are shown.
    """
    spaces = game.spaces[agent]
    for what, its, wanted in (
        ("observations", policy_observation, spaces.observation.size),
        ("actions", policy_action, spaces.action.size),
    ):
        if its != wanted:
            raise InputError(
                f"{source}: it was made for {what} of size {its}, but those of {agent} in {game.id} have size {wanted}:"
                f" give {agent} a policy that was trained in its place, or choose the game of this one"
            )


def _options(spec: str, argument: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """The argument without what follows it after commas, and that as a dictionary."""
    argument, rest = path_of(argument)
    options: dict[str, str] = {}
    for part in rest.split(",") if rest else ():
        key, equals, value = part.partition("=")
        if not equals or key in options:
            raise InputError(f"policy {spec!r}: expected options as ,name=value, each once, got {part!r}")
        if key not in known:
            raise unknown(f"option of {spec.partition(':')[0]}", key, known)
        options[key] = value
    return argument, options


def _is_module(name: str) -> bool:
    """Whether a user's module can be found, without importing it."""
    try:
        return name.isidentifier() and (name in sys.modules or importlib.util.find_spec(name) is not None)
    except (ImportError, ValueError):  # ValueError: a module that has no specification
        return False


def _plain(name: str, game: Game, agent: AgentID) -> Policy | None:
    if name == "nash":
        if (solvable := finite(game)) is None:
            raise InputError(f"policy nash: {game.id} can only be simulated; expected a game that can be solved")
        return TabularPolicy(nash(solvable, agent))
    return simple_policy(name, game.spaces[agent])


def _builtins() -> list[str]:
    from sparring.loaders.builtin import names

    return [f"builtin:{name}" for name in names()]


def _from_factory(spec: str, game: Game, agent: AgentID) -> Policy:
    make = factory("policy", spec)
    what = f"policy {spec!r}"
    with foreign(what, f"a function of the spaces of one agent ({agent}) that returns a policy", make):
        made = make(game.spaces[agent])
    if isinstance(made, Policy):
        return made
    if callable(made):
        return CallablePolicy(made)
    got = "None" if made is None else type(made).__name__
    raise InputError(f"{what}: expected that it returns a Policy or a function, got {got} ({place(make)})")
