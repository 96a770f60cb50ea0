"""What a coupling certificate says, for people."""

from __future__ import annotations

import math

from sparring.console import number
from sparring.visibility import Coupling

_NAMES = {
    "return": "return",
    "discounted return": "discounted return",
    "value": "value",
    "non-fail": "share of matches that are not lost",
}


def certain_lines(certain: Coupling) -> list[str]:
    """What a certificate says, one sentence a line; the first tells of which budget and how surely."""
    how = f"{certain.confidence:.0%} confidence, {certain.matches} benign matches" if certain.matches else "computed"
    if certain.budget > certain.vacuous_above:
        most = number(certain.vacuous_above, ".2g")
        said = [f"above budget {most} hardly a match is sure to go on as it was ({how}): nothing is certain there"]
    else:
        said = [f"whatever the attacker does at budget {certain.budget!r} ({how}):", *_bounds(certain)]
    threshold = f"{_NAMES[certain.value_is]} of at least {number(certain.at_least, '.4g')}"
    if certain.at_least_from == "half":
        threshold += ", halfway from the least possible to what is certain without an attack"
    if certain.certified_budget is None:
        return [*said, f"certified budget for a {threshold}: none, it is not even certain without an attack"]
    floor = math.floor(certain.certified_budget * 1e5 + 1e-6) / 1e5
    return [*said, f"certified budget for a {threshold}: {number(floor, '.5g')}"]


def _bounds(certain: Coupling) -> list[str]:
    said = []
    if certain.value_is != "non-fail" and certain.value_lower is not None:
        unit = 10.0 ** math.floor(math.log10(max(abs(certain.value_low), abs(certain.value_high), 1e-300))) / 1000
        least = math.floor(certain.value_lower / unit + 1e-6) * unit
        said.append(f"  the victim's {_NAMES[certain.value_is]} is at least {number(least, '.5g')}")
    if certain.non_fail_lower is not None:
        said.append(f"  the victim does not lose at least {_down(certain.non_fail_lower):.1%} of its matches")
    if certain.attacker_win_upper is not None:
        said.append(f"  the attacker wins at most {_up(certain.attacker_win_upper):.1%}")
    apart, auc = _up(certain.total_variation_upper), _up(certain.auc_upper)
    matches = "whole matches"
    if certain.goes_on is not None:
        matches = f"matches that go on with probability {certain.goes_on:g} after each step"
    said.append(
        f"  {matches} differ by at most {apart:.3f} in total variation, and no detector has an AUC above {auc:.3f}"
    )
    return said


def _down(share: float) -> float:
    """Bounds are rounded to the side on which they stay true, but for the rounding of their own computation."""
    return math.floor(share * 1000 + 1e-6) / 1000


def _up(share: float) -> float:
    return 1 - _down(1 - share)
