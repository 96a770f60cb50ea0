"""What is recorded in every round while a victim is hardened (Fig. 4), and how much it oscillates in the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.play.plateau import ended_returns
from sparring.records import CurvePoint, Oscillation
from sparring.types import Array, ThreatModel

if TYPE_CHECKING:
    from sparring.training import TrainState

FIELDS = ("steps", "matches", "score", "win", "clean", "gradient_norm", "entropy", "attacker_entropy", "pool")
COMPARED = 5  # rounds: an attacker's gain is what these rounds have cost the victim beyond the same number before
POINTS = 400  # of the curve in the result, at most


class HardeningCurve:
    """One row a round, [rounds, FIELDS], NaN where there is nothing to tell; a part of the training's checkpoint.

    `score` is the victim's mean undiscounted return of the matches that ended in the round, at a budget above 0;
    `win` is the share of them that an attacker won and the victim did not; `clean` is the score at budget 0. Matches in
    which a past victim may play tell nothing about the present one, and are left out.

    Args:
      threat: who attacks whom.
      budgets: float32 [B], of each slot.
      live: bool [B], the slots in which the victim of the moment plays every match; None: all.
    """

    def __init__(self, threat: ThreatModel, budgets: Array, live: Array | None = None) -> None:
        above = np.asarray(budgets) > 0
        live = np.ones(len(above), bool) if live is None else np.asarray(live)
        self.threat, self.attacked, self.clean = threat, above & live, ~above & live
        self.rows: list[list[float]] = []
        self.carried = np.zeros(len(above))

    def add(self, state: TrainState) -> None:
        """Take the round that ends in a state."""
        from sparring.defences.adversarial_training import VICTIM

        played = state.trajectory
        assert played is not None
        victim, attackers = self.threat.victim, self.threat.attackers
        ended = np.asarray(played.terminated | played.truncated)
        invalid = np.asarray(played.invalid)
        returns, slots, self.carried = ended_returns(played.reward[victim], ended, invalid, self.carried)
        attacked, clean = self.attacked[slots], self.clean[slots]
        win = math.nan
        if played.outcome is not None and attacked.any():
            best = np.max([np.asarray(played.outcome[agent]) for agent in attackers], axis=0)
            won = (best == 1) & (np.asarray(played.outcome[victim]) != 1) & ended & ~invalid
            win = float(won[:, self.attacked].sum()) / float(attacked.sum())
        of_victim = state.metrics.get(VICTIM, {})
        entropies = [float(m["entropy"]) for agent in attackers if (m := state.metrics.get(agent)) and "entropy" in m]
        pools = [len(pool.policies) for pool in state.past.values()]
        self.rows.append(
            [
                float(state.steps),
                float(attacked.sum()),
                _mean(returns[attacked]),
                win,
                _mean(returns[clean]),
                float(of_victim.get("gradient_norm", math.nan)),
                float(of_victim.get("entropy", math.nan)),
                _mean(entropies),
                float(max(pools, default=0)),
            ]
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restore` needs."""
        return {"rows": np.array(self.rows, np.float64).reshape(-1, len(FIELDS)), "carried": self.carried}

    def meta(self) -> dict[str, Any]:
        return {}

    def restore(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Go back to where `arrays` were taken."""
        del meta
        self.rows, self.carried = arrays["rows"].tolist(), np.array(arrays["carried"])


def curve_points(rows: Sequence[Sequence[float | None]]) -> tuple[CurvePoint, ...]:
    """The curve of the rounds' rows; of many rounds, means over equally many in a row.

    `gain` is the attackers': by how much the victim's mean score of the last 5 rounds is below that of the 5 before.
    """
    table = _table(rows)
    if not len(table):
        return ()
    score = table[:, FIELDS.index("score")]
    gain = np.full(len(score), np.nan)
    for i in range(2 * COMPARED - 1, len(score)):
        gain[i] = _mean(score[i + 1 - 2 * COMPARED : i + 1 - COMPARED]) - _mean(score[i + 1 - COMPARED : i + 1])
    whole = np.column_stack([table, gain])
    points = []
    for chunk in np.array_split(whole, min(POINTS, len(whole))):
        values = {name: _mean(column) for name, column in zip((*FIELDS, "gain"), chunk.T, strict=True)}
        numbers = {name: value if math.isfinite(value) else None for name, value in values.items()}
        last = dict(zip(FIELDS, chunk[-1], strict=False))
        numbers |= {"steps": int(last["steps"]), "pool": int(last["pool"])}
        numbers["matches"] = int(chunk[:, FIELDS.index("matches")].sum())
        points.append(CurvePoint(**numbers))  # pyright: ignore[reportArgumentType]  # fields by name
    return tuple(points)


def oscillation_of(rows: Sequence[Sequence[float | None]]) -> Oscillation:
    """How the score moves in the last half of the rounds: its variance, and the sum of its steps up and down.

    Null where there are fewer than two scores. Both contain what chance decides: compare them between trainings with
    equally many matches a round.
    """
    score = _table(rows)[:, FIELDS.index("score")]
    last = score[len(score) // 2 :]
    last = last[np.isfinite(last)]
    if len(last) < 2:
        return Oscillation(rounds=len(last))
    return Oscillation(
        rounds=len(last), variance=float(last.var(ddof=1)), total_variation=float(np.abs(np.diff(last)).sum())
    )


def _table(rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    return np.array([[math.nan if x is None else x for x in row] for row in rows], float).reshape(-1, len(FIELDS))


def _mean(values: Any) -> float:
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else math.nan
