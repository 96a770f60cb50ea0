"""`mixture:FILE.json`: several networks, one drawn for each match."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games import make
from sparring.loaders import load, mixture, native
from sparring.nets import NetworkConfig, actor_critic
from sparring.policies import UNDRAWN, MixturePolicy, TabularPolicy
from sparring.types import View

DUEL = make("discs/duel", 1)
KEYS = np.random.default_rng(0).integers(0, 2**32, (20, 2), np.uint32)


def network(seed: int, hidden: tuple[int, ...] = (4,)) -> Any:
    return actor_critic(DUEL.spaces["disc0"], NetworkConfig(hidden=hidden), np.array([0, seed], np.uint32))


def files(folder: Path, **changes: Any) -> str:
    for name, made in (("a", network(1)), ("b", network(2)), ("other", network(3, (5,)))):
        native.save(made, folder / f"{name}.safetensors")
    described = {"policies": ["a.safetensors", "b.safetensors"], "weights": [0.25, 0.75], **changes}
    (folder / "mixture.json").write_text(json.dumps(described))
    return f"mixture:{folder}/mixture.json"


def test_a_match_keeps_the_policy_that_was_drawn_for_it() -> None:
    """Of two tables that always play 0 and 1, with weights 1/4 and 3/4; half of the matches begin anew at step 10."""
    policy = MixturePolicy(TabularPolicy(np.eye(2)[[[0], [1]]]), np.array([0.25, 0.75], np.float32))
    state, played = policy.initial_state(2000), []
    for step, key in enumerate(KEYS):
        if step == 10:
            state = state._replace(drawn=jnp.where(np.arange(2000) < 1000, UNDRAWN, state.drawn))
        decision = policy.act(key, View(jnp.ones((2000, 1))), state)
        state = decision.state
        played.append(np.asarray(decision.action))
    first, last = np.array(played[:10]), np.array(played[10:])
    assert (first == first[0]).all() and (last == last[0]).all() and (last[0, 1000:] == first[0, 1000:]).all()
    assert first[0].mean() == pytest.approx(0.75, abs=0.04)
    again = last[0, :1000]
    # Drawn anew, whatever was drawn before.
    assert again.mean() == pytest.approx(0.75, abs=0.06) and (again == first[0, :1000]).mean() < 0.75


@pytest.mark.slow
def test_what_is_saved_is_played(tmp_path: Path) -> None:
    spec = files(tmp_path, weights=[0.0, 1.0])
    policy, alone = load(spec, DUEL, "disc0"), network(2)
    view = View(jnp.asarray(np.random.default_rng(1).normal(size=(6, 9)), jnp.float32))
    mixed = policy.act(KEYS[0], view, policy.initial_state(6))
    heads = alone.forward(alone.normalizer(view.observation), ((), ()))[0]
    noise = (np.asarray(mixed.action) - np.asarray(heads)) / np.exp(np.asarray(alone.log_std))
    assert np.asarray(mixed.state.drawn).tolist() == [1] * 6 and np.abs(noise).max() < 4
    mixture.save(tmp_path / "mixture.json", ["a.safetensors"], [1.0])
    only: Any = load(f"run:{tmp_path}", DUEL, "disc0")
    assert only.weights.tolist() == [1.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": [0.5, 0.6]}, "weights: expected numbers of at least 0 that sum to 1"),
        ({"weights": [-0.5, 1.5]}, "weights: expected numbers of at least 0"),
        ({"weights": [float("nan"), 1.0]}, "weights: expected numbers of at least 0"),
        ({"weights": [1.0]}, "as many of the one as of the other"),
        ({"policies": []}, "expected policies and weights"),
        ({"policies": [1, 2]}, "policies: expected names of files"),
        ({"policies": ["a.safetensors", "c.safetensors"]}, "c.safetensors"),
        ({"policies": ["a.safetensors", "other.safetensors"]}, "other.safetensors is a network of another kind than"),
    ],
)
def test_what_is_no_mixture_is_refused_in_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        load(files(tmp_path, **changes), DUEL, "disc0")
    assert "\n" not in str(error.value)
