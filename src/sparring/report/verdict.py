"""What an audit found, in words that claim no more than it measured."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

from sparring.metrics.outcome import newcombe
from sparring.report.schema import BENIGN, Audit, BudgetResult, ExactAudit, ExactResult, Rates

ROUNDING = 1e-9  # a difference of exact values that is no larger a share of the game's scale is none


class Damage(NamedTuple):
    """The attacker's win rate minus the benign opponent's, with its interval (Newcombe 1998)."""

    value: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        return self.low > 0


def damage(audit: Audit, result: BudgetResult) -> Damage:
    """The damage of one attack of an audit over the benign opponent in the same seat.

    The intervals of its attacks hold together in 95% of audits (Bonferroni): of many attacks one always seems to win.
    """
    benign = result["baselines"][BENIGN]
    z = NormalDist().inv_cdf(1 - 0.05 / (2 * len(audit["budgets"])))
    low, high = newcombe(_wins(result), result["episodes"], _wins(benign), benign["episodes"], z)
    return Damage(result["win"] - benign["win"], low, high)


def worst(audit: Audit) -> BudgetResult:
    """The attack that the verdict speaks of: the most damaging one; of equals, the one with the smaller budget."""
    return max(audit["budgets"], key=lambda result: (damage(audit, result).value, -result["budget"]))


def verdict(audit: Audit) -> str:
    """The finding in a few sentences, with the number of matches and intervals: of rates, 95%; of damage, see `damage`.

    A learned attack that fails proves nothing, and one that succeeds is a lower bound (DECISIONS 22): both are said.
    """
    result = worst(audit)
    found = damage(audit, result)
    benign = result["baselines"][BENIGN]
    rates = (
        f"At budget {result['budget']:g} the attacker wins {rate(result)} of {result['episodes']} matches; "
        f"left alone the benign opponent wins {rate(benign)} of {benign['episodes']}."
    )
    if found.beyond_noise:
        sentences = [rates, f"The damage, {points(found)}, is beyond the noise."]
        smallest = min(entry["budget"] for entry in audit["budgets"] if damage(audit, entry).beyond_noise)
        if smallest < result["budget"]:
            sentences.append(f"The smallest tested budget with damage beyond the noise is {smallest:g}.")
        plain = {name: entry for name, entry in result["baselines"].items() if name != BENIGN}
        best = max(plain, key=lambda name: plain[name]["win"], default=None)
        if best is not None and plain[best]["win"] >= result["win"]:
            sentences.append(f"But the {best} baseline wins {rate(plain[best])}: the attack's training added nothing.")
        sentences.append("A learned attack is a lower bound: a stronger one may exist.")
    else:
        sentences = ["No tested attack does better than the benign opponent beyond the noise.", rates]
        sentences.append(f"The difference is {points(found)}.")
        sentences.append("This proves nothing about other attacks (a learned attack is a lower bound).")
    if invalid := sum(entry["invalid"] for entry in audit["budgets"]):
        sentences.append(f"Matches cut off for broken physics, which count for nobody: {invalid}.")
    return " ".join(sentences)


def exact_worst(audit: ExactAudit) -> ExactResult:
    """The budget that the verdict speaks of: the one of most exploitability; of equals, the smallest."""
    return max(audit["budgets"], key=lambda result: (result["expl"], -result["budget"]))


def exact_verdict(audit: ExactAudit) -> str:
    """The finding of an exact audit in a few sentences; there is no noise to allow for."""
    result = exact_worst(audit)
    alone = result["baselines"][BENIGN]["victim_value"]
    if lost(result) <= ROUNDING * result["scale"]:
        return (
            f"No attack at the tested budgets costs the victim anything: its value stays {alone:.4g}, that against the "
            "benign opponent. The attacks are exact best responses, so this is proved."
        )
    sentences = [
        f"At budget {result['budget']:g} the attacker brings the victim's value from {alone:.4g} down to "
        f"{-result['expl']:.4g}, and no attacker can do more: this is exact.",
        f"The most robust victim would still have {-result['robust_expl']:.4g}; "
        f"the gap of {max(result['gap'], 0.0):.4g} is what hardening can win back.",
    ]
    smallest = min(entry["budget"] for entry in audit["budgets"] if lost(entry) > ROUNDING * entry["scale"])
    if smallest < result["budget"]:
        sentences.append(f"The smallest tested budget that costs the victim anything is {smallest:g}.")
    if unproved := [entry["budget"] for entry in audit["budgets"] if not entry["verified"]]:
        sentences.append(f"The most robust value could not be verified at budget {unproved[0]:g}.")
    return " ".join(sentences)


def lost(result: ExactResult) -> float:
    """The value that the best response costs the victim, compared with the benign opponent left alone."""
    return result["baselines"][BENIGN]["victim_value"] + result["expl"]


def rate(rates: Rates, key: str = "win") -> str:
    """A rate with its interval, in percent: `63% [59, 67]`."""
    low, high = rates[f"{key}_ci"]
    return f"{100 * rates[key]:.0f}% [{100 * low:.0f}, {100 * high:.0f}]"


def points(found: Damage) -> str:
    """A difference of rates in percentage points: `+15 points [+8, +22]`."""
    return f"{100 * found.value:+.0f} points [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"


def _wins(rates: Rates) -> int:
    return round(rates["win"] * rates["episodes"])
