"""Sparring's PPO against Stable-Baselines3's on Gymnasium tasks: the same settings, the same evaluation.

Writes learning curves, final returns with intervals, and a page that says what is seen, into `--out`.
Needs the extra `bench`: pip install 'sparring[bench]'.
"""

# Stable-Baselines3 comes with an extra that the checks do without.
# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import json
import math
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ppo_check_page import OURS, THEIRS, figure, page, table

from sparring.errors import require
from sparring.files import write_atomic, write_json
from sparring.games.gymnasium import AGENT, GymnasiumGame
from sparring.policies import CallablePolicy
from sparring.types import Policy

PACKAGES = ("sparring", "jax", "equinox", "optax", "stable-baselines3", "torch", "gymnasium", "numpy")
EVALUATION = 1  # spawn key of the seed of the final episodes; training draws from the bare seed


@dataclass(frozen=True)
class Settings:
    """One task's settings, which both implementations get. The rest of them is in `train_ours` and `train_theirs`."""

    task: str
    steps: int  # of all environments together
    num_envs: int
    steps_per_round: int  # of each environment
    minibatch: int
    epochs: int
    gamma: float
    gae_lambda: float
    learning_rate: float  # constant
    clip: float = 0.2
    entropy_coef: float = 0.0
    value_coef: float = 0.5
    max_grad_norm: float = 0.5
    hidden: tuple[int, ...] = (64, 64)  # tanh, of the actor and of the critic


TASKS = (
    Settings("CartPole-v1", 100_000, 8, 128, 256, 10, gamma=0.99, gae_lambda=0.95, learning_rate=1e-3),
    Settings("Pendulum-v1", 100_000, 4, 1024, 64, 10, gamma=0.9, gae_lambda=0.95, learning_rate=1e-3),
)


class Trained(NamedTuple):
    policy: Policy
    curve: list[list[float]]  # [steps, mean return of the training episodes that ended in the round]
    seconds: float  # wall time of training, compilation included


def train_ours(settings: Settings, seed: int) -> Trained:
    """Through `sparring.training.train`, as every method of the package."""
    from sparring.learners.ppo import PPOConfig, ppo
    from sparring.nets import NetworkConfig
    from sparring.training import Method, Reward, Side, train

    config = PPOConfig(
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip=settings.clip,
        epochs=settings.epochs,
        minibatch=settings.minibatch,
        value_coef=settings.value_coef,
        entropy_coef=settings.entropy_coef,
        max_grad_norm=settings.max_grad_norm,
        normalize_observations=False,
        network=NetworkConfig(hidden=settings.hidden, observation_clip=math.inf),
    )
    learner = ppo(config)
    side = Side(learner, Reward(weights={AGENT: 1.0}), (AGENT,))
    method = Method({AGENT: side}, lambda opponents: opponents.current, settings.steps_per_round)
    start = time.perf_counter()
    game = GymnasiumGame(settings.task, settings.num_envs)
    running = np.zeros(settings.num_envs)
    curve: list[list[float]] = []
    for state in train(game, method, seed):
        assert state.trajectory is not None
        ended = np.asarray(state.trajectory.terminated | state.trajectory.truncated)
        running, returns = episode_returns(running, state.trajectory.reward[AGENT], ended)
        if returns:
            curve.append([state.steps, float(np.mean(returns))])
        if state.steps >= settings.steps:
            game.close()
            return Trained(learner.policy(state.learners[AGENT]), curve, time.perf_counter() - start)
    raise AssertionError("training is endless")


def train_theirs(settings: Settings, seed: int) -> Trained:
    """Stable-Baselines3, whose defaults are the same orthogonal initialisation, tanh networks and advantage scaling."""
    require("stable_baselines3", "bench")
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    class Curve(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.points: list[list[float]] = []
            self.returns: list[float] = []

        def _on_step(self) -> bool:
            self.returns += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
            return True

        def _on_rollout_end(self) -> None:
            if self.returns:
                self.points.append([self.num_timesteps, float(np.mean(self.returns))])
            self.returns = []

    torch.set_num_threads(1)
    start = time.perf_counter()
    layers = list(settings.hidden)
    model = PPO(
        "MlpPolicy",
        make_vec_env(settings.task, settings.num_envs, seed=seed),
        learning_rate=settings.learning_rate,
        n_steps=settings.steps_per_round,
        batch_size=settings.minibatch,
        n_epochs=settings.epochs,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip,
        ent_coef=settings.entropy_coef,
        vf_coef=settings.value_coef,
        max_grad_norm=settings.max_grad_norm,
        policy_kwargs={"net_arch": {"pi": layers, "vf": layers}, "activation_fn": torch.nn.Tanh},
        seed=seed,
        device="cpu",
    )
    curve = Curve()
    model.learn(settings.steps, callback=curve)
    seconds = time.perf_counter() - start
    torch.manual_seed(seed)
    policy = CallablePolicy(lambda observation, rng: model.predict(observation, deterministic=False)[0])
    return Trained(policy, curve.points, seconds)


def episode_returns(running: np.ndarray, reward: np.ndarray, ended: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Given the returns so far [B] and the next [T, B] steps: the returns so far, and those of episodes that ended."""
    running, returns = running.copy(), []
    for rewards, ends in zip(reward, ended, strict=True):
        running += rewards
        returns += running[ends].tolist()
        running[ends] = 0.0
    return running, returns


def final_return(policy: Policy, settings: Settings, episodes: int, seed: int) -> float:
    """Mean return of fresh episodes with the stochastic policy; the same episodes' starts for both implementations."""
    from sparring.play.evaluate import evaluate

    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(EVALUATION,)))
    game = GymnasiumGame(settings.task, min(episodes, 10))
    outcomes = evaluate(game, {AGENT: policy}, episodes, rng)
    game.close()
    return float(outcomes.returns[AGENT].mean())


