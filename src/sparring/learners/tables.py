"""Policies as the tables that exact solvers read, and the exact min oracle for a learning victim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.errors import InputError
from sparring.exact.problem import Problem
from sparring.exact.tree_game import Infosets
from sparring.learners.replicas import Replicas
from sparring.mixture import MixedPolicy
from sparring.nets import ActorCritic, heads
from sparring.policies import ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.types import Array, Discrete, Policy


def exact_oracle(problem: Problem, infosets: Infosets) -> Callable[[Policy], Policy]:
    """The min oracle of Algorithm 1: the exact best response to the table of the victim, whose rows are `infosets`."""

    def oracle(victim: Policy) -> Policy:
        table = tabulate(victim, infosets)
        if isinstance(victim, Replicas):
            return Replicas(TabularPolicy(np.stack([best(own) for own in table])), victim.n)
        return TabularPolicy(best(table))

    def best(table: np.ndarray) -> np.ndarray:
        return problem.best_response(table).policy.astype(np.float32)

    return oracle


def tabulate(policy: Policy, infosets: Infosets) -> np.ndarray:
    """A policy's action probabilities at every information set (state), float64 [I, A]; of replicas [n, I, A].

    Illegal actions have none, as when the policy is played.

    Raises:
      InputError: a policy whose probabilities cannot be read (a user's function, a recurrent network) or are NaN, that
        is of another game, or that plays no legal action somewhere.
    """
    rows, width = infosets.actions.shape
    legal = np.arange(width) < infosets.count[:, None]
    played = np.asarray(_probabilities(policy, np.eye(rows, dtype=np.float32), legal), np.float64)
    if played.shape[-2:] != (rows, width):
        raise InputError(
            f"policy: expected action probabilities of shape {[rows, width]}, got {list(played.shape[-2:])}"
        )
    table = np.where(legal, played, 0.0)
    if not np.isfinite(table).all():
        raise InputError("policy: expected action probabilities, got NaN: its weights are no numbers any more")
    if (empty := table.sum(axis=-1) <= 0).any():
        row = np.argwhere(empty)[0][-1]
        raise InputError(f"policy: expected some probability on a legal action in row {row}, got none")
    return table / table.sum(axis=-1, keepdims=True)  # float32's sums miss one by about 1e-7


@eqx.filter_jit
def _probabilities(policy: Any, observation: Array, legal: Array) -> Array:
    match policy:
        case ActorCritic(recurrent=False, action=Discrete(n)):
            if (policy.normalizer.mean.size, n) != (observation.shape[1], legal.shape[1]):
                raise InputError(
                    f"policy: expected one for observations of size {observation.shape[1]} and {legal.shape[1]} "
                    f"actions, got one for {policy.normalizer.mean.size} and {n}"
                )
            logits = heads.masked(policy.forward(policy.normalizer(observation), ((), ()))[0], legal)
            return jax.nn.one_hot(logits.argmax(-1), logits.shape[-1]) if policy.greedy else jax.nn.softmax(logits)
        case Replicas():
            return eqx.filter_vmap(lambda own: _probabilities(own, observation, legal))(policy.policies)
        case TabularPolicy():
            return jnp.asarray(policy.probabilities)
        case RandomPolicy(action=Discrete(n)):
            if n != legal.shape[1]:
                return jnp.full((len(legal), n), 1 / n)  # of another game: its shape is refused
            return legal / legal.sum(axis=-1, keepdims=True)
        case ConstantPolicy(action=Discrete(n)):
            return jax.nn.one_hot(jnp.argmax(legal, axis=-1), n)
        case MixedPolicy(control="step"):
            benign, adversarial = (_probabilities(p, observation, legal) for p in (policy.benign, policy.adversarial))
            return (1 - policy.budget) * benign + policy.budget * adversarial
        case _:
            raise InputError(f"{type(policy).__name__}: its action probabilities cannot be read as a table")
