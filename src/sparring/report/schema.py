"""The audit as one plain JSON object: what `sparring audit --json` prints, `audit.json` holds and a report shows.

There are two kinds: learned attacks, measured on matches (`Audit`), and exact ones in finite games (`ExactAudit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, cast

from sparring.errors import InputError

LOWER_BOUND, EXACT = "learned (lower bound)", "exact"
BENIGN = "benign"  # the baseline that damage is measured against
_KINDS = {"budgets": list, "not_tested": list, "settings": dict, "versions": dict}


class Rates(TypedDict):
    """`metrics.outcome.summary`: the attacker's rates in [0, 1], each with a 95% interval [low, high]."""

    win: float
    win_ci: list[float]
    draw: float
    draw_ci: list[float]
    loss: float
    loss_ci: list[float]
    episodes: int
    invalid: int
    victim_return: float
    victim_return_ci: list[float] | None
    attacker_return: float
    attacker_return_ci: list[float] | None
    mean_length: float


class BudgetResult(Rates):
    """The attack at one budget, and what the plain opponents do in the attacker's place at the same budget."""

    budget: float
    attacker: str  # name or source of the adversarial policy
    attack_steps: int  # environment steps that it was trained for
    oracle: str  # LOWER_BOUND
    shift: (
        float | None
    )  # `metrics.shift.wasserstein2` of the states under the attack from those under the benign opponent
    shift_noise_floor: float | None  # the same between two samples of the benign opponent
    baselines: dict[str, Rates]  # BENIGN always, and plain policies: zero, random


class Curve(TypedDict):
    """The win rate of one attack while it was trained."""

    budget: float
    seed: int
    points: list[list[float]]  # [environment steps, win rate, low, high]


class Chances(TypedDict):
    """`exact.outcome`: the attacker's chances, None where a game has no winner, and expected values.

    Values are discounted where the game is (DECISIONS 32). Every interval is its one value, and no match was played.
    """

    win: float | None
    win_ci: list[float] | None
    draw: float | None
    draw_ci: list[float] | None
    loss: float | None
    loss_ci: list[float] | None
    fail: float | None  # the victim loses, to whomever
    fail_ci: list[float] | None
    episodes: int
    invalid: int
    victim_value: float
    victim_value_ci: list[float]
    attacker_value: float
    attacker_value_ci: list[float]
    scale: float  # how far apart the victim's values in the game can be: tolerances are shares of it
    mean_decisions: float | None  # of all players in a match


class ExactResult(Chances):
    """The best response at one budget, the most robust victim, and plain opponents in the attacker's place."""

    budget: float
    expl: float  # Def. 4.1: minus the victim's worst-case value
    robust_expl: float  # the least Expl of any victim
    gap: float  # expl - robust_expl
    verified: bool  # the certificate of robust_expl
    attacker: str  # file of the best response
    oracle: str  # EXACT
    shift: float  # `exact.outcome.shift`
    baselines: dict[str, Chances]  # BENIGN always, and plain policies: uniform, first


class _Common(TypedDict):
    game: str
    victim: str
    victim_seat: int
    benign: str
    seed: int
    command: str  # reproduces the audit
    versions: dict[str, str]
    settings: dict[str, Any]
    wall_time_s: float
    not_tested: list[str]  # whole sentences


class ExactAudit(_Common):
    """One audit of one victim in a finite game, by enumeration."""

    oracle: str  # EXACT
    attackers: list[int]  # their seats
    budgets: list[ExactResult]


class _Audit(_Common):
    budgets: list[BudgetResult]
    curves: list[Curve]


class Audit(_Audit, total=False):
    """One audit of one victim by learned attacks. Everything but the clip is required."""

    clip: str  # file name of the clip, in the audit's folder
    no_clip: str  # why there is none


def is_exact(audit: Mapping[str, Any]) -> bool:
    """Whether `check_exact`, and not `check`, is for this audit."""
    return audit.get("oracle") == EXACT


