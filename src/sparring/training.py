"""One training loop, many methods.

A round plays T steps of B matches with every agent's policy of the moment, then each learning side updates on what its
agents saw. A `Method` is data: who learns, how often and for what (`Side`), and who plays whom (`play`).
An attack on a frozen victim has one side for each attacker; self-play has one side that learns from both seats;
adversarial training has two, and the timescale ratio is the ratio of their learning rates or of their `every`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.errors import InputError, unknown
from sparring.learners.replicas import Replicas
from sparring.mixture import MixedState
from sparring.nets.encoders import flat
from sparring.play.calls import restored
from sparring.play.calls import saved as saved_state
from sparring.play.plateau import Plateau, Waited, fresh, waited
from sparring.play.rollout import RolloutState, rollout, start
from sparring.policies import PoolPolicy, PoolState, stacked
from sparring.types import (
    AgentID,
    Array,
    Experience,
    Game,
    Learner,
    LearnerState,
    Metrics,
    Policy,
    Seen,
    ThreatModel,
    Trajectory,
    VectorGame,
)


@dataclass(frozen=True)
class Reward:
    """What a learning agent maximises: a weighted sum of all agents' rewards, and of what it is worth to win.

    An attacker of Eq. 3.1 has `weights={victim: -1}`, a victim `{victim: 1}`, a self-interested agent `{itself: 1}`.
    `own` is such a weight of whoever learns, where several do: attackers who look after themselves (DECISIONS 31).
    `outcome` is paid for a win and taken for a loss of its own, `draw` is paid for a draw, each at the match's end.
    `shaping` adds weighted terms of the game's `info`, annealed linearly to nothing over `shaping_steps` steps, so that
    what is learned in the end is the bare goal.
    """

    weights: Mapping[AgentID, float] = field(default_factory=dict)
    own: float = 0.0
    outcome: float = 0.0
    draw: float = 0.0
    shaping: Mapping[str, float] = field(default_factory=dict)
    shaping_steps: int = 0


class Pool(NamedTuple):
    """A side's past policies, oldest first: immutable networks, which cannot follow the live weights (DECISIONS 23).

    Each has a number of its own for ever, by which a match remembers its opponent.
    """

    numbers: tuple[int, ...] = ()
    policies: tuple[Policy, ...] = ()


class Opponents(NamedTuple):
    """What `play` may choose from: each side's policy of the moment, and its past ones."""

    current: Mapping[str, Policy]
    past: Mapping[str, Pool]
    steps: int  # taken so far, of all matches together


Play = Callable[[Opponents], Mapping[AgentID, Policy]]


@dataclass(frozen=True)
class Side:
    """One learner, and the agents that play with its policy and that it learns from.

    It updates in the rounds r with r % `every` == `phase`: there is one clock for everybody. Sides that take turns have
    the same `every` and different phases. One that `waits` updates when it is due instead, and its metrics then say
    what it had seen: `waited` rounds, and the others' `gain` with its standard `error`, where there were enough scores.
    A snapshot of its policy is kept every `snapshot_every` rounds.

    Raises:
      InputError: never updates, or a phase that never comes.
    """

    learner: Learner
    reward: Reward
    seats: tuple[AgentID, ...]
    every: int = 1
    phase: int = 0
    snapshot_every: int = 0  # 0: none
    max_snapshots: int = 32
    waits: Plateau | None = None
    watch: tuple[AgentID, ...] = ()  # agents whose observations the learner is shown besides

    def __post_init__(self) -> None:
        if self.every < 1 or not 0 <= self.phase < self.every:
            raise InputError(
                f"a side's every and phase: expected 0 <= phase < every, got phase {self.phase} and every {self.every}"
            )
        if not self.seats:
            raise InputError("a side needs at least one agent to learn from")
        if self.waits and self.every > 1:
            raise InputError(f"a side that waits for a plateau has no clock, got every {self.every}")


class Method(NamedTuple):
    """A method of attack or defence, as data."""

    sides: Mapping[str, Side]
    play: Play
    steps_per_round: int  # T; a round takes T * B steps


