"""Self-play against snapshots of oneself (Bansal et al. 2018), in games whose two seats are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sparring.errors import InputError
from sparring.learners.ppo import PPOConfig, ppo
from sparring.nets import ActorCritic
from sparring.policy import ConstantPolicy, Policy, mix
from sparring.training import Opponents, Play, Reward, Side, TrainState, train
from sparring.types import AgentID, Game


@dataclass(frozen=True)
class SelfPlayConfig:
    steps: int = 8_000_000  # of all matches together
    num_games: int = 128  # B
    steps_per_round: int = 64  # T
    snapshot_every: int = 25  # rounds
    past: float = 0.5  # probability that a round's opponent is an earlier snapshot, not the policy of the moment
    passive: float = 0.0  # share of matches in which the opponent takes a constant action instead
    sparring: float = 0.0  # share of matches against a given sparring partner
    reward: Reward = Reward()
    ppo: PPOConfig = PPOConfig()


def self_play(
    game: Game,
    config: SelfPlayConfig,
    seed: int,
    start: ActorCritic | None = None,
    state: TrainState | None = None,
    partner: Policy | None = None,
) -> Iterator[TrainState]:
    """Train the first seat against itself; yields after every round.

    Each round the second seat is played either by the policy of the moment, which then learns from both seats, or, with
    probability `past`, by a snapshot drawn uniformly. Snapshots are immutable networks: they do not follow the live
    weights (DECISIONS 23).

    Args:
      game: B matches.
      config: settings.
      seed: of all randomness.
      start: weights to start from instead of new ones.
      state: where to go on.
      partner: of the matches that `sparring` says; it does not learn.

    Raises:
      InputError: the game has not two agents with equal spaces, or the partner is missing.
    """
    sides, play = self_play_setup(game, config, start, partner)
    return train(game, sides, play, seed, config.steps_per_round, state)


def self_play_setup(
    game: Game, config: SelfPlayConfig, start: ActorCritic | None = None, partner: Policy | None = None
) -> tuple[dict[AgentID, Side], Play]:
    """The one learning side, and who plays."""
    if len(game.agents) != 2 or game.spaces[game.agents[0]] != game.spaces[game.agents[1]]:
        raise InputError(f"{game.id}: self-play needs two agents with the same observations and actions")
    if config.sparring and partner is None:
        raise InputError(f"{game.id}: sparring {config.sparring:g}: expected a partner, got none")
    if min(config.passive, config.sparring) < 0 or config.passive + config.sparring > 1:
        raise InputError(
            f"passive and sparring: expected shares of all matches, got {config.passive:g} and {config.sparring:g}"
        )
    me, other = game.agents
    passive = ConstantPolicy(game.spaces[other].action)
    passive_of_the_rest = min(config.passive / (1 - config.sparring), 1.0) if config.passive else 0.0

    def play(opponents: Opponents, rng: np.random.Generator) -> Mapping[AgentID, Policy]:
        current, past = opponents.current[me], opponents.snapshots[me]
        from_the_past = rng.random() < config.past and len(past) > 0
        faced = past[int(rng.integers(len(past)))] if from_the_past else current
        if config.passive:
            faced = mix(passive, faced, 1 - passive_of_the_rest, "episode")
        if partner is not None and config.sparring:
            faced = mix(partner, faced, 1 - config.sparring, "episode")
        return {me: current, other: faced}

    side = Side(ppo(config.ppo, start), config.reward, other, snapshot_every=config.snapshot_every, twin=other)
    return {me: side}, play
