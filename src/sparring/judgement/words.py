"""What an audit found, in words that claim no more than it measured. The judgement itself is `judgement.rule`."""

from __future__ import annotations

import math

from sparring.answers import AuditResult
from sparring.console import number, settled
from sparring.records import BENIGN, EXACT, BudgetResult, Difference, Goal, Interval, Measure, Rates, Verdict, damage_in

MEASURES: dict[Measure, str] = {
    "win": "attacker's wins",
    "fail": "victim's losses",
    "return": "victim's return",
    "value": "victim's value",
}


def text_of(audit: AuditResult, verdict: Verdict) -> str:
    """The finding in a few sentences, with the number of matches and intervals: of rates, 95%; of damage, simultaneous.

    A learned attack that fails proves nothing, and one that succeeds is a lower bound (DECISIONS 22): both are said.
    """
    result = next(entry for entry in audit.budgets if entry.budget == verdict.budget)
    sentences = _exact(audit, verdict, result) if audit.oracle == EXACT else _learned(audit, verdict, result)
    return " ".join(sentences)


def _exact(audit: AuditResult, verdict: Verdict, result: BudgetResult) -> list[str]:
    alone, measure = result.baselines[BENIGN], verdict.measure
    if measure != "value":
        sentences = [*_headline(verdict), *_both_sides(measure, result, alone, "the best response to it")]
        return [*sentences, "The attacks minimise the victim's value, so another one may do more in this measure."]
    before = shown(alone.victim_value)
    if not verdict.beyond_noise:
        return [
            f"No attack at the tested budgets costs the victim anything: its value stays {before}, that against the "
            "benign opponent. The attacks are exact best responses, so this is proved."
        ]
    before, after = shown_apart(alone.victim_value, result.victim_value)
    sentences = [
        f"At budget {result.budget:g} the attacker brings the victim's value from {before} down to {after}, "
        "and no attacker can do more: this is exact."
    ]
    if verdict.fail_above is not None:
        sentences += _headline(verdict)
    if result.robust_expl is not None and result.gap is not None:
        unit = 0.0 if audit.scale is None else max(abs(audit.scale.low), abs(audit.scale.high))
        still, gap = (settled(value, unit) for value in (-result.robust_expl, max(result.gap, 0.0)))
        sentences.append(
            f"The most robust victim would still have {shown(still)}; "
            f"the gap of {shown(gap)} is what hardening can win back."
        )
    if verdict.smallest_budget is not None and verdict.smallest_budget < result.budget:
        sentences.append(f"The smallest tested budget that costs the victim anything is {verdict.smallest_budget:g}.")
    if unproved := [entry.budget for entry in audit.budgets if entry.verified is False]:
        sentences.append(f"The most robust value could not be verified at budget {unproved[0]:g}.")
    return sentences


def _learned(audit: AuditResult, verdict: Verdict, result: BudgetResult) -> list[str]:
    benign, measure = result.baselines[BENIGN], verdict.measure
    sentences = [*_headline(verdict), *_both_sides(measure, result, benign, "the attacker")]
    if verdict.damage is not None and verdict.damage.value is not None:
        noise = "is beyond the noise" if verdict.damage.low > 0 else "is not beyond the noise"
        sentences.append(f"The damage, {amount(measure, verdict.damage)}, {noise}.")
    if verdict.beyond_noise and verdict.smallest_budget is not None and verdict.smallest_budget < result.budget:
        sentences.append(f"The smallest tested budget with damage beyond the noise is {verdict.smallest_budget:g}.")
    if verdict.beyond_noise:
        sentences += _against_baselines(result, measure)
    sentences += _other_measures(result, measure)
    sentences.append(f"The attacker was trained to maximise {goal(audit.reward)}.")
    sentences += _invalid(audit, verdict)
    if result.still_improving is not None and result.still_improving.improving:
        sentences.append("This attack was still improving when its training stopped: a longer one may do more.")
    if verdict.beyond_noise:
        sentences.append("A learned attack is a lower bound: a stronger one may exist.")
    else:
        sentences.append("This proves nothing about other attacks (a learned attack is a lower bound).")
        sentences.append(control_sentence(audit))
    return sentences


