"""How fast RoboSumo is played and learned, against its physics alone and against Stable-Baselines3.

a     physics alone: MuJoCo steps 128 matches under random torques, by its batch or its rollout module
b     `rollout`: victim, benign and adversarial policies play, budget 0.5
c-N   `adversarial_policy`: rounds of 128 steps of 128 matches, then 10 epochs of PPO in minibatches of N
d-N   Stable-Baselines3's PPO on the same game, the same steps per round, epochs and minibatch, by the better of its
      vector environments; victim and benign policy play inside each environment
memory  the peak of c-2048 in a process of its own

Rates are steps of matches (0.05 s each) per second, matches starting anew when they end. All sections are set up and
warmed up (compiled) first and then take turns; a section's rate is its best turn, since disturbance from outside only
slows. Needs the extra `bench` for d: pip install 'sparring[bench]'.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import gymnasium
import mujoco
import numpy as np
from mujoco.batch import Batch

from sparring.games import make
from sparring.games.pettingzoo import make_parallel_env
from sparring.games.robosumo import reward
from sparring.games.robosumo.model import FRAME_SKIP, SumoSettings
from sparring.games.robosumo.sumo import RoboSumo
from sparring.runs import write_json

GAME = "robosumo/ant-vs-ant"
MATCHES = 128
EPOCHS = 10
BUDGET = 0.5
REWARD_SCALE = 1 / 2000  # a lost match costs 2000
SB3_ENVIRONMENTS = 8
MEMORY_LIMIT = 1500  # MB
TARGETS = {  # least ratio of the first section's rate to the second's
    ("b", "a"): 0.90,
    ("c-2048", "a"): 0.80,
    ("c-64", "a"): 0.70,
    ("c-2048", "d-2048"): 1.2,
    ("c-64", "d-64"): 2.5,
}
SECTIONS = ("a", "b", "c-2048", "c-64", "d-2048", "d-64", "memory")


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


def physics_batch(scale: Scale) -> Turns:
    matches = Matches()
    batch = Batch(matches.model, MATCHES, scale.threads)
    batch.state[:] = matches.starts
    qpos, ctrl = batch.bind("qpos"), batch.bind("ctrl")

    def step() -> None:
        ctrl[:] = matches.torques()
        batch.step(nstep=FRAME_SKIP)
        ids = matches.ended(qpos)
        batch.state[ids] = matches.starts[ids]

    yield from _turns(step, scale)


def physics_rollout(scale: Scale) -> Turns:
    from mujoco.rollout import Rollout

    matches = Matches()
    threads = scale.threads or os.cpu_count() or 1
    datas = [mujoco.MjData(matches.model) for _ in range(threads)]
    state = matches.starts.copy()
    spec = mujoco.mjtState.mjSTATE_CTRL.value
    # The state starts with the time.
    positions = slice(1, 1 + matches.model.nq)
    full = mujoco.mj_stateSize(matches.model, mujoco.mjtState.mjSTATE_FULLPHYSICS.value)
    state = state[:, :full].copy()
    with Rollout(nthread=threads) as pool:

        def step() -> None:
            torques = np.repeat(matches.torques()[:, None], FRAME_SKIP, axis=1)
            after, _ = pool.rollout(matches.model, datas, state, torques, control_spec=spec)
            state[:] = after[:, -1]
            ids = matches.ended(state[:, positions])
            state[ids] = matches.starts[ids, :full]

        yield from _turns(step, scale)


def networks() -> tuple[Any, Any, Any]:
    """Victim's, benign and adversarial actor-critics: untrained, which costs as much as trained."""
    from sparring.nets import NetworkConfig, actor_critic

    spaces = make(GAME, num_games=1, threads=1).spaces["ant0"]
    first, second, third = (np.array([0, i], np.uint32) for i in range(3))
    return tuple(actor_critic(spaces, NetworkConfig(), key) for key in (first, second, third))  # type: ignore[return-value]


