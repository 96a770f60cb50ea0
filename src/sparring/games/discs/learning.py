"""What has been found to learn in the disc games: the family's own defaults, in one place.

`SHAPING` is what a shaped reward adds per metre: push the other disc outwards (`ring`), keep to the centre (`centre`).
`ATTACK` overrides the fields of `AttackConfig` and, under `ppo`, of `PPOConfig`; `SELF_PLAY` those of `SelfPlayConfig`.
The runs that these settings were found by are in `results/discs`.
"""

from __future__ import annotations

from typing import Any

SHAPING = {"ring": 0.5, "centre": 0.5}

ATTACK: dict[str, Any] = {
    "reward": "outcome",
    "num_games": 128,
    "steps_per_round": 64,
    "ppo": {
        # With 3e-4 an attack of a million steps found a third of what it finds with this.
        "learning_rate": 1e-3,
        "gamma": 0.99,
        "epochs": 4,
        "minibatch": 1024,
        "entropy_coef": 0.001,
        "warmup_updates": 5,
        "start_std": 0.2,  # with .3 half a million steps were spent on becoming as good as before
        "end_std": 0.1,
        "average": 0.98,
    },
}

SELF_PLAY: dict[str, Any] = {
    "past": 0.3,
    "snapshot_every": 10,
    "num_games": 128,
    "steps_per_round": 64,
    "ppo": {
        "learning_rate": 3e-4,
        "gamma": 0.99,
        "epochs": 4,
        "minibatch": 1024,
        "entropy_coef": 0.001,
        # The noise of learning makes a disc weak: it loses up to 99% of its matches against itself with this much. An
        # attack on it would find no more than that.
        "end_std": 0.1,
    },
}

# New weights, for self-play: a network of half the usual width is as strong here, and several times as fast.
NETWORK: dict[str, Any] = {"hidden": (32, 32), "initial_std": 0.6}
