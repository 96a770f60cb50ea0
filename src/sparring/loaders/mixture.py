"""`mixture:FILE.json`: several networks, of which one is drawn for each match: `{"policies": [...], "weights": [...]}`.

The files of the networks are named relative to that of the mixture, which `sparring defend --method double-oracle`
leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sparring.errors import InputError
from sparring.files import read_json, write_json
from sparring.loaders import native
from sparring.policies import MixturePolicy, stacked
from sparring.types import AgentID, Game

FILE = "mixture.json"
MOST = 256  # networks


def save(path: Path, files: Sequence[str], weights: Sequence[float]) -> None:
    """Write a mixture of networks that lie beside it, by their file names."""
    write_json(path, {"policies": list(files), "weights": [float(weight) for weight in weights]})


def load(argument: str, game: Game, agent: AgentID) -> MixturePolicy:
    """The mixture in a file.

    Raises:
      InputError: no such file, no mixture, weights that are no distribution, or as `native.load`.
    """
    import jax

    path, where = Path(argument), f"mixture:{argument}"
    described = read_json(path)
    parts = described if isinstance(described, Mapping) else {}
    files, weights = parts.get("policies"), parts.get("weights")
    if not isinstance(files, list) or not isinstance(weights, list) or not 1 <= len(files) == len(weights) <= MOST:
        raise InputError(f"{where}: expected policies and weights, as many of the one as of the other, 1 to {MOST}")
    if not all(isinstance(name, str) for name in files):
        raise InputError(f"{where}: policies: expected names of files")
    numbers = [w for w in weights if isinstance(w, (int, float)) and math.isfinite(w) and w >= 0]
    if len(numbers) < len(weights) or not math.isclose(sum(numbers), 1.0, abs_tol=1e-6):
        raise InputError(f"{where}: weights: expected numbers of at least 0 that sum to 1, got {weights}")
    networks = [native.load(str(path.parent / name), game, agent) for name in files]
    shapes = [jax.tree.map(np.shape, jax.tree.leaves(network)) for network in networks]
    kinds = [jax.tree.structure(network) for network in networks]
    if other := [name for name, s, k in zip(files, shapes, kinds, strict=True) if (s, k) != (shapes[0], kinds[0])]:
        raise InputError(f"{where}: {other[0]} is a network of another kind than {files[0]}: expected one kind")
    return MixturePolicy(stacked(networks), np.array(numbers, np.float32) / np.float32(sum(numbers)))