def _turns(step: Callable[[], None], scale: Scale) -> Turns:
    for steps in (scale.warmup, *[scale.steps] * scale.repeats):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        yield time.perf_counter() - start


def play(scale: Scale) -> Turns:
    from sparring.policy import mix
    from sparring.rollout import rollout

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

    from sparring.attacks.adversarial_policy import AttackConfig, attack_setup
    from sparring.learners.ppo import PPOConfig
    from sparring.training import Reward, train
    from sparring.types import ThreatModel

    victim, benign, _ = networks()
    game = make(GAME, num_games=MATCHES, threads=scale.threads)
    threat = ThreatModel("ant0", ("ant1",), {"ant1": benign}, BUDGET)
    config = AttackConfig(
        num_games=MATCHES,
        steps_per_round=scale.steps,
        reward=Reward("victim", scale=REWARD_SCALE),
        ppo=PPOConfig(epochs=EPOCHS, minibatch=minibatch),
    )
    sides, opponents = attack_setup(game, threat, victim, config, {})
    learner = sides["ant1"].learner
    sides = {"ant1": replace(sides["ant1"], learner=learner._replace(update=wrap_update(learner.update)))}
    training = train(game, sides, opponents, 0, config.steps_per_round)
    for _ in range(1 + scale.repeats):
        start = time.perf_counter()
        jax.block_until_ready(next(training).learners)
        yield time.perf_counter() - start


