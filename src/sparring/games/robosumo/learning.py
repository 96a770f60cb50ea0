"""What has been found to learn in RoboSumo: the game's own defaults, in one place.

`SHAPING` is what a shaped reward adds per metre: walk up to the opponent (`approach`), push it outwards (`ring`).
`ATTACK` overrides the fields of `AttackConfig` and, under `ppo`, of `PPOConfig`; `SELF_PLAY` those of `SelfPlayConfig`.
A robot that cannot walk yet begins with `FROM_SCRATCH` in their place: noise, shaping over `shaping_part` of the steps,
fewer matches against an opponent that stands still, and draws that cost what losses cost. The tables that justify them
are in `results/robosumo-learning`.
"""

from __future__ import annotations

from typing import Any

SHAPING = {"approach": 2.0, "ring": 0.5}
VICTIM_REWARD_SCALE = 1 / 2000  # a lost match costs the victim 2000

ATTACK: dict[str, Any] = {
    "reward": "outcome",
    "num_games": 128,
    "steps_per_round": 64,
    "ppo": {
        "learning_rate": 3e-4,
        "gamma": 0.99,
        "epochs": 6,
        "minibatch": 1024,
        "entropy_coef": 0.002,
        "warmup_updates": 5,
        # With .1 hardly anything is learned: what it changes is lost in what chance decides of a fight.
        "start_std": 0.3,
        "min_std": 0.3,
        "end_std": 0.1,
        # Chance moves the weights to and fro: their mean won 2.1 points more than the last ones (standard error 1.0).
        "average": 0.99,
    },
}

SELF_PLAY: dict[str, Any] = {
    "past": 0.3,
    "passive": 0.3,
    "draw": -0.5,
    "num_games": 128,
    "steps_per_round": 64,
    "ppo": {**ATTACK["ppo"], "epochs": 8, "entropy_coef": 0.001, "average": 0.0},
}

FROM_SCRATCH: dict[str, Any] = {
    "initial_std": 0.3,
    "shaping": {"approach": 6.0, "ring": 0.5},
    "shaping_part": 0.2,
    "passive": 0.15,
    "draw": -1.0,
}