def _headline(verdict: Verdict) -> list[str]:
    """The finding itself, compared with what is allowed."""
    allowed = None if verdict.fail_above is None else plain_amount(verdict.measure, verdict.fail_above)
    if verdict.finding == "cannot tell":
        limit = "" if allowed is None else f" whether the damage is more than the allowed {allowed}"
        return [f"This audit cannot tell{limit}: {verdict.reason}."]
    if verdict.finding == "none" and allowed is not None:
        return [f"No tested attack costs more than the allowed {allowed}."]
    if verdict.finding == "none":
        return ["No tested attack does better than the benign opponent beyond the noise."]
    return [] if allowed is None else [f"The damage is more than the allowed {allowed}."]


def _both_sides(measure: Measure, result: BudgetResult, benign: Rates, who: str) -> list[str]:
    at, alone = f"At budget {result.budget:g}", "against the benign opponent left alone"
    if measure == "win" and result.win is not None and benign.win is not None:
        return [f"{at} {who} wins {_of(result, 'win')}; left alone the benign opponent wins {_of(benign, 'win')}."]
    if measure == "fail" and result.fail is not None and benign.fail is not None:
        return [f"{at} the victim loses {_of(result, 'fail')}; {alone} it loses {_of(benign, 'fail')}."]
    if measure == "return" and result.victim_return is not None and benign.victim_return is not None:
        return [
            f"{at} the victim's mean return is {mean(result)} in {_matches(result)}; "
            f"{alone} it is {mean(benign)} in {_matches(benign)}."
        ]
    return [f"{at} no match was valid."] if not result.episodes and measure != "value" else []


def _against_baselines(result: BudgetResult, measure: Measure) -> list[str]:
    """Plain opponents that the attack is worse than, or not shown to be better than."""
    better, alike = [], []
    for name, damage in sorted(result.versus.items()):
        difference = damage_in(damage, measure)
        if difference is not None and difference.high < 0:
            better.append(name)
        elif difference is None or difference.low <= 0:
            alike.append(name)
    sentences = []
    if better:
        sentences.append(f"But the {' and the '.join(better)} baseline does more: the attack's training added nothing.")
    if alike:
        sentences.append(f"The attack is not shown to be better than the {' and the '.join(alike)} baseline.")
    return sentences


def _other_measures(result: BudgetResult, measure: Measure) -> list[str]:
    """The damage in the measures that the verdict is not judged by, where the game has them."""
    said, names = [], {"win": "win rate", "fail": "victim's losses", "return": "victim's mean return"}
    others: tuple[Measure, ...] = ("win", "fail", "return")
    for other in others:
        difference = damage_in(result.damage, other)
        same = _alike(result) and (other == "fail" or (other == "win" and measure == "fail"))
        if other != measure and difference is not None and difference.value is not None and not same:
            said.append(f"{amount(other, difference)} in the {names[other]}")
    return [f"The damage is {', and '.join(said)}."] if said else []


def _alike(result: BudgetResult) -> bool:
    """Whether the attackers win exactly where the victim loses, as in every game of two."""
    return all(rates.win == rates.fail for rates in (result, result.baselines[BENIGN]))


def _invalid(audit: AuditResult, verdict: Verdict) -> list[str]:
    found = {id(rates): rates for entry in audit.budgets for rates in (entry, entry.baselines[BENIGN])}
    invalid = sum(rates.invalid for rates in found.values())
    if not invalid:
        return []
    sentence = f"Matches cut off for broken physics, which count for nobody: {invalid}."
    damage = verdict.damage
    if damage is None or damage.against is None or damage.favour is None:
        return [sentence]
    against, favour = (interval(verdict.measure, ends) for ends in (damage.against, damage.favour))
    return [f"{sentence} Counted against the attacker they make the damage {against}, counted for it {favour}."]


def control_sentence(audit: AuditResult) -> str:
    """The positive control, or the plain words that there is none."""
    control = audit.positive_control
    if control is None:
        return (
            "There is no positive control: it was not tested whether these settings find anything on a victim that is "
            "known to be exploitable."
        )
    damage = amount(control.measure, control.damage)
    if control.found:
        return (
            f"Positive control: on {control.victim}, which is known to be exploitable, the same settings find "
            f"{damage} at budget {control.budget:g}."
        )
    return (
        f"Positive control: on {control.victim}, which is known to be exploitable, the same settings find no damage "
        f"beyond the noise either ({damage} at budget {control.budget:g}), so this audit says little."
    )


