"""One record for each verb: what its JSON result holds. What they are made of is in `sparring.records`."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from sparring.records import (
    BoundResult,
    BudgetChange,
    BudgetResult,
    CrossRow,
    Curve,
    CurvePoint,
    Damage,
    Goal,
    Improvement,
    Interval,
    Measure,
    OracleName,
    Oscillation,
    Played,
    PositiveControl,
    Rates,
    Reached,
    Record,
    Scale,
    Side,
    Tested,
    TrainedRow,
    Verdict,
    Who,
)
from sparring.visibility import Coupling, Visibility


class AuditResult(Who, frozen=True, kw_only=True):
    """One victim, attacked at several budgets; `judgement.judged` fills in verdict, exit code and `not_tested`."""

    schema: Literal["sparring.audit/2"] = "sparring.audit/2"
    reward: Goal
    scale: Scale | None
    budgets: tuple[BudgetResult, ...]
    curves: tuple[Curve, ...] = ()
    positive_control: PositiveControl | None = None
    verdict: Verdict | None = None
    exit_code: Literal[0, 1, 4] = 0
    not_tested: tuple[str, ...] = ()
    coupling: Coupling | None = None  # what no attacker can do, at the largest budget
    no_coupling: str | None = None  # why there is none
    visibility: tuple[Visibility, ...] = ()  # of the attack at each budget
    train_game: str | None = None  # where attackers were trained, if not in `game`
    clip: str | None = None  # file name, in the audit's folder
    no_clip: str | None = None  # why there is none
    report: str | None = None  # the page; not in the file, which does not depend on where it lies


class AttackResult(Played, frozen=True, kw_only=True):
    """One adversarial policy under one budget."""

    schema: Literal["sparring.attack/2"] = "sparring.attack/2"
    budget: float
    reward: Goal
    policy: str  # file
    checkpoints: tuple[str, ...] = ()  # files of the policies on the way, in the order of their steps
    baseline: Rates  # the benign opponent left alone
    damage: Damage
    scale: Scale | None = None
    steps: int | None = None  # environment steps of training; null: computed
    curve: Curve | None = None
    still_improving: Improvement | None = None
    expl: float | None = None
    exact: Reached | None = None


class EvaluateResult(Played, frozen=True, kw_only=True):
    """An attacker against a victim under a budget."""

    schema: Literal["sparring.evaluate/2"] = "sparring.evaluate/2"
    attacker: str
    budget: float
    scale: Scale | None = None


class CrossPlayResult(Who, frozen=True, kw_only=True):
    """Every victim against every attacker at one budget; `victim` joins the victims' names by commas."""

    schema: Literal["sparring.cross-play/2"] = "sparring.cross-play/2"
    budget: float
    rows: tuple[CrossRow, ...]  # one for each victim, with the attackers in one order
    figure: str | None = None  # files
    report: str | None = None


class CertifyResult(Who, frozen=True, kw_only=True):
    """What holds for every attacker: `coupling`, and in exact games exploitability and the most robust victim.

    From matches alone all but `coupling` and `baseline` is null.
    """

    schema: Literal["sparring.certify/2"] = "sparring.certify/2"
    budget: float
    coupling: Coupling | None = None  # null in results of before there was one
    baseline: Rates | None = None  # the benign matches
    expl: float | None = None
    robust_expl: float | None = None
    gap: float | None = None
    lower: float | None = None
    upper: float | None = None
    verified: bool | None = None
    exact: bool | None = None  # verified in rational arithmetic
    mismatch: bool | None = None  # whether the mismatch coefficient of Def. 5.2 was computed
    bounds: tuple[BoundResult, ...] = ()
    attack: str | None = None  # files
    robust_victim: str | None = None
    robust_attacker: str | None = None
    certificate: str | None = None
    figure: str | None = None


class StealthRow(Rates, frozen=True, kw_only=True):
    """One attack: what it does, and how visible it is."""

    attacker: str
    budget: float
    damage: Damage  # compared with the benign opponent, simultaneous over all attacks
    visibility: Visibility
    bounds: tuple[BoundResult, ...] = ()  # exact games: the paper's Propositions 3.1 to 3.3 beside the truth


class StealthResult(Who, frozen=True, kw_only=True):
    """How visible attacks are, and what they do."""

    schema: Literal["sparring.stealth/2"] = "sparring.stealth/2"
    features: tuple[str, ...]  # what was looked at
    discount: float = 1.0  # steps t count with the weight discount^t
    baseline: Rates  # the benign opponent left alone
    scale: Scale | None = None
    rows: tuple[StealthRow, ...]
    report: str | None = None


class DefendResult(Who, frozen=True, kw_only=True):
    """A hardened victim. Exact numbers are null where the game can only be simulated, and the last fields are not."""

    schema: Literal["sparring.defend/2"] = "sparring.defend/2"
    budget: float
    method: str
    output: str
    steps: int
    policy: str  # file
    start: str | None = None
    direction: str | None = None  # of gradients in trees
    learning_rate: float | None = None
    ratio: float | None = None
    temperature: float | None = None  # of magnetic, at the start
    cooling: float | None = None
    magnet: float | None = None  # of regularised
    halved_at: int | None = None  # the step from which on all learned half as fast, for a loss was no number before
    start_expl: float | None = None
    expl: float | None = None
    robust_expl: float | None = None
    gap: float | None = None
    attack: str | None = None
    figure: str | None = None
    # Exact: name: [updates or steps, Expl]; else one point a round.
    curve: dict[str, tuple[tuple[float, float], ...]] | tuple[CurvePoint, ...] = msgspec.field(default_factory=dict)
    clean_share: float | None = None
    budget_range: Interval | None = None
    attacker_start: str | None = None
    fresh_start: str | None = None  # where the fresh attackers started
    oscillation: Oscillation | None = None
    before: Tested | None = None
    after: Tested | None = None


class CompareResult(Record, frozen=True, kw_only=True):
    """Two audits of one game, side by side."""

    schema: Literal["sparring.compare/2"] = "sparring.compare/2"
    game: str
    oracle: OracleName
    before: Side
    after: Side
    measure: Measure
    same_benign: bool = True  # else damages are not compared: each is counted from another benign opponent
    budgets: tuple[BudgetChange, ...]
    only_before: tuple[float, ...] = ()  # budgets that the other one did not test
    only_after: tuple[float, ...] = ()
    command: str = ""  # what makes it again from the audits
    text: str = ""
    figure: str | None = None
    report: str | None = None


class BudgetsResult(Record, frozen=True, kw_only=True):
    """Victims trained at several budgets under attacks at others (the paper's Table 4), and what that advises."""

    schema: Literal["sparring.budgets/2"] = "sparring.budgets/2"
    game: str
    oracle: OracleName
    measure: Measure
    by: Literal["damage", "score"] = "damage"  # what `harm` is: above the benign opponent's, or what the attack reaches
    budgets: tuple[float, ...]  # of attack, that all audits tested
    left_out: tuple[float, ...] = ()  # budgets that only some audits tested
    rows: tuple[TrainedRow, ...]
    advised: str  # the training budget of least worst-case regret
    alike: tuple[str, ...] = ()  # those that cannot be told from it
    command: str = ""  # what makes it again from the audits
    text: str = ""
    figure: str | None = None  # files
    report: str | None = None


Result: TypeAlias = (
    AuditResult
    | AttackResult
    | EvaluateResult
    | CrossPlayResult
    | CertifyResult
    | StealthResult
    | DefendResult
    | CompareResult
    | BudgetsResult
)
