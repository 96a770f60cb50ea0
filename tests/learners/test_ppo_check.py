"""PPO's update beside Stable-Baselines3's, on the same data."""

# Stable-Baselines3 comes with the extra `bench`.
# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
import pytest

from sparring.learners.ppo import PPOConfig, ppo
from sparring.nets import NetworkConfig, actor_critic
from sparring.types import Array, Box, Discrete, Experience, Spaces


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


@pytest.mark.long
@pytest.mark.parametrize(
    ("task", "spaces", "gamma"),
    [
        ("Pendulum-v1", Spaces(Box((3,)), Box((1,), -2.0, 2.0)), 0.9),
        ("CartPole-v1", Spaces(Box((4,)), Discrete(2)), 0.99),
    ],
)
def test_the_update_is_stable_baselines3s(task: str, spaces: Spaces, gamma: float) -> None:
    """From the same weights and data, advantages and three updates of 10 epochs agree.

    One minibatch takes the whole batch, so that the order of the steps, which differs, does not matter. What remains is
    float32 rounding, and Stable-Baselines3's standard deviation of the advantages with n - 1 instead of n.
    """
    pytest.importorskip("stable_baselines3", reason="needs the extra bench: pip install 'sparring[bench]'")
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
            legal=None,
            action=seen.actions[..., 0].astype(int) if isinstance(spaces.action, Discrete) else seen.actions,
            reward=seen.rewards,  # in which the value of a truncated episode's last observation is already
            log_prob=seen.log_probs,
            value=seen.values,
            bootstrap=never.astype(np.float32),
            controlled=~never,
            valued=~never,
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