def split_of(minibatch: int, scale: Scale) -> dict[str, float]:
    """Which shares of training's time go to physics, inference, update and the rest."""
    import jax

    from sparring import rollout

    parts = {"physics": 0.0, "inference": 0.0, "update": 0.0}

    def clocked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = jax.block_until_ready(function(*arguments))
            parts[name] += time.perf_counter() - start
            return result

        return timed

    with (
        patch.object(RoboSumo, "_advance", clocked("physics", RoboSumo._advance)),
        patch.object(rollout, "_decide", clocked("inference", rollout._decide)),
    ):
        turns = attack(minibatch, scale, partial(clocked, "update"))
        next(turns)
        parts.update(dict.fromkeys(parts, 0.0))
        total = sum(turns)
    parts["rest"] = total - sum(parts.values())
    return {name: seconds / total for name, seconds in parts.items()}


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

    def __init__(self, victim: Actor, benign: Actor, seed: int) -> None:
        self.match = make_parallel_env(GAME)
        self.observation_space = self.match.observation_space("ant1")
        self.action_space = self.match.action_space("ant1")
        self.victim, self.benign = victim, benign
        self.rng = np.random.default_rng(seed)
        self.seen: Mapping[str, np.ndarray] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seen, _ = self.match.reset(seed, options)
        return self.seen["ant1"], {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.rng.random() >= BUDGET:
            action = self.benign(self.seen["ant1"], self.rng)
        actions = {"ant0": self.victim(self.seen["ant0"], self.rng), "ant1": action}
        self.seen, rewards, terminated, truncated, _ = self.match.step(actions)
        return self.seen["ant1"], -REWARD_SCALE * rewards["ant0"], terminated["ant1"], truncated["ant1"], {}


def baselines3(minibatch: int, vector: str, scale: Scale) -> Turns:
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common import vec_env

    victim, benign, _ = networks()
    seeds = np.random.SeedSequence(0).generate_state(SB3_ENVIRONMENTS).tolist()
    tasks = [partial(AttackerTask, Actor(victim), Actor(benign), seed) for seed in seeds]
    environments = getattr(vec_env, vector)(tasks)
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


def variants(section: str, scale: Scale) -> dict[str, Turns]:
    """The ways to do what a section measures, of which the fastest counts."""
    kind, _, minibatch = section.partition("-")
    if kind == "a":
        return {"batch": physics_batch(scale), "rollout": physics_rollout(scale)}
    if kind == "b":
        return {"": play(scale)}
    if kind == "c":
        return {"": attack(int(minibatch), scale)}
    return {v: baselines3(int(minibatch), v, scale) for v in ("SubprocVecEnv", "DummyVecEnv")}


def measure(sections: Sequence[str], scale: Scale) -> dict[str, dict[str, Any]]:
    """Rates of the sections' variants, all in turn."""
    running = {(section, name): turns for section in sections for name, turns in variants(section, scale).items()}
    for which, turns in running.items():
        print(f"warm-up of {' '.join(which)}: {next(turns):.1f} s", file=sys.stderr, flush=True)
    rates: dict[tuple[str, str], list[float]] = {which: [] for which in running}
    for _ in range(scale.repeats):
        for which, turns in running.items():
            rates[which].append(scale.steps * MATCHES / next(turns))
    out: dict[str, dict[str, Any]] = {}
    for (section, name), found in rates.items():
        if section not in out or max(found) > out[section]["best"]:
            out[section] = {"variant": name, "best": max(found), "median": median(found), "turns": found}
    return out


def peak_memory(threads: int) -> float:
    """MB that c-2048 takes at most, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speed.json"
        options = ["--only", "c-2048", "--repeats", "1", "--threads", str(threads), "--json", str(path)]
        subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.DEVNULL)
        return json.loads(path.read_text())["peak_mb"]


def compare(rates: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The ratios of best rates that have a target and of which both sections were measured."""
    return [
        {"ratio": f"{first} / {second}", "value": rates[first]["best"] / rates[second]["best"], "target": target}
        for (first, second), target in TARGETS.items()
        if first in rates and second in rates
    ]


def report(results: Mapping[str, Any]) -> str:
    """The results as a table, in words of one line each."""
    lines = [f"{'section':<8} {'best':>7} {'median':>7} steps/s"]
    for section, rate in results["rates"].items():
        lines.append(f"{section:<8} {rate['best']:7.0f} {rate['median']:7.0f} {rate['variant']}")
    for ratio in results["ratios"]:
        said = "" if ratio["value"] >= ratio["target"] else ": MISSED"
        lines.append(f"{ratio['ratio']}: {ratio['value']:.2f}, target at least {ratio['target']}{said}")
    for section, parts in results["split"].items():
        lines.append(f"{section}: " + ", ".join(f"{name} {100 * share:.1f}%" for name, share in parts.items()))
    if (peak := results["memory_mb"]) is not None:
        lines.append(f"memory: {peak:.0f} MB, limit {MEMORY_LIMIT}{'' if peak < MEMORY_LIMIT else ': TOO MUCH'}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="sections, such as a,b,c-2048 (default: all)", default=",".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="short turns: does it run? The ratios mean nothing")
    parser.add_argument("--repeats", type=int, help="turns of each section (default: 5, or 2 if quick)")
    parser.add_argument("--threads", type=int, default=0, help="that step the physics (default: all cores)")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    asked = parser.parse_args(arguments)
    sections = asked.only.split(",")
    if unknown := [section for section in sections if section not in SECTIONS]:
        parser.error(f"--only: expected some of {','.join(SECTIONS)}, got {unknown[0]!r}")
    repeats = asked.repeats or (2 if asked.quick else 5)
    scale = Scale(16 if asked.quick else 128, 16 if asked.quick else 128, repeats, asked.threads)
    rates = measure([section for section in sections if section != "memory"], scale)
    results = {
        "cores": os.cpu_count(),
        "quick": asked.quick,
        "rates": rates,
        "ratios": compare(rates),
        "split": {section: split_of(int(section[2:]), scale) for section in sections if section.startswith("c-")},
        "memory_mb": peak_memory(asked.threads) if "memory" in sections else None,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(report(results))
    if asked.json:
        write_json(asked.json, results)
    missed = [ratio for ratio in results["ratios"] if ratio["value"] < ratio["target"]]
    return int(bool(missed) or (results["memory_mb"] or 0) >= MEMORY_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
