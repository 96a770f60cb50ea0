"""Self-play against snapshots of oneself (Bansal et al. 2018), in games whose two seats are alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sparring.errors import InputError
from sparring.learners.ppo import PPOConfig, ppo
from sparring.mixture import mix
from sparring.nets import ActorCritic
from sparring.policies import ConstantPolicy
from sparring.training import Method, Opponents, Reward, Side, pooled
from sparring.types import AgentID, Game, Policy

SELF = "self"  # the one side's name


@dataclass(frozen=True)
class SelfPlayConfig:
    steps: int = 8_000_000  # of all matches together
    num_games: int = 128  # B
    steps_per_round: int = 64  # T
    snapshot_every: int = 25  # rounds
    max_snapshots: int = 32
    past: float = 0.5  # share of matches whose opponent is an earlier snapshot, not the policy of the moment
    passive: float = 0.0  # share of matches in which the opponent takes a constant action instead
    sparring: float = 0.0  # share of matches against a given sparring partner
    reward: Reward = field(default_factory=lambda: Reward(outcome=1.0))
    ppo: PPOConfig = field(default_factory=PPOConfig)


def self_play(
    game: Game, config: SelfPlayConfig, start: ActorCritic | None = None, partner: Policy | None = None
) -> Method:
    """Train one policy against itself; its side is called `SELF`.

    The second seat is played either by the policy of the moment, and then it is learned from too, or by a snapshot
    drawn uniformly. Who it is is drawn when a match begins, and kept (DECISIONS 28).

    Args:
      game: B matches.
      config: settings.
      start: weights to start from instead of new ones.
      partner: of the matches that `sparring` says; it does not learn.

    Raises:
      InputError: the game has not two agents with equal spaces, or the partner is missing.
    """
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
    past_share = np.full(game.num_games, config.past, np.float32)

    def play(opponents: Opponents) -> Mapping[AgentID, Policy]:
        current = opponents.current[SELF]
        faced: Policy = pooled(current, opponents.past[SELF], past_share)
        if config.passive:
            faced = mix(passive, faced, 1 - passive_of_the_rest, "episode")
        if partner is not None and config.sparring:
            faced = mix(partner, faced, 1 - config.sparring, "episode")
        return {me: current, other: faced}

    side = Side(
        ppo(config.ppo, start),
        config.reward,
        (me, other),
        snapshot_every=config.snapshot_every,
        max_snapshots=config.max_snapshots,
    )
    return Method({SELF: side}, play, config.steps_per_round)
