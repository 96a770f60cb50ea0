"""From matches to damage, and from damage to the verdict and the exit code: one rule for all (DECISIONS 29 and 30).

How an audit is made (`sample` is in `sparring.metrics.outcome`, records are in `sparring.records`, `write` is in
`sparring.results`):

    attacked = sample(outcomes, threat.attackers, threat.victims)   # one per evaluation; benign likewise
    scale = scale_of([attacked, benign, ...], known=None)           # once per audit; known: the game's own range
    rates = rates_of(attacked, scale)                               # Rates; exact: exact_rates(...)
    damage = damage_of(attacked, benign, scale, len(budgets))       # Damage; exact: exact_damage(...)
    versus = {name: damage_of(attacked, plain, scale, len(budgets) * len(names)), ...}
    result = BudgetResult(**fields(rates), budget=..., damage=damage, versus=versus, ...)
    audit = judged(AuditResult(..., budgets=(result, ...)), fail_above, fail_measure)
    write(audit, folder / "audit.json")                             # or report.html.write_report(audit, folder)
"""

from sparring.judgement.damage import (
    by_start,
    damage_of,
    exact_damage,
    exact_rates,
    over_seeds,
    rates_of,
    scale_of,
    score_of,
    still_improving,
)
from sparring.judgement.rule import exit_code, judge, judged, outcome_measure, positive_control_of, rejudge
from sparring.judgement.untested import not_tested

__all__ = [
    "by_start",
    "damage_of",
    "exact_damage",
    "exact_rates",
    "exit_code",
    "judge",
    "judged",
    "not_tested",
    "outcome_measure",
    "over_seeds",
    "positive_control_of",
    "rates_of",
    "rejudge",
    "scale_of",
    "score_of",
    "still_improving",
]
