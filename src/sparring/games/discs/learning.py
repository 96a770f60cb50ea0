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
        # A million steps against the disc of a million steps, full control, one seed: .69 of the matches won, with a
        # learning rate of 3e-4 .47, with a standard deviation of .2 instead of .3 .60.
        "learning_rate": 1e-3,
        "gamma": 0.99,
        "epochs": 4,
        "minibatch": 1024,
        "entropy_coef": 0.001,
        "warmup_updates": 5,
        "start_std": 0.3,
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
        # The noise of learning makes a disc weak: with no more than this, the disc of 300,000 steps won 99.7% of the
        # matches against itself as it learned. An attack on the latter would find little else than that.
        "end_std": 0.1,
    },
}

# New weights, for self-play; half the usual width suffices for 9 numbers, and files have 14 kB.
NETWORK: dict[str, Any] = {"hidden": (32, 32), "initial_std": 0.6}
