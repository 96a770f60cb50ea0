"""Mixes that remember at which step the adversarial policy was in control, for the marks of a film."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import NamedTuple

import numpy as np

from sparring.mixture import MixedPolicy, MixedState
from sparring.pytrees import register
from sparring.types import Array, Decision, Key, Policy, View


class MarkedState(NamedTuple):
    mixed: MixedState
    controlled: Array  # bool [B], at the last step it was the agent's move and the adversarial policy decided


class MarkedPolicy(MixedPolicy):
    """A mix whose state tells who was in control. It decides as the mix itself does.

    So a rollout that records nobody's experience, which would cost a second evaluation of every network, still tells
    which steps were controlled.
    """

    def initial_state(self, batch: int) -> MarkedState:  # pyright: ignore[reportIncompatibleMethodOverride]
        return MarkedState(super().initial_state(batch), np.zeros(batch, bool))

    def act(self, key: Key, view: View, state: MarkedState) -> Decision:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _marked(super().act(key, view, state.mixed), view)

    def act_with(self, key: Key, coin_key: Key, view: View, state: MarkedState) -> Decision:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _marked(super().act_with(key, coin_key, view, state.mixed), view)


def marked(policy: Policy) -> Policy:
    """The mix with a memory; any other policy as it is."""
    if not isinstance(policy, MixedPolicy):
        return policy
    _register()
    return MarkedPolicy(**{f.name: getattr(policy, f.name) for f in fields(MixedPolicy)})


def controlled(state: object, batch: int) -> np.ndarray:
    """From a policy's state after a step: bool [B], the adversarial policy was in control; without a mix always."""
    return np.asarray(state.controlled) if isinstance(state, MarkedState) else np.ones(batch, bool)


def _marked(decision: Decision, view: View) -> Decision:
    where = decision.controlled
    assert where is not None, "a mix says who is in control"
    if view.moves is not None:
        where = where & view.moves
    return decision._replace(state=MarkedState(decision.state, where))


@cache
def _register() -> None:
    register(MarkedPolicy, ("benign", "adversarial", "budget"), ("control", "team", "number"))
