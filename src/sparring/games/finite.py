"""Games that can be enumerated: the exact solvers' data and questions, asked by agents' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sparring.errors import InputError
from sparring.exact.markov_game import MarkovGame
from sparring.exact.tree_game import Infosets, Tree
from sparring.games.hosted import Hosted
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import MatrixGame, as_markov
from sparring.games.tree import SampledTree
from sparring.types import AgentID, Game

if TYPE_CHECKING:
    from sparring.exact.finite import FiniteProblem

FiniteGame: TypeAlias = MatrixGame | SampledMarkovGame | SampledTree


def finite(game: Game) -> FiniteGame | None:
    """The game as one that can be solved exactly, or None if it can only be simulated."""
    inner = game.game if isinstance(game, Hosted) else game
    return inner if isinstance(inner, (MatrixGame, SampledMarkovGame, SampledTree)) else None


def data(game: FiniteGame) -> Tree | MarkovGame:
    """What exact solvers read; seats are the numbers of `game.agents`."""
    if isinstance(game, SampledTree):
        return game.tree
    return as_markov(game.payoffs) if isinstance(game, MatrixGame) else game.game


def infosets(game: FiniteGame, agent: AgentID) -> Infosets:
    """The rows of an agent's policies: see `sparring.exact.finite.infosets`."""
    from sparring.exact import finite as exact

    return exact.infosets(data(game), game.agents.index(agent))


def problem(
    game: FiniteGame,
    victim: AgentID,
    attackers: Sequence[AgentID],
    benign: Mapping[AgentID, np.ndarray],
    budget: float,
    others: Mapping[AgentID, np.ndarray] | None = None,
) -> FiniteProblem:
    """J_eps (Def. 5.1) of a victim and one or several attackers: see `sparring.exact.finite.problem`.

    Raises:
      InputError: agents that the game does not have, policies that do not fit, or a budget outside [0, 1].
    """
    from sparring.exact import finite as exact

    if not isinstance(game, SampledTree) and (len(attackers) != 1 or {victim, *attackers} != set(game.agents)):
        raise InputError(f"{game.id}: expected a victim and an attacker out of {' and '.join(game.agents)}")
    seat = {agent: number for number, agent in enumerate(game.agents)}
    own = {seat[agent]: table for agent, table in benign.items()}
    fixed = {seat[agent]: table for agent, table in (others or {}).items()}
    return exact.problem(data(game), seat[victim], [seat[agent] for agent in attackers], own, budget, fixed)


def nash(game: FiniteGame, agent: AgentID) -> np.ndarray:
    """An agent's maximin policy, float64 [I, A]: see `sparring.exact.finite.nash`.

    Raises:
      InputError: a game of more than two agents, where a maximin policy against all others is no equilibrium.
    """
    from sparring.exact import finite as exact

    if len(game.agents) != 2:
        raise InputError(f"policy nash: expected a game of two agents, {game.id} has {len(game.agents)}")
    return exact.nash(data(game), game.agents.index(agent))
