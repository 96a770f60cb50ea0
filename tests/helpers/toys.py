"""Matches of a toy: features that wander, each match around a centre of its own."""

from __future__ import annotations

import numpy as np

from sparring.types import Tracks


def wandering(
    matches: int,
    steps: int = 20,
    features: int = 3,
    shift: float = 0.0,
    memory: float = 0.9,
    seed: int | list[int] = 0,
    own: float = 0.0,
) -> Tracks:
    """AR(1) within a match: x' = memory x + noise, stationary with variance 1, moved by `shift` in the first feature.

    `own` is the deviation of the centres of matches: what a classifier may learn of a match instead of the attack. The
    victim's action is noise that moves nothing.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((matches, features))
    path = [x]
    for _ in range(steps - 1):
        x = memory * x + np.sqrt(1 - memory**2) * rng.standard_normal((matches, features))
        path.append(x)
    rows = np.stack(path, axis=1) + own * rng.standard_normal((matches, 1, features))
    rows[:, :, 0] += shift
    match, step = np.repeat(np.arange(matches), steps), np.tile(np.arange(steps), matches)
    flat = rows.reshape(-1, features).astype(np.float32)
    action = rng.standard_normal((len(flat), 2)).astype(np.float32)
    return Tracks(flat, action, np.full(len(flat), shift != 0), match, step)
