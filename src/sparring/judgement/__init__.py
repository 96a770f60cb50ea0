"""From matches to damage, and from damage to the verdict and the exit code: one rule for all (DECISIONS 29 and 30)."""

from sparring.judgement.damage import (
    damage_of,
    exact_damage,
    exact_rates,
    over_seeds,
    rates_of,
    scale_of,
    still_improving,
)
from sparring.judgement.rule import exit_code, judge, judged, positive_control_of, rejudge
from sparring.judgement.untested import not_tested

__all__ = [
    "damage_of",
    "exact_damage",
    "exact_rates",
    "exit_code",
    "judge",
    "judged",
    "not_tested",
    "over_seeds",
    "positive_control_of",
    "rates_of",
    "rejudge",
    "scale_of",
    "still_improving",
]
