"""Drives a training loop inside a run folder: stopping, records, checkpoints, progress; loops know nothing of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparring import checkpoint
from sparring.console import Stopped, interruptible, progress
from sparring.errors import InputError
from sparring.files import plain
from sparring.runs import Run
from sparring.training import Play, Side, TrainState, initial_state, saved_part, train, with_saved
from sparring.types import NO_WINNER, AgentID, Game, Trajectory


def drive(
    run: Run,
    game: Game,
    sides: Mapping[AgentID, Side],
    play: Play,
    *,
    seed: int,
    steps_per_round: int,
    steps: int,
    label: str,
    settings: Mapping[str, Any],
    save_every: float = 60.0,
    name: str = "",
) -> TrainState:
    """Train for (at least) `steps` steps, going on from the run's checkpoint if it has one.

    One event is written per round: steps, what became of the matches that ended (in this round, against the policies
    that were being trained), and the learners' metrics.

    Args:
      run: holds the events and the checkpoint.
      game, sides, play, seed, steps_per_round: as for `train`.
      steps: of all matches together.
      label: for the progress bar.
      settings: what the training was set up with, as JSON; a checkpoint made with others is refused.
      save_every: seconds between checkpoints; when it is written does not change what is computed.
      name: marks this training's checkpoint and events within a run that trains several.

    Raises:
      Stopped: Ctrl-C or SIGTERM; a checkpoint has been written.
      InputError: as for `train`, or the checkpoint is of other settings.
    """
    settings = plain(settings)
    saved, begun = run.load(), None
    if saved is not None and saved[1].get("training") == name:
        _check_settings(saved[1]["settings"], settings)
        begun = resumed(saved, game, sides, play, seed)
    agent = next(iter(sides))
    saved_at = time.monotonic()
    with progress(steps, label) as advance, interruptible() as stop:
        if begun is not None:
            advance(begun.steps)
            if begun.steps >= steps:
                return begun
        for state in train(game, sides, play, seed, steps_per_round, begun):
            assert state.trajectory is not None
            record = outcome_counts(state.trajectory, game.agents.index(agent))
            run.event(training=name, steps=state.steps, agent=agent, **record, metrics=_plain(state.metrics))
            advance(state.steps, note=_note(record))
            done = state.steps >= steps
            if done or stop() or time.monotonic() - saved_at > save_every:
                save(run, state, name, settings)
                run.progress(state.steps, steps)
                saved_at = time.monotonic()
            if done:
                return state
            if stop():
                raise Stopped
    raise AssertionError("training is endless")


def outcome_counts(trajectory: Trajectory, agent: int) -> dict[str, int]:
    """How the matches that ended within a trajectory ended for one agent."""
    ended = trajectory.terminated | trajectory.truncated
    winner = np.asarray(trajectory.winner)[np.asarray(ended)]
    won, drawn = int((winner == agent).sum()), int((winner == NO_WINNER).sum())
    counts = {"win": won, "draw": drawn, "loss": len(winner) - won - drawn}
    return {**counts, "invalid": int(np.asarray(trajectory.invalid).sum())}


def save(run: Run, state: TrainState, name: str, settings: Mapping[str, Any]) -> None:
    """Write the run's checkpoint: the whole state of training. A game that cannot be saved leaves none."""
    if state.game is None:
        return
    snapshots = {agent: len(policies) for agent, policies in state.snapshots.items()}
    run.save(checkpoint.flatten(saved_part(state)), {"training": name, "snapshots": snapshots, "settings": settings})


def resumed(
    saved: tuple[Mapping[str, np.ndarray], Mapping[str, Any]],
    game: Game,
    sides: Mapping[AgentID, Side],
    play: Play,
    seed: int,
) -> TrainState:
    """The state in a checkpoint of the same training, as `checkpoint.load` reads it.

    Raises:
      InputError: it is of other settings.
    """
    arrays, meta = saved
    template = initial_state(game, sides, play, seed)
    return with_saved(template, sides, meta["snapshots"], lambda tree: checkpoint.unflatten(tree, arrays))


def _check_settings(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Unset options take the defaults of the version that runs, and those may have changed since."""
    for name in sorted(saved.keys() | now.keys()):
        if saved.get(name) != now.get(name):
            raise InputError(
                f"checkpoint: {name} was {saved.get(name)}, but is {now.get(name)} now; go on with the version that "
                "began the run, or start a new one"
            )


def _plain(metrics: Mapping[AgentID, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {agent: {name: float(value) for name, value in values.items()} for agent, values in metrics.items()}


def _note(record: Mapping[str, int]) -> str:
    matches = record["win"] + record["draw"] + record["loss"]
    return f"wins {record['win'] / matches:.0%} of {matches} matches" if matches else ""
