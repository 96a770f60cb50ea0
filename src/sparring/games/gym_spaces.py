"""Gymnasium's spaces as ours, and ours as Gymnasium's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.types import ActionSpace, Box, Dict, Discrete, MultiDiscrete, Space


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
            return _parts(space.spaces.items(), what)
        case spaces.Tuple():
            return _parts(enumerate(space.spaces), what)
    shown = " ".join(str(space).split())
    raise InputError(f"{what}: expected a Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple space, got {shown}")


def to_gymnasium(space: Space) -> Any:
    """Gymnasium's space for one of ours."""
    from gymnasium import spaces

    match space:
        case Box():
            low, high = (_representable(bound, space.dtype) for bound in space.bounds())
            return spaces.Box(low, high, space.shape, np.dtype(space.dtype).type)
        case Discrete():
            return spaces.Discrete(space.n)
        case MultiDiscrete():
            return spaces.MultiDiscrete(np.array(space.nvec))
        case Dict():
            return spaces.Dict({name: to_gymnasium(part) for name, part in space.parts})


def to_ours(theirs: Any, observation: Any) -> Any:
    """An observation of one of Gymnasium's spaces, batched or not, as `from_gymnasium`'s space has it: a copy."""
    from gymnasium import spaces

    match theirs:
        case spaces.Dict():
            return {str(name): to_ours(part, observation[name]) for name, part in theirs.spaces.items()}
        case spaces.Tuple():
            return {str(i): to_ours(part, observation[i]) for i, part in enumerate(theirs.spaces)}
        case spaces.Box():
            return np.array(observation, np.float32 if np.issubdtype(theirs.dtype, np.floating) else theirs.dtype)
    return np.array(observation, np.int64) - starts(theirs)


def checked_actions(space: ActionSpace, actions: Any, matches: int, what: str) -> np.ndarray:
    """Actions of so many matches in our space.

    Raises:
      InputError: another shape; `what` names them.
    """
    actions = np.asarray(actions)
    rest = space.shape if isinstance(space, Box) else () if isinstance(space, Discrete) else (len(space.nvec),)
    if actions.shape != (matches, *rest):
        raise InputError(f"{what}: expected shape {[matches, *rest]}, got {list(actions.shape)}")
    return actions


def to_theirs(theirs: Any, action: np.ndarray) -> Any:
    """One match's action, as `from_gymnasium`'s space has it, in Gymnasium's space; continuous ones are clipped."""
    from gymnasium import spaces

    if isinstance(theirs, spaces.Box):
        return np.clip(action, theirs.low, theirs.high).astype(theirs.dtype)
    if isinstance(theirs, spaces.Discrete):
        return int(action) + int(theirs.start)
    return (np.asarray(action) + starts(theirs)).astype(theirs.dtype)


def blank(space: Space, matches: int) -> Any:
    """An observation of so many matches in our space, of zeros."""
    match space:
        case Dict():
            return {name: blank(part, matches) for name, part in space.parts}
        case Box():
            return np.zeros((matches, *space.shape), space.dtype)
        case Discrete():
            return np.zeros(matches, np.int64)
        case MultiDiscrete():
            return np.zeros((matches, len(space.nvec)), np.int64)


def put(tree: Any, row: int, value: Any) -> None:
    """Write one match's observation into a batch, in place."""
    if isinstance(tree, dict):
        for name, part in tree.items():
            put(part, row, value[name])
    else:
        tree[row] = value


def starts(theirs: Any) -> np.ndarray:
    """What the first choice of each is called in a Gymnasium's space: 0 but for `Discrete` and `MultiDiscrete`."""
    return np.asarray(getattr(theirs, "start", 0), np.int64)


def _parts(named: Iterable[tuple[Any, Any]], what: str) -> Dict:
    parts = {str(name): from_gymnasium(part, f"{what}, {str(name)!r}") for name, part in named}
    return Dict(tuple(sorted(parts.items())))


def _bound(values: np.ndarray) -> float | tuple[float, ...]:
    """One number where all bounds are equal, else each."""
    flat = np.asarray(values, np.float64).ravel()
    if flat.size and (flat == flat[0]).all():
        return float(flat[0])
    return tuple(float(v) for v in flat)


def _representable(bound: np.ndarray, dtype: str) -> np.ndarray:
    """A bound in the space's own type; integers and float32 have ends, and nothing lies beyond them."""
    if np.dtype(dtype).kind in "iu":
        ends = np.iinfo(dtype)
        return np.clip(bound, ends.min, ends.max).astype(dtype)
    with np.errstate(over="ignore"):
        return bound.astype(dtype)
