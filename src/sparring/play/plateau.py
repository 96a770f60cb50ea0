"""Whether the scores of rounds still rise, and a side of a training that waits until they do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.types import Array


@dataclass(frozen=True)
class Plateau:
    """A side waits until the others hardly gain any more: the learned min oracle (Algorithm 1, DECISIONS 22).

    What the others gain is what the side itself loses. The latest rounds are compared: `window` of them, or half of
    those since its last update if that is more, so that what was gained at once does not count for ever. The side is
    due when its mean score (the return of the matches that ended in a round) over their newer half is no more than 2
    standard errors below that over their older half, or after `most` rounds.

    Raises:
      InputError: fewer than 4 rounds to compare, or no more at the most.
    """

    window: int = 8  # rounds at the least
    most: int = 64  # rounds at the most

    def __post_init__(self) -> None:
        if not 4 <= self.window <= self.most:
            raise InputError(f"plateau: expected 4 <= window <= most rounds, got {self.window} and {self.most}")


class Waited(NamedTuple):
    """What a waiting side has seen since its last update: arrays, for checkpoints."""

    scores: np.ndarray  # float64 [most], of each round; NaN: no match ended
    rounds: np.ndarray  # int64 [], how many of them there are
    carried: np.ndarray  # float64 [B], the returns so far of the matches that are under way


class Trend(NamedTuple):
    """How much more the newer half of some scores is than the older half."""

    gain: float
    error: float  # standard error of the gain


def ended_returns(
    reward: Array, ended: Array, invalid: Array, carried: Array
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The undiscounted returns of the matches that end within a round.

    Args:
      reward: [T, B].
      ended: bool [T, B], the matches that end with this step.
      invalid: bool [T, B], those that are cut off for broken physics: they count for nothing.
      carried: float64 [B], what the matches that were under way had returned before.

    Returns:
      Returns [n] and the slots [n] of the matches that ended, in time order, and what is carried on, [B].
    """
    reward, ended, invalid = np.asarray(reward, np.float64), np.asarray(ended), np.asarray(invalid)
    total = np.array(carried, np.float64)
    returns, slots = [], []
    for earned, over, broken in zip(reward, ended, invalid, strict=True):
        total += earned
        (where,) = np.nonzero(over & ~broken)
        if len(where):
            returns.append(total[where])
            slots.append(where)
        total[over | broken] = 0.0
    if not returns:
        return np.zeros(0), np.zeros(0, np.int64), total
    return np.concatenate(returns), np.concatenate(slots), total


def trend(scores: Array) -> Trend | None:
    """The newer half of scores [n] against the older half; NaN counts as no score. None: fewer than 4.

    Each half is taken for independent draws around its mean (Welch).
    """
    known = np.asarray(scores, np.float64)
    known = known[np.isfinite(known)]
    if len(known) < 4:
        return None
    older, newer = known[: len(known) // 2], known[len(known) // 2 :]
    error = np.sqrt(older.var(ddof=1) / len(older) + newer.var(ddof=1) / len(newer))
    return Trend(float(newer.mean() - older.mean()), float(error))


def fresh(waits: Plateau, slots: int) -> Waited:
    """Nothing was seen yet, in B slots."""
    return Waited(np.full(waits.most, np.nan), np.array(0, np.int64), np.zeros(slots))


def waited(
    before: Waited, waits: Plateau, reward: Array, ended: Array, invalid: Array
) -> tuple[Waited, bool, dict[str, Any]]:
    """What a side has seen after one round more.

    Args:
      before: what it had seen.
      waits: how long it waits.
      reward: its own, [T, B].
      ended, invalid: bool [T, B], the matches that end, and those that are cut off.

    Returns:
      What it has seen now (nothing, if it is due), whether it is due, and then why: the metrics.
    """
    returns, _, carried = ended_returns(reward, ended, invalid, before.carried)
    scores, rounds = before.scores.copy(), int(before.rounds) + 1
    scores[rounds - 1] = returns.mean() if len(returns) else np.nan
    latest = max(waits.window, rounds // 2)
    found = trend(-scores[rounds - latest : rounds]) if rounds >= latest else None
    if rounds < waits.most and (found is None or found.gain > 2 * found.error):
        return Waited(scores, np.array(rounds, np.int64), carried), False, {}
    evidence = {"waited": rounds, **({} if found is None else found._asdict())}
    return fresh(waits, len(carried))._replace(carried=carried), True, evidence
