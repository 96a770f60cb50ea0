"""`native:FILE.safetensors`: this package's own actor-critics, weights and description in one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sparring import checkpoint
from sparring.errors import InputError
from sparring.loaders import check_spaces
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, config_of
from sparring.types import AgentID, Continuous, Discrete, Game, Spaces

FORMAT = "sparring actor-critic 1"
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
    if not isinstance(policy, ActorCritic):
        raise InputError(f"save_policy: expected an ActorCritic, got {type(policy).__name__}")
    action = policy.action
    meta = {
        "format": FORMAT,
        "observation": int(policy.normalizer.mean.size),
        "action": {"kind": type(action).__name__.lower(), **asdict(action)},
        "network": asdict(config_of(policy)),
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
    if meta.get("format") != FORMAT:
        raise InputError(f"{path}: expected a policy file ({FORMAT}), got {meta.get('format', 'no format')!r}")
    try:
        action = dict(meta["action"])
        space = {"discrete": Discrete, "continuous": Continuous}[action.pop("kind")](**action)
        network = dict(meta["network"])
        config = NetworkConfig(**{**network, "hidden": tuple(network["hidden"])})
        spaces = Spaces(int(meta["observation"]), space)
        sizes = [spaces.observation, getattr(space, "n", None) or getattr(space, "size", 0), *config.hidden]
        # A description is not believed: what it asks for must fit into a file before it is made.
        if min(sizes) < 1 or 4 * max(sizes) * sum(config.hidden) > MAX_BYTES:
            raise ValueError(f"sizes {sizes}")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the description of the network is damaged ({error!r})") from error
    template = actor_critic(spaces, config, np.zeros(2, np.uint32))
    return checkpoint.unflatten(template, arrays), meta


def load(argument: str, game: Game, agent: AgentID) -> ActorCritic:
    network, _ = read(argument)
    size = network.action.n if isinstance(network.action, Discrete) else network.action.size
    ours, theirs = type(network.action).__name__.lower(), type(game.spaces[agent].action).__name__.lower()
    if ours != theirs:
        raise InputError(
            f"native:{argument}: it was made for {ours} actions, but those of {agent} in {game.id} are {theirs}: "
            f"give {agent} a policy that was trained in its place, or choose the game of this one"
        )
    check_spaces(network.normalizer.mean.size, size, game, agent, f"native:{argument}")
    return network
