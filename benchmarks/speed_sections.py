"""The sections of `speed.py`: each sets itself up and then yields the seconds of one turn after the other."""

# MuJoCo is a compiled module without type stubs, and Stable-Baselines3 comes with an extra that the checks do without.
# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gymnasium
import mujoco
import numpy as np
from mujoco.batch import Batch
from mujoco.rollout import Rollout

from sparring.errors import require
from sparring.games import make
from sparring.games.export import make_parallel_env
from sparring.games.robosumo import reward
from sparring.games.robosumo.model import FRAME_SKIP
from sparring.games.robosumo.settings import SumoSettings
from sparring.games.robosumo.sumo import RoboSumo

GAME = "robosumo/ant-vs-ant"
MATCHES = 128
EPOCHS = 10
BUDGET = 0.5
REWARD_SCALE = 1 / 2000  # a lost match costs 2000
SB3_ENVIRONMENTS = 8


@dataclass(frozen=True)
class Scale:
    """How much one turn does."""

    steps: int  # of each match
    warmup: int  # before the first turn, so that the matches are no longer all in their first moments
    repeats: int
    threads: int  # of the physics; 0: all cores


Turns = Iterator[float]  # seconds of each turn, the first one a warm-up


class Matches:
    """What the two ways of physics alone share: states, torques, and the matches' ends."""

    def __init__(self) -> None:
        game = make(GAME, num_games=MATCHES, threads=1)
        assert isinstance(game, RoboSumo)
        game.reset(0)
        self.model = game.model
        self.starts = game.get_state()["physics"]
        self.rng = np.random.default_rng(0)
        self.age = np.zeros(MATCHES, int)

    def torques(self) -> np.ndarray:
        """Like those of an untrained Gaussian policy, [B, A]."""
        return self.rng.standard_normal((MATCHES, self.model.nu))

    def ended(self, qpos: np.ndarray) -> np.ndarray:
        """Ids of the matches to start anew, given positions [B, nq]."""
        self.age += 1
        half = self.model.nq // 2
        size = SumoSettings().tatami_size
        lost = reward.lost(qpos[:, :3], size) | reward.lost(qpos[:, half : half + 3], size)
        ids = np.flatnonzero(lost | (self.age >= reward.STEP_LIMIT))
        self.age[ids] = 0
        return ids


class BatchPhysics:
    """Physics alone, by `mujoco.batch`."""

    def __init__(self, threads: int) -> None:
        self.matches = Matches()
        self.batch = Batch(self.matches.model, MATCHES, threads)
        self.batch.state[:] = self.matches.starts
        self.qpos, self.ctrl = self.batch.bind("qpos"), self.batch.bind("ctrl")

    def step(self) -> None:
        self.ctrl[:] = self.matches.torques()
        self.batch.step(nstep=FRAME_SKIP)
        ids = self.matches.ended(self.qpos)
        self.batch.state[ids] = self.matches.starts[ids]


class RolloutPhysics:
    """Physics alone, by `mujoco.rollout`."""

    def __init__(self, threads: int) -> None:
        self.matches = Matches()
        model = self.matches.model
        threads = threads or os.cpu_count() or 1
        self.datas = [mujoco.MjData(model) for _ in range(threads)]
        self.pool = Rollout(nthread=threads)
        # What it takes and gives is the first part of the state: time, positions, velocities.
        self.starts = self.matches.starts[:, : mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS.value)]
        self.state = self.starts.copy()
        self.qpos = self.state[:, 1 : 1 + model.nq]

    def step(self) -> None:
        torques = np.repeat(self.matches.torques()[:, None], FRAME_SKIP, axis=1)
        after, _ = self.pool.rollout(self.matches.model, self.datas, self.state, torques)
        self.state[:] = np.asarray(after)[:, -1]
        ids = self.matches.ended(self.qpos)
        self.state[ids] = self.starts[ids]


def physics(way: type[BatchPhysics] | type[RolloutPhysics], scale: Scale) -> Turns:
    scene = way(scale.threads)
    for steps in (scale.warmup, *[scale.steps] * scale.repeats):
        start = time.perf_counter()
        for _ in range(steps):
            scene.step()
        yield time.perf_counter() - start


def networks() -> tuple[Any, Any, Any]:
    """Victim's, benign and adversarial actor-critics: untrained, which costs as much as trained."""
    from sparring.nets import NetworkConfig, actor_critic

    spaces = make(GAME, num_games=1, threads=1).spaces["ant0"]
    victim, benign, adversarial = (actor_critic(spaces, NetworkConfig(), np.array([0, i], np.uint32)) for i in range(3))
    return victim, benign, adversarial


def play(scale: Scale) -> Turns:
    from sparring.mixture import mix
    from sparring.play.rollout import rollout

    victim, benign, adversarial = networks()
    game = make(GAME, num_games=MATCHES, threads=scale.threads)
    policies = {"ant0": victim, "ant1": mix(benign, adversarial, BUDGET)}
    rng, state = np.random.default_rng(0), None
    for steps in (scale.warmup, *[scale.steps] * scale.repeats):
        start = time.perf_counter()
        _, state = rollout(game, policies, steps, rng, state, record=("ant1",))
        yield time.perf_counter() - start


Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


