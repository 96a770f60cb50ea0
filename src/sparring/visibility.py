"""Records of how visible an attack is and of what is certain, as in `sparring.records`."""

from __future__ import annotations

from typing import Literal

from sparring.records import Record


class CouplingPoint(Record, frozen=True, kw_only=True):
    """What no attacker can do at one budget; null: the game has no such thing, or it is not known."""

    budget: float
    value_lower: float | None = None
    non_fail_lower: float | None = None
    attacker_win_upper: float | None = None
    total_variation_upper: float
    auc_upper: float


class Coupling(CouplingPoint, frozen=True, kw_only=True):
    """The coupling certificate (DECISIONS 25): bounds that hold for every attacker, from benign matches alone.

    All numbers of one certificate hold together with probability `confidence`; 1: they are computed, not estimated.
    """

    value_is: Literal["return", "discounted return", "value", "non-fail"]  # what `value_lower` is about
    value_low: float  # the least that it can be
    value_high: float  # the largest
    at_least: float  # the threshold of `certified_budget`
    at_least_from: Literal["given", "half"]  # half: of what is certain at budget 0, above the least possible
    certified_budget: float | None  # the largest budget at which the bound is still at least that; null: none
    vacuous_above: float  # beyond this budget hardly a benign match is sure to go on as it was
    matches: int  # benign ones; 0: computed
    invalid: int = 0
    confidence: float
    mean_coins: float | None = None  # decisions of the attacked agents in a benign match, as control is drawn
    control: Literal["step", "episode"] = "step"
    curve: tuple[CouplingPoint, ...] = ()
