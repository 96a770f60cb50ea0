"""What has been found to learn in RoboSumo: the game's own defaults, in one place.

`SHAPING` is what a shaped reward adds per metre: walk up to the opponent (`approach`), push it outwards (`ring`).
`ATTACK` overrides the fields of `AttackConfig` and, under `ppo`, of `PPOConfig`; the table that justifies it is in
`results/robosumo-learning`.
"""

from __future__ import annotations

from typing import Any

SHAPING = {"approach": 2.0, "ring": 0.5}
SELF_PLAY_SHAPING = {"approach": 6.0, "ring": 0.5}
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
        "min_std": 0.1,
    },
}
