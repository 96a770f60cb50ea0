"""How an attack did while it was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sparring.records import Curve
from sparring.types import AgentID


def curve_of(
    events: Sequence[Mapping[str, Any]], victim: AgentID, attacker: str, budget: float, seed: int, points: int = 30
) -> Curve | None:
    """An attack while it was trained, from its rounds' events, in at most `points` windows.

    Win rates of the matches that ended, or in games without winners the victim's return for each of them.

    Args:
      events: as `drive` writes them.
      victim: whose rewards are added up where nobody wins.
      attacker: the side whose wins are counted.
      budget, seed: of the training.
      points: windows.

    Returns:
      None where no match ended.
    """
    from sparring.metrics.intervals import wilson

    rows, matches, wins = [], [], all("win" in e["sides"][attacker] for e in events)
    for chunk in np.array_split(np.array(events, object), min(points, len(events))) if events else []:
        sides = [e["sides"][attacker] for e in chunk]
        n = sum(side["matches"] for side in sides)
        if not n:
            continue
        if wins:
            won = sum(side["win"] for side in sides)
            point = (won / n, *wilson(won, n))
        else:
            sums = np.array([e["rewards"][victim] for e in chunk])
            value = float(sums.sum()) / n
            half = 1.96 * float(np.std(sums)) * math.sqrt(len(sums)) / n
            point = (value, value - half, value + half)
        rows.append((float(chunk[-1]["steps"]), *point))
        matches.append(int(n))
    if not rows:
        return None
    measure = "win" if wins else "return"
    return Curve(budget=budget, seed=seed, points=tuple(rows), matches=tuple(matches), measure=measure)
