"""PPO against Stable-Baselines3's: the claims of `results/ppo-check`, and the update on the same data."""

# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import pytest

from sparring.files import plain, read_json
from sparring.learners.ppo import PPOConfig, ppo
from sparring.nets import NetworkConfig, actor_critic
from sparring.types import Array, Continuous, Discrete, Experience, Spaces

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import ppo_check
import ppo_check_page

FOLDER = Path(__file__).parents[2] / "results" / "ppo-check"
RESULTS = read_json(FOLDER / "ppo-check.json")
TASKS: dict[str, Any] = RESULTS["tasks"]


def finals(task: str) -> list[list[float]]:
    """Final returns per seed, ours and theirs."""
    runs = TASKS[task]["runs"]
    return [[run["final_return"] for run in runs[name]] for name in (ppo_check.OURS, ppo_check.THEIRS)]


def test_every_task_was_run_with_its_settings_of_today() -> None:
    assert {s.task: plain(asdict(s)) for s in ppo_check.TASKS} == {t: result["settings"] for t, result in TASKS.items()}


@pytest.mark.parametrize("task", TASKS)
def test_ours_is_not_seen_to_be_worse(task: str) -> None:
    difference = ppo_check.welch(*finals(task))
    assert TASKS[task]["difference"] == pytest.approx(difference)
    assert difference[2] >= 0


@pytest.mark.parametrize("task", TASKS)
def test_both_have_the_same_seeds_and_steps(task: str) -> None:
    runs = TASKS[task]["runs"]
    seeds = [[run["seed"] for run in runs[name]] for name in (ppo_check.OURS, ppo_check.THEIRS)]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) >= 3
    steps = {run["curve"][-1][0] for name in runs for run in runs[name]}
    assert min(steps) >= TASKS[task]["settings"]["steps"]
    assert len(steps) == 1


@pytest.mark.parametrize(("task", "solved"), [("CartPole-v1", 150.0), ("Pendulum-v1", -300.0)])
def test_both_learned(task: str, solved: float) -> None:
    # Untrained policies get about 20 and -1200; agreement of two learners that learn nothing would say nothing.
    assert min(map(np.mean, finals(task))) > solved


def test_the_page_and_the_table_are_of_these_results() -> None:
    assert (FOLDER / "README.md").read_text() == ppo_check_page.page(RESULTS)
    assert (FOLDER / "ppo-check.csv").read_text() == ppo_check_page.table(RESULTS)


def our_weights(network: Any) -> list[Array]:
    layers = (*network.actor.mlp.layers, *network.critic.mlp.layers)
    return [x for layer in layers for x in (layer.weight, layer.bias)] + [network.log_std]


def their_weights(policy: Any) -> list[np.ndarray]:
    """In the order of `our_weights`."""
    networks = (*policy.mlp_extractor.policy_net, policy.action_net, *policy.mlp_extractor.value_net, policy.value_net)
    layers = [layer for layer in networks if hasattr(layer, "weight")]
    log_std = [policy.log_std] if hasattr(policy, "log_std") else []
    tensors = [x for layer in layers for x in (layer.weight, layer.bias)] + log_std
    return [x.detach().numpy().copy() for x in tensors] + [np.zeros(0, np.float32)] * (not log_std)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "spaces", "gamma"),
    [("Pendulum-v1", Spaces(3, Continuous(1, -2.0, 2.0)), 0.9), ("CartPole-v1", Spaces(4, Discrete(2)), 0.99)],
)
def test_the_update_is_stable_baselines3s(task: str, spaces: Spaces, gamma: float) -> None:
    """From the same weights and data, advantages and three updates of 10 epochs agree.

    One minibatch takes the whole batch, so that the order of the steps, which differs, does not matter. What remains is
    float32 rounding, and Stable-Baselines3's standard deviation of the advantages with n - 1 instead of n.
    """
    pytest.importorskip("stable_baselines3")
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    steps, environments = 256, 4
    size = steps * environments
    settings: dict[str, Any] = {"learning_rate": 1e-3, "gamma": gamma}
    tasks = make_vec_env(task, environments, seed=0)
    tanh = {"net_arch": {"pi": [64, 64], "vf": [64, 64]}, "activation_fn": torch.nn.Tanh}
    theirs = PPO(
        "MlpPolicy", tasks, n_steps=steps, batch_size=size, policy_kwargs=tanh, seed=0, device="cpu", **settings
    )
    _, callback = theirs._setup_learn(size)
    fresh = actor_critic(spaces, NetworkConfig(observation_clip=np.inf), np.zeros(2, np.uint32))
    ours = ppo(
        PPOConfig(minibatch=size, normalize_observations=False, **settings),
        eqx.tree_at(our_weights, fresh, their_weights(theirs.policy)),
    )
    state = ours.init(spaces, np.zeros(2, np.uint32))
    never = np.zeros((steps, environments), bool)
    for _ in range(3):
        theirs.collect_rollouts(tasks, callback, theirs.rollout_buffer, steps)
        seen, before = theirs.rollout_buffer, their_weights(theirs.policy)
        with torch.no_grad():
            following = torch.as_tensor(np.asarray(theirs._last_obs, np.float32))
            last = theirs.policy.predict_values(following).numpy()[:, 0]
        experience = Experience(
            observation=seen.observations,
            action=seen.actions[..., 0].astype(int) if isinstance(spaces.action, Discrete) else seen.actions,
            reward=seen.rewards,  # in which the value of a truncated episode's last observation is already
            log_prob=seen.log_probs,
            value=seen.values,
            bootstrap=never.astype(np.float32),
            controlled=~never,
            terminated=np.vstack([seen.episode_starts[1:], np.asarray(theirs._last_episode_starts)]).astype(bool),
            truncated=never,
            first=seen.episode_starts.astype(bool),
            last_value=last,
            policy_state=((), ()),
        )
        theirs.train()
        state, _ = ours.update(state, experience, np.zeros(2, np.uint32))
        after = their_weights(theirs.policy)
        moved = np.concatenate([(a - b).ravel() for a, b in zip(after, before, strict=True)])
        apart = np.concatenate([(a - b).ravel() for a, b in zip(after, our_weights(state.network), strict=True)])
        assert np.linalg.norm(apart) < 1e-3 * np.linalg.norm(moved)
