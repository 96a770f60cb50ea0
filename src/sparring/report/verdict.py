"""What an audit found, in words that claim no more than it measured."""

from __future__ import annotations

from typing import NamedTuple

from sparring.metrics.outcome import newcombe
from sparring.report.schema import BENIGN, EXACT, Audit, BudgetResult, Rates


class Damage(NamedTuple):
    """The attacker's win rate minus the benign opponent's, with its 95% interval (Newcombe 1998)."""

    value: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        return self.low > 0


def damage(result: BudgetResult) -> Damage:
    """The damage of one attack over the benign opponent in the same seat."""
    benign = result["baselines"][BENIGN]
    low, high = newcombe(_wins(result), result["episodes"], _wins(benign), benign["episodes"])
    return Damage(result["win"] - benign["win"], low, high)


def worst(audit: Audit) -> BudgetResult:
    """The attack that the verdict speaks of: the most damaging one; of equals, the one with the smaller budget."""
    return max(audit["budgets"], key=lambda result: (damage(result).value, -result["budget"]))


def verdict(audit: Audit) -> str:
    """The finding in a few sentences, with the number of matches and 95% intervals.

    A learned attack that fails proves nothing, and one that succeeds is a lower bound (DECISIONS 22): both are said.
    """
    result = worst(audit)
    found = damage(result)
    benign = result["baselines"][BENIGN]
    rates = (
        f"At budget {result['budget']:g} the attacker wins {rate(result)} of {result['episodes']} matches; "
        f"left alone the benign opponent wins {rate(benign)} of {benign['episodes']}."
    )
    exact = all(entry["oracle"] == EXACT for entry in audit["budgets"])
    if found.beyond_noise:
        sentences = [rates, f"The damage, {points(found)}, is beyond the noise."]
        smallest = min(entry["budget"] for entry in audit["budgets"] if damage(entry).beyond_noise)
        if smallest < result["budget"]:
            sentences.append(f"The smallest tested budget with damage beyond the noise is {smallest:g}.")
        plain = {name: entry for name, entry in result["baselines"].items() if name != BENIGN}
        best = max(plain, key=lambda name: plain[name]["win"], default=None)
        if best is not None and plain[best]["win"] >= result["win"]:
            sentences.append(f"But the {best} baseline wins {rate(plain[best])}: the attack's training added nothing.")
        if not exact:
            sentences.append("A learned attack is a lower bound: a stronger one may exist.")
    else:
        sentences = ["No tested attack does better than the benign opponent beyond the noise.", rates]
        sentences.append(f"The difference is {points(found)}.")
        if exact:
            sentences.append("The attacks are exact best responses: none does better at these budgets.")
        else:
            sentences.append("This proves nothing about other attacks (a learned attack is a lower bound).")
    if invalid := sum(entry["invalid"] for entry in audit["budgets"]):
        sentences.append(f"Matches cut off for broken physics, which count for nobody: {invalid}.")
    return " ".join(sentences)


def rate(rates: Rates, key: str = "win") -> str:
    """A rate with its interval, in percent: `63% [59, 67]`."""
    low, high = rates[f"{key}_ci"]
    return f"{100 * rates[key]:.0f}% [{100 * low:.0f}, {100 * high:.0f}]"


def points(found: Damage) -> str:
    """A difference of rates in percentage points: `+15 points [+8, +22]`."""
    return f"{100 * found.value:+.0f} points [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"


def _wins(rates: Rates) -> int:
    return round(rates["win"] * rates["episodes"])
