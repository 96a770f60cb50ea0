"""Games that can be enumerated: what a policy's rows mean in them, and the problem that a threat makes of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sparring.errors import InputError
from sparring.games.hosted import Hosted
from sparring.games.markov import MarkovGame, SampledMarkovGame
from sparring.games.matrix import MatrixGame, as_markov
from sparring.games.tree import Infosets, SampledTree
from sparring.types import AgentID, Discrete, Game

if TYPE_CHECKING:
    from sparring.exact.problem import MarkovProblem
    from sparring.exact.tree import TreeProblem

    FiniteProblem: TypeAlias = MarkovProblem | TreeProblem
FiniteGame: TypeAlias = MatrixGame | SampledMarkovGame | SampledTree


def finite(game: Game) -> FiniteGame | None:
    """The game as one that can be solved exactly, or None if it can only be simulated."""
    inner = game.game if isinstance(game, Hosted) else game
    return inner if isinstance(inner, (MatrixGame, SampledMarkovGame, SampledTree)) else None


def infosets(game: FiniteGame, agent: AgentID) -> Infosets:
    """The rows of an agent's policies: its information sets; in Markov and matrix games the states, called 0, 1, ..."""
    if isinstance(game, SampledTree):
        return game.tree.infosets[game.agents.index(agent)]
    spaces = game.spaces[agent]
    assert isinstance(spaces.action, Discrete)
    states, actions = spaces.observation, spaces.action.n
    names = tuple(str(action) for action in range(actions))
    ids = np.tile(np.arange(actions), (states, 1))
    return Infosets(tuple(map(str, range(states))), np.full(states, actions), ids, (names,) * states)


def problem(
    game: FiniteGame,
    victim: AgentID,
    attackers: Sequence[AgentID],
    benign: Mapping[AgentID, np.ndarray],
    budget: float,
    others: Mapping[AgentID, np.ndarray] | None = None,
) -> FiniteProblem:
    """J_eps (Def. 5.1) of a victim and one or several attackers.

    Args:
      game: the game.
      victim: who maximises.
      attackers: who minimise; several of them are a team.
      benign: each attacker's own policy [I, A]; uniform where there is none.
      budget: epsilon.
      others: the policies of everybody else; uniform where there is none.

    Raises:
      InputError: agents that the game does not have, policies that do not fit, or a budget outside [0, 1].
    """
    if isinstance(game, SampledTree):
        from sparring.exact.tree import tree_problem

        seat = {agent: number for number, agent in enumerate(game.agents)}
        fixed = {seat[agent]: table for agent, table in (others or {}).items()}
        own = {seat[agent]: table for agent, table in benign.items()}
        return tree_problem(game.tree, seat[victim], [seat[agent] for agent in attackers], own, budget, fixed)
    from sparring.exact.problem import MarkovProblem, uniform

    if len(attackers) != 1 or {victim, *attackers} != set(game.agents):
        raise InputError(f"{game.id}: expected a victim and an attacker out of {' and '.join(game.agents)}")
    seat = game.agents.index(victim)
    arrays = as_markov(game.payoffs, seat) if isinstance(game, MatrixGame) else _victim_first(game.game, seat)
    own = benign.get(attackers[0])
    return MarkovProblem(arrays, uniform(infosets(game, attackers[0]).count) if own is None else own, budget)


def nash(game: FiniteGame, agent: AgentID) -> np.ndarray:
    """An agent's maximin policy, float64 [I, A]: one of a Nash equilibrium, where the game is one of two and zero-sum.

    Raises:
      InputError: a game of more than two agents, where a maximin policy against all others is no equilibrium.
    """
    from sparring.exact.robust import robust

    if len(game.agents) != 2:
        raise InputError(f"policy nash: expected a game of two agents, {game.id} has {len(game.agents)}")
    others = [other for other in game.agents if other != agent]
    return robust(problem(game, agent, others, {}, 1.0)).victim


def _victim_first(game: MarkovGame, seat: int) -> MarkovGame:
    """The game with the agent of `seat` as its victim, who is paid what it was paid in its own seat."""
    return game if seat == 0 else MarkovGame(game.P.swapaxes(1, 2), -game.r.swapaxes(1, 2), game.rho, game.gamma)
