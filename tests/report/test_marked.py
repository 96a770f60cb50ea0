"""Mixes that remember who was in control: they decide as the mixes that they are made of."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from envs.pursuit import Pursuit

from sparring.mixture import executed
from sparring.play.rollout import rollout, start
from sparring.policies import RandomPolicy
from sparring.report.marked import MarkedPolicy, controlled, marked
from sparring.types import AgentID, Coin, Control, Policy, ThreatModel

PREY = ("prey0", "prey1")
STEPS = 20


def pursued(coin: Coin, control: Control = "step") -> dict[AgentID, Policy]:
    """Both prey are attackers, at budget one half; everybody moves at random."""
    random = {agent: RandomPolicy(spaces.action) for agent, spaces in Pursuit().spaces.items()}
    threat = ThreatModel("hunter", PREY, {prey: random[prey] for prey in PREY}, 0.5, control=control, coin=coin)
    return {"hunter": random["hunter"], **executed(threat, {prey: random[prey] for prey in PREY})}


@pytest.mark.parametrize(("coin", "control"), [("agent", "step"), ("team", "step"), ("team", "episode")])
def test_the_match_is_the_same_and_control_is_what_a_rollout_records(coin: Coin, control: Control) -> None:
    """Where a prey is caught it moves no more, and nobody controls it."""
    policies = pursued(coin, control)
    watched = {agent: marked(policy) for agent, policy in policies.items()}
    assert isinstance(watched["prey0"], MarkedPolicy) and watched["hunter"] is policies["hunter"]
    kept: dict[str, Any] = {}
    for name, played in (("plain", policies), ("marked", watched)):
        game, marks, steps = Pursuit(4), [], []
        state = start(game, played, np.random.default_rng(0))
        for t in range(STEPS):
            rng, record = np.random.default_rng([1, t]), PREY if name == "plain" else ()
            step, state = rollout(game, played, 1, rng, state, record=record)
            steps.append((step.reward, step.outcome, step.terminated, [v.observation for v in state.views.values()]))
            marks.append(
                [
                    step.agents[prey].controlled[0] if name == "plain" else controlled(state.policy[prey], 4)
                    for prey in PREY
                ]
            )
        kept[name] = steps, np.array(marks)
    jax.tree.map(np.testing.assert_array_equal, kept["plain"][0], kept["marked"][0])
    recorded, remembered = kept["plain"][1], kept["marked"][1]
    np.testing.assert_array_equal(recorded, remembered)
    assert 0.1 < remembered.mean() < 0.9
    if coin == "agent":
        assert (remembered[:, 0] != remembered[:, 1]).any()


def test_what_is_no_mix_is_always_in_control() -> None:
    assert controlled((), 3).tolist() == [True] * 3
