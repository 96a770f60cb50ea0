"""One training loop, many methods.

A round plays T steps of B matches with every agent's policy of the moment, then each learning side updates on what its
agent saw. What a method is lies in its arguments: who learns and how often (`Side`), and who plays whom (`play`).
An attack on a frozen victim has one side; self-play has one side whose opponent is drawn from its snapshots;
adversarial training has two, and the timescale ratio is the ratio of their learning rates or of their `every`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import jax
import numpy as np

from sparring.errors import InputError, unknown
from sparring.policy import MixedPolicy, Policy
from sparring.rollout import RolloutState, rollout, start
from sparring.types import (
    NO_WINNER,
    AgentID,
    Array,
    Experience,
    Game,
    Learner,
    LearnerState,
    Metrics,
    Trajectory,
    VectorGame,
)

Goal = Literal["victim", "outcome"]
T = TypeVar("T")


@dataclass(frozen=True)
class Reward:
    """What a learning agent maximises.

    `victim`: minus the victim's reward (Eq. 3.1), times `scale`. `outcome`: 1 for a win, -1 for a loss and `draw` for a
    match without a winner, each at its end. To either, `shaping` adds weighted terms of the game's `info`, annealed
    linearly to nothing over `shaping_steps` steps, so that what is learned in the end is the bare goal.
    """

    goal: Goal = "outcome"
    scale: float = 1.0
    draw: float = 0.0
    shaping: Mapping[str, float] = field(default_factory=dict)
    shaping_steps: int = 0

    def __post_init__(self) -> None:
        if self.goal not in get_args(Goal):
            raise unknown("goal", self.goal, get_args(Goal))


class Opponents(NamedTuple):
    """What `play` may choose from: the policies of the moment, and each side's snapshots, oldest first."""

    current: Mapping[AgentID, Policy]
    snapshots: Mapping[AgentID, Sequence[Policy]]
    steps: int  # taken so far, of all matches together


Play = Callable[[Opponents, np.random.Generator], Mapping[AgentID, Policy]]


@dataclass(frozen=True)
class Side:
    """One learning agent: it updates in every `every`-th round and keeps a snapshot every `snapshot_every` rounds.

    `twin` is another agent with the same spaces: in rounds in which it plays with the policy that learns, its steps are
    learned from too.
    """

    learner: Learner
    reward: Reward
    victim: AgentID  # whose reward `goal="victim"` turns around
    every: int = 1
    snapshot_every: int = 0  # 0: none
    max_snapshots: int = 32
    twin: AgentID | None = None


class TrainState(NamedTuple):
    """Everything that decides how training goes on: a pytree of arrays, besides the last round's records."""

    learners: Mapping[AgentID, LearnerState]
    snapshots: Mapping[AgentID, tuple[Policy, ...]]  # immutable networks: they cannot follow the live weights
    rollout: RolloutState
    game: Mapping[str, np.ndarray] | None  # a vector game's own state; None if it cannot be saved
    round: int
    steps: int
    metrics: Mapping[AgentID, Metrics]
    trajectory: Trajectory | None


def train(
    game: Game,
    sides: Mapping[AgentID, Side],
    play: Play,
    seed: int,
    steps_per_round: int,
    state: TrainState | None = None,
) -> Iterator[TrainState]:
    """Train forever; the caller stops when it has seen enough.

    Each round draws from a generator of its own, seeded by `seed` and the round's number, so that training resumed
    from a yielded state is bit for bit the uninterrupted one.

    Args:
      game: B matches.
      sides: who learns.
      play: everybody's policy for the next round.
      seed: of all randomness.
      steps_per_round: T; a round takes T * B steps.
      state: where to go on; None begins anew.

    Raises:
      InputError: a weighted shaping term that the game does not report, or a policy that misbehaves (see `rollout`).
    """
    state = initial_state(game, sides, play, seed) if state is None else _restored(game, state)
    learners, snapshots, played = dict(state.learners), dict(state.snapshots), state.rollout
    round_, steps = state.round, state.steps
    while True:
        rng = _round_rng(seed, round_)
        policies = play(_opponents(sides, learners, snapshots, steps), rng)
        seats = {agent: _seats(agent, side, policies) for agent, side in sides.items()}
        record = tuple(dict.fromkeys(seat for taken in seats.values() for seat in taken))
        trajectory, played = rollout(game, policies, steps_per_round, rng, played, record)
        steps += steps_per_round * game.num_games
        metrics = {}
        for agent, side in sides.items():
            if round_ % side.every == 0:
                experience = joined(
                    [
                        trajectory.agents[seat]._replace(reward=reward_of(trajectory, game, seat, seen_from, steps))
                        for seat, seen_from in seats[agent].items()
                    ]
                )
                key = rng.integers(0, 2**32, 2, np.uint32)
                learners[agent], metrics[agent] = side.learner.update(learners[agent], experience, key)
            if side.snapshot_every and (round_ + 1) % side.snapshot_every == 0:
                snapshots[agent] = thinned(
                    (*snapshots[agent], side.learner.policy(learners[agent])), side.max_snapshots
                )
        round_ += 1
        yield TrainState(dict(learners), dict(snapshots), played, _matches(game), round_, steps, metrics, trajectory)


