"""Evaluations in files: complete matches, and what was kept of their steps, as safetensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparring import checkpoint
from sparring.types import Outcomes, States, Tracks


def save_matches(path: Path, outcomes: Outcomes) -> None:
    """Write matches, and the sample of states, as safetensors."""
    arrays = {"length": outcomes.length, "invalid": outcomes.invalid}
    arrays |= {f"returns/{agent}": values for agent, values in outcomes.returns.items()}
    arrays |= {f"outcome/{agent}": values for agent, values in (outcomes.outcome or {}).items()}
    arrays |= {f"decisions/{agent}": values for agent, values in outcomes.decisions.items()}
    for name, kept in (("states", outcomes.states), ("tracks", outcomes.tracks)):
        if kept is not None:
            arrays |= {f"{name}/{field}": array for field, array in kept._asdict().items()}
    checkpoint.save(path, {name: np.asarray(array) for name, array in arrays.items()}, {"kind": "matches"})


def read_matches(path: Path) -> Outcomes:
    """What `save_matches` has written."""
    arrays, _ = checkpoint.load(path)

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
