"""The budgeted adversarial policy (Eq. 3.1 and 3.2): reinforcement learning against a frozen victim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
    start: str = "scratch"  # or "benign": from its weights; any other name: from the weights that are given
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
    start: ActorCritic | None = None,
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
      start: the weights to start from, unless `config.start` is "scratch" or "benign".
      state: where to go on.

    Raises:
      InputError: more than one attacker, or no weights to start from.
    """
    sides, play = attack_setup(game, threat, victim, config, others or {}, start)
    return train(game, sides, play, seed, config.steps_per_round, state)


def attack_setup(
    game: Game,
    threat: ThreatModel,
    victim: Policy,
    config: AttackConfig,
    others: Mapping[AgentID, Policy],
    start: ActorCritic | None = None,
):
    """The one learning side, and who plays."""
    if len(threat.attackers) != 1:
        raise InputError(f"attackers: expected one, got {len(threat.attackers)}; a team needs a learner for each")
    attacker = threat.attackers[0]
    side = Side(attack_learner(config, threat.benign[attacker], start), config.reward, threat.victim)
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


def attack_learner(config: AttackConfig, benign: Policy, start: ActorCritic | None = None) -> Learner:
    """PPO, from scratch, from the benign policy's weights or from `start`.

    Raises:
      InputError: there are no weights to start from.
    """
    if config.start == "scratch":
        return ppo(config.ppo)
    weights = benign if config.start == "benign" else start
    if not isinstance(weights, ActorCritic):
        raise InputError(f"start={config.start} needs a policy with weights of this package's kind; use start=scratch")
    return ppo(config.ppo, weights)
