"""`rollout` and `evaluate`: the only code that steps simulated games.

A `VectorGame` is stepped on the host, with all traceable policies decided in one compiled call per step; a
`FunctionalGame` runs within one compiled scan. The trajectory is the same record either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.decisions import Policies, act_all, checked_actions, decide, prepare
from sparring.errors import InputError
from sparring.policy import Decision, MixedState
from sparring.types import AgentID, Array, Experience, FunctionalGame, Game, Key, Outcomes, Trajectory, VectorGame


class RolloutState(NamedTuple):
    """Where a rollout stands between two calls: a pytree. A vector game keeps its own state besides."""

    game: Any  # a functional game's state; () for a vector game
    observation: Mapping[AgentID, Array]  # [B, D]
    policy: Mapping[AgentID, Any]
    first: Array  # bool [B]


def start(game: Game, policies: Policies, rng: np.random.Generator) -> RolloutState:
    """Begin B new matches.

    Raises:
      InputError: an agent of the game has no policy.
    """
    if missing := [agent for agent in game.agents if agent not in policies]:
        raise InputError(f"no policy for agent {missing[0]} of {game.id}")
    if isinstance(game, VectorGame):
        game_state, observation = (), game.reset(int(rng.integers(2**31)))
    else:
        game_state, observation = eqx.filter_jit(game.init)(_key(rng))
    state = {agent: policies[agent].initial_state(game.num_games) for agent in game.agents}
    return RolloutState(game_state, observation, state, np.ones(game.num_games, bool))


def rollout(
    game: Game,
    policies: Policies,
    num_steps: int,
    rng: np.random.Generator,
    state: RolloutState | None = None,
    record: Sequence[AgentID] = (),
) -> tuple[Trajectory, RolloutState]:
    """Play `num_steps` steps of all matches.

    Args:
      game: B matches.
      policies: one for every agent; state-carrying policies are reset with each match.
      num_steps: T.
      rng: a single draw seeds each step.
      state: where an earlier rollout stopped; None starts new matches.
      record: the agents whose `Experience` is wanted.

    Returns:
      The trajectory, [T, B, ...], and the state to go on from. Without `record`, one call of T steps plays what T calls
      of one step play.

    Raises:
      InputError: a policy returns NaN or actions that no policy can mean (agent and step are named).
    """
    if state is None:
        state = start(game, policies, rng)
    if isinstance(game, VectorGame):
        return _rollout_host(game, policies, num_steps, rng, state, tuple(record))
    if host := [agent for agent in game.agents if not policies[agent].traceable]:
        raise InputError(f"{game.id} runs within JAX, the policy of {host[0]} does not: play `hosted(game)`")
    # A float is static under jit, an array is not: a budget that is annealed must not recompile.
    policies = jax.tree.map(lambda x: np.float32(x) if isinstance(x, float) else x, dict(policies))
    keys = rng.integers(0, 2**32, (num_steps + bool(record), 2), np.uint32)
    return _rollout_scan(game, policies, num_steps, keys, state, tuple(record))


def evaluate(
    game: VectorGame,
    policies: Policies,
    episodes: int,
    rng: np.random.Generator,
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[Mapping[AgentID, Array], Array], None] | None = None,
) -> Outcomes:
    """Play `episodes` complete matches, dealt to the B slots beforehand.

    Each slot plays its share one after the other and all of them count. Taking the first `episodes` to finish instead
    would favour short matches.

    Args:
      game: B matches; more slots than episodes are an error.
      policies: one for every agent.
      episodes: n.
      rng: as for `rollout`.
      on_progress: called with the number of finished matches after every step.
      on_step: called with every agent's observation [B, D] and a mask [B] of the slots that still count.

    Raises:
      InputError: as for `rollout`, or `episodes` is less than the number of slots.
    """
    slots = game.num_games
    if episodes < slots:
        raise InputError(f"episodes: expected at least one for each of the {slots} slots, got {episodes}")
    quota = np.full(slots, episodes // slots) + (np.arange(slots) < episodes % slots)
    offset = np.concatenate([[0], np.cumsum(quota)[:-1]])
    played = np.zeros(slots, int)
    running = {agent: np.zeros(slots) for agent in game.agents}
    steps = np.zeros(slots, np.int32)
    out = Outcomes(
        np.full(episodes, -1, np.int8),
        np.zeros(episodes, np.int32),
        np.zeros(episodes, bool),
        {agent: np.zeros(episodes) for agent in game.agents},
    )
    state = start(game, policies, rng)
    prepared = prepare(game, policies, ())
    step_count = 0
    while (played < quota).any():
        if on_step is not None:
            on_step(state.observation, played < quota)
        decisions = decide(prepared, _key(rng), state.observation, state.policy, state.first)
        step = game.step(checked_actions(game, decisions, step_count))
        step_count += 1
        steps += 1
        for agent, total in running.items():
            total += np.where(step.invalid, 0.0, step.reward[agent])
        ended = np.flatnonzero(step.terminated | step.truncated | step.invalid)
        for b in ended[played[ended] < quota[ended]]:
            i = offset[b] + played[b]
            out.winner[i], out.length[i], out.invalid[i] = step.winner[b], steps[b], step.invalid[b]
            for agent, total in running.items():
                out.returns[agent][i] = total[b]
            played[b] += 1
        steps[ended] = 0
        for total in running.values():
            total[ended] = 0.0
        first = np.zeros(slots, bool)
        first[ended] = True
        state = RolloutState((), step.observation, _states(decisions), first)
        if on_progress is not None and len(ended):
            on_progress(int(played.sum()))
    return out


def _rollout_host(
    game: VectorGame,
    policies: Policies,
    num_steps: int,
    rng: np.random.Generator,
    state: RolloutState,
    record: tuple[AgentID, ...],
) -> tuple[Trajectory, RolloutState]:
    everybody = prepare(game, policies, record)
    recorded = prepare(game, {agent: policies[agent] for agent in record}, record)
    begun = state
    rows: dict[AgentID, list[Any]] = {agent: [] for agent in record}
    steps, firsts = [], []
    for t in range(num_steps):
        decisions = decide(everybody, _key(rng), state.observation, state.policy, state.first)
        step = game.step(checked_actions(game, decisions, t))
        cut = step.truncated | step.invalid
        final: dict[AgentID, Decision] = {}
        if record and cut.any():
            final = decide(recorded, _key(rng), step.final_observation, _states(decisions), np.zeros_like(cut))
        for agent in record:
            decision = decisions[agent]
            value = np.zeros(len(cut), np.float32) if decision.value is None else np.asarray(decision.value)
            bootstrap = np.zeros_like(value)
            final_value = final[agent].value if agent in final else None
            if final_value is not None:
                # The final observation of broken physics means nothing: bootstrap from the last sound one.
                bootstrap = np.where(step.invalid, value, np.where(step.truncated, final_value, 0))
            rows[agent].append((state.observation[agent], decision, value, bootstrap))
        steps.append(step)
        firsts.append(state.first)
        ended = step.terminated | cut
        state = RolloutState((), step.observation, _states(decisions), ended)
    last = decide(recorded, _key(rng), state.observation, state.policy, state.first) if record else {}
    return _trajectory(game, steps, np.stack(firsts), rows, last, begun), state


def _trajectory(
    game: Game,
    steps: list[Any],
    first: np.ndarray,
    rows: Mapping[AgentID, list[Any]],
    last: Mapping[AgentID, Decision],
    begun: RolloutState,
) -> Trajectory:
    terminated, truncated, invalid, winner = (
        np.stack([getattr(s, name) for s in steps]) for name in ("terminated", "truncated", "invalid", "winner")
    )
    reward = {a: np.where(invalid, 0, np.stack([s.reward[a] for s in steps])).astype(np.float32) for a in game.agents}
    agents = {}
    for agent, entries in rows.items():
        observation, decision, value, bootstrap = zip(*entries, strict=True)
        zeros, ones = np.zeros(first.shape[1], np.float32), np.ones(first.shape[1], bool)
        agents[agent] = Experience(
            observation=np.stack(observation),
            action=np.stack([np.asarray(_learned_action(d)) for d in decision]),
            reward=reward[agent],
            log_prob=np.stack([zeros if d.log_prob is None else np.asarray(d.log_prob) for d in decision]),
            value=np.stack(value),
            bootstrap=np.stack(bootstrap).astype(np.float32),
            controlled=np.stack([ones if d.controlled is None else np.asarray(d.controlled) for d in decision]),
            terminated=terminated,
            truncated=truncated | invalid,
            first=first,
            last_value=zeros if last[agent].value is None else np.asarray(last[agent].value),
            policy_state=_learned_state(begun.policy[agent]),
        )
    info = {k: {a: np.stack([s.info[k][a] for s in steps]) for a in v} for k, v in steps[0].info.items()}
    return Trajectory(agents, reward, winner, terminated, truncated, invalid, info)


@eqx.filter_jit
def _rollout_scan(
    game: FunctionalGame,
    policies: Policies,
    num_steps: int,
    keys: Array,
    state: RolloutState,
    record: tuple[AgentID, ...],
) -> tuple[Trajectory, RolloutState]:
    begun = state
    zeros = jnp.zeros(game.num_games, jnp.float32)

    def act(key: Key, s: RolloutState) -> dict[AgentID, Decision]:
        return act_all(policies, game.agents, record, key, s.observation, s.policy, s.first)

    def body(s: RolloutState, key: Array) -> tuple[RolloutState, Any]:
        act_key, game_key, final_key = jax.random.split(key, 3)
        decisions = act(act_key, s)
        game_state, step = game.step(s.game, {a: d.action for a, d in decisions.items()}, game_key)
        policy_state = _states(decisions)
        ended = step.terminated | step.truncated | step.invalid
        after = RolloutState(game_state, step.final_observation, policy_state, jnp.zeros_like(ended))
        final = act(final_key, after) if record else {}
        reward = {agent: jnp.where(step.invalid, 0.0, step.reward[agent]) for agent in game.agents}
        seen = {}
        for agent in record:
            d = decisions[agent]
            value = zeros if d.value is None else d.value
            final_value = final[agent].value
            if final_value is None:
                final_value = zeros
            seen[agent] = Experience(
                observation=s.observation[agent],
                action=_learned_action(d),
                reward=reward[agent],
                log_prob=zeros if d.log_prob is None else d.log_prob,
                value=value,
                bootstrap=jnp.where(step.invalid, value, jnp.where(step.truncated, final_value, 0.0)),
                controlled=jnp.ones_like(ended) if d.controlled is None else d.controlled,
                terminated=step.terminated,
                truncated=step.truncated | step.invalid,
                first=s.first,
                last_value=(),
                policy_state=(),
            )
        out = (seen, reward, step.winner, step.terminated, step.truncated, step.invalid, step.info)
        return RolloutState(game_state, step.observation, policy_state, ended), out

    # The carry must keep its types: policies' initial states may be NumPy arrays.
    state = jax.tree.map(jnp.asarray, state)
    state, (seen, *rest) = jax.lax.scan(body, state, jnp.asarray(keys[:num_steps]))
    last = act(jnp.asarray(keys[-1]), state) if record else {}
    agents = {
        agent: e._replace(
            last_value=zeros if last[agent].value is None else last[agent].value,
            policy_state=_learned_state(begun.policy[agent]),
        )
        for agent, e in seen.items()
    }
    return Trajectory(agents, *rest), state


def _states(decisions: Mapping[AgentID, Decision]) -> dict[AgentID, Any]:
    """The policies' states after their decisions."""
    return {agent: d.state for agent, d in decisions.items()}


def _learned_action(decision: Decision) -> Array:
    """The action that `log_prob` is of, at controlled steps."""
    return decision.action if decision.own is None else decision.own


def _learned_state(state: Any) -> Any:
    """The learning policy's own part of a policy's state: under partial control, the adversarial policy's."""
    return _learned_state(state.adversarial) if isinstance(state, MixedState) else state


def _key(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2**32, 2, np.uint32)