def initial_state(game: Game, sides: Mapping[AgentID, Side], play: Play, seed: int) -> TrainState:
    """The state before the first round."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    learners = {a: s.learner.init(game.spaces[a], rng.integers(0, 2**32, 2, np.uint32)) for a, s in sides.items()}
    snapshots: dict[AgentID, tuple[Policy, ...]] = {agent: () for agent in sides}
    policies = play(_opponents(sides, learners, snapshots, 0), _round_rng(seed, 0))
    played = start(game, policies, rng)
    return TrainState(learners, snapshots, played, _matches(game), 0, 0, {}, None)


def joined(experiences: Sequence[Experience]) -> Experience:
    """The matches of several records of T steps as one record: B is the sum of theirs."""
    if len(experiences) == 1:
        return experiences[0]
    over_time = [e._replace(last_value=(), policy_state=()) for e in experiences]
    at_ends = [(e.last_value, e.policy_state) for e in experiences]
    whole: Experience = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *over_time)
    last_value, policy_state = jax.tree.map(lambda *x: np.concatenate(x, axis=0), *at_ends)
    return whole._replace(last_value=last_value, policy_state=policy_state)


def reward_of(trajectory: Trajectory, game: Game, agent: AgentID, side: Side, steps: int) -> Array:
    """The reward [T, B] of an agent that a side learns from, after `steps` steps of training."""
    config = side.reward
    if config.goal == "victim":
        reward = -config.scale * trajectory.reward[side.victim]
    else:
        own = game.agents.index(agent)
        won, lost = trajectory.winner == own, (trajectory.winner != own) & (trajectory.winner != NO_WINNER)
        drawn = (trajectory.terminated | trajectory.truncated) & (trajectory.winner == NO_WINNER)
        reward = 1.0 * won - 1.0 * lost + config.draw * drawn
    weight = annealed(steps, config.shaping_steps)
    for name, coefficient in config.shaping.items():
        if name not in trajectory.info:
            raise unknown("shaping term", name, trajectory.info)
        if weight:
            reward = reward + weight * coefficient * trajectory.info[name][agent]
    return reward.astype(np.float32)


def saved_part(state: TrainState) -> Any:
    """The pytree of arrays to be checkpointed; `with_saved` is its inverse.

    Raises:
      InputError: the game cannot be saved.
    """
    if state.game is None:
        raise InputError("checkpoint: this game's matches cannot be saved, so its training cannot be resumed")
    return {
        "learners": dict(state.learners),
        "snapshots": dict(state.snapshots),
        "rollout": state.rollout,
        "game": dict(state.game),
        "clock": np.array([state.round, state.steps], np.int64),
    }


def with_saved(
    template: TrainState,
    sides: Mapping[AgentID, Side],
    num_snapshots: Mapping[AgentID, int],
    load: Callable[[Any], Any],
) -> TrainState:
    """The state whose arrays `load` reads, given a tree of the same structure.

    Args:
      template: `initial_state` of the same training.
      sides: its sides.
      num_snapshots: how many snapshots of each side were saved.
      load: from a tree with the right structure, shapes and dtypes to the saved one.
    """
    snapshots = {a: (side.learner.policy(template.learners[a]),) * num_snapshots[a] for a, side in sides.items()}
    saved = load(saved_part(template._replace(snapshots=snapshots)))
    round_, steps = (int(x) for x in saved["clock"])
    return TrainState(saved["learners"], saved["snapshots"], saved["rollout"], saved["game"], round_, steps, {}, None)


def _seats(agent: AgentID, side: Side, policies: Mapping[AgentID, Policy]) -> dict[AgentID, Side]:
    """The agents that a side learns from in a round with these policies, and the side as each of them sees it."""
    seats = {agent: side}
    if side.twin is not None:
        twin = policies[side.twin]
        while isinstance(twin, MixedPolicy):
            twin = twin.adversarial
        if twin is policies[agent]:
            seats[side.twin] = replace(side, victim=agent) if side.victim == side.twin else side
    return seats


def _opponents(
    sides: Mapping[AgentID, Side],
    learners: Mapping[AgentID, LearnerState],
    snapshots: Mapping[AgentID, Sequence[Policy]],
    steps: int,
) -> Opponents:
    return Opponents({a: s.learner.policy(learners[a]) for a, s in sides.items()}, snapshots, steps)


def _restored(game: Game, state: TrainState) -> TrainState:
    if isinstance(game, VectorGame):
        if state.game is None:
            raise InputError(f"{game.id}: its matches were not saved, so training cannot go on from this state")
        observation = game.set_state(state.game)
        for agent, seen in observation.items():
            if not np.array_equal(seen, np.asarray(state.rollout.observation[agent]), equal_nan=True):
                raise InputError(f"checkpoint: {agent}'s observation differs from the saved one; was it another game?")
    return state


def _matches(game: Game) -> dict[str, np.ndarray] | None:
    if not isinstance(game, VectorGame):
        return {}
    try:
        return game.get_state()
    except InputError:
        return None  # such games can be trained in all the same


def _round_rng(seed: int, round_: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(round_,)))


def thinned(snapshots: tuple[T, ...], most: int) -> tuple[T, ...]:
    """At most `most` snapshots: beyond that, every second of the older ones goes, so that the span is kept."""
    if len(snapshots) <= most:
        return snapshots
    return (*snapshots[:-1:2], snapshots[-1])[-most:]


def annealed(steps: int, over: int) -> float:
    """From 1 to 0, linearly over so many steps; 0 where `over` is 0."""
    return max(0.0, 1.0 - steps / over) if over else 0.0
