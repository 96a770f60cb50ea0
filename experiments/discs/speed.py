"""Steps per second of `discs/duel` on one core: the bare game in one compiled scan, and a rollout of two networks.

    python experiments/discs/speed.py

Seconds are those of the processor, so that other work on the machine does not count.
"""

from __future__ import annotations

import os

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from sparring.games.discs.duel import Duel
from sparring.games.discs.learning import NETWORK
from sparring.nets import NetworkConfig, actor_critic
from sparring.play.rollout import rollout, start

MATCHES, STEPS, REPEATS = 128, 2000, 5


@eqx.filter_jit
def alone(game: Duel, key: Any) -> Any:
    """The bare game under one constant action."""
    actions = {agent: jax.numpy.full((game.num_games, 2), 0.3) for agent in game.agents}
    keys = jax.random.split(key, STEPS)
    state, _ = game.init(key)
    return jax.lax.scan(lambda s, k: (game.step(s, actions, k)[0], None), state, keys)[0]


def rate(play: Callable[[int], Any]) -> float:
    """The best of several runs, in steps of all matches per second."""
    jax.block_until_ready(play(0))
    seconds = []
    for repeat in range(1, 1 + REPEATS):
        begun = time.process_time()
        jax.block_until_ready(play(repeat))
        seconds.append(time.process_time() - begun)
    return MATCHES * STEPS / min(seconds)


def main() -> None:
    game = Duel(MATCHES)
    network = actor_critic(game.spaces["disc0"], NetworkConfig(**NETWORK), np.zeros(2, np.uint32))
    policies = dict.fromkeys(game.agents, network)
    rng = np.random.default_rng(0)
    begun = start(game, policies, rng)

    def played(_: int) -> Any:
        return rollout(game, policies, STEPS, rng, begun)[1].game

    print(f"the bare game: {rate(lambda seed: alone(game, jax.random.key(seed))):,.0f} steps/s")
    print(f"a rollout of two networks: {rate(played):,.0f} steps/s")


if __name__ == "__main__":
    main()
