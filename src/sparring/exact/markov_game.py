"""Two-player zero-sum discounted Markov games as arrays: from a file or at random."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from sparring.errors import InputError, unknown
from sparring.exact.payoffs import check_payoffs
from sparring.exact.rows import distributions
from sparring.files import write_atomic

MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class MarkovGame:
    """Section 2 with two agents: the victim plays a and is paid r, the attacker plays b and is paid -r.

    Rows of P and rho that miss 1 by rounding are divided by their sums (DECISIONS 33), so games of float32 are read.

    Raises:
      InputError: shapes that do not fit, numbers that are not finite, rows of P or rho that are no distributions, a
        discount outside [0, 1), or payoffs that are too large or too small (`exact.payoffs`).
    """

    P: np.ndarray  # float64 [S, A, B, S], probability of the next state
    r: np.ndarray  # float64 [S, A, B], the victim's reward
    rho: np.ndarray  # float64 [S], start distribution
    gamma: float  # discount in [0, 1)

    def __post_init__(self) -> None:
        for name in ("P", "r", "rho"):
            array = np.array(getattr(self, name), np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
            if (bad := ~np.isfinite(array)).any():
                raise InputError(f"Markov game: {name} has a NaN or an infinity at {np.argwhere(bad)[0].tolist()}")
        if self.r.ndim != 3 or not self.r.size:
            raise InputError(f"Markov game: expected r of shape [S, A, B], got {list(self.r.shape)}")
        states = self.r.shape[0]
        for name, array, shape in (("P", self.P, (*self.r.shape, states)), ("rho", self.rho, (states,))):
            if array.shape != shape:
                raise InputError(
                    f"Markov game: r is {list(self.r.shape)}, so {name} must be {list(shape)}, got {list(array.shape)}"
                )
            array = distributions(array, shape, f"Markov game: {name}")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not (np.ndim(self.gamma) == 0 and 0 <= self.gamma < 1):
            raise InputError(f"Markov game: expected a discount gamma in [0, 1), got {self.gamma}")
        object.__setattr__(self, "gamma", float(self.gamma))
        check_payoffs(self.r, "Markov game", 1 / (1 - self.gamma))


class RandomGame(NamedTuple):
    """A random game and the policies drawn with it."""

    game: MarkovGame
    benign: np.ndarray  # float64 [S, B]
    nu: np.ndarray  # float64 [S, A]
    alpha: np.ndarray  # float64 [S, B]


def random_game(
    seed: int, S: int, A: int, B: int, gamma: float, k: int, rho: Literal["random", "uniform"] = "random"
) -> RandomGame:
    """A random game in which every transition leads to one of `k` states, rewards are uniform in [0, 1].

    Weights are exponential, so distributions are uniform on their simplex. Only `rng.random` is drawn, always in the
    same order and number, so that a seed means the same game everywhere.

    Raises:
      InputError: sizes below one, more successors than states, or a discount outside [0, 1).
    """
    if min(S, A, B) < 1 or not 1 <= k <= S:
        raise InputError(f"random game: expected S, A, B >= 1 and 1 <= k <= S, got S={S}, A={A}, B={B}, k={k}")
    if rho not in ("random", "uniform"):
        raise unknown("start distribution", rho, ("random", "uniform"))
    rng = np.random.default_rng(seed)
    weight = -np.log1p(-rng.random((S, A, B, S)))
    order = np.argsort(rng.random((S, A, B, S)), axis=-1, kind="stable")
    np.put_along_axis(weight, order[..., k:], 0.0, axis=-1)
    reward = rng.random((S, A, B))
    start = _normalised(-np.log1p(-rng.random(S)))
    if rho == "uniform":
        start = np.full(S, 1 / S)
    benign, nu, alpha = (_normalised(-np.log1p(-rng.random((S, n)))) for n in (B, A, B))
    return RandomGame(MarkovGame(_normalised(weight), reward, start, gamma), benign, nu, alpha)


def save(path: Path | str, game: MarkovGame) -> None:
    """Write a game as .npz with the arrays P, r, rho and gamma; an earlier file stays intact if that fails.

    Raises:
      InputError: the file cannot be written.
    """
    data = io.BytesIO()
    np.savez(data, P=game.P, r=game.r, rho=game.rho, gamma=np.float64(game.gamma))
    write_atomic(Path(path), data.getvalue())


def load(path: Path | str) -> MarkovGame:
    """Read a game from .npz; nothing in the file is ever executed.

    Raises:
      InputError: missing, too large, damaged, or not a game.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path}: expected at most {MAX_BYTES} bytes of arrays, got {size}")
        with np.load(path, allow_pickle=False) as arrays:
            if absent := {"P", "r", "rho", "gamma"} - set(arrays.files):
                raise InputError(f"{path}: expected the arrays P, r, rho and gamma, there is no {min(absent)}")
            others = set(arrays.files) - {"P", "r", "rho", "gamma"}
            fields = {name: arrays[name] for name in ("P", "r", "rho", "gamma")}
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file: give a Markov game's .npz (P, r, rho, gamma)") from None
    except InputError:
        raise
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as the .npz of a Markov game: {error}") from error
    if any(not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array) for array in fields.values()):
        raise InputError(f"{path}: expected arrays of real numbers, got {[str(a.dtype) for a in fields.values()]}")
    if unknown := sorted(others):
        raise InputError(f"{path}: expected the arrays P, r, rho and gamma alone, there is {unknown[0]}, too")
    if fields["gamma"].size != 1:
        raise InputError(f"{path}: gamma: expected one number, got {fields['gamma'].size}")
    try:
        return MarkovGame(fields["P"], fields["r"], fields["rho"], fields["gamma"].item())
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _normalised(weight: np.ndarray) -> np.ndarray:
    return weight / weight.sum(axis=-1, keepdims=True)
