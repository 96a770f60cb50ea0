"""`rollout`: the only code that steps simulated games.

A `VectorGame` is stepped on the host, with all traceable policies decided in one compiled call per step; a
`FunctionalGame` runs within one compiled scan. The trajectory is the same record either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.errors import InputError, foreign
from sparring.games.described import check_described
from sparring.mixture import MixedState
from sparring.play.calls import begun, check_kind, name_of, stepped
from sparring.play.checks import Fault, check_faults, check_views, fault, is_sound
from sparring.play.deciding import Policies, act_all, checked_actions, decide, prepare
from sparring.play.shapes import check_forms, check_kept, check_shapes, check_state
from sparring.policies import PoolState
from sparring.pytrees import traceable
from sparring.types import (
    Acts,
    AgentID,
    Array,
    Decision,
    Experience,
    FunctionalGame,
    Game,
    Key,
    MultiDiscrete,
    Spaces,
    Step,
    Trajectory,
    VectorGame,
    View,
)


class RolloutState(NamedTuple):
    """Where a rollout stands between two calls: a pytree. A vector game keeps its own state besides."""

    game: Any  # a functional game's state; () for a vector game
    views: Mapping[AgentID, View]
    policy: Mapping[AgentID, Any]
    first: Array  # bool [B]


def start(game: Game, policies: Policies, rng: np.random.Generator) -> RolloutState:
    """Begin B new matches.

    Raises:
      InputError: an agent of the game has no policy, or what the game shows is not what its spaces say.
    """
    check_described(game)
    if missing := [agent for agent in game.agents if agent not in policies]:
        raise InputError(f"no policy for agent {missing[0]} of {game.id}")
    if isinstance(game, VectorGame):
        game_state, views = (), begun(game, int(rng.integers(2**31)))
    else:
        with foreign(f"game {game.id}, init", "a state and a View for each agent", game):
            game_state, views = _init(traceable(game), _key(rng))
        check_views(game, jax.tree.map(np.asarray, views), "after init")
    state = {}
    for agent in game.agents:
        with foreign(f"agent {agent}: its policy, initial_state", "a state for so many matches", policies[agent]):
            state[agent] = policies[agent].initial_state(game.num_games)
        check_state(agent, state[agent], game.num_games)
    return RolloutState(game_state, views, state, np.ones(game.num_games, bool))


def rollout(
    game: Game,
    policies: Policies,
    num_steps: int,
    rng: np.random.Generator,
    state: RolloutState | None = None,
    record: Sequence[AgentID] = (),
    watch: Sequence[AgentID] = (),
    before: int = 0,
    acts: bool = False,
) -> tuple[Trajectory, RolloutState]:
    """Play `num_steps` steps of all matches.

    Args:
      game: B matches.
      policies: one for every agent; state-carrying policies are reset with each match.
      num_steps: T.
      rng: a single draw seeds each step.
      state: where an earlier rollout stopped; None starts new matches.
      record: the agents whose `Experience` is wanted.
      watch: the agents whose observations are wanted.
      before: how many steps were played before these, for the messages.
      acts: whether everybody's `Acts` are wanted.

    Returns:
      The trajectory, [T, B, ...], and the state to go on from. Without `record`, one call of T steps plays what T calls
      of one step play.

    Raises:
      InputError: a policy returns NaN or actions that no policy can mean, or the game shows or pays NaN, or something
        that its spaces do not allow (agent and step are named).
    """
    if state is None:
        state = start(game, policies, rng)
    if isinstance(game, VectorGame):
        return _rollout_host(game, policies, num_steps, rng, state, tuple(record), tuple(watch), before, acts)
    if host := [agent for agent in game.agents if not policies[agent].traceable]:
        raise InputError(f"{game.id} runs within JAX, the policy of {host[0]} does not: play `hosted(game)`")
    # A float is static under jit, an array is not: a budget that is annealed must not recompile.
    policies = jax.tree.map(lambda x: np.float32(x) if isinstance(x, float) else x, dict(policies))
    keys = rng.integers(0, 2**32, (num_steps + bool(record), 2), np.uint32)
    trajectory, after, faults = _rollout_scan(
        traceable(game),
        tuple(game.spaces[a] for a in game.agents),
        policies,
        num_steps,
        keys,
        state,
        tuple(record),
        tuple(watch),
        acts,
    )
    check_faults(game, trajectory, faults, before)
    return trajectory, after


@eqx.filter_jit
def _init(game: FunctionalGame, key: Key) -> tuple[Any, Mapping[AgentID, View]]:
    return game.init(key)


def _rollout_host(
    game: VectorGame,
    policies: Policies,
    num_steps: int,
    rng: np.random.Generator,
    state: RolloutState,
    record: tuple[AgentID, ...],
    watch: tuple[AgentID, ...],
    before: int,
    acts: bool,
) -> tuple[Trajectory, RolloutState]:
    everybody = prepare(game, policies, record)
    recorded = prepare(game, {agent: policies[agent] for agent in record}, record)
    initial = state
    rows: dict[AgentID, list[Experience]] = {agent: [] for agent in record}
    seen: dict[AgentID, list[Any]] = {agent: [] for agent in watch}
    acted: dict[AgentID, list[Acts]] = {agent: [] for agent in game.agents if acts}
    steps: list[Step] = []
    for t in range(before, before + num_steps):
        decisions = decide(everybody, _key(rng), state.views, state.policy, state.first)
        actions = checked_actions(game, decisions, state.views, t)
        step = stepped(game, actions, t)
        check_forms(game, state.views, step, f"step {t}")
        cut = step.truncated | step.invalid
        final: dict[AgentID, Decision] = {}
        if record and cut.any():
            final = decide(recorded, _key(rng), step.final_view, _states(decisions), np.zeros_like(cut))
        for agent in record:
            final_value = final[agent].value if agent in final else None
            rows[agent].append(_row(state, decisions[agent], step, agent, final_value, np))
        for agent in watch:
            seen[agent].append(state.views[agent].observation)
        for agent, done in acted.items():
            done.append(_acts(actions[agent], state.views[agent], decisions[agent], game.spaces[agent]))
        steps.append(step)
        if (step.outcome is None, *step.info) != (steps[0].outcome is None, *steps[0].info):
            raise InputError(f"{game.id}, step {t}: expected an outcome and the parts of info at every step or at none")
        state = RolloutState((), step.view, _states(decisions), step.terminated | cut)
    last = decide(recorded, _key(rng), state.views, state.policy, state.first) if record else {}

    def stack(rows: Sequence[Any]) -> Any:
        return jax.tree.map(lambda *x: np.stack(x), *rows)

    agents = {agent: _closed(stack(rows[agent]), last[agent], initial.policy[agent], np) for agent in record}
    reward = {a: np.stack([_earned(s, a, np) for s in steps]) for a in game.agents}
    terminated, truncated, invalid = (
        np.stack([getattr(s, name) for s in steps]) for name in ("terminated", "truncated", "invalid")
    )
    outcome = None if steps[0].outcome is None else stack([dict(s.outcome or {}) for s in steps])
    info = stack([{name: dict(values) for name, values in s.info.items()} for s in steps]) if steps[0].info else {}
    shown, did = ({a: stack(rows) for a, rows in kept.items()} for kept in (seen, acted))
    return Trajectory(agents, shown, did, reward, outcome, terminated, truncated, invalid, info), state


@eqx.filter_jit
def _rollout_scan(
    game: FunctionalGame,
    spaces: tuple[Spaces, ...],  # of the agents; static, which a traced game's own need not be
    policies: Policies,
    num_steps: int,
    keys: Array,
    state: RolloutState,
    record: tuple[AgentID, ...],
    watch: tuple[AgentID, ...],
    acts: bool,
) -> tuple[Trajectory, RolloutState, dict[AgentID, Fault]]:
    initial = state
    sound = is_sound(game)

    def act(key: Key, s: RolloutState) -> dict[AgentID, Decision]:
        return act_all(policies, game.agents, record, key, s.views, s.policy, s.first)

    def body(s: RolloutState, key: Array) -> tuple[RolloutState, Any]:
        act_key, game_key, final_key = jax.random.split(key, 3)
        decisions = act(act_key, s)
        with foreign("the game's step", "the next state and a Step", game):
            game_state, step = game.step(s.game, {a: d.action for a, d in decisions.items()}, game_key)
        if not sound:
            check_shapes(game, check_kind(game, step, "step"), s.views, len(s.first))
            check_kept(f"{name_of(game)}, step: the state that it returns", s.game, game_state, "init's")
        policy_state = _states(decisions)
        for agent in game.agents:
            check_kept(f"agent {agent}: the state that its policy returns", s.policy[agent], policy_state[agent])
        ended = step.terminated | step.truncated | step.invalid
        after = RolloutState(game_state, step.final_view, policy_state, jnp.zeros_like(ended))
        final = act(final_key, after) if record else {}
        rows = {a: _row(s, decisions[a], step, a, final[a].value, jnp) for a in record}
        seen = {a: s.views[a].observation for a in watch}
        looked_at = tuple(zip(game.agents, spaces, strict=True))
        did = {a: _acts(decisions[a].action, s.views[a], decisions[a], own) for a, own in looked_at if acts}
        reward = {a: _earned(step, a, jnp) for a in game.agents}
        faults = {a: fault(own, s.views[a], decisions[a].action, step, a, sound) for a, own in looked_at}
        out = (faults, rows, seen, did, reward, step.outcome, step.terminated, step.truncated, step.invalid, step.info)
        return RolloutState(game_state, step.view, policy_state, ended), out

    # The carry must keep its types: policies' initial states may be NumPy arrays.
    state = jax.tree.map(jnp.asarray, state)
    state, (faults, rows, *rest) = jax.lax.scan(body, state, jnp.asarray(keys[:num_steps]))
    last = act(jnp.asarray(keys[-1]), state) if record else {}
    agents = {agent: _closed(rows[agent], last[agent], initial.policy[agent], jnp) for agent in record}
    return Trajectory(agents, *rest), state, faults


def _acts(action: Array, view: View, decision: Decision, spaces: Spaces) -> Acts:
    choices = len(spaces.action.nvec) if isinstance(spaces.action, MultiDiscrete) else 1
    # An agent that moves has a legal action in every choice, so with one more it has a choice.
    free = None if view.legal is None else view.legal.sum(-1) > choices
    return Acts(action, view.moves, free, decision.controlled)


def _row(
    state: RolloutState, decision: Decision, step: Step, agent: AgentID, final_value: Array | None, xp: Any
) -> Experience:
    """What one agent learns from one step, [B, ...]; of its last fields nothing yet."""
    zeros = xp.zeros(step.terminated.shape, np.float32)
    value = zeros if decision.value is None else xp.asarray(decision.value)
    final_value = zeros if final_value is None else xp.asarray(final_value)
    always = xp.ones(step.terminated.shape, bool)
    view = state.views[agent]
    return Experience(
        observation=view.observation,
        legal=view.legal,
        action=xp.asarray(decision.action if decision.proposed is None else decision.proposed),
        reward=_earned(step, agent, xp),
        log_prob=zeros if decision.log_prob is None else xp.asarray(decision.log_prob),
        value=value,
        # The final observation of broken physics means nothing: bootstrap from the last sound one.
        bootstrap=xp.where(step.invalid, value, xp.where(step.truncated, final_value, 0.0)).astype(np.float32),
        controlled=always if decision.controlled is None else xp.asarray(decision.controlled),
        valued=always if decision.valued is None else xp.asarray(decision.valued),
        terminated=step.terminated,
        truncated=step.truncated | step.invalid,
        first=state.first,
        last_value=(),
        policy_state=(),
        moves=view.moves,
    )


def _closed(rows: Experience, last: Decision, begun: Any, xp: Any) -> Experience:
    """The rows of T steps with what is known of their ends."""
    value = xp.zeros(rows.terminated.shape[1:], np.float32) if last.value is None else xp.asarray(last.value)
    return rows._replace(last_value=value, policy_state=_learned_state(begun))


def _earned(step: Step, agent: AgentID, xp: Any) -> Array:
    """The reward [B]; a step into broken physics earns nothing (DECISIONS 24)."""
    return xp.where(step.invalid, 0.0, step.reward[agent]).astype(np.float32)


def _states(decisions: Mapping[AgentID, Decision]) -> dict[AgentID, Any]:
    """The policies' states after their decisions."""
    return {agent: d.state for agent, d in decisions.items()}


def _learned_state(state: Any) -> Any:
    """The learning policy's own part of a policy's state: the adversarial policy's, the present one's of a pool."""
    if isinstance(state, MixedState):
        return _learned_state(state.adversarial)
    return _learned_state(state.live) if isinstance(state, PoolState) else state


def _key(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2**32, 2, np.uint32)
