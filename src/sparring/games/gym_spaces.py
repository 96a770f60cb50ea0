"""Gymnasium's spaces as ours, and ours as Gymnasium's."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.types import Box, Dict, Discrete, MultiDiscrete, Space


def from_gymnasium(space: Any, what: str) -> Space:
    """Our space for one of Gymnasium's: Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple.

    Floats become float32. A Tuple becomes a Dict of its numbers, "0", "1", ... Choices that do not start at 0 are
    counted from 0 here.

    Raises:
      InputError: another kind of space; `what` names it.
    """
    from gymnasium import spaces

    match space:
        case spaces.Box():
            kind = "float32" if np.issubdtype(space.dtype, np.floating) else np.dtype(space.dtype).name
            return Box(tuple(space.shape), _bound(space.low), _bound(space.high), kind)
        case spaces.Discrete():
            return Discrete(int(space.n))
        case spaces.MultiDiscrete() if space.nvec.ndim == 1:
            return MultiDiscrete(tuple(int(n) for n in space.nvec))
        case spaces.MultiBinary() if len(space.shape) == 1:
            return MultiDiscrete((2,) * space.shape[0])
        case spaces.Dict():
            parts = sorted(space.spaces.items())
            return Dict(tuple((str(name), from_gymnasium(part, f"{what}, {name!r}")) for name, part in parts))
        case spaces.Tuple():
            numbered = sorted((str(i), part) for i, part in enumerate(space.spaces))
            return Dict(tuple((name, from_gymnasium(part, f"{what}, {name!r}")) for name, part in numbered))
    shown = " ".join(str(space).split())
    raise InputError(f"{what}: expected a Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple space, got {shown}")


def to_gymnasium(space: Space) -> Any:
    """Gymnasium's space for one of ours."""
    from gymnasium import spaces

    match space:
        case Box():
            low, high = (np.asarray(bound, space.dtype) for bound in space.bounds())
            return spaces.Box(low, high, space.shape, np.dtype(space.dtype).type)
        case Discrete():
            return spaces.Discrete(space.n)
        case MultiDiscrete():
            return spaces.MultiDiscrete(np.array(space.nvec))
        case Dict():
            return spaces.Dict({name: to_gymnasium(part) for name, part in space.parts})


def to_ours(space: Space, observation: Any) -> Any:
    """An observation as Gymnasium gives it, batched or not, as our space has it: copies, tuples as dicts."""
    if isinstance(space, Dict):
        if isinstance(observation, tuple | list):
            observation = {str(i): part for i, part in enumerate(observation)}
        return {name: to_ours(part, observation[name]) for name, part in space.parts}
    return np.array(observation, space.dtype if isinstance(space, Box) else np.int64)


def _bound(values: np.ndarray) -> float | tuple[float, ...]:
    """One number where all bounds are equal, else each."""
    flat = np.asarray(values, np.float64).ravel()
    if flat.size and (flat == flat[0]).all():
        return float(flat[0])
    return tuple(float(v) for v in flat)
