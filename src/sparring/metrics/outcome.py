"""What became of matches, seen from the attackers and the victims: as samples, and as rates with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.metrics.intervals import mean_interval, wilson
from sparring.types import AgentID, Outcomes

OUTCOMES = ("win", "draw", "loss", "fail")


class Sample(NamedTuple):
    """The n matches of one evaluation, by side: several attackers are a team, several victims are one side.

    Invalid matches are in all arrays; who counts leaves them out (DECISIONS 24).
    """

    attacker: np.ndarray | None  # int8 [n], the best outcome of any attacker: 1, 0, -1; None: there are no winners
    victim: np.ndarray | None  # int8 [n], the best outcome of any victim
    length: np.ndarray  # int64 [n], steps
    invalid: np.ndarray  # bool [n]
    attacker_return: np.ndarray  # float64 [n], of all attackers together
    victim_return: np.ndarray  # float64 [n], of all victims together
    returns: Mapping[AgentID, np.ndarray]  # float64 [n], of every agent

    def flags(self) -> Mapping[str, np.ndarray] | None:
        """Whether each match counts as a win, draw, loss (the attackers') or fail (the victim's): bool [n] each.

        A match is won if an attacker won and no victim did, lost if all attackers lost, and drawn else. The victim
        fails where it lost, whoever won. None: there are no winners.
        """
        if self.attacker is None or self.victim is None:
            return None
        win, loss = (self.attacker == 1) & (self.victim != 1), self.attacker == -1
        return {"win": win, "draw": ~win & ~loss, "loss": loss, "fail": self.victim == -1}


def sample(outcomes: Outcomes, attackers: Sequence[AgentID], victims: Sequence[AgentID]) -> Sample:
    """The matches of one evaluation by side.

    Args:
      outcomes: complete matches.
      attackers: the attacker's agents, at least one.
      victims: the victims, at least one.

    Raises:
      InputError: an agent that the game does not have.
    """
    for agent in (*attackers, *victims):
        if agent not in outcomes.returns:
            raise InputError(f"{agent} is no agent of this game: expected one of {', '.join(outcomes.returns)}")
    best: list[np.ndarray | None] = [None, None]
    if outcomes.outcome is not None:
        best = [np.max([np.asarray(outcomes.outcome[a]) for a in side], axis=0) for side in (attackers, victims)]
    returns = {agent: np.asarray(values, np.float64) for agent, values in outcomes.returns.items()}
    together = [np.sum([returns[agent] for agent in side], axis=0) for side in (attackers, victims)]
    length, invalid = np.asarray(outcomes.length, np.int64), np.asarray(outcomes.invalid, bool)
    return Sample(best[0], best[1], length, invalid, together[0], together[1], returns)


def rates(matches: Sample, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """Rates and means of one evaluation, as plain JSON, each with a 95% interval.

    Args:
      matches: the evaluation.
      low: the least return of the victim that is possible, or was seen in comparable matches; by default in these.
      high: the largest one.

    Returns:
      `win`, `draw`, `loss` (the attackers') and `fail` (the victim's) as shares of the valid matches with Wilson's
      intervals, null where there are no winners; `victim_return` and `attacker_return` with intervals for bounded
      means (`intervals.mean_interval`; the attackers' range is that seen here), null where all values are equal and no
      range is known; `episodes`, the valid matches; `invalid`; `mean_length`. Without a valid match all means are null.
    """
    valid = ~matches.invalid
    n, flags = int(valid.sum()), matches.flags()
    result: dict[str, Any] = {}
    for key in OUTCOMES:
        count = None if flags is None or not n else int(flags[key][valid].sum())
        result[key], result[f"{key}_ci"] = (None, None) if count is None else (count / n, wilson(count, n))
    for key, values, ends in (
        ("victim_return", matches.victim_return[valid], (low, high)),
        ("attacker_return", matches.attacker_return[valid], (None, None)),
    ):
        result[key], result[f"{key}_ci"] = (float(values.mean()), _interval(values, *ends)) if n else (None, None)
    result |= {"episodes": n, "invalid": len(valid) - n}
    return result | {"mean_length": float(matches.length[valid].mean()) if n else None}


def summary(outcomes: Outcomes, attackers: Sequence[AgentID], victims: Sequence[AgentID]) -> dict[str, Any]:
    """`rates` of one evaluation that stands alone.

    Raises:
      InputError: as `sample`.
    """
    return rates(sample(outcomes, attackers, victims))


def _interval(values: np.ndarray, low: float | None, high: float | None) -> tuple[float, float] | None:
    least = float(values.min()) if low is None else min(low, float(values.min()))
    most = float(values.max()) if high is None else max(high, float(values.max()))
    if not least < most:
        return None  # nothing is known of how far another match might lie away
    ends = mean_interval(values, least, most)
    return float(ends[0]), float(ends[1])
