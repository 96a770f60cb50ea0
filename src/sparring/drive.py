"""Drives a training loop inside a run folder: stopping, records, checkpoints, progress; loops know nothing of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import numpy as np

from sparring import checkpoint
from sparring.console import Stopped, interruptible, progress, say
from sparring.errors import InputError, changed
from sparring.files import plain
from sparring.play.calls import NoState, restored
from sparring.play.calls import saved as saved_state
from sparring.runs import Run
from sparring.training import Method, TrainState, initial_state, saved_part, train, with_saved
from sparring.types import AgentID, Game, Trajectory, VectorGame

_BESIDE = "beside/"


class Beside(Protocol):
    """Records that grow with a training and are part of its checkpoints."""

    def arrays(self) -> Mapping[str, np.ndarray]: ...
    def meta(self) -> Mapping[str, Any]:
        """What is no array, as JSON."""
        ...

    def restore(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Go back to where `arrays` and `meta` were taken."""
        ...


def drive(
    run: Run,
    game: Game,
    method: Method,
    *,
    seed: int,
    steps: int,
    label: str,
    settings: Mapping[str, Any],
    save_every: float = 60.0,
    name: str = "",
    on_round: Callable[[TrainState], None] | None = None,
    beside: Beside | None = None,
) -> TrainState:
    """Train for (at least) `steps` steps, going on from the run's checkpoint if it has one.

    One event is written per round: steps, every agent's rewards added up, for each side what became of the matches that
    ended (in this round, against the policies that were being trained), and the learners' metrics.

    A round after which a loss or a weight is no number is taken back, once in a training: it is played and learned from
    again at half of every side's learning rate, which stays so, and its event says `halved`. A second time ends it.

    Args:
      run: holds the events and the checkpoint.
      game, method, seed: as for `train`.
      steps: of all matches together.
      label: for the progress bar.
      settings: what the training was set up with, as JSON; a checkpoint made with others is refused.
      save_every: seconds between checkpoints; when it is written does not change what is computed.
      name: marks this training's checkpoint and events within a run that trains several.
      on_round: called with the state after every round, before a checkpoint of it is written.
      beside: what `on_round` keeps, to be saved and restored together with the training.

    Raises:
      Stopped: Ctrl-C or SIGTERM; a checkpoint has been written.
      InputError: as for `train`, the checkpoint is of other settings, or losses are no numbers: the state before that
        round has been saved.
    """
    settings = plain(settings)
    saved, begun, halved = run.load(), None, False
    if saved is not None and saved[1].get("training") == name:
        _check_settings(saved[1]["settings"], settings)
        halved = bool(saved[1].get("halved"))
        begun = resumed(saved, game, method, seed)
        if beside is not None:
            beside.restore({n.removeprefix(_BESIDE): a for n, a in saved[0].items() if n.startswith(_BESIDE)}, saved[1])
    saved_at = time.monotonic()
    with progress(steps, label) as advance, interruptible() as stop:
        if begun is not None:
            advance(begun.steps)
            if begun.steps >= steps:
                return begun
        else:
            run.forget(name)  # an earlier attempt that could not be saved left them
        for state, now_halved in _finite(game, method, seed, begun, halved):
            if isinstance(state, _Broken):
                save(run, state.before, game, name, settings, beside, halved)
                raise InputError(state.message)
            assert state.trajectory is not None
            sides = {
                side: {**record_of(state.trajectory, spec.seats[0]), "metrics": _plain(state.metrics.get(side, {}))}
                for side, spec in method.sides.items()
            }
            rewards = {agent: float(np.sum(reward)) for agent, reward in state.trajectory.reward.items()}
            mended = {"halved": True} if now_halved and not halved else {}
            halved = now_halved
            run.event(training=name, steps=state.steps, rewards=rewards, sides=sides, **mended)
            if on_round is not None:
                on_round(state)
            who, record = next(iter(sides.items()))
            advance(state.steps, note=_note(f"{who} " if len(sides) > 1 else "", record))
            done = state.steps >= steps
            if done or stop() or time.monotonic() - saved_at > save_every:
                save(run, state, game, name, settings, beside, halved)
                run.progress(min(state.steps, steps), steps)
                saved_at = time.monotonic()
            if done:
                return state
            if stop():
                raise Stopped
    raise AssertionError("training is endless")


class _Broken(NamedTuple):
    """A round after which something is no number, and the state before it; the game is back there, too."""

    before: TrainState
    message: str


