"""`evaluate`: complete matches, counted over a rollout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.nets.encoders import flat
from sparring.play.deciding import Policies
from sparring.play.rollout import rollout, start
from sparring.types import AgentID, Game, Outcomes, States, Trajectory, VectorGame

HOST_CHUNK, SCAN_CHUNK = 8, 64  # steps between two looks at what has ended


def evaluate(
    game: Game,
    policies: Policies,
    episodes: int,
    rng: np.random.Generator,
    on_progress: Callable[[int], None] | None = None,
    watch: Sequence[AgentID] = (),
    states: int = 0,
) -> Outcomes:
    """Play `episodes` complete matches, dealt to the B slots beforehand.

    Each slot plays its share one after the other and all of them count. Taking the first `episodes` to finish instead
    would favour short matches.

    Args:
      game: B matches; more slots than episodes are an error.
      policies: one for every agent.
      episodes: n.
      rng: as for `rollout`.
      on_progress: called with the number of finished matches whenever some have.
      watch: agents of whose observations a sample is kept.
      states: the size of that sample: so many steps of valid matches, drawn uniformly, or all if there are fewer.

    Raises:
      InputError: as for `rollout`, or `episodes` is less than the number of slots.
    """
    slots = game.num_games
    if episodes < slots:
        raise InputError(f"episodes: expected at least one for each of the {slots} slots, got {episodes}")
    tally = _Tally(game, episodes)
    samples = {agent: _Sample(states, rng.spawn(1)[0]) for agent in watch if states}
    chunk = HOST_CHUNK if isinstance(game, VectorGame) else SCAN_CHUNK
    state, steps = start(game, policies, rng), 0
    while not tally.done:
        trajectory, state = rollout(game, policies, chunk, rng, state, watch=tuple(samples), before=steps)
        steps += chunk
        finished = tally.played.sum()
        rows = tally.add(trajectory)
        for agent, sample in samples.items():
            sample.add(game.spaces[agent].observation, trajectory.seen[agent], *rows, tally.out)
        if on_progress is not None and tally.played.sum() > finished:
            on_progress(int(tally.played.sum()))
    return tally.out._replace(states={agent: sample.result() for agent, sample in samples.items()})


class _Tally:
    """Which match each slot plays, and what became of those that ended."""

    def __init__(self, game: Game, episodes: int) -> None:
        slots = game.num_games
        self.agents = game.agents
        self.quota = np.full(slots, episodes // slots) + (np.arange(slots) < episodes % slots)
        self.offset = np.concatenate([[0], np.cumsum(self.quota)[:-1]])
        self.played = np.zeros(slots, int)
        self.steps = np.zeros(slots, np.int32)
        self.running = {agent: np.zeros(slots) for agent in game.agents}
        self.out = Outcomes(
            {agent: np.zeros(episodes, np.int8) for agent in game.agents},
            np.zeros(episodes, np.int32),
            np.zeros(episodes, bool),
            {agent: np.zeros(episodes) for agent in game.agents},
            {},
        )

    @property
    def done(self) -> bool:
        return bool((self.played >= self.quota).all())

    def add(self, trajectory: Trajectory) -> tuple[np.ndarray, np.ndarray]:
        """Count T steps; for each of them the match (-1: beyond its slot's share) and the step in it, int [T, B]."""
        terminated, truncated, invalid = (
            np.asarray(getattr(trajectory, name)) for name in ("terminated", "truncated", "invalid")
        )
        reward = {agent: np.asarray(trajectory.reward[agent]) for agent in self.agents}
        outcome = None if trajectory.outcome is None else {a: np.asarray(x) for a, x in trajectory.outcome.items()}
        if outcome is None:
            self.out = self.out._replace(outcome=None)
        over = terminated | truncated | invalid
        match, number = np.full(over.shape, -1, np.int64), np.zeros(over.shape, np.int64)
        for t in range(len(over)):
            counts = self.played < self.quota
            match[t] = np.where(counts, self.offset + self.played, -1)
            number[t] = self.steps
            self.steps += 1
            for agent, total in self.running.items():
                total += reward[agent][t]
            ended = np.flatnonzero(over[t])
            if not len(ended):
                continue
            kept = ended[counts[ended]]
            rows = match[t][kept]
            self.out.length[rows], self.out.invalid[rows] = self.steps[kept], invalid[t][kept]
            for agent, total in self.running.items():
                self.out.returns[agent][rows] = total[kept]
                total[ended] = 0.0
                if outcome is not None and self.out.outcome is not None:
                    self.out.outcome[agent][rows] = outcome[agent][t][kept]
            self.played[kept] += 1
            self.steps[ended] = 0
        return match, number


class _Sample:
    """A uniform sample of the steps of valid matches: every step gets a random number, those with the smallest count.

    The steps of matches that still go on wait until it is known whether the match is valid; of the others no more than
    the sample's size are kept.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size, self.rng = size, rng
        self.limit = np.inf  # a step with a larger number cannot be in the sample any more
        self.rank = np.zeros(0)
        self.match, self.step = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.rows: np.ndarray | None = None

    def add(self, space: Any, observation: Any, match: np.ndarray, step: np.ndarray, out: Outcomes) -> None:
        """T steps [T, B] of the matches that `match` numbers (-1: of none), of which `out` tells those that ended."""
        rank = self.rng.random(match.shape)
        t, b = np.nonzero((match >= 0) & (rank < self.limit))
        rows = flat(space, _picked(observation, t, b))
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


def _picked(tree: Any, t: np.ndarray, b: np.ndarray) -> Any:
    if isinstance(tree, dict):
        return {name: _picked(part, t, b) for name, part in tree.items()}
    return np.asarray(tree)[t, b]
