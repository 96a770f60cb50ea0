"""Several independent trainings side by side, each in its own share of the matches: one call does the work of n.

Small networks on small batches cost little more than the calls that train them. The loop notices nothing: there is one
learner, and its policy plays all matches.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sparring.types import Array, Decision, Experience, Key, Learner, LearnerState, Metrics, Spaces, View


class Replicas(eqx.Module):
    """n policies of one kind, their arrays stacked [n, ...]; the first plays the first B / n matches, and so on."""

    policies: Any
    n: int = eqx.field(static=True)

    @property
    def traceable(self) -> bool:
        return True

    def initial_state(self, batch: int) -> Any:
        return _merged(eqx.filter_vmap(lambda policy: policy.initial_state(batch // self.n))(self.policies))

    def act(self, key: Key, view: View, state: Any) -> Decision:
        keys = jax.random.split(key, self.n)
        shares = _shares(self.n, view), _shares(self.n, state)
        return _merged(eqx.filter_vmap(lambda policy, *inputs: policy.act(*inputs))(self.policies, keys, *shares))


def replicated(learner: Learner, n: int) -> Learner:
    """n learners that differ in their keys and in the matches that they see; states and metrics are stacked [n, ...].

    The number of matches must be a multiple of n.
    """

    @eqx.filter_jit
    def update(state: LearnerState, experience: Experience, key: Key) -> tuple[LearnerState, Metrics]:
        of_matches = experience._replace(last_value=(), policy_state=())
        of_slots = (experience.last_value, experience.policy_state)
        shares = jax.tree.map(lambda x: jnp.moveaxis(_split(n, x, 1), 1, 0), of_matches)
        last_value, policy_state = _shares(n, of_slots)
        shares = shares._replace(last_value=last_value, policy_state=policy_state)
        return eqx.filter_vmap(learner.update)(state, shares, jax.random.split(jnp.asarray(key), n))

    def init(spaces: Spaces, key: Key) -> LearnerState:
        return eqx.filter_vmap(lambda own: learner.init(spaces, own))(jax.random.split(jnp.asarray(key), n))

    def final(state: LearnerState) -> Replicas:
        assert learner.final is not None
        # One by one: what is kept may depend on how much has been learned.
        arrays, static = eqx.partition(state, eqx.is_array)
        kept = [learner.final(eqx.combine(jax.tree.map(lambda x, i=i: x[i], arrays), static)) for i in range(n)]
        parts = [eqx.partition(policy, eqx.is_array) for policy in kept]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *(own for own, _ in parts))
        return Replicas(eqx.combine(stacked, parts[0][1]), n)

    half = learner.halved

    def halved() -> Learner:
        assert half is not None
        return replicated(half(), n)

    def policy(state: LearnerState) -> Replicas:
        return Replicas(learner.policy(state), n)

    return Learner(init, policy, update, final if learner.final else None, halved if half else None)


def _split(n: int, x: Array, axis: int) -> Array:
    return x.reshape(*x.shape[:axis], n, x.shape[axis] // n, *x.shape[axis + 1 :])


def _shares(n: int, tree: Any) -> Any:
    """[B, ...] to [n, B / n, ...]."""
    return jax.tree.map(lambda x: _split(n, x, 0), tree)


def _merged(tree: Any) -> Any:
    """[n, B / n, ...] to [B, ...]."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)
