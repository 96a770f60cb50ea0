"""Records of how visible an attack is and of what is certain, as in `sparring.records`."""

from __future__ import annotations

from typing import Literal

from sparring.records import Interval, Record


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
    # Where a discounted game is computed, a match goes on with this probability after each step, as Def. 2.1 weights
    # states. null: matches are those that are played.
    goes_on: float | None = None
    curve: tuple[CouplingPoint, ...] = ()


class Apart(Record, frozen=True, kw_only=True):
    """One distance between benign and attacked states; null: not known, or infinite, as `reason` says."""

    measure: str
    features: str  # all of them, a group or one
    unit: str
    value: float | None  # the estimate, with its bias
    corrected: float | None = None  # the value minus the mean floor
    low: float | None = None  # 95% interval of the distance without bias
    high: float | None = None
    floor: float | None = None  # benign against benign at the same sizes: mean, and the central 95%
    floor_low: float | None = None
    floor_high: float | None = None
    p: float | None = None  # that the attack changes nothing, by permutation of matches
    above_floor: bool = False  # above `floor_high`
    states: tuple[int, int] = (0, 0)  # benign and attacked; 0: exact
    resamples: int = 0
    reason: str = ""
    note: str = ""  # what was done to the samples


class Area(Record, frozen=True, kw_only=True):
    """An AUC of matches that the classifier has not seen; .5: attacked and benign ones look the same."""

    value: float
    low: float  # 95% interval, over matches
    high: float
    roc: tuple[float, ...] = ()  # true alarms at shares of false alarms from 0 to 1, equally far apart
    p: float | None = None  # by permutation of the labels of matches
    null: Interval | None = None  # the central 95% of the permutations


class Online(Record, frozen=True, kw_only=True):
    """A calibrated sequential detector on matches that it was not made from."""

    view: str  # state or transition (Prop. 3.3)
    statistic: str
    alpha: float  # false alarms per match that were asked for
    certified: str  # what the calibration guarantees, in one sentence
    file: str | None = None
    false_alarms: float  # share of fresh benign matches with an alarm
    false_alarms_ci: Interval
    benign_matches: int
    caught: float  # share of attacked matches with an alarm
    caught_ci: Interval
    attacked_matches: int
    steps: float | None  # to detection, the median over all attacked matches; null: fewer than half are caught
    in_time: float | None  # share of the matches that the attacker won with an alarm before their last step
    in_time_ci: Interval | None = None
    matches_to_detection: float | None = None  # by bets on whole matches
    at_step: tuple[int, ...] = ()  # steps of a match
    caught_by: tuple[float, ...] = ()  # share of attacked matches with an alarm by then
    false_by: tuple[float, ...] = ()  # the same of benign ones


class Density(Record, frozen=True, kw_only=True):
    """How often one feature has which value, with and without the attack."""

    feature: str
    edges: tuple[float, ...]  # of the bins
    benign: tuple[float, ...]  # share of the steps in each bin
    attacked: tuple[float, ...]


class Visibility(Record, frozen=True, kw_only=True):
    """How visible one attack is."""

    budget: float = 1.0
    distances: tuple[Apart, ...] = ()
    auc_state: Area | None = None  # of single steps; null: `reason` says why
    auc_window: Area | None = None  # of the last steps together
    auc_match: Area | None = None  # of whole matches
    auc_floor: Area | None = None  # of whole benign matches, one half against the other
    auc_transition: Area | None = None  # of whole matches, by how the victim's states follow each other (Prop. 3.3)
    online: tuple[Online, ...] = ()
    importance: tuple[tuple[str, float], ...] = ()  # by how much the AUC falls without a feature or a group
    densities: tuple[Density, ...] = ()  # of the features that the attack moves most
    variable: tuple[str, ...] = ()  # the features that vary the most under the attack (Tables 1 to 3)
    variable_benign: tuple[str, ...] = ()  # the same without it
    matches: tuple[int, int] = (0, 0)  # benign and attacked, that were kept whole
    reason: str = ""  # why something is missing