def mean_interval(values: Sequence[float]) -> list[float]:
    """Mean and its 95% t interval over at least two seeds: [mean, low, high]."""
    from scipy.stats import ttest_1samp

    mean = float(np.mean(values))
    if np.ptp(values) == 0:
        return [mean, mean, mean]
    interval = ttest_1samp(values, 0.0).confidence_interval()
    return [mean, float(interval.low), float(interval.high)]


def welch(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Difference of means, a minus b, and its 95% interval for unequal variances (Welch 1947): [mean, low, high]."""
    from scipy.stats import ttest_ind

    difference = float(np.mean(a) - np.mean(b))
    if np.ptp(a) == np.ptp(b) == 0:
        return [difference, difference, difference]
    interval = ttest_ind(a, b, equal_var=False).confidence_interval()
    return [difference, float(interval.low), float(interval.high)]


def compare(settings: Settings, seeds: Sequence[int], episodes: int) -> dict[str, Any]:
    """Both implementations on one task, seed by seed in turn."""
    runs: dict[str, list[dict[str, Any]]] = {OURS: [], THEIRS: []}
    for seed in seeds:
        for name, train in ((OURS, train_ours), (THEIRS, train_theirs)):
            trained = train(settings, seed)
            result = final_return(trained.policy, settings, episodes, seed)
            runs[name].append(
                {"seed": seed, "final_return": result, "seconds": trained.seconds, "curve": trained.curve}
            )
            print(f"{settings.task}, {name}, seed {seed}: return {result:.1f}, {trained.seconds:.0f} s", flush=True)
    finals = {name: [run["final_return"] for run in of_name] for name, of_name in runs.items()}
    whiles = {name: [float(np.mean([r for _, r in run["curve"]])) for run in of_name] for name, of_name in runs.items()}
    return {
        "settings": asdict(settings),
        "runs": runs,
        "final_return": {name: mean_interval(values) for name, values in finals.items()},
        "difference": welch(finals[OURS], finals[THEIRS]),
        "training_return": {name: mean_interval(values) for name, values in whiles.items()},
        "training_difference": welch(whiles[OURS], whiles[THEIRS]),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="trainings per task and implementation (default: 3)")
    parser.add_argument("--episodes", type=int, default=100, help="of the final evaluation of each (default: 100)")
    parser.add_argument("--tasks", nargs="+", choices=[s.task for s in TASKS], help="(default: all)")
    parser.add_argument("--out", type=Path, default=Path("results/ppo-check"), help="folder (default: %(default)s)")
    asked = parser.parse_args(arguments)
    if asked.seeds < 2 or asked.episodes < 1:
        parser.error("expected at least 2 seeds, without which there is no interval, and 1 episode")
    asked.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    chosen = [s for s in TASKS if asked.tasks is None or s.task in asked.tasks]
    results: dict[str, Any] = {
        "command": shlex.join(
            ["python", "benchmarks/ppo_check.py", *(sys.argv[1:] if arguments is None else arguments)]
        ),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "seeds": asked.seeds,
        "episodes": asked.episodes,
        "tasks": {s.task: compare(s, range(asked.seeds), asked.episodes) for s in chosen},
    }
    results["minutes"] = (time.perf_counter() - start) / 60
    write_json(asked.out / "ppo-check.json", results)
    write_atomic(asked.out / "ppo-check.csv", table(results).encode())
    write_atomic(asked.out / "ppo-check.svg", figure(results))
    write_atomic(asked.out / "README.md", page(results).encode())
    print(json.dumps({task: result["difference"] for task, result in results["tasks"].items()}))
    return int(any(result["difference"][2] < 0 for result in results["tasks"].values()))


if __name__ == "__main__":
    sys.exit(main())
