"""From matches to damage, and from damage to the verdict and the exit code: one rule for all (DECISIONS 29 and 30)."""

from __future__ import annotations

from collections.abc import Sequence

from sparring.metrics.outcome import Sample
from sparring.results import (
    AuditResult,
    BudgetResult,
    Curve,
    Damage,
    Improvement,
    Measure,
    Rates,
    Scale,
    Verdict,
)

FINDING, CANNOT_TELL = 1, 4  # exit codes


def scale_of(samples: Sequence[Sample], known: tuple[float, float] | None = None) -> Scale:
    """The range of the victim's return: the game's own if `known`, else the smallest and largest one seen."""
    raise NotImplementedError


def rates_of(sample: Sample, scale: Scale) -> Rates:
    """One evaluation's rates and means, with intervals."""
    raise NotImplementedError


def exact_rates(
    win: float | None,
    draw: float | None,
    loss: float | None,
    fail: float | None,
    victim_value: float,
    attacker_value: float,
    mean_length: float | None,
    discounted: bool,
) -> Rates:
    """The same from probabilities and expected values; where nothing is discounted the values are mean returns too."""
    raise NotImplementedError


def damage_of(attacked: Sample, other: Sample, scale: Scale, together: int = 1) -> Damage:
    """What an attack costs compared with another opponent; the intervals of `together` such damages hold at once."""
    raise NotImplementedError


def exact_damage(attacked: Rates, other: Rates) -> Damage:
    """The same from exact rates: intervals of width zero."""
    raise NotImplementedError


def still_improving(curve: Curve) -> Improvement | None:
    """Whether an attack was still improving when it stopped; None: too few windows to tell."""
    raise NotImplementedError


def judge(
    budgets: Sequence[BudgetResult],
    fail_above: float | None = None,
    fail_measure: Measure | None = None,
    scale: Scale | None = None,
) -> Verdict:
    """The one rule. `fail_above` is in the unit of the measure: a share of matches, or a return."""
    raise NotImplementedError


def exit_code(verdict: Verdict) -> int:
    """1: a finding above `fail_above`. 4: one cannot tell. 0: neither, or there is no `fail_above`."""
    raise NotImplementedError


def not_tested(audit: AuditResult) -> tuple[str, ...]:
    """Whole sentences; none names what was tested."""
    raise NotImplementedError


def judged(audit: AuditResult, fail_above: float | None = None, fail_measure: Measure | None = None) -> AuditResult:
    """The audit with verdict, exit code and what was not tested."""
    raise NotImplementedError


rejudge = judged  # of a finished run