def check(audit: Mapping[str, Any]) -> Audit:
    """`audit`, if everything that a report on learned attacks needs is there.

    Raises:
      InputError: a key is missing, a rate is no number in [0, 1], or there is no budget.
    """
    _check_common(audit, Audit.__required_keys__)
    for number, result in enumerate(audit["budgets"]):
        where = f"budgets[{number}]"
        _require(result, BudgetResult.__required_keys__, where)
        _check_rates(result, where)
        _check_numbers(result, ("budget", "attack_steps"), where)
        _require(result["baselines"], frozenset({BENIGN}), f"{where}.baselines")
        for name, baseline in result["baselines"].items():
            _require(baseline, Rates.__required_keys__, f"{where}.baselines.{name}")
            _check_rates(baseline, f"{where}.baselines.{name}")
    if not isinstance(audit["curves"], list):
        raise InputError(f"the audit's 'curves': expected a list, got {type(audit['curves']).__name__}")
    for number, curve in enumerate(audit["curves"]):
        _require(curve, Curve.__required_keys__, f"curves[{number}]")
    return cast(Audit, audit)


def check_exact(audit: Mapping[str, Any]) -> ExactAudit:
    """`audit`, if everything that a report on exact attacks needs is there.

    Raises:
      InputError: a key is missing, something is no number, or there is no budget.
    """
    _check_common(audit, ExactAudit.__required_keys__)
    numbers = ("budget", "expl", "robust_expl", "gap", "shift")
    for number, result in enumerate(audit["budgets"]):
        where = f"budgets[{number}]"
        _require(result, ExactResult.__required_keys__, where)
        _check_numbers(result, numbers, where)
        _check_chances(result, where)
        _require(result["baselines"], frozenset({BENIGN}), f"{where}.baselines")
        for name, baseline in result["baselines"].items():
            _require(baseline, Chances.__required_keys__, f"{where}.baselines.{name}")
            _check_chances(baseline, f"{where}.baselines.{name}")
    return cast(ExactAudit, audit)


def _check_common(audit: Mapping[str, Any], keys: frozenset[str]) -> None:
    _require(audit, keys, "the audit")
    for key, kind in _KINDS.items():
        if not isinstance(audit[key], kind):
            raise InputError(f"the audit's {key!r}: expected a {kind.__name__}, got {type(audit[key]).__name__}")
    if not audit["budgets"]:
        raise InputError("the audit has no budgets: expected a list with at least one result")


def _require(record: Any, keys: frozenset[str], where: str) -> None:
    if not isinstance(record, Mapping):
        raise InputError(f"{where}: expected a JSON object, got {type(record).__name__}")
    if missing := sorted(keys - record.keys()):
        raise InputError(f"{where} lacks {missing[0]!r}: it was written by another version, or by hand")


def _check_rates(record: Mapping[str, Any], where: str) -> None:
    _check_numbers(record, ("victim_return", "attacker_return", "mean_length"), where)
    for key in ("win", "draw", "loss"):
        rates = [record[key], *record[f"{key}_ci"]]
        if len(rates) != 3 or not all(isinstance(rate, (int, float)) and 0 <= rate <= 1 for rate in rates):
            raise InputError(f"{where}.{key}: expected a rate in [0, 1] with [low, high], got {rates}")
    if not isinstance(record["episodes"], int) or record["episodes"] < 1:
        raise InputError(f"{where}.episodes: expected at least one match, got {record['episodes']}")


def _check_chances(record: Mapping[str, Any], where: str) -> None:
    _check_numbers(record, ("victim_value", "attacker_value", "scale"), where)
    for key in ("win", "draw", "loss", "fail"):
        if record[key] is not None and not (isinstance(record[key], (int, float)) and -1e-9 <= record[key] <= 1 + 1e-9):
            raise InputError(f"{where}.{key}: expected a probability or null, got {record[key]!r}")


def _check_numbers(record: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in keys:
        if not isinstance(record[key], (int, float)):
            raise InputError(f"{where}.{key}: expected a number, got {record[key]!r}")