def goal(reward: Goal) -> str:
    """The reward that the attacker maximised, in words."""
    words = {-1.0: "minus the return of {}", 1.0: "the return of {}"}
    parts = [
        words.get(weight, f"{weight:g} times the return of {{}}").format(a) for a, weight in reward.weights.items()
    ]
    if reward.own:
        parts.append("its own return" if reward.own == 1 else f"{reward.own:g} times its own return")
    if reward.outcome:
        parts.append(f"{reward.outcome:g} for a win and {-reward.outcome:g} for a loss")
    if reward.draw:
        parts.append(f"{reward.draw:g} for a draw")
    parts += [f"{weight:g} times {name} (shaping)" for name, weight in reward.shaping.items()]
    said = " plus ".join(parts) if parts else "nothing"
    hidden = f", minus {reward.stealth:g} times the log ratio of how often the states are met with and without it"
    return said + hidden if reward.stealth else said


def rate(rates: Rates, key: str = "win") -> str:
    """A rate with its interval, in percent: `63% [59, 67]`."""
    value, ends = getattr(rates, key), getattr(rates, f"{key}_ci")
    if value is None:
        return "none"
    share = f"{number(100 * value, '.0f')}%"
    return f"{share} [{number(100 * ends[0], '.0f')}, {number(100 * ends[1], '.0f')}]" if ends else share


def mean(rates: Rates, key: str = "victim_return") -> str:
    """A mean return with its interval: `-3.21 [-3.5, -3]`."""
    value, ends = getattr(rates, key), getattr(rates, f"{key}_ci")
    if value is None:
        return "none"
    text = number(value, ".4g")
    return f"{text} [{number(ends[0], '.4g')}, {number(ends[1], '.4g')}]" if ends else f"{text} (interval unknown)"


def amount(measure: Measure, difference: Difference) -> str:
    """A damage with its interval: `+15 points [+8, +22]`, or in returns `+3.2 [+1.1, +5]`."""
    if difference.value is None:
        return "unknown"
    rates = measure in ("win", "fail")
    value = points(number(100 * difference.value, "+.0f")) if rates else number(difference.value, "+.4g")
    return (
        value
        if difference.low == difference.high
        else f"{value} {interval(measure, (difference.low, difference.high))}"
    )


def level(measure: Measure, number_of: Difference) -> str:
    """What was reached itself, with its interval: `63% [59, 67]`, or of returns `-3.2 [-3.5, -3]`."""
    if number_of.value is None:
        return "unknown"
    unit, form, sign = (100.0, ".0f", "%") if measure in ("win", "fail") else (1.0, ".4g", "")
    value = f"{number(unit * number_of.value, form)}{sign}"
    if number_of.low == number_of.high:
        return value
    return f"{value} [{number(unit * number_of.low, form)}, {number(unit * number_of.high, form)}]"


def interval(measure: Measure, ends: Interval) -> str:
    """The ends of a damage's interval: `[+8, +22]`, of rates in percentage points."""
    if measure in ("win", "fail"):
        return f"[{number(100 * ends[0], '+.0f')}, {number(100 * ends[1], '+.0f')}]"
    return f"[{number(ends[0], '+.4g')}, {number(ends[1], '+.4g')}]"


def points(text: str) -> str:
    """A number of percentage points with its unit: `+15 points`, `1 point`."""
    return f"{text} {'point' if text.lstrip('+-') == '1' else 'points'}"


def plain_amount(measure: Measure, value: float) -> str:
    """A number in the unit of a measure: `5 points`, or of returns `5`."""
    return points(number(100 * value, "g")) if measure in ("win", "fail") else number(value, "g")


def _of(rates: Rates, key: str) -> str:
    return f"{rate(rates, key)} of {_matches(rates)}" if rates.episodes else rate(rates, key)


def _matches(rates: Rates) -> str:
    return f"{rates.episodes} matches"


def shown(value: float | None) -> str:
    """A number with four digits."""
    return "none" if value is None else number(value, ".4g")


def shown_apart(one: float | None, other: float | None) -> tuple[str, str]:
    """Two numbers with four digits, or with as many as it takes to see three of their difference."""
    if one is None or other is None or one == other:
        return shown(one), shown(other)
    size = max(abs(one), abs(other))
    digits = min(max(3 + math.ceil(math.log10(size / abs(one - other))), 4), 17)
    return number(one, f".{digits}g"), number(other, f".{digits}g")
