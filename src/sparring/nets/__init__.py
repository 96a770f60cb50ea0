"""Networks: actor-critics, what they read (`encoders`), what their heads mean (`heads`), and their normaliser.

Importing this package also registers the plain policies as pytrees, so that they can go through `jax.jit`. It knows no
game; a game's symmetry is a `Frame` that its family supplies.
"""

from __future__ import annotations

from sparring.mixture import register_policies
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
    "normalizer",
    "reset_state",
    "set_std",
]

register_policies()
