"""`evaluate`: complete matches, counted over a rollout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sparring.errors import InputError
from sparring.play.deciding import Policies
from sparring.play.keeping import Sample, TrackSample, chooses
from sparring.play.rollout import rollout, start
from sparring.types import AgentID, Game, Outcomes, Trajectory, VectorGame

HOST_CHUNK, SCAN_CHUNK = 8, 64  # steps between two looks at what has ended
MOST_TRACKS = 128 * 2**20  # bytes of whole matches that are kept


def evaluate(
    game: Game,
    policies: Policies,
    episodes: int,
    rng: np.random.Generator,
    on_progress: Callable[[int], None] | None = None,
    watch: Sequence[AgentID] = (),
    states: int = 0,
    discount: float = 1.0,
    tracks: int = 0,
    on_steps: Callable[[Trajectory, np.ndarray, np.ndarray, Outcomes], None] | None = None,
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
      watch: the observers: what they see is kept, one's observation after the other's.
      states: the size of a sample of it: so many steps of valid matches, or all if there are fewer.
      discount: a step t is drawn into that sample with probability proportional to discount^t: 1 is the distribution
        over visited steps, the game's gamma that of Def. 2.1. Where no observer moves, nothing is drawn.
      tracks: bytes of whole matches that are kept; if they do not suffice, for matches drawn uniformly.
      on_steps: called with each part of the rollout, with the match that each step is of (-1: of none that counts) and
        its number in it, int64 [T, B], and with what is known of the matches that have ended.

    Raises:
      InputError: as for `rollout`, or `episodes` is less than the number of slots.
    """
    slots = game.num_games
    if episodes < slots:
        raise InputError(f"episodes: expected at least one for each of the {slots} slots, got {episodes}")
    tally = _Tally(game, episodes)
    observers = {agent: game.spaces[agent] for agent in watch}
    sample = Sample(observers, states, discount, rng.spawn(1)[0]) if watch and states else None
    kept = TrackSample(observers, tracks, episodes, rng.spawn(1)[0]) if watch and tracks else None
    samples = [one for one in (sample, kept) if one is not None]
    chunk = HOST_CHUNK if isinstance(game, VectorGame) else SCAN_CHUNK
    state, steps = start(game, policies, rng), 0
    while not tally.done:
        trajectory, state = rollout(
            game, policies, chunk, rng, state, watch=tuple(watch) if samples else (), before=steps, acts=True
        )
        steps += chunk
        finished = tally.played.sum()
        rows = tally.add(trajectory)
        for one in samples:
            one.add(trajectory, *rows, tally.out)
        if on_steps is not None:
            on_steps(trajectory, *rows, tally.out)
        if on_progress is not None and tally.played.sum() > finished:
            on_progress(int(tally.played.sum()))
    return tally.out._replace(
        states=None if sample is None else sample.result(), tracks=None if kept is None else kept.result()
    )


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
        self.moved = {agent: np.zeros(slots, np.int32) for agent in game.agents}
        self.out = Outcomes(
            {agent: np.zeros(episodes, np.int8) for agent in game.agents},
            np.zeros(episodes, np.int32),
            np.zeros(episodes, bool),
            {agent: np.zeros(episodes) for agent in game.agents},
            {agent: np.zeros(episodes, np.int32) for agent in game.agents},
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
        decides = {agent: np.broadcast_to(chooses(acts), over.shape) for agent, acts in trajectory.acts.items()}
        match, number = np.full(over.shape, -1, np.int64), np.zeros(over.shape, np.int64)
        for t in range(len(over)):
            counts = self.played < self.quota
            match[t] = np.where(counts, self.offset + self.played, -1)
            number[t] = self.steps
            self.steps += 1
            for agent, total in self.running.items():
                total += reward[agent][t]
            for agent, count in self.moved.items():
                count += decides[agent][t]
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
            for agent, count in self.moved.items():
                self.out.decisions[agent][rows] = count[kept]
                count[ended] = 0
            self.played[kept] += 1
            self.steps[ended] = 0
        return match, number
