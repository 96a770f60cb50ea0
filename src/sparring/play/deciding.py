"""What all agents decide at one step: every traceable policy within one compiled call, the others one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sparring.errors import InputError, foreign
from sparring.mixture import MixedPolicy
from sparring.nets import reset_state
from sparring.play.shapes import check_kept
from sparring.policies import batch_of, check_action
from sparring.types import AgentID, Array, Decision, Game, Key, Policy, View

Policies = Mapping[AgentID, Policy]
Views = Mapping[AgentID, View]
States = Mapping[AgentID, Any]  # of policies
Decisions = dict[AgentID, Decision]
# Beyond the number of agents: the key of the coin that a team shares (DECISIONS 31).
_TEAM = 0x7C013000


class Prepared(NamedTuple):
    """Policies taken apart, once for many steps: flattening networks takes longer than evaluating them."""

    agents: tuple[AgentID, ...]  # all of the game's: an agent's place among them is part of its seed
    compiled: Callable[..., Decisions]  # decides for the traceable policies
    numbers: list[Any]  # their leaves, all that `compiled` needs of them
    traceable: tuple[AgentID, ...]
    host: Mapping[AgentID, Policy]  # the other policies


def prepare(game: Game, policies: Policies, record: tuple[AgentID, ...]) -> Prepared:
    """Some or all of the game's policies, made ready for `decide`; `record` as for `act_all`."""
    traceable = {agent: p for agent, p in policies.items() if p.traceable}
    leaves, tree = jax.tree.flatten(traceable)
    static = tuple(None if _is_number(leaf) else leaf for leaf in leaves)
    numbers = [leaf for leaf in leaves if _is_number(leaf)]
    host = {agent: p for agent, p in policies.items() if not p.traceable}
    return Prepared(game.agents, _compiled(tree, static, game.agents, record), numbers, tuple(traceable), host)


def decide(prepared: Prepared, key: Key, views: Views, policy_state: States, first: Array) -> Decisions:
    """The decision of every prepared policy; the arguments are those of `act_all`.

    Raises:
      InputError: a policy refuses; the agent is named.
    """
    decisions: Decisions = {}
    if prepared.traceable:
        seen = {agent: views[agent] for agent in prepared.traceable}
        carried = {agent: policy_state[agent] for agent in prepared.traceable}
        decisions.update(prepared.compiled(prepared.numbers, key, seen, carried, first))
    team = _team_key(key) if any(_in_team(policy) for policy in prepared.host.values()) else None
    for agent, policy in prepared.host.items():
        carried = jax.tree.map(
            lambda i, s: np.where(first.reshape((-1,) + (1,) * (np.ndim(s) - 1)), i, s),
            policy.initial_state(len(first)),
            policy_state[agent],
        )
        own = np.random.SeedSequence(np.asarray(key).tolist(), spawn_key=(prepared.agents.index(agent),))
        view = jax.tree.map(np.asarray, views[agent])
        decision = _act(agent, policy, own.generate_state(2), team, view, carried)
        decisions[agent] = _where_it_moves(decision, view, np)
    return decisions


def act_all(
    policies: Policies,
    agents: tuple[AgentID, ...],
    record: tuple[AgentID, ...],
    key: Key,
    views: Views,
    policy_state: States,
    first: Array,
) -> Decisions:
    """The decisions of traceable policies, within JAX.

    Args:
      policies: those that decide.
      agents: all of the game's.
      record: the agents of whom more than the action and the state is wanted.
      key: each agent's is derived from it.
      views: what each agent is shown.
      policy_state: after the step before.
      first: bool [B], the matches that begin: there the state is the initial one.
    """
    out = {}
    team = _team_key(key)
    for agent, policy in policies.items():
        initial = policy.initial_state(batch_of(views[agent]))
        carried = reset_state(first, initial, policy_state[agent])
        decision = _act(agent, policy, jax.random.fold_in(key, agents.index(agent)), team, views[agent], carried)
        # What nobody records need not be computed: XLA drops what is not returned.
        out[agent] = _where_it_moves(decision, views[agent], jnp) if agent in record else Decision(*decision[:2])
    return out


def _act(agent: AgentID, policy: Policy, key: Key, team: Key, view: View, state: Any) -> Decision:
    try:
        with foreign("its policy", source=policy):
            if isinstance(policy, MixedPolicy) and policy.team:
                decision = policy.act_with(key, team, view, state)
            else:
                decision = policy.act(key, view, state)
        if not isinstance(decision, Decision):
            raise InputError(f"expected a sparring.types.Decision, got {type(decision).__name__}")
        check_kept("the state that its policy returns", state, decision.state, types=False)
    except InputError as error:
        raise InputError(f"agent {agent}: {error}") from error
    return decision


def _in_team(policy: Policy) -> bool:
    return isinstance(policy, MixedPolicy) and policy.team


def _team_key(key: Key) -> Key:
    """One for all members of a team, those that are called on the host too."""
    return jax.random.fold_in(key, _TEAM)


def _where_it_moves(decision: Decision, view: View, xp: Any) -> Decision:
    """The decision, with its control and log-probability void where it is not this agent's move."""
    if view.moves is None:
        return decision
    controlled = view.moves if decision.controlled is None else view.moves & decision.controlled
    log_prob = None if decision.log_prob is None else xp.where(view.moves, decision.log_prob, 0.0)
    return decision._replace(controlled=controlled, log_prob=log_prob)


def checked_actions(game: Game, decisions: Decisions, views: Views, step: int) -> dict[AgentID, np.ndarray]:
    """Every agent's actions as NumPy arrays.

    Raises:
      InputError: they are not B actions that a policy can mean, or illegal ones; agent and step are named.
    """
    actions = {}
    for agent in game.agents:
        actions[agent] = np.asarray(decisions[agent].action)
        who = f"agent {agent}, step {step}"
        legal, moves = views[agent].legal, views[agent].moves
        if legal is not None and moves is not None:
            legal = np.asarray(legal) | ~np.asarray(moves)[:, None]  # where it does not move, nobody looks
        if actions[agent].ndim and len(actions[agent]) != game.num_games:
            raise InputError(
                f"{who}: expected one action for each of {game.num_games} matches, got {len(actions[agent])}"
            )
        check_action(actions[agent], game.spaces[agent].action, who, legal)
    return actions


@lru_cache
def _compiled(
    tree: Any, static: tuple[Any, ...], agents: tuple[AgentID, ...], record: tuple[AgentID, ...]
) -> Callable[..., Decisions]:
    """`act_all`, compiled for policies of one structure; in `static`, None stands for a number."""

    @jax.jit
    def act(numbers: list[Any], key: Key, views: Views, policy_state: States, first: Array) -> Decisions:
        left = iter(numbers)
        leaves = [next(left) if leaf is None else leaf for leaf in static]
        return act_all(jax.tree.unflatten(tree, leaves), agents, record, key, views, policy_state, first)

    return act


def _is_number(leaf: Any) -> bool:
    # Floats are numbers too: a budget that is annealed must not recompile.
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, float))
