"""Makes `builtin:ant` and the adversarial policies that come with it: `python -m sparring.studies.builtin_ant --help`.

Stage `victim` trains an ant by self-play; stage `attack` trains an adversarial policy against it at one budget.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparring.defences.self_play import SelfPlayConfig, self_play_setup
from sparring.drive import drive
from sparring.games import make
from sparring.games.robosumo.learning import SELF_PLAY_SHAPING
from sparring.learners.ppo import PPOConfig
from sparring.loaders import native
from sparring.nets import NetworkConfig
from sparring.runs import Run, plain
from sparring.training import Reward

GAME = "robosumo/ant-vs-ant,integrator=euler"


def victim_config(steps: int) -> SelfPlayConfig:
    """Sparse outcome, a draw as bad as a loss, and shaping that is gone after 70% of the steps."""
    num_games, steps_per_round = 128, 64
    return SelfPlayConfig(
        steps=steps,
        num_games=num_games,
        steps_per_round=steps_per_round,
        reward=Reward("outcome", draw=-1.0, shaping=SELF_PLAY_SHAPING, shaping_steps=int(0.7 * steps)),
        ppo=PPOConfig(
            learning_rate=3e-4,
            decay_updates=-(-steps // (num_games * steps_per_round)),
            gamma=0.98,
            gae_lambda=0.95,
            epochs=6,
            minibatch=512,
            entropy_coef=0.002,
            min_std=0.2,
            network=NetworkConfig(hidden=(64, 64), initial_std=0.6),
        ),
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m sparring.studies.builtin_ant", description=__doc__)
    parser.add_argument("--steps", type=int, default=8_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="run folder; an existing one is resumed")
    options = parser.parse_args(arguments)
    config = victim_config(options.steps)
    game = make(GAME, config.num_games, options.threads)
    sides, play = self_play_setup(game, config)
    resumed = (options.out / "config.json").exists()
    run = (
        Run.open(options.out)
        if resumed
        else Run.create(options.out, GAME, "self-play", options.seed, plain(vars_of(config)), sys.argv)
    )
    with run:
        state = drive(
            run,
            game,
            sides,
            play,
            seed=options.seed,
            steps_per_round=config.steps_per_round,
            steps=config.steps,
            label="self-play",
        )
        provenance = {"settings": run.config["settings"], "seed": options.seed, "steps": state.steps, "game": GAME}
        network = next(iter(state.learners.values())).network
        native.save(network, options.out / "policy.safetensors", plain(provenance))
        run.finish()


def vars_of(config) -> dict:
    from dataclasses import asdict

    return asdict(config)


if __name__ == "__main__":
    main()
