"""Adversarial training (section 4) as settings of the one training loop.

Algorithm 1 (min oracle), Algorithm 2 (two timescales) and what they are compared with differ in three things alone: who
learns how fast, whether the sides take turns, and which opponent each is given. All of them play the same game, J_eps
(Def. 5.1): whatever the attackers learn or draw from their past is played through `mix` with the benign policy.

The victim that a learned attacker could not beat is not thereby robust (DECISIONS 22); where the game can be solved,
look at its exploitability: `learners.tables.tabulate` turns it into the table that exact solvers read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from sparring.errors import InputError
from sparring.mixture import executed
from sparring.play.plateau import Plateau
from sparring.training import Method, Opponents, Reward, Side, check_cast, pooled
from sparring.types import AgentID, Array, Game, Learner, MethodName, Policy, ThreatModel

Adversary: TypeAlias = Callable[[Policy], Policy]  # the adversarial policy that the victim of the moment is given
VICTIM = "victim"  # the victim's side; an attacker's has the agent's name


@dataclass(frozen=True)
class Schedule:
    """How often the sides learn, and against whom.

    Timescale separation is eta_nu << eta_alpha: by the learners' rates, by updates per round, or by both
    (DECISIONS 18). Where opponents come from the past, half of the slots are matches of the present victim against a
    past or present attacker, the other half those of the present attacker: no side learns from play that was not its
    own, and a match keeps its opponent (DECISIONS 28).

    Raises:
      InputError: updates less often than never, or a share outside [0, 1].
    """

    victim_every: int = 1  # rounds for each update
    attacker_every: int = 1
    waits: Plateau | None = None  # the victim learns when the attackers hardly gain any more, instead of by a clock
    turns: bool = False  # the attacker learns in the first round, the victim in the next, and so on
    past: float = 0.0  # share of matches in which the opponent is a snapshot, drawn uniformly
    snapshot_every: int = 100  # rounds
    max_snapshots: int = 256

    def __post_init__(self) -> None:
        if min(self.victim_every, self.attacker_every, self.snapshot_every, self.max_snapshots) < 1:
            raise InputError("victim_every, attacker_every, snapshot_every, max_snapshots: expected at least 1")
        if not 0 <= self.past <= 1:
            raise InputError(f"past: expected a share in [0, 1], got {self.past}")


# The pools are ours (DECISIONS 18). `min-oracle` gives the victim of the moment its best response, `retrain` an
# attacker that stays as it is: neither has an attacker who learns. `two-timescale` differs from `single-timescale` by
# the rates.
SCHEDULES: Mapping[MethodName, Schedule] = {
    "min-oracle": Schedule(),
    "two-timescale": Schedule(),
    "single-timescale": Schedule(),
    "alternating": Schedule(turns=True),
    "self-play": Schedule(past=0.5),
    "fictitious-play": Schedule(past=1.0),
    "retrain": Schedule(),
}


def of_the_moment(schedule: Schedule, slots: int) -> Array:
    """The slots in which the victim of the moment plays every match, bool [B]; in the others it may be a past one."""
    return np.arange(slots) % 2 == 0 if schedule.past else np.ones(slots, bool)


def adversarial_training(
    game: Game,
    threat: ThreatModel,
    schedule: Schedule,
    victim: Learner,
    attackers: Mapping[AgentID, Learner] | Adversary,
    steps_per_round: int,
    reward: Reward | None = None,
    budgets: Array | None = None,
) -> Method:
    """Harden a victim.

    Args:
      game: B matches.
      threat: who attacks whom, through which benign policies, at which budget. One victim.
      schedule: how often who learns, and against whom.
      victim: its learner; its rate is eta_nu.
      attackers: a learner for each attacker (their rates are eta_alpha); or, where no attacker learns, the adversarial
        policy for the victim of the moment: `learners.tables.exact_oracle`, or a function that always returns the same.
      steps_per_round: T.
      reward: the attackers'; by default minus the victim's reward. The victim wants the opposite; where attackers look
        after themselves (`Reward.own`), so does the victim.
      budgets: float32 [B], a budget for each slot, instead of the threat's (`mixture.slot_budgets`).

    Raises:
      InputError: more than one victim, more than one attacker where none learns, an attacker without a learner, agents
        that are not the game's, or a single match where half of the matches are each side's.
    """
    if len(threat.victims) != 1:
        raise InputError(f"victims: expected one to harden, got {len(threat.victims)}")
    check_cast(game, threat)
    nu, others = threat.victim, dict(threat.others or {})
    reward = reward or Reward({nu: -1.0})
    # A win of the one is a loss of the other, but a draw is a draw to both: what it is worth changes its sign. Shaping
    # is for what an agent does itself, and fades away: both sides are given theirs.
    wanted = replace(reward, weights={a: -w for a, w in reward.weights.items()}, draw=-reward.draw)
    period = 2 if schedule.turns else 1
    kept = schedule.snapshot_every if schedule.past else 0

    def side(learner: Learner, agent: AgentID, goal: Reward, every: int, phase: int) -> Side:
        every *= period
        return Side(learner, goal, (agent,), every, phase % every, kept, schedule.max_snapshots)

    of_nu = side(victim, nu, wanted, schedule.victim_every, period - 1)
    sides = {VICTIM: replace(of_nu, waits=schedule.waits)}
    adversary = None if isinstance(attackers, Mapping) else attackers
    if isinstance(attackers, Mapping):
        if missing := [agent for agent in threat.attackers if agent not in attackers]:
            raise InputError(f"no learner for attacker {missing[0]}")
        sides |= {a: side(attackers[a], a, reward, schedule.attacker_every, 0) for a in threat.attackers}
    elif len(threat.attackers) != 1:
        raise InputError(f"attackers: expected one that is given its policy, got {len(threat.attackers)}")
    if schedule.past and game.num_games < 2:
        raise InputError(f"{game.id}: past opponents need at least 2 matches side by side, one for each side to learn")
    live = of_the_moment(schedule, game.num_games)
    of_victim, of_attacker = (np.where(slots, schedule.past, 0.0) for slots in (~live, live))

    def play(opponents: Opponents) -> Mapping[AgentID, Policy]:
        playing = {nu: opponents.current[VICTIM]}
        if adversary is not None:
            playing |= {threat.attackers[0]: adversary(playing[nu])}
        else:
            playing |= {agent: opponents.current[agent] for agent in threat.attackers}
            if schedule.past:
                playing[nu] = pooled(playing[nu], opponents.past[VICTIM], of_victim)
                for agent in threat.attackers:
                    playing[agent] = pooled(playing[agent], opponents.past[agent], of_attacker)
        return {**others, nu: playing[nu], **executed(threat, {a: playing[a] for a in threat.attackers}, budgets)}

    return Method(sides, play, steps_per_round)