class TrainState(NamedTuple):
    """Everything that decides how training goes on, besides a vector game's own state and the last round's records."""

    learners: Mapping[str, LearnerState]
    past: Mapping[str, Pool]
    rollout: RolloutState
    round: int
    steps: int
    metrics: Mapping[str, Metrics]
    trajectory: Trajectory | None
    waiting: Mapping[str, Waited] = {}  # of the sides that wait


def train(game: Game, method: Method, seed: int, state: TrainState | None = None) -> Iterator[TrainState]:
    """Train forever; the caller stops when it has seen enough.

    Each round draws from a generator of its own, seeded by `seed` and the round's number, so that training resumed
    from a yielded state is bit for bit the uninterrupted one.

    Args:
      game: B matches. When going on, a vector game has been put back with `set_state` (see `with_saved`).
      method: who learns and who plays whom.
      seed: of all randomness.
      state: where to go on; None begins anew.

    Raises:
      InputError: a side's agents do not fit each other or the game, a weighted shaping term that the game does not
        report, an outcome as a goal in a game without winners, or a policy that misbehaves (see `rollout`).
    """
    state = initial_state(game, method, seed) if state is None else state
    learners, past, played, waiting = dict(state.learners), dict(state.past), state.rollout, dict(state.waiting)
    round_, steps = state.round, state.steps
    record = tuple(dict.fromkeys(seat for side in method.sides.values() for seat in side.seats))
    watch = tuple(dict.fromkeys(agent for side in method.sides.values() for agent in side.watch))
    while True:
        rng = _round_rng(seed, round_)
        policies = method.play(_opponents(method, learners, past, steps))
        length = method.steps_per_round
        trajectory, played = rollout(game, policies, length, rng, played, record, watch, round_ * length, bool(watch))
        steps += method.steps_per_round * game.num_games
        metrics = {}
        for name, side in method.sides.items():
            due, evidence = round_ % side.every == side.phase, {}
            if side.waits is not None:
                own = sum(reward_of(trajectory, seat, side.reward, steps) for seat in side.seats)
                over = trajectory.terminated | trajectory.truncated
                waiting[name], due, evidence = waited(waiting[name], side.waits, own, over, trajectory.invalid)
            if due:
                seen = _seen(game, trajectory, side.watch)
                experience = joined(
                    [
                        trajectory.agents[seat]._replace(
                            reward=reward_of(trajectory, seat, side.reward, steps), seen=seen
                        )
                        for seat in side.seats
                    ]
                )
                key = rng.integers(0, 2**32, 2, np.uint32)
                learners[name], found = side.learner.update(learners[name], experience, key)
                metrics[name] = {**found, **evidence}
            if side.snapshot_every and (round_ + 1) % side.snapshot_every == 0:
                past[name] = _grown(past[name], side, learners[name], round_, played)
        round_ += 1
        yield TrainState(dict(learners), dict(past), played, round_, steps, metrics, trajectory, dict(waiting))


def _seen(game: Game, trajectory: Trajectory, watch: Sequence[AgentID]) -> Seen | None:
    if not watch:
        return None
    seen = jax.tree.map(np.asarray, {agent: trajectory.seen[agent] for agent in watch})
    rows = [flat(game.spaces[agent].observation, seen[agent]) for agent in watch]
    each = [trajectory.acts[agent].moves for agent in watch]
    shape = np.shape(trajectory.terminated)
    moves = (
        np.ones(shape, bool)
        if any(one is None for one in each)
        else np.logical_or.reduce([np.asarray(one) for one in each])
    )
    return Seen(np.concatenate(rows, -1), moves)


