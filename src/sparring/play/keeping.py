"""What is kept of matches while they are played: a sample of steps, or whole matches, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.metrics.windows import steps_of
from sparring.nets.encoders import flat
from sparring.types import Acts, AgentID, Outcomes, Spaces, States, Tracks, Trajectory

Observers = Mapping[AgentID, Spaces]


class Sample:
    """A uniform sample of the steps of valid matches in which an observer moves, or one of Def. 2.1.

    With a discount, step t is in the running with probability discount^t, by a coin of its own: what is drawn then is
    distributed by the discounted visitation. Every step that is in the running gets a random number; those with the
    smallest are kept. The steps of matches that still go on wait until it is known whether the match is valid; of the
    others no more than the sample's size are kept.
    """

    def __init__(self, observers: Observers, size: int, discount: float, rng: np.random.Generator) -> None:
        self.observers, self.size, self.rng = observers, size, rng
        self.discount = discount
        self.limit = np.inf  # a step with a larger number cannot be in the sample any more
        self.rank = np.zeros(0)
        self.match, self.step = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.rows: np.ndarray | None = None

    def add(self, trajectory: Trajectory, match: np.ndarray, step: np.ndarray, out: Outcomes) -> None:
        """T steps [T, B] of the matches that `match` numbers (-1: of none), of which `out` tells those that ended."""
        rank = self.rng.exponential(size=match.shape)
        running = (match >= 0) & _moves(trajectory, self.observers) & (rank < self.limit)
        if self.discount < 1:
            with np.errstate(under="ignore"):
                running &= self.rng.random(match.shape) < np.float64(self.discount) ** np.maximum(step, 0)
        t, b = np.nonzero(running)
        rows = _seen(trajectory, self.observers, t, b)
        rows = rows if self.rows is None else np.concatenate([self.rows, rows])
        rank = np.concatenate([self.rank, rank[t, b]])
        match, step = np.concatenate([self.match, match[t, b]]), np.concatenate([self.step, step[t, b]])
        ended = out.length[match] > 0
        valid = ended & ~out.invalid[match]
        if valid.sum() >= self.size:
            self.limit = np.partition(rank[valid], self.size - 1)[self.size - 1]
        kept = (valid | ~ended) & (rank <= self.limit)
        self.rank, self.match, self.step, self.rows = rank[kept], match[kept], step[kept], rows[kept]

    def result(self) -> States:
        """The sample, when all matches have ended, in the order of matches and steps."""
        assert self.rows is not None
        order = np.lexsort((self.step, self.match))
        return States(self.rows[order], self.match[order], self.step[order])


class TrackSample:
    """Whole matches, all of them, or as many, drawn uniformly, as fit into so many bytes.

    Of a match the steps are kept in which an observer moves, numbered anew: what it sees while it waits changes nothing
    of what it does.

    Every match gets a random number before it is played; if memory ends, the matches with the largest are given up.
    """

    def __init__(self, observers: Observers, most: int, matches: int, rng: np.random.Generator) -> None:
        self.observers, self.most = observers, most
        self.rank = rng.permutation(matches)
        self.limit = matches  # a match with this rank or a larger one is not kept
        self.bytes = 0
        self.parts: list[Tracks] = []
        self.invalid = np.zeros(matches, bool)

    def add(self, trajectory: Trajectory, match: np.ndarray, step: np.ndarray, out: Outcomes) -> None:
        """As `Sample.add`."""
        running = (match >= 0) & (self.rank[match] < self.limit) & _moves(trajectory, self.observers)
        t, b = np.nonzero(running)
        controlled = np.zeros(match.shape, bool)
        for acts in trajectory.acts.values():
            if acts.controlled is not None:
                controlled |= np.asarray(acts.controlled) & _moved(acts.moves)
        part = Tracks(
            _seen(trajectory, self.observers, t, b),
            np.concatenate(
                [
                    flat(spaces.action, np.asarray(trajectory.acts[a].action)[t, b])
                    for a, spaces in self.observers.items()
                ],
                -1,
            ),
            controlled[t, b],
            match[t, b],
            step[t, b],
        )
        self.parts.append(part)
        self.bytes += sum(array.nbytes for array in part)
        self.invalid = out.invalid
        if self.bytes > self.most:
            self._give_up()

    def _give_up(self) -> None:
        whole = self._joined()
        size = sum(array.itemsize * (array.size // max(len(array), 1)) for array in whole)
        by_rank = np.bincount(self.rank[whole.match], minlength=self.limit) * size
        # Three quarters, so that this is not done at every step; one match is kept in any case.
        self.limit = max(int(np.searchsorted(np.cumsum(by_rank), self.most * 3 // 4)), 1)
        kept = self.rank[whole.match] < self.limit
        self.parts = [Tracks(*(array[kept] for array in whole))]
        self.bytes = sum(array.nbytes for array in self.parts[0])

    def _joined(self) -> Tracks:
        return Tracks(*(np.concatenate(arrays) for arrays in zip(*self.parts, strict=True)))

    def result(self) -> Tracks:
        """The matches, when all have ended."""
        whole = self._joined()
        order = np.lexsort((whole.step, whole.match))
        order = order[~self.invalid[whole.match[order]]]
        found = Tracks(*(array[order] for array in whole))
        return found._replace(step=steps_of(found.match))


class Discounted:
    """What benign matches keep of the victim's discounted reward at several budgets, for `metrics.coupling`.

    It adds up (1 - gamma) gamma^t (1 - eps)^(n_t) (r_t - r_min) / (r_max - r_min), n_t being the coins of the attacked
    agents up to and with step t. A match that is cut off keeps what it had; one of broken physics nothing.
    """

    def __init__(
        self,
        victims: Sequence[AgentID],
        attackers: Sequence[AgentID],
        team: bool,
        budgets: Sequence[float],
        gamma: float,
        limits: tuple[float, float],
        matches: int,
    ) -> None:
        self.victims, self.attackers, self.team = victims, attackers, team
        self.keep = 1 - np.asarray(budgets)
        self.gamma, self.limits = gamma, limits
        self.coins = np.zeros(matches, np.int64)
        self.sums = np.zeros((len(self.keep), matches))

    def add(self, trajectory: Trajectory, match: np.ndarray, step: np.ndarray, out: Outcomes) -> None:
        """As `Sample.add`.

        Raises:
          InputError: a reward outside of the limits.
        """
        each = [np.broadcast_to(chooses(trajectory.acts[agent]), match.shape) for agent in self.attackers]
        coins = np.logical_or.reduce(each).astype(np.int64) if self.team else np.sum(each, axis=0)
        reward = np.sum([np.asarray(trajectory.reward[agent], np.float64) for agent in self.victims], axis=0)
        invalid, (low, high) = np.asarray(trajectory.invalid), self.limits
        for t in range(len(match)):
            b = np.flatnonzero((match[t] >= 0) & ~invalid[t])
            rows, unit = match[t, b], (reward[t, b] - low) / (high - low)
            if len(b) and (unit.min() < -1e-6 or unit.max() > 1 + 1e-6):
                raise InputError(
                    f"reward-range: expected every reward of the victim in [{low:g}, {high:g}], got "
                    f"{reward[t, b].min():g} to {reward[t, b].max():g}: give the least and the largest that is possible"
                )
            self.coins[rows] += coins[t, b]
            with np.errstate(under="ignore"):
                kept = self.gamma ** step[t, b] * self.keep[:, None] ** self.coins[rows]
            self.sums[:, rows] += (1 - self.gamma) * kept * np.clip(unit, 0.0, 1.0)
        self.sums[:, out.invalid] = 0.0


def chooses(acts: Acts) -> np.ndarray:
    """Whether an agent had more than one action to choose from, bool [T, B] or [] for always."""
    return _moved(acts.moves) & _moved(acts.free)


def _seen(trajectory: Trajectory, observers: Observers, t: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What the observers saw at some steps, float32 [n, D]."""
    parts = [flat(spaces.observation, _picked(trajectory.seen[a], t, b)) for a, spaces in observers.items()]
    return np.concatenate(parts, -1)


def _moves(trajectory: Trajectory, observers: Observers) -> np.ndarray:
    """Whether any observer moves, bool [T, B] or [] for always."""
    return np.logical_or.reduce([_moved(trajectory.acts[agent].moves) for agent in observers])


def _moved(moves: Any) -> np.ndarray:
    return np.array(True) if moves is None else np.asarray(moves)


def _picked(tree: Any, t: np.ndarray, b: np.ndarray) -> Any:
    if isinstance(tree, dict):
        return {name: _picked(part, t, b) for name, part in tree.items()}
    return np.asarray(tree)[t, b]
