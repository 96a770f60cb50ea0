"""From matches, or exact chances, to rates and damage (DECISIONS 29)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparring.console import SETTLED
from sparring.metrics import outcome
from sparring.metrics.improvement import last_third
from sparring.metrics.intervals import mean_difference, mean_interval, newcombe, simultaneous, student, wilson, z_of
from sparring.metrics.outcome import Sample
from sparring.records import (
    Curve,
    Damage,
    Difference,
    Improvement,
    Interval,
    Measure,
    OverSeeds,
    Rates,
    Scale,
    SeedResult,
)

IGNORED_INVALID = 0.01  # share of invalid matches up to which they are left out (DECISIONS 30)


def scale_of(samples: Sequence[Sample], known: Interval | None = None) -> Scale | None:
    """The range of the victim's return: the game's own if `known`, else the least and largest one of valid matches.

    A known range that a valid match leaves is widened, and is then only what was seen. None: no match was valid.
    """
    returns = np.concatenate([s.victim_return[~s.invalid] for s in samples])
    seen = [] if not len(returns) else [float(returns.min()), float(returns.max())]
    if known is None:
        return Scale(low=seen[0], high=seen[1], range_from="seen") if seen else None
    low, high = min([known[0], *seen]), max([known[1], *seen])
    return Scale(low=low, high=high, range_from="game" if (low, high) == tuple(known) else "seen")


def rates_of(sample: Sample, scale: Scale | None = None) -> Rates:
    """One evaluation's rates and means, each with its own 95% interval: `metrics.outcome.rates`."""
    ends = (None, None) if scale is None else (scale.low, scale.high)
    return Rates(**outcome.rates(sample, *ends))


def exact_rates(
    *,
    win: float | None,
    draw: float | None,
    loss: float | None,
    fail: float | None,
    victim_value: float,
    attacker_value: float,
    mean_decisions: float | None,
    discounted: bool,
) -> Rates:
    """The same from probabilities and expected values: no match was played, and every interval is its one value.

    Where nothing is discounted, the values are mean returns as well (DECISIONS 32).
    """
    values: dict[str, float | None] = {"win": win, "draw": draw, "loss": loss, "fail": fail}
    if not discounted:
        values |= {"victim_return": victim_value, "attacker_return": attacker_value}
    both: dict[str, Any] = {}
    for key, value in values.items():
        both |= {key: value, f"{key}_ci": None if value is None else (value, value)}
    return Rates(**both, victim_value=victim_value, attacker_value=attacker_value, mean_decisions=mean_decisions)


def damage_of(attacked: Sample, other: Sample, scale: Scale | None, together: int = 1) -> Damage:
    """What an attack costs the victim compared with another opponent, in every measure that the game has.

    Rates: Newcombe's intervals. Returns: intervals for bounded means, null where all returns are equal and the game's
    range is not known. Where more than 1% of the matches of either evaluation were invalid, both ways to count them
    are computed (DECISIONS 30): for the attacker, as its win and the least return of the range, and against it.

    Args:
      attacked: the matches of the attack.
      other: those of the benign opponent, or of a plain one.
      scale: the range of returns, as `scale_of` says.
      together: how many such damages are judged at once: their intervals hold together in 95% of audits (Bonferroni).
    """
    alpha = simultaneous(together)
    ways = (None, False, True) if max(_invalid(attacked), _invalid(other)) > IGNORED_INVALID else (None,)
    found: dict[str, Difference | None] = {"win": None, "fail": None}
    flags, others = attacked.flags(), other.flags()
    if flags is not None and others is not None:
        for key in found:
            counts = [(_count(flags[key], attacked, way), _count(others[key], other, _opposite(way))) for way in ways]
            found[key] = _both([_rates_apart(*pair, alpha) for pair in counts])
    if scale is not None and scale.low < scale.high:
        pairs = [(_returns(attacked, scale, way), _returns(other, scale, _opposite(way))) for way in ways]
        found["return_"] = _both([_means_apart(theirs, ours, scale, alpha) for ours, theirs in pairs])
    return Damage(**found)


def score_of(sample: Sample, measure: Measure, scale: Scale | None, together: int = 1) -> Difference | None:
    """What an attack reaches by itself, larger where the victim is worse off (the paper's score is `win`).

    The attackers' wins, the victim's losses, or minus the victim's mean return, with Wilson's interval or that for
    bounded means; `scale`, `together` and invalid matches are as in `damage_of`. None: the game has no such measure.
    """
    alpha, flags = simultaneous(together), sample.flags()
    ways = (None, False, True) if _invalid(sample) > IGNORED_INVALID else (None,)
    if measure in ("win", "fail"):
        return None if flags is None else _both([_rate(*_count(flags[measure], sample, way), alpha) for way in ways])
    if measure != "return" or scale is None or not scale.low < scale.high:
        return None
    return _both([_mean(_returns(sample, scale, way), scale, alpha) for way in ways])


def exact_damage(attacked: Rates, other: Rates, scale: Scale | None = None) -> Damage:
    """The same from exact rates: every interval has width zero, and what is rounding is 0.

    Args:
      attacked: what becomes of the attack.
      other: of the benign opponent, or of a plain one.
      scale: the range of values, which says what is rounding.
    """
    rounding = 0.0 if scale is None else scale.rounding

    def apart(key: str, sign: int = 1) -> Difference | None:
        ours, theirs = getattr(attacked, key), getattr(other, key)
        if ours is None or theirs is None:
            return None
        value = sign * (ours - theirs)
        if abs(value) <= (SETTLED if key in ("win", "fail") else rounding):
            value = 0.0
        return Difference(value=value, low=value, high=value)

    return Damage(
        win=apart("win"), fail=apart("fail"), return_=apart("victim_return", -1), value=apart("victim_value", -1)
    )


