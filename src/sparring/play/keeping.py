"""What is kept of matches while they are played: a sample of steps, or whole matches, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparring.nets.encoders import flat
from sparring.types import AgentID, Outcomes, Spaces, States, Tracks, Trajectory

Observers = Mapping[AgentID, Spaces]


class Sample:
    """A sample of the steps of valid matches in which an observer moves, drawn by weights discount^step.

    Every step gets a random number, exponential with the weight as its rate; those with the smallest are kept
    (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006). With equal weights the sample is
    uniform. The steps of matches that still go on wait until it is known whether the match is valid; of the others no
    more than the sample's size are kept.
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
        with np.errstate(over="ignore"):  # a weight may vanish
            rank = self.rng.exponential(size=match.shape) * np.float64(self.discount) ** -step
        t, b = np.nonzero((match >= 0) & _moves(trajectory, self.observers) & (rank < self.limit))
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
        t, b = np.nonzero((match >= 0) & (self.rank[match] < self.limit))
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
        return Tracks(*(array[order] for array in whole))


def _seen(trajectory: Trajectory, observers: Observers, t: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What the observers saw at some steps, float32 [n, D]."""
    parts = [flat(spaces.observation, _picked(trajectory.seen[a], t, b)) for a, spaces in observers.items()]
    return np.concatenate(parts, -1)


def _moves(trajectory: Trajectory, observers: Observers) -> np.ndarray:
    """Whether any observer moves, bool [T, B] or True."""
    moves = np.False_
    for agent in observers:
        moves = moves | _moved(trajectory.acts[agent].moves)
    return moves


def _moved(moves: Any) -> np.ndarray:
    return np.True_ if moves is None else np.asarray(moves)


def _picked(tree: Any, t: np.ndarray, b: np.ndarray) -> Any:
    if isinstance(tree, dict):
        return {name: _picked(part, t, b) for name, part in tree.items()}
    return np.asarray(tree)[t, b]
