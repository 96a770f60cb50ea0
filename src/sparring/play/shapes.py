"""What traced games and policies hand on from step to step keeps its structure, shapes and types; within JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from sparring.errors import InputError
from sparring.play.calls import name_of
from sparring.types import AgentID, Game, Step, View


def check_state(agent: AgentID, state: Any, batch: int) -> None:
    """Refuse a policy's initial state if it is no pytree of arrays with a row for each match.

    Raises:
      InputError: the agent and the leaf are named.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or np.dtype(dtype).kind not in "biufcV" or np.shape(leaf)[:1] != (batch,):
            got = type(leaf).__name__ if dtype is None else f"{dtype} {list(np.shape(leaf))}"
            raise InputError(
                f"agent {agent}: its policy, initial_state{jax.tree_util.keystr(path)}: expected an array of numbers "
                f"with {batch} rows, got {got}"
            )


def check_forms(game: Game, shown: Mapping[AgentID, View], step: Step, when: str) -> None:
    """Refuse a step whose views have a mask, or say who moves, where the view before had not, or the other way round.

    Raises:
      InputError: the agent and the part are named.
    """
    for agent in game.agents:
        for part in ("legal", "moves"):
            none = getattr(shown[agent], part) is None
            for name, views in (("view", step.view), ("final_view", step.final_view)):
                if (getattr(views[agent], part) is None) != none:
                    forms = ("None before and an array", "an array before and None")[not none]
                    raise InputError(
                        f"{name_of(game)}, {when}: {name} of {agent}: {part} was {forms} now: give arrays in all "
                        "views, all True where nothing is forbidden, or None in all"
                    )


def check_kept(what: str, before: Any, after: Any, whose: str = "initial_state's", types: bool = True) -> None:
    """Refuse a state that a step has changed in its structure, shapes or types: it could not be handed on.

    Args:
      what: the state, for the message.
      before: what the step was given.
      after: what it has returned.
      whose: where the first state has come from.
      types: whether the arrays' types count.

    Raises:
      InputError: the first difference is named.
    """
    if jax.tree.structure(before) != jax.tree.structure(after):
        was, now = (" ".join(str(jax.tree.structure(tree)).split()) for tree in (before, after))
        raise InputError(f"{what}: expected the structure of {whose}, {was}, got {now}")
    leaves = jax.tree_util.tree_leaves_with_path(before)
    for (path, was), now in zip(leaves, jax.tree.leaves(after), strict=True):
        if np.shape(was) != np.shape(now) or (types and jax.numpy.result_type(was) != jax.numpy.result_type(now)):
            shown = [f"{getattr(x, 'dtype', type(x).__name__)} {list(np.shape(x))}" for x in (was, now)]
            raise InputError(f"{what}{jax.tree_util.keystr(path)}: expected {shown[0]}, as in {whose}, got {shown[1]}")


def check_shapes(game: Game, step: Step, before: Mapping[AgentID, View], batch: int) -> None:
    """Refuse what a traced game's step has made if its arrays have other shapes or kinds.

    Args:
      game: the one that is played.
      step: what it has returned.
      before: what the agents were shown before, [B, ...].
      batch: B.

    Raises:
      InputError: the part and the agent are named.
    """
    who = name_of(game)
    parts = {name: (getattr(step, name), "b") for name in ("terminated", "truncated", "invalid")}
    paid = {"reward": step.reward, **{f"info {name!r}": values for name, values in step.info.items()}}
    parts |= {f"{name} of {agent}": (values[agent], "f") for name, values in paid.items() for agent in game.agents}
    for name, (array, kind) in parts.items():
        dtype = getattr(array, "dtype", None)
        if np.shape(array) != (batch,) or dtype is None or np.dtype(dtype).kind != kind:
            expected = f"{'bool' if kind == 'b' else 'float'} [{batch}]"
            got = type(array).__name__ if dtype is None else f"{dtype} {list(np.shape(array))}"
            raise InputError(f"{who}, step: {name}: expected {expected}, got {got}")
    for name, views in (("view", step.view), ("final_view", step.final_view)):
        for agent in game.agents:
            what = f"{who}, step: {name} of {agent}"
            if not isinstance(views[agent], View):
                got = type(views[agent]).__name__
                raise InputError(f"{what}: expected a View(observation, legal, moves), got {got}")
            if name == "view":
                check_kept(what, before[agent], views[agent], "init's")
            else:  # masks may be left out of the last view, at which nobody acts
                check_kept(f"{what}, observation", before[agent].observation, views[agent].observation, "init's")