def initial_state(game: Game, method: Method, seed: int) -> TrainState:
    """The state before the first round."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    for name, side in method.sides.items():
        if strange := [seat for seat in side.seats if seat not in game.agents]:
            raise unknown(f"agent of {game.id}", strange[0], game.agents)
        if different := [seat for seat in side.seats if game.spaces[seat] != game.spaces[side.seats[0]]]:
            raise InputError(f"{game.id}: {name} learns from {side.seats[0]} and {different[0]}, whose spaces differ")
    learners = {
        name: side.learner.init(game.spaces[side.seats[0]], rng.integers(0, 2**32, 2, np.uint32))
        for name, side in method.sides.items()
    }
    past = {name: Pool() for name in method.sides}
    played = start(game, method.play(_opponents(method, learners, past, 0)), rng)
    waiting = {name: fresh(side.waits, game.num_games) for name, side in method.sides.items() if side.waits}
    return TrainState(learners, past, played, 0, 0, {}, None, waiting)


def check_cast(game: Game, threat: ThreatModel) -> None:
    """Refuse a threat whose agents are not those of the game.

    Raises:
      InputError: an agent that the game does not have, or one of whom nobody says what it plays.
    """
    cast = (*threat.victims, *threat.attackers, *(threat.others or {}))
    if strange := [agent for agent in cast if agent not in game.agents]:
        raise unknown(f"agent of {game.id}", strange[0], game.agents)
    if unnamed := [agent for agent in game.agents if agent not in cast]:
        raise InputError(
            f"{game.id}: nobody says what {unnamed[0]} plays: it is neither victim nor attacker, nor one of the others"
        )


def pooled(live: Policy, pool: Pool, probability: Array) -> Policy:
    """The policy of the moment or one of its past, drawn for each match (DECISIONS 28).

    Args:
      live: the policy of the moment; of replicas each one meets its own past.
      pool: its past; empty: the policy of the moment always plays.
      probability: of a past one, float [B], for each slot.
    """
    policies, numbers = pool.policies or (live,), pool.numbers or (0,)
    # Padded to a power of two, so that a growing pool is compiled a few times only.
    size = 1 << (len(policies) - 1).bit_length()
    padded = (*policies, *(policies[-1],) * (size - len(policies)))
    ids = np.array([*numbers, *(numbers[-1],) * (size - len(numbers))], np.int32)
    past, count, probability = _stacked(padded), np.int32(len(pool.policies)), np.asarray(probability, np.float32)
    if not isinstance(live, Replicas):
        return PoolPolicy(live, past, ids, count, probability)
    n = live.n
    own = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0) if eqx.is_array(x) else x, past.policies)
    each = (np.tile(ids, (n, 1)), np.full(n, count), probability.reshape(n, -1))
    return Replicas(PoolPolicy(live.policies, own, *each), n)


_stacked = eqx.filter_jit(stacked)


def joined(experiences: Sequence[Experience]) -> Experience:
    """The matches of several records of T steps as one record: B is the sum of theirs."""
    if len(experiences) == 1:
        return experiences[0]
    over_time = [e._replace(last_value=(), policy_state=()) for e in experiences]
    at_ends = [(e.last_value, e.policy_state) for e in experiences]
    whole: Experience = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *over_time)
    last_value, policy_state = jax.tree.map(lambda *x: jnp.concatenate(x, axis=0), *at_ends)
    return whole._replace(last_value=last_value, policy_state=policy_state)


def reward_of(trajectory: Trajectory, agent: AgentID, reward: Reward, steps: int) -> Array:
    """The reward [T, B] that an agent learns from, after `steps` steps of training.

    Raises:
      InputError: a weight of an agent or a shaping term that there is not, or an outcome where nobody wins.
    """
    total: Any = np.zeros(np.shape(trajectory.terminated), np.float32)
    for other, weight in reward.weights.items():
        if other not in trajectory.reward:
            raise unknown("agent with a weight in the reward", other, trajectory.reward)
        total = total + weight * trajectory.reward[other]
    if reward.own:
        total = total + reward.own * trajectory.reward[agent]
    if reward.outcome or reward.draw:
        if trajectory.outcome is None:
            raise InputError("reward: this game has no winners, so there is no outcome to learn from: use victim")
        own = trajectory.outcome[agent]
        drawn = (trajectory.terminated | trajectory.truncated) & (own == 0)
        total = total + reward.outcome * own + reward.draw * drawn
    weight = annealed(steps, reward.shaping_steps)
    for name, coefficient in reward.shaping.items():
        if name not in trajectory.info:
            raise unknown("shaping term", name, trajectory.info)
        if weight:
            total = total + weight * coefficient * trajectory.info[name][agent]
    return total.astype(np.float32)


def saved_part(state: TrainState, game: Game) -> Any:
    """The pytree of arrays to be checkpointed, right after `state` was yielded; `with_saved` is its inverse.

    Raises:
      NoState: the game cannot be saved.
      InputError: its code fails.
    """
    return {
        "learners": dict(state.learners),
        "past": {name: pool.policies for name, pool in state.past.items()},
        "numbers": {name: np.array(pool.numbers, np.int64) for name, pool in state.past.items()},
        "rollout": state.rollout,
        "waiting": dict(state.waiting),
        "game": saved_state(game) if isinstance(game, VectorGame) else {},
        "clock": np.array([state.round, state.steps], np.int64),
    }


def with_saved(
    template: TrainState,
    game: Game,
    method: Method,
    num_snapshots: Mapping[str, int],
    load: Callable[[Any], Any],
) -> TrainState:
    """The state whose arrays `load` reads, given a tree of the same structure; the game is put back to that moment.

    Args:
      template: `initial_state` of the same training.
      game: the game of the training, new.
      method: its method.
      num_snapshots: how many snapshots of each side were saved.
      load: from a tree with the right structure, shapes and dtypes to the saved one.

    Raises:
      InputError: the game's matches are not those that were saved.
    """
    past = {
        name: Pool((0,) * num_snapshots[name], (side.learner.policy(template.learners[name]),) * num_snapshots[name])
        for name, side in method.sides.items()
    }
    saved = load(saved_part(template._replace(past=past), game))
    round_, steps = (int(x) for x in saved["clock"])
    pools = {
        name: Pool(tuple(int(n) for n in saved["numbers"][name]), tuple(saved["past"][name])) for name in method.sides
    }
    if isinstance(game, VectorGame):
        _check_views(game, restored(game, saved["game"]), saved["rollout"])
    return TrainState(saved["learners"], pools, saved["rollout"], round_, steps, {}, None, saved["waiting"])


def _check_views(game: VectorGame, views: Mapping[AgentID, Any], saved: RolloutState) -> None:
    for agent, view in views.items():
        ours, theirs = (jax.tree.leaves(v.observation) for v in (view, saved.views[agent]))
        if not all(np.array_equal(x, np.asarray(y), equal_nan=True) for x, y in zip(ours, theirs, strict=True)):
            raise InputError(f"checkpoint: {game.id} shows {agent} something else than it did; was it another game?")


def _opponents(method: Method, learners: Mapping[str, LearnerState], past: Mapping[str, Pool], steps: int) -> Opponents:
    return Opponents({name: s.learner.policy(learners[name]) for name, s in method.sides.items()}, past, steps)


def _grown(pool: Pool, side: Side, learner: LearnerState, round_: int, played: RolloutState) -> Pool:
    """The pool with the policy of the moment; of too many, every second of the older ones goes.

    A policy that a match still plays against stays until that match has ended.
    """
    numbers, policies = (*pool.numbers, round_), (*pool.policies, side.learner.policy(learner))
    if len(numbers) > side.max_snapshots:
        busy = _in_use(played.policy)
        last = len(numbers) - 1
        kept = [i for i, number in enumerate(numbers) if i % 2 == 0 or i == last or number in busy]
        # Where many are in use, the oldest idle ones make room as well.
        idle = [i for i in kept if numbers[i] not in busy and i != last]
        surplus = set(idle[: max(len(kept) - side.max_snapshots, 0)])
        kept = [i for i in kept if i not in surplus]
        numbers, policies = tuple(numbers[i] for i in kept), tuple(policies[i] for i in kept)
    return Pool(numbers, policies)


def _in_use(states: Any) -> set[int]:
    """The numbers of all past policies that some match has drawn, in any agent's state."""
    if isinstance(states, Mapping):
        return set().union(*(_in_use(state) for state in states.values()))
    if isinstance(states, MixedState):
        return _in_use(states.benign) | _in_use(states.adversarial)
    return set(np.asarray(states.drawn).tolist()) if isinstance(states, PoolState) else set()


def _round_rng(seed: int, round_: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(round_,)))


def annealed(steps: int, over: int) -> float:
    """From 1 to 0, linearly over so many steps; 0 where `over` is 0."""
    return max(0.0, 1.0 - steps / over) if over else 0.0
