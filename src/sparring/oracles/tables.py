"""Policies as tables of action probabilities, and their files: what exact answers read and write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.errors import InputError
from sparring.oracles.seating import describe, is_for_each
from sparring.policies import ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.types import AgentID, Policy

if TYPE_CHECKING:
    from sparring.exact.finite import FiniteProblem
    from sparring.exact.tree_game import Infosets
    from sparring.games.finite import FiniteGame

TABULAR = "tabular:"


def table(source: Any, game: FiniteGame, agent: AgentID) -> np.ndarray:
    """A policy as action probabilities at each of an agent's information sets, float64 [I, A].

    Args:
      source: what `seating.policy` takes: a name, a `Policy` (networks are asked at every information set), a table.
      game: the game.
      agent: whose policy it is.

    Raises:
      InputError: it cannot be loaded, does not fit, or tells its actions but not their probabilities.
    """
    from sparring.exact.problem import fitting, uniform
    from sparring.games.finite import infosets
    from sparring.oracles.seating import policy as policy_of

    rows = infosets(game, agent)
    policy = policy_of(source, game, agent)
    if isinstance(policy, TabularPolicy):
        found = policy.probabilities
    elif isinstance(policy, RandomPolicy):
        found = uniform(rows.count)
    elif isinstance(policy, ConstantPolicy):
        found = np.zeros(rows.actions.shape)
        found[:, 0] = 1.0
    elif isinstance(policy, Policy) and policy.traceable:
        from sparring.learners.tables import tabulate

        found = tabulate(policy, rows)
    else:
        raise InputError(
            f"policy {describe(source)} of {agent}: a function tells its actions, not their probabilities, which an "
            "exact answer needs: give a table (tabular:FILE.json), or use --oracle learned"
        )
    return fitting(found, rows.count, f"policy {describe(source)} of {agent}")


def adversarial_table(
    source: Any, game: FiniteGame, attackers: Sequence[AgentID], problem: FiniteProblem
) -> np.ndarray:
    """The adversarial policy, float64 [T, B]; what a team plays is a table of its own, or each member's policy.

    Args:
      source: what `table` takes; for a team also one of these for each of its agents.
      game: the game.
      attackers: who plays it.
      problem: the game with these attackers.

    Raises:
      InputError: as `table`.
    """
    several = isinstance(source, Mapping) and is_for_each(source, game, "attacker")
    members = source if several else dict.fromkeys(attackers, source)
    if missing := [agent for agent in attackers if agent not in members]:
        raise InputError(f"attacker: expected a policy for {missing[0]}, too; got some for {', '.join(members)}")
    if len(attackers) == 1:
        return table(members[attackers[0]], game, attackers[0])
    if isinstance(source, str) and source.startswith(TABULAR):
        from sparring.loaders import tabular

        return tabular.read(source.removeprefix(TABULAR), attacker_rows(game, attackers, problem))
    tables = {game.agents.index(agent): table(members[agent], game, agent) for agent in attackers}
    team: Any = problem  # of a tree: only trees have teams
    rows = np.zeros_like(team.benign)
    for row, (player, infoset) in enumerate(team.attacker_rows):
        member = tables[player][infoset]
        rows[row, : len(member)] = member[: rows.shape[1]]
    return rows


def attacker_rows(game: FiniteGame, attackers: Sequence[AgentID], problem: FiniteProblem) -> Infosets:
    """The rows of the adversarial policy. A team's are named by all that it has seen and done, member by member."""
    from sparring.exact.tree_game import Infosets
    from sparring.games.finite import infosets

    if len(attackers) == 1:
        return infosets(game, attackers[0])
    team: Any = problem
    width = team.attacker_sequences.width
    keys: list[str] = []
    ids, names = np.full((len(team.attacker_rows), width), -1), []
    for row, (player, infoset) in enumerate(team.attacker_rows):
        sets = team.tree.infosets[player]
        before = team.attacker_sequences.parent[row] - 1
        past = f"{keys[before // width]} {names[before // width][before % width]}; " if before >= 0 else ""
        keys.append(f"{past}{game.agents[player]} {sets.keys[infoset]}")
        names.append(sets.names[infoset])
        ids[row, : sets.actions.shape[1]] = sets.actions[infoset][:width]
    return Infosets(tuple(keys), team.attacker_actions, ids, tuple(names))


def save_victim(path: Path, game: FiniteGame, victim: AgentID, nu: np.ndarray) -> Path:
    """Write a victim's policy as `tabular:` reads it."""
    from sparring.games.finite import infosets
    from sparring.loaders import tabular

    tabular.save(path, infosets(game, victim), nu)
    return path


def save_attacker(
    path: Path, game: FiniteGame, attackers: Sequence[AgentID], problem: FiniteProblem, alpha: np.ndarray
) -> Path:
    """Write an adversarial policy as `tabular:` reads it."""
    from sparring.loaders import tabular

    tabular.save(path, attacker_rows(game, attackers, problem), alpha)
    return path
