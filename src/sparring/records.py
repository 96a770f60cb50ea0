"""What the results of verbs are made of, as frozen records that oracles make and reports and gates read.

One record for each verb is in `sparring.answers`. `sparring.results` writes them as JSON, and reads them again: a
record's fields are the keys of the JSON contract.

All rates, wins and losses are the attackers'. Damage is positive where the victim is worse off (DECISIONS 29).
Values are exact and discounted as the game says; returns are means of undiscounted sums over matches (DECISIONS 32).
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import msgspec

EXACT, LEARNED, SAMPLED = "exact", "learned (lower bound)", "sampled"
BENIGN = "benign"  # the baseline that damage is measured against
OWN = "the victim's own policy"  # what a benign opponent is called that plays as the victim does

Interval: TypeAlias = tuple[float, float]  # low, high
OracleName = Literal["exact", "learned (lower bound)", "sampled"]
Measure = Literal["win", "fail", "return", "value"]
Finding = Literal["finding", "none", "cannot tell"]

R = TypeVar("R", bound=msgspec.Struct)


class Record(msgspec.Struct, frozen=True):
    """What all records share: they are frozen. Each is made by keywords."""


class Rates(Record, frozen=True, kw_only=True):
    """How matches ended in one evaluation, each number with its own 95% interval; exact: intervals of width zero.

    All outcome keys are null where the game has no winners; sampled numbers are null where no match was valid.
    """

    win: float | None = None  # share of matches that an attacker won and no victim did
    win_ci: Interval | None = None
    draw: float | None = None  # neither won nor lost
    draw_ci: Interval | None = None
    loss: float | None = None  # share of matches that all attackers lost
    loss_ci: Interval | None = None
    fail: float | None = None  # share of matches that the victim lost, whoever won
    fail_ci: Interval | None = None
    victim_return: float | None = None  # mean undiscounted return; several victims' returns add up
    victim_return_ci: Interval | None = None
    attacker_return: float | None = None
    attacker_return_ci: Interval | None = None
    victim_value: float | None = None  # exact expected value, discounted as the game says; null where sampled
    attacker_value: float | None = None
    episodes: int = 0  # valid matches; 0 where the answer is exact
    invalid: int = 0  # matches cut off for broken physics: in no other number
    mean_length: float | None = None  # steps per match; null where the answer is exact
    mean_decisions: float | None = None  # exact: decisions of all players per match; null where there is no end


class Scale(Record, frozen=True, kw_only=True):
    """The least and the largest return (exact: value) of the victim that its game allows, or that was seen."""

    low: float
    high: float
    range_from: Literal["game", "seen"]
    rounding: float = 0.0  # what exact values may be apart where they are equal


class Difference(Record, frozen=True, kw_only=True):
    """What an attack costs the victim in one measure, with an interval that holds together with all others of its kind.

    Where more than 1% of the matches were invalid, `low` counts them against the attacker and `high` for it
    (DECISIONS 30); `against` and `favour` are the two whole intervals.
    """

    value: float | None  # of the valid matches; null: there are none
    low: float
    high: float
    against: Interval | None = None
    favour: Interval | None = None


class Damage(Record, frozen=True, kw_only=True):
    """One attack compared with another opponent, in every measure that the game has; null: it has not."""

    win: Difference | None = None  # the attacker's win rate above the other's
    fail: Difference | None = None  # the victim's losses above
    return_: Difference | None = msgspec.field(name="return", default=None)  # the victim's mean return below
    value: Difference | None = None  # the victim's exact value below


class Improvement(Record, frozen=True, kw_only=True):
    """Was an attack still improving when it stopped? The last third of its training against the third before it."""

    measure: Literal["win", "return"]  # return: of the victim, turned round
    gain: float  # positive: the attack became stronger
    low: float  # 95% interval
    high: float
    p: float  # one-sided: how often a flat curve would show at least this gain
    improving: bool  # low > 0


class SeedResult(Record, frozen=True, kw_only=True):
    """One trained attacker, on matches of its own: not those that the audit reports."""

    start: str | None = None  # whose weights it began with: scratch, benign or a policy; null in older results
    seed: int  # its number, counted from 0 for each start
    attacker: str  # file
    attack_steps: int
    rates: Rates
    chosen: bool  # the strongest one, which the audit reports
    still_improving: Improvement | None = None


class OverSeeds(Record, frozen=True, kw_only=True):
    """The method's mean over training seeds, with a 95% interval over seeds (Student's t); null from one seed.

    All seeds have one start: another start is another method, and a mean over both would be that of neither.
    """

    seeds: int
    win: float | None = None
    win_ci: Interval | None = None
    victim_return: float | None = None
    victim_return_ci: Interval | None = None


class BudgetResult(Rates, frozen=True, kw_only=True):
    """The attack at one budget, and what the plain opponents do in the attacker's place at the same budget."""

    budget: float
    attacker: str  # file or name of the adversarial policy
    attack_steps: int | None = None  # environment steps that it was trained for; null: computed
    damage: Damage  # compared with the benign opponent, simultaneous over all budgets of the audit
    # BENIGN always (left alone), plain policies (zero, random), and "untrained POLICY": what attackers started from
    baselines: dict[str, Rates]
    versus: dict[str, Damage] = {}  # the attack compared with each of the others, simultaneous over all of them
    seeds: tuple[SeedResult, ...] = ()
    over_seeds: OverSeeds | None = None  # null where there are several starts
    by_start: dict[str, OverSeeds] = {}  # with several starts and seeds: the same for each start
    shift: float | None = None  # how far the attack moves what the victim sees
    shift_noise_floor: float | None = None  # the same between two samples of the benign opponent
    shift_measure: Literal["wasserstein-2", "total variation"] = "wasserstein-2"
    still_improving: Improvement | None = None  # of the attack that is reported
    expl: float | None = None  # exact: Def. 4.1, minus the victim's worst-case value
    robust_expl: float | None = None  # exact: the least Expl of any victim
    gap: float | None = None  # exact: expl - robust_expl
    verified: bool | None = None  # exact: the certificate of robust_expl


