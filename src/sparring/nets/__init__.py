"""Networks: actor-critics, what they read (`encoders`), what their heads mean (`heads`), and their normaliser.

Importing this package also registers the plain policies as pytrees, so that they can go through `jax.jit`. It knows no
game; a game's symmetry is a `Frame` that its family supplies.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from sparring import mix, policies
from sparring.nets.actor_critic import (
    ActorCritic,
    Architecture,
    Feedforward,
    Frame,
    NetworkConfig,
    Recurrent,
    actor_critic,
    config_of,
    fitted,
    in_frame,
    reset_state,
    set_std,
)
from sparring.nets.normalizer import Normalizer, normalizer
from sparring.types import Decision, Key, Policy, View

__all__ = [
    "ActorCritic",
    "Architecture",
    "Feedforward",
    "Frame",
    "NetworkConfig",
    "Normalizer",
    "Recurrent",
    "actor_critic",
    "config_of",
    "fitted",
    "in_frame",
    "jitted_act",
    "normalizer",
    "reset_state",
    "set_std",
]


def _register(cls: type, data: tuple[str, ...], meta: tuple[str, ...]) -> None:
    """Make a policy class a pytree of its `data` fields.

    Not `jax.tree_util.register_dataclass`: under JAX 0.10 the structures of two classes registered so compare equal if
    their meta fields do, and a compiled function of the one can then be called for the other. Here the class is part
    of the structure.
    """

    def flatten(policy: Any) -> tuple[list[tuple[Any, Any]], Any]:
        children = [(jax.tree_util.GetAttrKey(name), getattr(policy, name)) for name in data]
        return children, (cls, *(getattr(policy, name) for name in meta))

    def unflatten(aux: Any, children: Any) -> Any:
        policy = object.__new__(cls)
        for name, value in (*zip(data, children, strict=True), *zip(meta, aux[1:], strict=True)):
            object.__setattr__(policy, name, value)
        return policy

    jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)


_register(policies.RandomPolicy, (), ("action",))
_register(policies.ConstantPolicy, (), ("action",))
_register(policies.TabularPolicy, ("probabilities",), ())
_register(policies.PoolPolicy, ("live", "past", "numbers", "count", "probability"), ())
_register(mix.MixedPolicy, ("benign", "adversarial", "budget"), ("control", "team"))


@eqx.filter_jit
def jitted_act(policy: Policy, key: Key, view: View, state: Any) -> Decision:
    """`policy.act` in one compiled call; the policy's arrays are arguments, so new weights do not recompile."""
    return policy.act(key, view, state)
