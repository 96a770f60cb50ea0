"""Evaluations in files: complete matches, and what was kept of their steps, as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparring import checkpoint
from sparring.errors import InputError
from sparring.types import Outcomes, States, Tracks


def save_matches(path: Path, outcomes: Outcomes, of: Mapping[str, Any] | None = None) -> None:
    """Write matches, and the sample of states, as safetensors; `of` says which matches they are, in plain JSON."""
    arrays = {"length": outcomes.length, "invalid": outcomes.invalid}
    arrays |= {f"returns/{agent}": values for agent, values in outcomes.returns.items()}
    arrays |= {f"outcome/{agent}": values for agent, values in (outcomes.outcome or {}).items()}
    arrays |= {f"decisions/{agent}": values for agent, values in outcomes.decisions.items()}
    for name, kept in (("states", outcomes.states), ("tracks", outcomes.tracks)):
        if kept is not None:
            arrays |= {f"{name}/{field}": array for field, array in kept._asdict().items()}
    checkpoint.save(
        path, {name: np.asarray(array) for name, array in arrays.items()}, {"kind": "matches", "of": dict(of or {})}
    )


def read_matches(path: Path, of: Mapping[str, Any] | None = None) -> Outcomes:
    """What `save_matches` has written.

    Raises:
      InputError: it is damaged, it has no matches, or it has others than `of` says.
    """
    arrays, meta = checkpoint.load(path)
    if meta.get("kind") != "matches" or "length" not in arrays:
        raise InputError(f"{path} has no matches: delete it, and `sparring resume` plays them again")
    for name, asked in (of or {}).items():
        if meta.get("of", {}).get(name) != asked:
            got = meta.get("of", {}).get(name)
            raise InputError(
                f"{path} has other matches: expected {name} {asked}, got {got}: delete it, and `sparring resume` plays "
                "them again"
            )

    def under(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    states, tracks = (
        kind(**found) if (found := under(f"{name}/")) else None
        for name, kind in (("states", States), ("tracks", Tracks))
    )
    return Outcomes(
        under("outcome/") or None,
        arrays["length"],
        arrays["invalid"],
        under("returns/"),
        under("decisions/"),
        None if states is None else States(*states),
        None if tracks is None else Tracks(*tracks),
    )
