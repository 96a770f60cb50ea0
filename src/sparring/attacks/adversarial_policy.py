"""The budgeted adversarial policy (Eq. 3.1 and 3.2): reinforcement learning against frozen victims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sparring.errors import InputError
from sparring.learners.ppo import PPOConfig, ppo
from sparring.learners.stealthy import StealthConfig, stealthy
from sparring.mixture import executed, mix
from sparring.nets import ActorCritic
from sparring.policies import ConstantPolicy
from sparring.training import Method, Opponents, Reward, Side, annealed, check_cast
from sparring.types import AgentID, Game, Learner, Policy, ThreatModel


@dataclass(frozen=True)
class AttackConfig:
    """How an adversarial policy is trained. A game family's own defaults are in its `learning` module.

    A reward without weights, outcome and `own` is that of Eq. 3.1: minus the victims' rewards, times `victim_scale`.
    """

    steps: int = 2_000_000  # of all matches together
    num_games: int = 64  # B
    steps_per_round: int = 128  # T
    start: str = "scratch"  # or "benign": from its weights; any other name: from the weights that are given
    curriculum_steps: int = 0  # the victim is passive (constant action) with a probability that falls from 1 to 0
    reward: Reward = field(default_factory=Reward)
    victim_scale: float = 1.0
    checkpoints: int = 0  # how many of the policies on the way are kept
    stealth: float = 0.0  # what a unit of the log ratio of the states' densities costs the attackers: see `stealthy`
    ppo: PPOConfig = field(default_factory=PPOConfig)


def adversarial_policy(
    game: Game,
    threat: ThreatModel,
    victims: Policy | Mapping[AgentID, Policy],
    config: AttackConfig,
    start: ActorCritic | Mapping[AgentID, ActorCritic] | None = None,
    benign_states: np.ndarray | None = None,
) -> Method:
    """Train the attackers' policies against frozen victims.

    The executed policies are `mix(benign, adversarial, budget)`, and only controlled steps enter the policy loss
    (DECISIONS 15). What is found is a lower bound on exploitability (DECISIONS 22). Several attackers are a team with
    the same reward; each has a learner of its own, and its side has the agent's name.

    Args:
      game: the one that is played; its spaces are looked at.
      threat: who attacks whom, through which benign policies, at which budget.
      victims: the frozen policy of each victim, or the only one's.
      config: settings.
      start: the weights to start from, unless `config.start` is "scratch" or "benign".
      benign_states: what the victims see without an attack, float32 [n, D]; read where `config.stealth` is not 0.

    Raises:
      InputError: no weights to start from, no benign states to be like, a victim without a policy, an agent that the
        game does not have, or one of whom nobody says what it plays.
    """
    frozen = dict(victims) if isinstance(victims, Mapping) else dict.fromkeys(threat.victims, victims)
    check_cast(game, threat)
    if missing := [agent for agent in threat.victims if agent not in frozen]:
        raise InputError(f"{game.id}: no policy for victim {missing[0]}")
    others = dict(threat.others or {})
    reward = attack_reward(threat, config)
    rounds = -(-config.steps // (config.num_games * config.steps_per_round))
    sides = {}
    for agent in threat.attackers:
        weights = start.get(agent) if isinstance(start, Mapping) else start
        learner, watch = attack_learner(config, threat.benign[agent], weights), ()
        if config.stealth:
            if benign_states is None:
                raise InputError("stealth: give the benign states that the attack is to be like")
            learner, watch = stealthy(learner, benign_states, StealthConfig(config.stealth)), threat.victims
        every = -(-rounds // config.checkpoints) if config.checkpoints else 0
        sides[agent] = Side(learner, reward, (agent,), watch=watch, snapshot_every=every)

    def play(opponents: Opponents) -> Mapping[AgentID, Policy]:
        faced = frozen
        if config.curriculum_steps:
            # Per match: a victim that freezes and wakes at random would be an opponent that nobody ever meets.
            share = annealed(opponents.steps, config.curriculum_steps)
            faced = {
                agent: mix(policy, ConstantPolicy(game.spaces[agent].action), share, "episode")
                for agent, policy in frozen.items()
            }
        return {**others, **faced, **executed(threat, {a: opponents.current[a] for a in threat.attackers})}

    return Method(sides, play, config.steps_per_round)


def attack_reward(threat: ThreatModel, config: AttackConfig) -> Reward:
    """The attackers' reward; by default Eq. 3.1."""
    reward = config.reward
    if reward.weights or reward.outcome or reward.own:
        return reward
    return replace(reward, weights=dict.fromkeys(threat.victims, -config.victim_scale))


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
