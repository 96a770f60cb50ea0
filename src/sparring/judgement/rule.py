"""From damage to the verdict and the exit code: one rule for text, gate and report (DECISIONS 30)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from sparring.answers import AttackResult, AuditResult
from sparring.console import CANNOT_TELL
from sparring.errors import InputError
from sparring.judgement.untested import not_tested
from sparring.judgement.words import text_of
from sparring.records import (
    BENIGN,
    BudgetResult,
    Finding,
    Measure,
    PositiveControl,
    Rates,
    Scale,
    Verdict,
    damage_in,
    replaced,
)

FOUND = 1  # an exit code; the other ones are in `console`
TOO_MANY_INVALID = 0.05  # share of invalid matches (DECISIONS 30)
ROUNDING = 1e-9  # of what exact numbers can be apart: a difference that is no more than this is none


def judge(
    budgets: Sequence[BudgetResult],
    fail_above: float | None = None,
    fail_measure: Measure | None = None,
    scale: Scale | None = None,
) -> Verdict:
    """The one rule; `Verdict.text` is left to `judged`.

    A finding: at some budget the lower end of the damage's interval is above `fail_above` (0 where it is not given).
    With `fail_above`, none: at every budget the upper end is not above it; else one cannot tell. Without it, none: no
    budget has a finding. Besides, one cannot tell where invalid matches decide, where more than 5% of them are invalid
    and there is no finding, and where no match was decided (DECISIONS 30).

    Args:
      budgets: the results, at least one.
      fail_above: the damage that is allowed, in the unit of the measure: a share of matches, or a return.
      fail_measure: the measure; by default wins where the game has them, the victim's losses where attackers cannot
        win, exact values in exact audits, and else returns (DECISIONS 29).
      scale: the range of the victim's values, by which rounding of exact ones is judged.

    Raises:
      InputError: no budget, a threshold that is no number, or a measure that this game does not have.
    """
    if not budgets:
        raise InputError("the audit has no budgets: expected a list with at least one result")
    if fail_above is not None and not math.isfinite(fail_above):
        raise InputError(f"fail-above: expected a number, got {fail_above}")
    measure = _measure(budgets, fail_measure)
    check_share(fail_above, measure)
    slack = slack_of(budgets, measure, scale)
    states = [state_at(result, measure, fail_above, slack) for result in budgets]
    damages = [damage_in(result.damage, measure) for result in budgets]
    lows = [-math.inf if damage is None else damage.low for damage in damages]
    worst = min(range(len(budgets)), key=lambda i: (-lows[i], budgets[i].budget))
    beyond = [result.budget for result, low in zip(budgets, lows, strict=True) if low > slack]
    finding: Finding = "none"
    reason = next((why for state, why in states if state == "cannot tell"), None)
    if any(state == "finding" for state, _ in states):
        finding, reason = "finding", None
    elif reason is not None:
        finding = "cannot tell"
    elif measure in ("win", "fail") and not any(map(_decided, budgets)):
        finding, reason = "cannot tell", "no match was decided, with or without an attack"
    return Verdict(
        finding=finding,
        measure=measure,
        budget=budgets[worst].budget,
        damage=damages[worst],
        beyond_noise=bool(beyond),
        smallest_budget=min(beyond, default=None),
        reason=reason,
        text="",
        fail_above=fail_above,
        together=len(budgets),
    )


def slack_of(rates: Sequence[Rates], measure: Measure, scale: Scale | None) -> float:
    """The difference of exact numbers that is rounding, relative to what they can be; of sampled ones there is none."""
    if any(one.victim_value is None for one in rates):
        return 0.0
    if measure in ("win", "fail"):
        return ROUNDING
    return 0.0 if scale is None else max(ROUNDING * (scale.high - scale.low), scale.rounding)


def check_share(fail_above: float | None, measure: Measure | None) -> None:
    """Refuse a threshold for a share of matches that no damage is above.

    Raises:
      InputError: it is 1 or more.
    """
    if measure in ("win", "fail") and fail_above is not None and fail_above >= 1:
        raise InputError(f"fail-above: expected a share of matches below 1 (0.05 is 5 points), got {fail_above:g}")


def exit_code(verdict: Verdict) -> int:
    """1: a finding above `fail_above`. 4: one cannot tell. 0: neither, or there is no `fail_above`."""
    if verdict.fail_above is None:
        return 0
    return {"finding": FOUND, "cannot tell": CANNOT_TELL, "none": 0}[verdict.finding]


def judged(audit: AuditResult, fail_above: float | None = None, fail_measure: Measure | None = None) -> AuditResult:
    """The audit with its verdict, exit code and what was not tested.

    Raises:
      InputError: as `judge`.
    """
    verdict = judge(audit.budgets, fail_above, fail_measure, audit.scale)
    verdict = replaced(verdict, text=text_of(audit, verdict))
    code: Any = exit_code(verdict)
    return replaced(audit, verdict=verdict, exit_code=code, not_tested=not_tested(audit))


def rejudge(audit: AuditResult, fail_above: float | None = None, measure: Measure | None = None) -> AuditResult:
    """A finished audit under another threshold or measure: no match is played.

    Raises:
      InputError: as `judge`.
    """
    return judged(audit, fail_above, measure)


def positive_control_of(control: AuditResult | AttackResult) -> PositiveControl:
    """What an audit of, or an attack on, a victim that is known to be exploitable says about the audit beside it."""
    if isinstance(control, AttackResult):
        rates = {name: getattr(control, name) for name in Rates.__struct_fields__}
        only = BudgetResult(
            **rates,
            budget=control.budget,
            attacker=control.policy,
            damage=control.damage,
            baselines={BENIGN: control.baseline},
        )
        verdict = judge([only], scale=control.scale)
    else:
        verdict = judge(control.budgets, scale=control.scale)
    if verdict.damage is None:
        raise InputError(f"positive control: {control.victim} in {control.game} shows no damage in any measure")
    return PositiveControl(
        victim=control.victim,
        budget=verdict.budget,
        measure=verdict.measure,
        damage=verdict.damage,
        found=verdict.finding == "finding",
    )


def _measure(budgets: Sequence[BudgetResult], asked: Measure | None) -> Measure:
    has = {m: all(damage_in(result.damage, m) is not None for result in budgets) for m in ("win", "fail", "value")}
    has["return"] = not has["value"]  # every sampled game has returns, though all of them may be equal
    if asked == "return" and has["value"]:
        asked = "value"  # of exact audits
    if asked is not None:
        if asked not in has:
            raise InputError(f"fail-measure: expected win or return, got {asked!r}")
        if asked == "value" and not has[asked]:
            raise InputError("fail-measure value: values are those of exact answers; use --fail-measure return")
        if not has[asked]:
            raise no_winners(asked)
        return asked
    if has["value"]:
        return "value"
    if not has["win"]:
        return "return"
    return outcome_measure([rates for result in budgets for rates in (result, *result.baselines.values())])


def no_winners(asked: Measure) -> InputError:
    """What is said where wins or losses are asked for and the game has none."""
    return InputError(f"fail-measure {asked}: this game has no winners; use --fail-measure return")


def outcome_measure(everything: Sequence[Rates]) -> Literal["win", "fail"]:
    """In which measure a game with winners is judged, given all that was seen of it: wins, unless nobody ever wins.

    A measure that cannot show damage in a game is never the one that the verdict is judged by.
    """
    return "fail" if not any(rates.win for rates in everything) and any(rates.fail for rates in everything) else "win"


def state_at(
    result: BudgetResult, measure: Measure, fail_above: float | None, slack: float
) -> tuple[Finding, str | None]:
    """The finding at one budget, and why one cannot tell; `slack` is that of `slack_of`."""
    damage, allowed = damage_in(result.damage, measure), 0.0 if fail_above is None else fail_above
    at = f"at budget {result.budget:g}"
    if damage is None:
        return "cannot tell", f"{at} all returns are equal, and the range of returns is not known"
    if damage.low > allowed + slack:
        return "finding", None
    share = max(invalid_share(result), invalid_share(result.baselines[BENIGN]))
    if share > TOO_MANY_INVALID:
        return "cannot tell", f"{at} {share:.0%} of the matches were invalid"
    if fail_above is None:
        if damage.favour is not None and damage.favour[0] > slack:
            return "cannot tell", f"{at} it depends on how the invalid matches are counted"
        return "none", None
    if damage.high > allowed + slack:
        return "cannot tell", f"{at} the interval contains the allowed damage"
    return "none", None


def _decided(result: BudgetResult) -> bool:
    benign = result.baselines[BENIGN]
    return any(rates.win or rates.loss or rates.fail for rates in (result, benign))


def invalid_share(rates: Rates) -> float:
    """The share of an evaluation's matches that were cut off for broken physics."""
    return rates.invalid / max(rates.episodes + rates.invalid, 1)