def still_improving(curve: Curve) -> Improvement | None:
    """Whether an attack was still improving when it stopped; None: too few windows to tell, or nothing moved.

    A curve without its counts of matches (`Curve.matches`) cannot tell either.
    """
    if len(curve.matches) != len(curve.points):
        return None
    values, sign = [point[1] for point in curve.points], 1 if curve.measure == "win" else -1
    gain = last_third(sign * np.array(values), np.array(curve.matches), curve.measure == "win")
    if gain is None:
        return None
    return Improvement(
        measure=curve.measure, gain=gain.value, low=gain.low, high=gain.high, p=gain.p, improving=gain.low > 0
    )


def over_seeds(seeds: Sequence[SeedResult], scale: Scale | None = None) -> OverSeeds | None:
    """The method's means over training seeds, with 95% intervals over seeds (Student's t).

    What is impossible is cut off: rates beyond 0 and 1, and returns beyond the game's own range where `scale` is that.

    None: fewer than two seeds, or several starts. Each start is a method of its own (`by_start`): the spread between
    starts is no spread between seeds, and a mean over both would say nothing of either.
    """
    if len(seeds) < 2 or len({seed.start for seed in seeds}) > 1:
        return None
    found: dict[str, Any] = {"seeds": len(seeds)}
    ends = {"win": (0.0, 1.0), "victim_return": (-math.inf, math.inf)}
    if scale is not None and scale.range_from == "game":  # what was only seen is no bound on what is possible
        ends["victim_return"] = (scale.low, scale.high)
    for key, (least, most) in ends.items():
        values = [getattr(seed.rates, key) for seed in seeds]
        if None not in values:
            mean, low, high = student(values, least, most)
            found |= {key: mean, f"{key}_ci": (low, high)}
    return OverSeeds(**found)


def by_start(seeds: Sequence[SeedResult], scale: Scale | None = None) -> dict[str, OverSeeds]:
    """`over_seeds` of each start, where there are several starts with several seeds each; else empty."""
    starts = list(dict.fromkeys(seed.start for seed in seeds))
    if len(starts) < 2:
        return {}
    found = {start: over_seeds([seed for seed in seeds if seed.start == start], scale) for start in starts}
    return {start: means for start, means in found.items() if start is not None and means is not None}


def _invalid(sample: Sample) -> float:
    return float(sample.invalid.mean()) if len(sample.invalid) else 0.0


def _opposite(way: bool | None) -> bool | None:
    return None if way is None else not way


def _count(flags: np.ndarray, sample: Sample, way: bool | None) -> tuple[int, int]:
    """How many matches are so, of how many; invalid ones are left out (None), or all are so (True) or not (False)."""
    n, count = int((~sample.invalid).sum()), int(flags[~sample.invalid].sum())
    return (count, n) if way is None else (count + int(sample.invalid.sum()) * way, len(sample.invalid))


def _returns(sample: Sample, scale: Scale, way: bool | None) -> np.ndarray:
    """The victim's returns; invalid matches are left out (None), or count as the least (True) or largest (False)."""
    if way is None:
        return sample.victim_return[~sample.invalid]
    return np.where(sample.invalid, scale.low if way else scale.high, sample.victim_return)


def _rates_apart(ours: tuple[int, int], theirs: tuple[int, int], alpha: float) -> Difference:
    if 0 in (ours[1], theirs[1]):
        return Difference(value=None, low=-1.0, high=1.0)
    low, high = newcombe(*ours, *theirs, z_of(alpha))
    return Difference(value=ours[0] / ours[1] - theirs[0] / theirs[1], low=low, high=high)


def _rate(count: int, n: int, alpha: float) -> Difference:
    if not n:
        return Difference(value=None, low=0.0, high=1.0)
    low, high = wilson(count, n, z_of(alpha))
    return Difference(value=count / n, low=low, high=high)


def _mean(values: np.ndarray, scale: Scale, alpha: float) -> Difference:
    if not len(values):
        return Difference(value=None, low=-scale.high, high=-scale.low)
    low, high = mean_interval(values, scale.low, scale.high, alpha)
    return Difference(value=-float(values.mean()), low=-float(high), high=-float(low))


def _means_apart(values: np.ndarray, others: np.ndarray, scale: Scale, alpha: float) -> Difference:
    if not (len(values) and len(others)):
        return Difference(value=None, low=scale.low - scale.high, high=scale.high - scale.low)
    low, high = mean_difference(values, others, scale.low, scale.high, alpha)
    return Difference(value=float(values.mean() - others.mean()), low=low, high=high)


def _both(ways: Sequence[Difference]) -> Difference:
    """The difference of the valid matches, or with the ends of both ways to count the invalid ones."""
    if len(ways) == 1:
        return ways[0]
    valid, against, favour = ways
    return Difference(
        value=valid.value,
        low=against.low,
        high=favour.high,
        against=(against.low, against.high),
        favour=(favour.low, favour.high),
    )
