"""From benign matches, or from a finite game, to the record of the coupling certificate (DECISIONS 25)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.errors import InputError
from sparring.metrics import coupling
from sparring.metrics.coupling import Certificate, Curve, Range
from sparring.metrics.intervals import ALPHA
from sparring.metrics.outcome import sample
from sparring.types import AgentID, Outcomes, ThreatModel
from sparring.visibility import Coupling, CouplingPoint

if TYPE_CHECKING:
    from sparring.play.keeping import Discounted


def from_matches(
    outcomes: Outcomes,
    threat: ThreatModel,
    limits: Range | None,
    discounted: Discounted | None = None,
    grid: Sequence[float] = coupling.GRID,
) -> Certificate:
    """The certificate of benign matches, at 95% confidence.

    Args:
      outcomes: benign matches.
      threat: who is attacked through whom, and how control is drawn.
      limits: what the victims' return can be (discounted: their value); None: not known.
      discounted: what kept account of discounted rewards while they were played; None: returns are not discounted.
      grid: budgets at which expectations are bounded, which `discounted` has kept account at, too.

    Raises:
      InputError: as `metrics.coupling.from_matches`.
    """
    coins = coupling.decisions(outcomes, threat.attackers, threat.control, threat.coin)
    if discounted is not None:
        assert limits is not None
        return coupling.from_rewards(discounted.sums, limits, coins, grid=grid)
    matches = sample(outcomes, threat.attackers, threat.victims)
    flags = matches.flags()
    return coupling.from_matches(
        coins,
        non_fail=None if flags is None else ~flags["fail"],
        not_won=None if flags is None else ~flags["win"],
        returns=matches.victim_return,
        limits=limits,
        invalid=matches.invalid,
        grid=grid,
    )


def together(several: Sequence[Outcomes]) -> Outcomes:
    """The matches of several evaluations of the same policies, without what was kept of their steps.

    Raises:
      InputError: matches that an older version played, which did not count decisions.
    """
    first = several[0]
    if not all(one.decisions for one in several):
        raise InputError("an older version played these matches, which did not count decisions: play them again")

    def joined(name: str) -> dict[AgentID, np.ndarray]:
        return {agent: np.concatenate([getattr(one, name)[agent] for one in several]) for agent in first.returns}

    return Outcomes(
        None if first.outcome is None else joined("outcome"),
        np.concatenate([one.length for one in several]),
        np.concatenate([one.invalid for one in several]),
        joined("returns"),
        joined("decisions"),
    )


def check_threshold(at_least: float | None, limits: Range | None, what: str) -> None:
    """Refuse a threshold that can never, or always, be met.

    Raises:
      InputError: it is one.
    """
    low, high = limits or Range(0.0, 1.0)
    what = "share of matches" if limits is None else what
    if at_least is not None and not low < at_least <= high:
        raise InputError(f"at-least: expected a {what} above {low:g} and at most {high:g}, got {at_least:g}")


def record(
    certificate: Certificate,
    *,
    budget: float,
    limits: Range | None,
    what: str,
    at_least: float | None = None,
    budgets: Sequence[float] = (),
    outcomes: Outcomes | None = None,
    threat: ThreatModel | None = None,
    goes_on: float | None = None,
) -> Coupling:
    """The record of a certificate.

    Args:
      certificate: made by `from_matches` or by `exact.coupling`.
      budget: where its bounds are wanted.
      limits: what the value can be; None: its place is taken by the share of matches that the victim does not lose.
      what: "return", "discounted return" or "value".
      at_least: the threshold of the certified budget; None: halfway from the least possible value
        to what is certain at budget 0.
      budgets: further points of the curve.
      outcomes: the benign matches; None: it was computed.
      threat: of these matches.
      goes_on: the discount of a game that was computed, in which a match goes on with this probability after each step.

    Raises:
      InputError: nothing is known of the victim's return, and the game has no losers.
    """
    curve, (low, high) = certificate.value, limits or Range(0.0, 1.0)
    if curve is None:
        if certificate.non_fail is None:
            raise InputError(
                "return-range: this game has no winners and does not say what its returns can be; give the least and "
                "the largest return of the victim: --return-range LOW HIGH"
            )
        curve, what, (low, high) = certificate.non_fail, "non-fail", (0.0, 1.0)
    sure = float(curve(0.0))
    threshold = low + (sure - low) / 2 if at_least is None else at_least
    known: dict[str, Any] = {"matches": 0}
    if outcomes is not None and threat is not None:
        known = _matches(outcomes, threat)
    points = sorted({*coupling.GRID, *budgets, budget, 1.0})
    return Coupling(
        **{name: getattr(_point(certificate, curve, budget), name) for name in CouplingPoint.__struct_fields__},
        value_is=what,  # pyright: ignore[reportArgumentType]
        value_low=low,
        value_high=high,
        at_least=threshold,
        at_least_from="half" if at_least is None else "given",
        certified_budget=coupling.certified_budget(curve, threshold),
        vacuous_above=coupling.certified_budget(certificate.same, coupling.VACUOUS) or 0.0,
        confidence=1.0 if outcomes is None else 1 - ALPHA,
        goes_on=goes_on,
        curve=tuple(_point(certificate, curve, at) for at in points),
        **known,
    )


def _matches(outcomes: Outcomes, threat: ThreatModel) -> dict[str, Any]:
    coins = coupling.decisions(outcomes, threat.attackers, threat.control, threat.coin)
    return {
        "matches": len(outcomes.length),
        "invalid": int(np.sum(outcomes.invalid)),
        "mean_coins": float(coins.mean()),
        "control": threat.control,
    }


def _point(certificate: Certificate, value: Curve, budget: float) -> CouplingPoint:
    def at(curve: Curve | None) -> float | None:
        return None if curve is None else float(curve(budget))

    not_won, apart = at(certificate.not_won), 1 - float(certificate.same(budget))
    return CouplingPoint(
        budget=budget,
        value_lower=at(value),
        non_fail_lower=at(certificate.non_fail),
        attacker_win_upper=None if not_won is None else 1 - not_won,
        total_variation_upper=apart,
        auc_upper=float(coupling.auc_upper(apart)),
    )