def _finite(
    game: Game, method: Method, seed: int, begun: TrainState | None, halved: bool
) -> Iterator[tuple[TrainState | _Broken, bool]]:
    """The states of a training as long as all is finite, and whether the learning rates are halved.

    The first round after which something is no number is repeated at half the learning rates. The next such round is
    the last: what it would have gone on from is yielded in its place.
    """
    before = initial_state(game, method, seed) if begun is None else begun
    method = _halved(method) if halved else method
    while True:
        moment, fault = _moment(game), ""
        for state in train(game, method, seed, before):
            if fault := _fault(state, before):
                break
            yield state, halved
            before, moment = state, _moment(game)
        where, advice = f"round {before.round + 1}: {fault}", "start anew at a lower learning rate"
        if isinstance(game, VectorGame):
            if moment is None:
                raise InputError(f"training, {where}; this game's state cannot be saved: {advice}")
            restored(game, moment)
        if halved or any(side.learner.halved is None for side in method.sides.values()):
            again = ", at half the learning rate as well" if halved else ""
            yield _Broken(before, f"training, {where}{again}; what was before it is saved: {advice}"), halved
            return
        say(f"{where}: the round is taken back, and training goes on at half the learning rate", sys.stderr)
        method, halved = _halved(method), True


def _moment(game: Game) -> Mapping[str, np.ndarray] | None:
    """Where a vector game is; None if it has no state of its own or cannot tell."""
    try:
        return jax.tree.map(np.array, dict(saved_state(game))) if isinstance(game, VectorGame) else None
    except NoState:
        return None


def _fault(state: TrainState, before: TrainState) -> str:
    """Which loss or weights are no numbers any more, in words; empty if all is well."""
    for name, metrics in state.metrics.items():
        for metric, value in metrics.items():
            if "loss" in metric and not np.isfinite(value).all():
                return f"{name}'s {metric} is {float(np.mean(value))}"
        if _has_nan(state.learners[name]) and not _has_nan(before.learners[name]):
            return f"{name}'s weights are no numbers"
    return ""


def _has_nan(learner: Any) -> bool:
    return any(bool(np.isnan(x).any()) for x in jax.tree.leaves(learner) if eqx.is_inexact_array_like(x))


def _halved(method: Method) -> Method:
    """The method whose sides learn half as fast, all of them alike."""
    sides = {}
    for name, side in method.sides.items():
        assert side.learner.halved is not None
        sides[name] = replace(side, learner=side.learner.halved())
    return method._replace(sides=sides)


def record_of(trajectory: Trajectory, agent: AgentID) -> dict[str, float]:
    """How the matches that ended within a trajectory ended for one agent; where nobody wins, without win and loss.

    `matches` ended in it, `invalid` were cut off, `reward` is the agent's mean reward for each step, and `length` the
    steps of all slots together.
    """
    ended = np.asarray(trajectory.terminated | trajectory.truncated)
    reward = np.asarray(trajectory.reward[agent])
    record: dict[str, float] = {"matches": int(ended.sum()), "invalid": int(np.asarray(trajectory.invalid).sum())}
    record |= {"reward": float(reward.mean()), "length": int(reward.size)}
    if trajectory.outcome is None:
        return record
    outcome = np.asarray(trajectory.outcome[agent])[ended]
    names = (("win", 1), ("draw", 0), ("loss", -1))
    return {**record, **{name: int((outcome == value).sum()) for name, value in names}}


def save(
    run: Run,
    state: TrainState,
    game: Game,
    name: str,
    settings: Mapping[str, Any],
    beside: Beside | None = None,
    halved: bool = False,
) -> None:
    """Write the run's checkpoint: the whole state of training. A game that cannot be saved leaves none."""
    try:
        part = saved_part(state, game)
    except NoState:
        return  # such games can be trained in all the same
    snapshots = {side: len(pool.policies) for side, pool in state.past.items()}
    arrays, meta = checkpoint.flatten(part), {"training": name, "snapshots": snapshots, "settings": settings}
    if halved:
        meta["halved"] = True
    if beside is not None:
        arrays |= {f"{_BESIDE}{name}": array for name, array in beside.arrays().items()}
        meta |= beside.meta()
    run.save(arrays, meta)


def resumed(
    saved: tuple[Mapping[str, np.ndarray], Mapping[str, Any]], game: Game, method: Method, seed: int
) -> TrainState:
    """The state in a checkpoint of the same training, as `checkpoint.load` reads it; the game is put back to it.

    Raises:
      InputError: it is of other settings.
    """
    arrays, meta = {n: array for n, array in saved[0].items() if not n.startswith(_BESIDE)}, saved[1]
    template = initial_state(game, method, seed)
    return with_saved(template, game, method, meta["snapshots"], lambda tree: checkpoint.unflatten(tree, arrays))


def _check_settings(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Unset options take the defaults of the version that runs, and those may have changed since."""
    if (found := changed(saved, now)) is not None:
        name, before, after = found
        raise InputError(
            f"checkpoint: {name} was {before}, but is {after} now; go on with the version that began the run, or "
            "start a new one"
        )


def _plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _note(who: str, record: Mapping[str, float]) -> str:
    matches = record["matches"]
    if "win" in record:
        return f"{who}wins {record['win'] / matches:.0%} of {matches} matches" if matches else ""
    return f"{who}mean reward {record['reward']:.4g}"
