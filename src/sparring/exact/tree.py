"""Extensive-form games in sequence form: values, budgeted best responses and gradients in time linear in the tree.

A sequence of an agent is one of its information sets with one of its actions; number 0 is the empty sequence. A
realisation plan gives each sequence the probability that the agent's own choices contribute (von Stengel 1996). Chance
and players who are neither victim nor attacker are folded into the payoffs, so that J_eps is bilinear in two plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from sparring.errors import InputError, unknown
from sparring.exact.compiled import njit
from sparring.exact.problem import ROUNDING, Met, Response, fitting, scale_of, uniform
from sparring.exact.simplex import project
from sparring.exact.tree_game import TERMINAL, Tree
from sparring.types import check_budget

Direction = Literal["counterfactual", "true"]


class Sequences(NamedTuple):
    """The information sets of one agent (or team), parents first. Action j at set i is sequence 1 + i * width + j."""

    parent: np.ndarray  # int64 [I], the sequence that leads to each set
    count: np.ndarray  # int64 [I], number of legal actions
    width: int  # A, the largest of them

    @property
    def size(self) -> int:
        """Number of sequences, those of illegal actions included."""
        return 1 + len(self.parent) * self.width


class Payoffs(NamedTuple):
    """J as the sum of value * x[victim] * y[attacker], over realisation plans x and y; every pair occurs once."""

    victim: np.ndarray  # int64 [n], sequences
    attacker: np.ndarray  # int64 [n], sequences
    value: np.ndarray  # float64 [n], the victim's return times the probability of chance and of fixed players


class Nodes(NamedTuple):
    """How every node of the tree is reached."""

    victim: np.ndarray  # int64 [N], the victim's last sequence before it
    attacker: np.ndarray  # int64 [N], the attacker's
    weight: np.ndarray  # float64 [N], probability that chance and fixed players contribute


@dataclass(frozen=True, eq=False)
class TreeProblem:
    """A `Problem` on a tree; made by `tree_problem`. Rows of policies are information sets.

    The victim's rows are those of `tree.infosets[victim]`, a single attacker's those of its own. A team of attackers
    shares what each member sees when it moves: row t belongs to `attacker_rows[t]`, a player and one of its sets.
    """

    tree: Tree
    victim: int
    attackers: tuple[int, ...]
    benign: np.ndarray  # float64 [T, B]
    budget: float
    direction: Direction
    victim_sequences: Sequences
    attacker_sequences: Sequences
    attacker_rows: np.ndarray  # int64 [T, 2], player and information set
    payoffs: Payoffs = field(repr=False)
    nodes: Nodes = field(repr=False)

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if self.direction not in ("counterfactual", "true"):
            raise unknown("direction", self.direction, ("counterfactual", "true"))

    @property
    def victim_actions(self) -> np.ndarray:
        return self.victim_sequences.count

    @property
    def attacker_actions(self) -> np.ndarray:
        return self.attacker_sequences.count

    @property
    def scale(self) -> float:
        ends = (self.tree.actor == TERMINAL) & (self.nodes.weight > 0)
        return scale_of(self.tree.returns[ends, self.victim])

    def met(self, nu: np.ndarray) -> Met:
        own = plan(self.victim_sequences, nu)[self.nodes.victim]
        paid = self.tree.returns[(self.tree.actor == TERMINAL) & (self.nodes.weight > 0) & (own > 0), self.victim]
        free, pairs = replace(self, budget=1.0), self.payoffs
        opposite = replace(free, payoffs=pairs._replace(value=-pairs.value))
        low, high = free.best_response(nu).value, -opposite.best_response(nu).value
        return Met(low, high, float(np.abs(paid).max()) * ROUNDING)

    def played(self, alpha: np.ndarray) -> np.ndarray:
        """Eq. 3.2 at every information set (DECISIONS 1): what the attacker's agents play in the end."""
        return (1 - self.budget) * self.benign + self.budget * alpha

    def value(self, nu: np.ndarray, alpha: np.ndarray) -> float:
        x, y = plan(self.victim_sequences, nu), plan(self.attacker_sequences, self.played(alpha))
        pairs = self.payoffs
        return float(pairs.value @ (x[pairs.victim] * y[pairs.attacker]))

    def best_response(self, nu: np.ndarray) -> Response:
        """W(I) = (1 - eps) sum_a benign(a|I) Z(I, a) + eps min_a Z(I, a), from the leaves up (DECISIONS 2)."""
        own, other, pairs = self.attacker_sequences, self.victim_sequences, self.payoffs
        return Response(
            *_respond(
                own.parent,
                own.count,
                self.benign,
                float(self.budget),
                pairs.attacker,
                pairs.victim,
                pairs.value,
                other.parent,
                other.count,
                nu,
                1.0,
            )
        )

    def victim_response(self, alpha: np.ndarray) -> Response:
        own, other, pairs = self.victim_sequences, self.attacker_sequences, self.payoffs
        nowhere = np.zeros((len(own.parent), own.width))  # the victim is its own master: no benign policy
        played = self.played(alpha)
        policy, value = _respond(
            own.parent,
            own.count,
            nowhere,
            1.0,
            pairs.victim,
            pairs.attacker,
            pairs.value,
            other.parent,
            other.count,
            played,
            -1.0,
        )
        return Response(policy, -value)

    def gradient(self, nu: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradients in nu [S, A] and alpha [T, B], the latter with the factor eps.

        The true gradient weighs an information set with its agent's own reach (of the mixed policy, DECISIONS 13); the
        counterfactual one does not, and converges where the true one freezes (DECISIONS 9).
        """
        played, pairs, theirs = self.played(alpha), self.payoffs, self.attacker_sequences
        x = plan(self.victim_sequences, nu)
        of_attacker = _action_values(theirs.parent, theirs.count, played, pairs.attacker, pairs.victim, pairs.value, x)
        of_attacker *= self.budget
        if self.direction == "true":
            of_attacker *= plan(theirs, played)[theirs.parent][:, None]
        return self.victim_gradient(nu, alpha), of_attacker

    def victim_gradient(self, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        pairs, mine = self.payoffs, self.victim_sequences
        y = plan(self.attacker_sequences, self.played(alpha))
        of_victim = _action_values(mine.parent, mine.count, nu, pairs.victim, pairs.attacker, pairs.value, y)
        if self.direction == "true":
            of_victim *= plan(mine, nu)[mine.parent][:, None]
        return of_victim

    def average(self, policies: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
        own = self.victim_sequences
        return behaviour(own, np.average([plan(own, policy) for policy in policies], axis=0, weights=weights))

    def average_attacker(self, policies: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
        if self.budget == 0:
            return np.average(policies, axis=0, weights=weights)
        own = self.attacker_sequences
        plans = [plan(own, self.played(policy)) for policy in policies]
        played = behaviour(own, np.average(plans, axis=0, weights=weights))
        # Averages keep to the budget wherever they lead; the projection settles rounding and rows that are not reached.
        return project((played - (1 - self.budget) * self.benign) / self.budget, own.count)


def tree_problem(
    tree: Tree,
    victim: int,
    attackers: Sequence[int],
    benign: Mapping[int, np.ndarray],
    budget: float,
    fixed: Mapping[int, np.ndarray] | None = None,
    direction: Direction = "counterfactual",
) -> TreeProblem:
    """The problem of one victim and one or several attackers in a tree; everybody else plays a fixed policy.

    Args:
      tree: the game.
      victim: its player number.
      attackers: theirs. A team shares what each member sees when it moves.
      benign: each attacker's own policy, a table of its information sets; uniform where there is none.
      budget: epsilon.
      fixed: policies of the other players; uniform where there is none.
      direction: which gradient (DECISIONS 9).

    Raises:
      InputError: players that do not exist or are named twice, policies that do not fit, a budget outside [0, 1], or a
        player of imperfect recall.
    """
    attackers = tuple(attackers)
    named = [victim, *attackers]
    if not attackers or len(set(named)) < len(named) or not all(0 <= player < tree.players for player in named):
        raise InputError(
            f"{tree.id}: expected a victim and at least one other player as attacker, each once and in "
            f"0 .. {tree.players - 1}, got victim {victim} and attackers {list(attackers)}"
        )
    tables = {player: _table(tree, player, (fixed or {}).get(player)) for player in range(tree.players)}
    tables |= {player: _table(tree, player, benign.get(player)) for player in attackers}
    mine, at_victim, _ = _sequences(tree, (victim,))
    theirs, at_attacker, rows = _sequences(tree, attackers)
    table = np.zeros((len(rows), theirs.width))
    for t, (player, infoset) in enumerate(rows):
        own = tables[player][infoset]
        table[t, : len(own)] = own[: theirs.width]
    weight = _weights(tree, {player: tables[player] for player in range(tree.players) if player not in named})
    nodes = Nodes(at_victim, at_attacker, weight)
    payoffs = _payoffs(tree, victim, nodes, theirs.size)
    return TreeProblem(tree, victim, attackers, table, float(budget), direction, mine, theirs, rows, payoffs, nodes)


def reach(problem: TreeProblem, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Probability of passing through each node, float64 [N]: at the terminal ones they sum to one."""
    x = plan(problem.victim_sequences, nu)
    y = plan(problem.attacker_sequences, problem.played(alpha))
    return x[problem.nodes.victim] * y[problem.nodes.attacker] * problem.nodes.weight


def plan(sequences: Sequences, policy: np.ndarray) -> np.ndarray:
    """The realisation plan, float64 [1 + I * A], of a policy [I, A]."""
    return _plan(sequences.parent, sequences.count, policy)


def behaviour(sequences: Sequences, plan: np.ndarray) -> np.ndarray:
    """The policy [I, A] of a realisation plan; uniform at information sets that it never reaches."""
    share = plan[1:].reshape(len(sequences.parent), sequences.width)
    total = share.sum(axis=1, keepdims=True)
    return np.where(total > 0, share / np.where(total > 0, total, 1.0), uniform(sequences.count))


@njit(cache=True)
def _plan(parent, count, policy):
    width = policy.shape[1]
    plan = np.zeros(1 + policy.size)
    plan[0] = 1.0
    for i in range(len(parent)):
        reach = plan[parent[i]]
        for j in range(count[i]):
            plan[1 + i * width + j] = reach * policy[i, j]
    return plan


@njit(cache=True)
def _against(size, own, other, value, plan):
    """What each of an agent's sequences earns at the leaves, against the other agent's plan."""
    earned = np.zeros(size)
    for k in range(len(value)):
        earned[own[k]] += value[k] * plan[other[k]]
    return earned


@njit(cache=True)
def _respond(parent, count, benign, eps, own, other, value, other_parent, other_count, other_policy, sign):
    """The policy that minimises sign * J under the budget, and sign * J."""
    width = benign.shape[1]
    plan = _plan(other_parent, other_count, other_policy)
    onwards = _against(1 + benign.size, own, other, value, plan)
    largest = 0.0
    for k in range(len(onwards)):
        onwards[k] *= sign
        largest = max(largest, abs(onwards[k]))
    # Values that differ by rounding alone are ties, and those go to the lowest index (DECISIONS 7).
    tolerance = 1e-14 * largest
    policy = np.zeros_like(benign)
    for i in range(len(parent) - 1, -1, -1):
        first = 1 + i * width
        least = onwards[first]
        for j in range(1, count[i]):
            least = min(least, onwards[first + j])
        chosen = 0
        while onwards[first + chosen] > least + tolerance:
            chosen += 1
        policy[i, chosen] = 1.0
        worth = eps * onwards[first + chosen]
        for j in range(count[i]):
            worth += (1 - eps) * benign[i, j] * onwards[first + j]
        onwards[parent[i]] += worth
    return policy, onwards[0]


@njit(cache=True)
def _action_values(parent, count, policy, own, other, value, plan):
    """Z(I, a), float64 [I, A]: counterfactual values of an agent's actions when it goes on with `policy`."""
    width = policy.shape[1]
    onwards = _against(1 + policy.size, own, other, value, plan)
    values = np.zeros_like(policy)
    for i in range(len(parent) - 1, -1, -1):
        worth = 0.0
        for j in range(count[i]):
            values[i, j] = onwards[1 + i * width + j]
            worth += policy[i, j] * values[i, j]
        onwards[parent[i]] += worth
    return values


def _sequences(tree: Tree, players: tuple[int, ...]) -> tuple[Sequences, np.ndarray, np.ndarray]:
    """The sequences of one player or a team, the last one before each node [N], and each set's player and row."""
    width = max(int(tree.infosets[player].count.max(initial=1)) for player in players)
    last = np.zeros(len(tree.actor), np.int64)
    row = np.full(len(tree.actor), -1, np.int64)
    numbers: dict[tuple[int, ...], int] = {}
    parents: list[int] = []
    if len(players) == 1:
        # One player's sets keep the game's own numbers, which a policy file's rows have.
        numbers = {(players[0], i): i for i in range(len(tree.infosets[players[0]].keys))}
        parents = [-1] * len(numbers)
    for begin, end in zip(tree.level[:-1], tree.level[1:], strict=True):
        nodes = np.arange(begin, end)
        if begin:
            parent = tree.parent[nodes]
            chosen = 1 + row[parent] * width + (nodes - tree.first_child[parent])
            last[nodes] = np.where(row[parent] >= 0, chosen, last[parent])
        moving = nodes[np.isin(tree.actor[nodes], players)]
        seen = np.stack([tree.actor[moving], tree.infoset[moving], last[moving]], axis=1).astype(np.int64)
        distinct, inverse = np.unique(seen, axis=0, return_inverse=True)
        found = np.empty(len(distinct), np.int64)
        for k, (player, infoset, before) in enumerate(distinct.tolist()):
            key = (player, infoset) if len(players) == 1 else (player, infoset, before)
            found[k] = numbers.setdefault(key, len(numbers))
            if found[k] == len(parents):
                parents.append(before)
            if parents[found[k]] not in (-1, before):
                raise InputError(
                    f"{tree.id}: player {player} has imperfect recall: it can reach "
                    f"{tree.infosets[player].keys[infoset]!r} after different choices of its own"
                )
            parents[found[k]] = before
        row[moving] = found[inverse.ravel()]
    rows = np.array(list(numbers), np.int64).reshape(len(numbers), -1)[:, :2]
    counts = np.array([tree.infosets[player].count[infoset] for player, infoset in rows], np.int64)
    return Sequences(np.array(parents, np.int64), counts, width), last, rows


def _weights(tree: Tree, fixed: Mapping[int, np.ndarray]) -> np.ndarray:
    """The probability [N] that chance and the fixed players contribute to reaching each node."""
    edge = tree.chance.copy()
    for player, table in fixed.items():
        after = np.flatnonzero(tree.actor[tree.parent] == player)
        after = after[after > 0]  # the root's parent is -1
        parent = tree.parent[after]
        edge[after] = table[tree.infoset[parent], after - tree.first_child[parent]]
    weight = edge
    for begin, end in zip(tree.level[1:-1], tree.level[2:], strict=True):
        weight[begin:end] *= weight[tree.parent[begin:end]]
    return weight


def _payoffs(tree: Tree, victim: int, nodes: Nodes, size: int) -> Payoffs:
    leaves = np.flatnonzero((tree.actor == TERMINAL) & (nodes.weight > 0) & (tree.returns[:, victim] != 0))
    pair = nodes.victim[leaves] * size + nodes.attacker[leaves]
    distinct, inverse = np.unique(pair, return_inverse=True)
    value = np.bincount(inverse, nodes.weight[leaves] * tree.returns[leaves, victim], len(distinct))
    return Payoffs(*np.divmod(distinct, size), value)


def _table(tree: Tree, player: int, policy: np.ndarray | None) -> np.ndarray:
    count = tree.infosets[player].count
    return uniform(count) if policy is None else fitting(policy, count, f"{tree.id}: policy of player {player}")
