"""How fast both sides of `discs/duel` learn: as one process, as two jobs, and as ten seeds in one program.

one       one process on all cores
jobs      two processes side by side, each on one thread, as `--jobs 2` does
seeds     one process on all cores, ten trainings side by side in it (`learners.replicas`), 128 matches each

Rates are steps of matches per second, of all trainings together. The limit: the fastest way reaches 100,000 on two
cores. The ratio of seeds to jobs tells which of the two is the better use of a machine for a study.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sparring.files import write_json

LIMIT = 100_000  # steps/s
GAME, MATCHES, SEEDS = "discs/duel", 128, 10
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def train_both(seeds: int, steps: int) -> dict[str, Any]:
    """Rate of `seeds` trainings of both sides in this process, after a warm-up of three rounds."""
    import jax

    from sparring.defences.adversarial_training import SCHEDULES, adversarial_training
    from sparring.games import make
    from sparring.games.discs.learning import ATTACK, NETWORK
    from sparring.learners.ppo import PPOConfig, ppo
    from sparring.learners.replicas import replicated
    from sparring.nets import NetworkConfig, actor_critic
    from sparring.training import train
    from sparring.types import ThreatModel

    game = make(GAME, MATCHES * seeds)
    mine, other = game.agents
    config = PPOConfig(**{**ATTACK["ppo"], "network": NetworkConfig(**NETWORK)}, measure_gradient=True)
    benign = actor_critic(game.spaces[other], config.network, jax.random.key_data(jax.random.key(0)))
    learner = ppo(config) if seeds == 1 else replicated(ppo(config), seeds)
    threat = ThreatModel(mine, (other,), {other: benign}, 1.0)
    length = ATTACK["steps_per_round"]
    method = adversarial_training(game, threat, SCHEDULES["two-timescale"], learner, {other: learner}, length)
    training = train(game, method, 0)
    for _ in range(3):
        jax.block_until_ready(next(training).learners)
    rounds = max(1, steps // (length * game.num_games))
    begun = time.perf_counter()
    for _ in range(rounds):
        jax.block_until_ready(next(training).learners)
    return {"steps": rounds * length * game.num_games, "seconds": time.perf_counter() - begun}


def side_by_side(num: int, seeds: int, steps: int, flags: str) -> float:
    """Steps per second of so many processes together, each measured while the others run."""
    words = [sys.executable, __file__, "--child", str(seeds), "--steps", str(steps)]
    environment = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}
    children = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(num)]
    told = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise SystemExit("a training failed; its words are above")
    return sum(done["steps"] / done["seconds"] for done in map(json.loads, told))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3_000_000, help="of each training")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)  # so many seeds, in this process
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(train_both(asked.child, asked.steps)))
        return 0
    rates = {
        "one": side_by_side(1, 1, asked.steps, ""),
        "jobs": side_by_side(2, 1, asked.steps, ONE_THREAD),
        "seeds": side_by_side(1, SEEDS, asked.steps, ""),
    }
    best = max(rates.values())
    for name, rate in rates.items():
        print(f"{name:<6} {rate:9,.0f} steps/s")
    print(f"seeds / jobs: {rates['seeds'] / rates['jobs']:.2f}")
    print(f"fastest / {LIMIT:,}: {best / LIMIT:.2f}, target at least 1{'' if best >= LIMIT else ': MISSED'}")
    if asked.json:
        write_json(asked.json, {"cores": os.cpu_count(), "rates": rates, "limit": LIMIT})
    return int(best < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
