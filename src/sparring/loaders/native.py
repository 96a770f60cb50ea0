"""`native:FILE.safetensors`: this package's own actor-critics, weights and description in one file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sparring import checkpoint, games
from sparring.errors import InputError, check_type
from sparring.loaders import check_spaces
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, config_of, fitted
from sparring.types import AgentID, Box, Dict, Discrete, Game, MultiDiscrete, Space, Spaces

FORMAT, FIRST_FORMAT = "sparring actor-critic 2", "sparring actor-critic 1"
MAX_BYTES = 64 * 2**20


def save(policy: ActorCritic, path: Path | str, provenance: Mapping[str, Any] | None = None) -> None:
    """Write an actor-critic: safetensors with a JSON description, committed by one rename.

    Args:
      policy: the network.
      path: ends in `.safetensors`.
      provenance: how it was made (command, settings, steps); any JSON.

    Raises:
      InputError: not an actor-critic, weights that are NaN or infinite, or a path that cannot be written.
    """
    check_type("save_policy", policy, ActorCritic, "an ActorCritic, as load_policy returns a trained one")
    check_type("save_policy: path", path, (str, Path), "a file's name")
    if provenance is not None:
        check_type("save_policy: provenance", provenance, Mapping, "a dictionary")
    config = config_of(policy)
    network = {name: value for name, value in vars(config).items() if name != "frame"}
    meta = {
        "format": FORMAT,
        "observation": _described(policy.observation),
        "action": _described(policy.action),
        "network": {**network, "frame": config.frame.name if config.frame else ""},
        "provenance": dict(provenance or {}),
    }
    arrays = checkpoint.flatten(policy)
    if bad := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise InputError(f"{path}: not saved, because the weights {bad[0]} are NaN or infinite")
    checkpoint.save(Path(path), arrays, meta)


def read(path: Path | str) -> tuple[ActorCritic, dict[str, Any]]:
    """The network in a file, and its description.

    Raises:
      InputError: missing, truncated, oversized, not of this format, or NaN weights.
    """
    path = Path(path)
    arrays, meta = checkpoint.load(path, max_bytes=MAX_BYTES, finite=True)
    if meta.get("format") not in (FORMAT, FIRST_FORMAT):
        raise InputError(f"{path}: expected a policy file ({FORMAT}), got {meta.get('format', 'no format')!r}")
    try:
        observation, action = _space(meta["observation"]), _space(meta["action"])
        if isinstance(action, Dict):
            raise ValueError("actions that are a dict")
        network = dict(meta["network"])
        name = network.pop("frame", None) or network.pop("symmetry", "")
        network.pop("symmetry", None)
        frame = games.frame(name) if name else None
        config = NetworkConfig(**{**network, "hidden": tuple(network["hidden"]), "frame": frame})
        spaces = Spaces(observation, action)
        sizes = [observation.size, action.size, *config.hidden]
        # A description is not believed: what it asks for must fit into a file before it is made.
        if min(sizes) < 1 or 4 * max(sizes) * sum(config.hidden) > MAX_BYTES:
            raise ValueError(f"sizes {sizes}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: the description of the network is damaged ({error!r})") from error
    template = actor_critic(spaces, config, np.zeros(2, np.uint32))
    return checkpoint.unflatten(template, arrays), meta


def load(argument: str, game: Game, agent: AgentID) -> ActorCritic:
    network, meta = read(argument)
    spaces = game.spaces[agent]
    ours, theirs = (_kind(space) for space in (network.action, spaces.action))
    if ours != theirs:
        raise InputError(
            f"native:{argument}: it was made for {ours} actions, but those of {agent} in {game.id} are {theirs}: "
            f"give {agent} a policy that was trained in its place, or choose the game of this one"
        )
    check_spaces(network.normalizer.mean.size, network.action.size, game, agent, f"native:{argument}")
    # The first format did not say more of observations than how many numbers they have.
    first = meta["format"] == FIRST_FORMAT
    for what, its, wanted in (
        ("observations", spaces.observation if first else network.observation, spaces.observation),
        ("actions", network.action, spaces.action),
    ):
        if _unbounded(its) != _unbounded(wanted):
            raise InputError(
                f"native:{argument}: it was made for {what} {its}, but those of {agent} in {game.id} are {wanted}: "
                f"give {agent} a policy that was trained in its place, or choose the game of this one"
            )
    return fitted(network, spaces, f"native:{argument}")


def _kind(space: Space) -> str:
    return "continuous" if isinstance(space, Box) else "discrete"


def _unbounded(space: Space) -> Space:
    """What the numbers of a space are, whatever bounds a game has for them."""
    if isinstance(space, Dict):
        return Dict(tuple((name, _unbounded(part)) for name, part in space.parts))
    return replace(space, low=-math.inf, high=math.inf) if isinstance(space, Box) else space


def _described(space: Space) -> dict[str, Any]:
    """A space as JSON; infinite bounds are null."""
    match space:
        case Discrete(n):
            return {"kind": "discrete", "n": n}
        case MultiDiscrete(nvec):
            return {"kind": "multidiscrete", "nvec": list(nvec)}
        case Dict(parts):
            return {"kind": "dict", "parts": {name: _described(part) for name, part in parts}}
        case Box():
            bounds = {name: _bounds_as_json(getattr(space, name)) for name in ("low", "high")}
            return {"kind": "box", "shape": list(space.shape), "dtype": space.dtype, **bounds}


def _bounds_as_json(bound: float | tuple[float, ...]) -> Any:
    if isinstance(bound, tuple):
        return [_bounds_as_json(number) for number in bound]
    return bound if math.isfinite(bound) else None


def _space(described: Any, depth: int = 0) -> Space:
    """The space that `_described` wrote; the first format wrote the size of flat observations."""
    if isinstance(described, int):
        return Box(_numbers([described], 1))
    kind = described["kind"]
    if kind == "continuous":  # of the first format
        return Box(_numbers([described["size"]], 1), float(described["low"]), float(described["high"]))
    if kind == "discrete":
        return Discrete(*_numbers([described["n"]], 1))
    if kind == "multidiscrete":
        return MultiDiscrete(_numbers(described["nvec"], 1))
    if kind == "dict" and depth < 8:
        return Dict(tuple(sorted((str(k), _space(part, depth + 1)) for k, part in described["parts"].items())))
    if kind != "box":
        raise ValueError(f"a space of kind {kind!r}")
    shape, dtype = _numbers(described["shape"], 0), described["dtype"]
    if not isinstance(dtype, str) or np.dtype(dtype).kind not in "fiub":
        raise ValueError(f"numbers of type {dtype!r}")
    low, high = _bounds(described["low"], -math.inf), _bounds(described["high"], math.inf)
    return Box(shape, low, high, np.dtype(dtype).name)


def _numbers(values: Any, least: int) -> tuple[int, ...]:
    """Whole numbers of at least `least`."""
    if bad := [n for n in values if isinstance(n, bool) or not isinstance(n, int) or n < least]:
        raise ValueError(f"expected whole numbers of at least {least}, got {bad[0]!r}")
    return tuple(values)


def _bounds(value: Any, unbounded: float) -> float | tuple[float, ...]:
    if isinstance(value, list):
        return tuple(unbounded if number is None else float(number) for number in value)
    return unbounded if value is None else float(value)
