"""The budgeted adversarial policy (Eq. 3.1 and 3.2): reinforcement learning against a frozen victim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparring.errors import InputError
from sparring.learners.ppo import PPOConfig, ppo
from sparring.nets import ActorCritic
from sparring.policy import ConstantPolicy, Policy, mix
from sparring.training import Opponents, Reward, Side, TrainState, annealed, train
from sparring.types import AgentID, Control, Game, Learner, ThreatModel


@dataclass(frozen=True)
class AttackConfig:
    """How an adversarial policy is trained. A game family's own defaults are in its `learning` module."""

    steps: int = 2_000_000  # of all matches together
    num_games: int = 64  # B
    steps_per_round: int = 128  # T
    start: Literal["benign", "scratch"] = "scratch"
    control: Control = "step"
    curriculum_steps: int = 0  # the victim is passive (constant action) with a probability that falls from 1 to 0
    reward: Reward = Reward()
    ppo: PPOConfig = PPOConfig()


def adversarial_policy(
    game: Game,
    threat: ThreatModel,
    victim: Policy,
    config: AttackConfig,
    seed: int,
    others: Mapping[AgentID, Policy] | None = None,
    state: TrainState | None = None,
) -> Iterator[TrainState]:
    """Train the attacker's policy against a frozen victim; yields after every round, for as long as the caller wants.

    The executed policy is `mix(benign, adversarial, budget)`, and only controlled steps enter the policy loss
    (DECISIONS 15). What it finds is a lower bound on exploitability (DECISIONS 22).

    Args:
      game: B matches.
      threat: who attacks whom, through which benign policy, at which budget. One attacker.
      victim: the frozen policy.
      config: settings.
      seed: of all randomness.
      others: policies of agents that are neither victim nor attacker.
      state: where to go on.

    Raises:
      InputError: more than one attacker, or `start="benign"` with a benign policy that has no weights.
    """
    sides, play = attack_setup(game, threat, victim, config, others or {})
    return train(game, sides, play, seed, config.steps_per_round, state)


def attack_setup(
    game: Game, threat: ThreatModel, victim: Policy, config: AttackConfig, others: Mapping[AgentID, Policy]
):
    """The one learning side, and who plays."""
    if len(threat.attackers) != 1:
        raise InputError(f"attackers: expected one, got {len(threat.attackers)}; a team needs a learner for each")
    attacker = threat.attackers[0]
    side = Side(attack_learner(config, threat.benign[attacker]), config.reward, threat.victim)
    passive = ConstantPolicy(game.spaces[threat.victim].action)

    def play(opponents: Opponents, rng: np.random.Generator) -> Mapping[AgentID, Policy]:
        del rng
        executed = mix(threat.benign[attacker], opponents.current[attacker], threat.budget, config.control)
        faced = victim
        if config.curriculum_steps:
            # Per match: a victim that freezes and wakes at random would be an opponent that nobody ever meets.
            faced = mix(victim, passive, annealed(opponents.steps, config.curriculum_steps), "episode")
        return {**others, threat.victim: faced, attacker: executed}

    return {attacker: side}, play


def attack_learner(config: AttackConfig, benign: Policy) -> Learner:
    """PPO, from scratch or from the benign policy's weights."""
    if config.start == "scratch":
        return ppo(config.ppo)
    if not isinstance(benign, ActorCritic):
        raise InputError("start=benign needs a benign policy with weights of this package's kind; use start=scratch")
    return ppo(config.ppo, benign)