class Verdict(Record, frozen=True, kw_only=True):
    """What an audit found, by the one rule of DECISIONS 30; report, exit code and text are made from this."""

    finding: Finding  # compared with `fail_above`, or with 0 where none was given
    measure: Measure
    budget: float  # the one with the largest lower bound
    damage: Difference | None  # at that budget
    beyond_noise: bool  # the lower bound is above 0, whatever `fail_above` is
    smallest_budget: float | None  # the smallest tested one with damage beyond the noise
    reason: str | None  # why one cannot tell
    text: str
    fail_above: float | None
    together: int  # number of intervals that hold together in 95% of audits


class Goal(Record, frozen=True, kw_only=True):
    """The reward that the attacker maximised: weights of the agents' rewards, and what is added for outcomes."""

    weights: dict[str, float]
    own: float = 0.0  # weight of each attacker's own reward
    outcome: float = 0.0
    draw: float = 0.0
    shaping: dict[str, float] = {}
    stealth: float = 0.0  # what a unit of the log ratio of the densities of the states cost it


class PositiveControl(Record, frozen=True, kw_only=True):
    """What the same settings find on a victim that is known to be exploitable."""

    victim: str
    budget: float
    measure: Measure
    damage: Difference
    found: bool


class Curve(Record, frozen=True, kw_only=True):
    """One attacker while it was trained: [steps, win rate or the victim's mean return, low, high] per window."""

    budget: float
    seed: int
    points: tuple[tuple[float, float, float, float], ...]
    matches: tuple[int, ...] = ()  # per window
    measure: Literal["win", "return"] = "win"


class Who(Record, frozen=True, kw_only=True):
    """Who met whom, as it was asked for."""

    game: str
    agents: tuple[str, ...] = ()  # all agents of the game, in its order; seats are places in it
    victim: str  # the policy; several victims: joined by a comma
    victim_seat: int
    victims: tuple[int, ...] = ()  # seats
    attackers: tuple[int, ...] = ()  # seats
    benign: str
    others: str | None = None  # null: there are no bystanders
    control: Literal["step", "episode", "blend"] = "step"
    coin: Literal["agent", "team"] = "agent"
    oracle: OracleName
    seed: int = 0
    command: str = ""
    versions: dict[str, str] = {}
    settings: dict[str, Any] = {}
    wall_time_s: float | None = None


class Played(Rates, frozen=True, kw_only=True):
    """Who met whom, and how it ended: the base of results with one evaluation.

    The fields of `Who` stand here again because a msgspec record cannot have two bases with fields.
    """

    game: str
    agents: tuple[str, ...] = ()  # all agents of the game, in its order; seats are places in it
    victim: str  # the policy; several victims: joined by a comma
    victim_seat: int
    victims: tuple[int, ...] = ()  # seats
    attackers: tuple[int, ...] = ()  # seats
    benign: str
    others: str | None = None  # null: there are no bystanders
    control: Literal["step", "episode", "blend"] = "step"
    coin: Literal["agent", "team"] = "agent"
    oracle: OracleName
    seed: int = 0
    command: str = ""
    versions: dict[str, str] = {}
    settings: dict[str, Any] = {}
    wall_time_s: float | None = None


class Reached(Record, frozen=True, kw_only=True):
    """What a learned policy is worth exactly, where the game can be enumerated, beside the best response."""

    value: float
    best_response_value: float


