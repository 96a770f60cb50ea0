"""Samples of states whose distribution is known."""

from __future__ import annotations

import math

import numpy as np

from sparring.types import States


def independent(rows: np.ndarray, matches: int | None = None) -> States:
    """These rows, dealt to so many matches; None: one each."""
    match = np.arange(len(rows)) % (matches or len(rows))
    return States(np.asarray(rows, np.float32), match, np.zeros(len(rows), np.int64))


def autoregressive(
    rng: np.random.Generator,
    matches: int,
    steps: int,
    features: int,
    shift: float = 0.0,
    correlation: float = 0.95,
) -> States:
    """Matches whose states follow each other, all of N(shift, 1): x' = a x + sqrt(1 - a^2) noise."""
    rows = np.zeros((matches, steps, features))
    rows[:, 0] = rng.normal(size=(matches, features))
    for t in range(1, steps):
        noise = rng.normal(size=(matches, features))
        rows[:, t] = correlation * rows[:, t - 1] + math.sqrt(1 - correlation**2) * noise
    match = np.repeat(np.arange(matches), steps)
    return States((rows + shift).reshape(-1, features).astype(np.float32), match, np.tile(np.arange(steps), matches))