def attack(minibatch: int, scale: Scale, wrap_update: Wrapper = lambda update: update) -> Turns:
    """What `adversarial_policy` does, with a learner whose update may be wrapped."""
    import jax

    from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
    from sparring.learners.ppo import PPOConfig
    from sparring.training import train
    from sparring.types import ThreatModel

    victim, benign, _ = networks()
    game = make(GAME, num_games=MATCHES, threads=scale.threads)
    threat = ThreatModel("ant0", ("ant1",), {"ant1": benign}, BUDGET)
    config = AttackConfig(
        num_games=MATCHES,
        steps_per_round=scale.steps,
        victim_scale=REWARD_SCALE,
        ppo=PPOConfig(epochs=EPOCHS, minibatch=minibatch),
    )
    method = adversarial_policy(game, threat, victim, config)
    side = method.sides["ant1"]
    timed = replace(side, learner=side.learner._replace(update=wrap_update(side.learner.update)))
    training = train(game, method._replace(sides={"ant1": timed}), 0)
    for _ in range(1 + scale.repeats):
        start = time.perf_counter()
        jax.block_until_ready(next(training).learners)
        yield time.perf_counter() - start


def both_sides(minibatch: int, scale: Scale, snapshots: int = 0) -> Turns:
    """What hardening does: victim and attacker both learn; with `snapshots`, half of the opponents come from a pool."""
    import jax

    from sparring.defences.adversarial_training import SCHEDULES, adversarial_training
    from sparring.learners.ppo import PPOConfig, ppo
    from sparring.training import Reward, train
    from sparring.types import ThreatModel

    _, benign, _ = networks()
    game = make(GAME, num_games=MATCHES, threads=scale.threads)
    threat = ThreatModel("ant0", ("ant1",), {"ant1": benign}, BUDGET)
    learner = ppo(PPOConfig(epochs=EPOCHS, minibatch=minibatch))
    schedule = SCHEDULES["two-timescale"]
    if snapshots:
        schedule = replace(SCHEDULES["self-play"], snapshot_every=1, max_snapshots=snapshots)
    goal = Reward({"ant0": -REWARD_SCALE})
    method = adversarial_training(game, threat, schedule, learner, {"ant1": learner}, scale.steps, goal)
    training = train(game, method, 0)
    for _ in range(1 + max(scale.repeats, snapshots)):
        start = time.perf_counter()
        jax.block_until_ready(next(training).learners)
        yield time.perf_counter() - start


class Actor:
    """An actor-critic's policy in NumPy: the lightest there is for one observation, so that d is not held back."""

    def __init__(self, network: Any) -> None:
        self.layers = [(np.asarray(layer.weight), np.asarray(layer.bias)) for layer in network.actor.mlp.layers]
        self.std = np.exp(np.asarray(network.log_std))

    def __call__(self, observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x = np.clip(observation, -5.0, 5.0)
        for weight, bias in self.layers[:-1]:
            x = np.tanh(weight @ x + bias)
        weight, bias = self.layers[-1]
        return weight @ x + bias + self.std * rng.standard_normal(self.std.size)


class AttackerTask(gymnasium.Env):
    """The game as the attacker's single-agent task, through the package's PettingZoo environment."""

    def __init__(self, victim: Actor, benign: Actor) -> None:
        self.match = make_parallel_env(GAME)
        self.observation_space = self.match.observation_space("ant1")
        self.action_space = self.match.action_space("ant1")
        self.victim, self.benign = victim, benign
        self.seen: Mapping[str, np.ndarray] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.seen, _ = self.match.reset(seed)
        return self.seen["ant1"], {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.np_random.random() >= BUDGET:
            action = self.benign(self.seen["ant1"], self.np_random)
        actions = {"ant0": self.victim(self.seen["ant0"], self.np_random), "ant1": action}
        self.seen, rewards, terminated, truncated, _ = self.match.step(actions)
        return self.seen["ant1"], -REWARD_SCALE * rewards["ant0"], terminated["ant1"], truncated["ant1"], {}


def baselines3(minibatch: int, vector: str, scale: Scale) -> Turns:
    require("stable_baselines3", "bench")
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common import vec_env

    victim, benign, _ = networks()
    task = partial(AttackerTask, Actor(victim), Actor(benign))
    environments = getattr(vec_env, vector)([task] * SB3_ENVIRONMENTS)
    rounds = scale.steps * MATCHES
    layers = [64, 64]
    model = PPO(
        "MlpPolicy",
        environments,
        n_steps=rounds // SB3_ENVIRONMENTS,
        batch_size=minibatch,
        n_epochs=EPOCHS,
        policy_kwargs={"net_arch": {"pi": layers, "vf": layers}, "activation_fn": torch.nn.Tanh},
        seed=0,
        device="cpu",
    )
    for _ in range(1 + scale.repeats):
        start = time.perf_counter()
        model.learn(rounds, reset_num_timesteps=False)
        yield time.perf_counter() - start
    environments.close()