class CrossCell(Rates, frozen=True, kw_only=True):
    """One victim against one attacker, on matches of their own; every interval is for itself."""

    attacker: str
    damage: Damage  # compared with the benign opponent left alone
    scale: Scale | None = None  # of this cell and the clean one, so that no other cell changes its intervals


class CrossRow(Record, frozen=True, kw_only=True):
    """One victim against every attacker."""

    victim: str
    benign: str
    clean: Rates  # the benign opponent left alone
    cells: tuple[CrossCell, ...]


class BoundResult(Record, frozen=True, kw_only=True):
    """A bound of the paper: what is true here, the paper's number, and the sharp one; null: infinite, or none."""

    name: str
    statement: str
    true: float | None
    paper: float | None
    sharp: float | None
    trivial: float | None
    slack: float | None = None
    vacuous: bool = False


class CurvePoint(Record, frozen=True, kw_only=True):
    """A round of hardening by PPO, or the mean of several; null: there is nothing to tell."""

    steps: int  # environment steps so far
    matches: int = 0  # that ended, at a budget above 0
    score: float | None = None  # the victim's mean return of these
    win: float | None = None  # share of these that an attacker won
    clean: float | None = None  # the victim's mean return of the matches at budget 0
    gradient_norm: float | None = None  # of the victim's policy
    gain: float | None = None  # the attackers': what the last 5 rounds cost the victim beyond the 5 before
    entropy: float | None = None  # of the victim's policy, in nats
    attacker_entropy: float | None = None
    pool: int = 0  # past policies of each side


class Oscillation(Record, frozen=True, kw_only=True):
    """How the score moved in the last half of the rounds; null: too few."""

    rounds: int
    variance: float | None = None
    total_variation: float | None = None


class Tested(Record, frozen=True, kw_only=True):
    """A victim against the benign opponent and against a fresh attacker, which is a lower bound on the worst."""

    clean: Rates
    attacked: Rates | None = None  # null: no attacker was trained
    damage: Damage | None = None
    attack: str | None = None  # file or folder
    attack_steps: int = 0
    still_improving: Improvement | None = None


class Change(Record, frozen=True, kw_only=True):
    """A number of the first and of the second audit, and second minus first with its interval.

    Of damages a negative change is a hardened victim.
    """

    before: Difference
    after: Difference
    change: Difference


class BudgetChange(Record, frozen=True, kw_only=True):
    """One budget that both audits tested, in every measure that both have."""

    budget: float
    # Of the damage, which is counted from the benign opponent: null where the audits have different ones.
    win: Change | None = None
    fail: Change | None = None
    return_: Change | None = msgspec.field(name="return", default=None)
    value: Change | None = None
    # What the attacks reach themselves: the attacker's wins, the victim's losses, its return or value under attack.
    # Every interval is of 95% for itself.
    reached: dict[Measure, Change] = {}


class Side(Record, frozen=True, kw_only=True):
    """One of two compared audits."""

    source: str
    victim: str
    benign: str = ""  # where it is the victim's own policy, the victim's name
    finding: Finding
    command: str = ""


class TrainedRow(Record, frozen=True, kw_only=True):
    """One audited victim; what is a tuple has an entry for each budget of attack."""

    trained_at: str  # its training budget, a range of budgets, or a word such as "none"
    source: str  # the audit
    victim: str
    benign: str
    clean: Rates  # the benign opponent left alone
    attacked: tuple[Rates, ...]
    harm: tuple[Difference, ...]  # damage or score, with intervals that hold together over the whole matrix
    regret: tuple[Difference, ...]  # above the victim that suffers least there
    worst: Difference  # the largest regret
    worst_at: float  # its budget of attack
    command: str = ""


def fields(record: Record) -> dict[str, Any]:
    """A record's fields by their Python names, to make a larger one from: `BudgetResult(**fields(rates), ...)`."""
    return msgspec.structs.asdict(record)


def replaced(record: R, **changes: Any) -> R:
    """The record with other fields."""
    return msgspec.structs.replace(record, **changes)


def damage_in(damage: Damage, measure: Measure) -> Difference | None:
    """The damage in one measure."""
    return damage.return_ if measure == "return" else getattr(damage, measure)


def benign_name(benign: str, victim: str) -> str:
    """What a benign policy is called: where it is the victim's own, the victim's name."""
    return victim if benign == OWN else benign


class HasBenign(Protocol):
    """What says who its victim and its benign opponent were: a result, or a row of one."""

    @property
    def victim(self) -> str: ...
    @property
    def benign(self) -> str: ...


def same_benign(one: HasBenign, other: HasBenign) -> bool:
    """Whether it is known that both had the same benign opponent.

    A policy that was given as a Python object is called by its type: two victims of one type are not one policy.
    """
    ours, theirs = (benign_name(asked.benign, asked.victim) for asked in (one, other))
    return ours == theirs and not (OWN in (one.benign, other.benign) and ours.startswith("<"))
