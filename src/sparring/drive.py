"""Drives a training loop inside a run folder: stopping, records, checkpoints, progress; loops know nothing of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from sparring import checkpoint
from sparring.console import Stopped, interruptible, progress
from sparring.errors import InputError
from sparring.files import plain
from sparring.runs import Run
from sparring.training import Method, TrainState, initial_state, saved_part, train, with_saved
from sparring.types import AgentID, Game, Trajectory

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
      InputError: as for `train`, or the checkpoint is of other settings.
    """
    settings = plain(settings)
    saved, begun = run.load(), None
    if saved is not None and saved[1].get("training") == name:
        _check_settings(saved[1]["settings"], settings)
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
        for state in train(game, method, seed, begun):
            assert state.trajectory is not None
            sides = {
                side: {**record_of(state.trajectory, spec.seats[0]), "metrics": _plain(state.metrics.get(side, {}))}
                for side, spec in method.sides.items()
            }
            rewards = {agent: float(np.sum(reward)) for agent, reward in state.trajectory.reward.items()}
            run.event(training=name, steps=state.steps, rewards=rewards, sides=sides)
            if on_round is not None:
                on_round(state)
            advance(state.steps, note=_note(next(iter(sides.values()))))
            done = state.steps >= steps
            if done or stop() or time.monotonic() - saved_at > save_every:
                save(run, state, game, name, settings, beside)
                run.progress(min(state.steps, steps), steps)
                saved_at = time.monotonic()
            if done:
                return state
            if stop():
                raise Stopped
    raise AssertionError("training is endless")


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
    run: Run, state: TrainState, game: Game, name: str, settings: Mapping[str, Any], beside: Beside | None = None
) -> None:
    """Write the run's checkpoint: the whole state of training. A game that cannot be saved leaves none."""
    try:
        part = saved_part(state, game)
    except InputError:
        return  # such games can be trained in all the same
    snapshots = {side: len(pool.policies) for side, pool in state.past.items()}
    arrays, meta = checkpoint.flatten(part), {"training": name, "snapshots": snapshots, "settings": settings}
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
    for name in sorted(saved.keys() | now.keys()):
        if saved.get(name) != now.get(name):
            raise InputError(
                f"checkpoint: {name} was {saved.get(name)}, but is {now.get(name)} now; go on with the version that "
                "began the run, or start a new one"
            )


def _plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _note(record: Mapping[str, float]) -> str:
    matches = record["matches"]
    if "win" in record:
        return f"wins {record['win'] / matches:.0%} of {matches} matches" if matches else ""
    return f"mean reward {record['reward']:.4g}"
