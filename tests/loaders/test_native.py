from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from sparring import checkpoint
from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.robosumo.sumo import RoboSumo
from sparring.loaders import builtin, load, native
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, set_std
from sparring.policy import RandomPolicy, TabularPolicy, act
from sparring.types import Continuous, Discrete, Spaces

KEY = np.array([1, 2], np.uint32)
RPS = MatrixGame(ROCK_PAPER_SCISSORS)
CONFIG = NetworkConfig("mlp", (8, 8), 1.0, 0.1, 3.0)


@pytest.fixture(scope="module")
def network() -> ActorCritic:
    made = actor_critic(Spaces(1, Discrete(3)), CONFIG, KEY)
    norm = made.normalizer.update(np.random.default_rng(0).normal(3, 2, (10, 1)).astype(np.float32))
    return eqx.tree_at(lambda n: n.normalizer, made, norm)


def same(a: Any, b: Any) -> bool:
    ours, theirs = checkpoint.flatten(a), checkpoint.flatten(b)
    return ours.keys() == theirs.keys() and all(np.array_equal(x, theirs[name]) for name, x in ours.items())


def test_what_is_saved_is_loaded(tmp_path: Path, network: ActorCritic) -> None:
    path = tmp_path / "policy.safetensors"
    native.save(network, path, {"steps": 12})
    loaded = load(f"native:{path}", RPS, "row")
    assert isinstance(loaded, ActorCritic) and same(loaded, network)
    assert jax.tree.structure(loaded) == jax.tree.structure(network)
    _, meta = native.read(path)
    assert meta["provenance"] == {"steps": 12}
    seen = np.ones((5, 1), np.float32)
    ours, theirs = (act(p, KEY, seen, p.initial_state(5)) for p in (network, loaded))
    np.testing.assert_array_equal(ours.action, theirs.action)
    np.testing.assert_array_equal(ours.value, theirs.value)


def test_a_recurrent_gaussian_too(tmp_path: Path) -> None:
    network = set_std(actor_critic(Spaces(3, Continuous(2, -2.0, 5.0)), NetworkConfig("lstm", (4,)), KEY), 0.3)
    native.save(network, tmp_path / "policy.safetensors")
    loaded, _ = native.read(tmp_path / "policy.safetensors")
    assert same(loaded, network)
    assert loaded.action == Continuous(2, -2.0, 5.0) and loaded.recurrent


def test_only_sound_actor_critics_are_saved(tmp_path: Path, network: ActorCritic) -> None:
    other: Any = RandomPolicy(Discrete(3))
    with pytest.raises(InputError, match="expected an ActorCritic, got RandomPolicy"):
        native.save(other, tmp_path / "x.safetensors")
    diverged = eqx.tree_at(lambda n: n.normalizer.mean, network, network.normalizer.mean * np.nan)
    with pytest.raises(InputError, match=r"not saved, because the weights normalizer/mean are NaN"):
        native.save(diverged, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="cannot write"):
        native.save(network, tmp_path / "no folder" / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def damaged(path: Path, network: ActorCritic, how: str) -> None:
    native.save(network, path)
    arrays, meta = checkpoint.load(path)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
    elif how == "text":
        path.write_text("hello")
    elif how == "oversized":
        with open(path, "ab") as file:
            file.truncate(native.MAX_BYTES + 1)
    elif how == "nan":
        name = "actor/mlp/layers/0/weight"
        checkpoint.save(path, {**arrays, name: arrays[name] * np.nan}, meta)
    elif how == "other":
        checkpoint.save(path, arrays, {"format": "something else"})
    elif how == "missing":
        checkpoint.save(path, {n: x for n, x in arrays.items() if n != "normalizer/mean"}, meta)
    elif how == "shape":
        checkpoint.save(path, {**arrays, "normalizer/mean": np.zeros(5, np.float32)}, meta)
    elif how == "huge":
        checkpoint.save(path, arrays, {**meta, "network": {**meta["network"], "hidden": [10**8, 10**8]}})
    elif how == "negative":
        checkpoint.save(path, arrays, {**meta, "observation": -3})
    elif how == "kind":
        checkpoint.save(path, arrays, {**meta, "action": {"kind": "quantum"}})
    elif how == "lacking":
        checkpoint.save(path, arrays, {"format": meta["format"]})
    elif how == "architecture":
        checkpoint.save(path, arrays, {**meta, "network": {**meta["network"], "architecture": "transformer"}})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "is truncated or no safetensors file"),
        ("text", "is truncated or no safetensors file"),
        ("oversized", f"has {native.MAX_BYTES + 1} bytes, expected at most {native.MAX_BYTES}"),
        ("nan", "contains NaN or infinity"),
        ("other", "expected a policy file .* got 'something else'"),
        ("missing", "lacks 'normalizer/mean'"),
        ("shape", r"'normalizer/mean' is float32 \[5\], expected float32 \[1\]"),
        ("huge", "the description of the network is damaged"),
        ("negative", "the description of the network is damaged"),
        ("kind", "the description of the network is damaged"),
        ("lacking", "the description of the network is damaged"),
        ("architecture", "unknown architecture 'transformer'"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, network: ActorCritic, how: str, message: str) -> None:
    path = tmp_path / "policy.safetensors"
    damaged(path, network, how)
    with pytest.raises(InputError, match=message) as error:
        native.read(path)
    assert "\n" not in str(error.value)


def test_the_policy_of_another_game_is_refused(tmp_path: Path, network: ActorCritic) -> None:
    path = tmp_path / "policy.safetensors"
    native.save(actor_critic(Spaces(1, Continuous(8)), CONFIG, KEY), path)
    with pytest.raises(
        InputError, match=r"it was made for observations of size 1, but those of ant0 in .* have size 120"
    ):
        load(f"native:{path}", RoboSumo(("ant", "ant")), "ant0")
    with pytest.raises(
        InputError, match="continuous actions, but those of row in matrix/custom are discrete: give row a policy"
    ):
        load(f"native:{path}", RPS, "row")


def test_the_policy_in_a_run_folder(tmp_path: Path, network: ActorCritic) -> None:
    native.save(network, tmp_path / "attacker.safetensors")
    checkpoint.save(tmp_path / "checkpoint.safetensors", {}, {})
    assert same(load(f"run:{tmp_path}", RPS, "row"), network)
    native.save(network, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"found attacker, other: choose one with run:.*,policy=NAME"):
        load(f"run:{tmp_path}", RPS, "row")
    assert same(load(f"run:{tmp_path},policy=other", RPS, "row"), network)


def test_of_a_run_that_left_two_tables_each_can_be_loaded(tmp_path: Path) -> None:
    for name, action in (("victim", 0), ("attacker", 1)):
        (tmp_path / f"{name}.json").write_text(f'{{"0": {{"{action}": 1}}}}')
    for options, action in (("", 0), (",policy=victim", 0), (",policy=attacker", 1)):
        policy = load(f"run:{tmp_path}{options}", RPS, "row")
        assert isinstance(policy, TabularPolicy)
        np.testing.assert_array_equal(policy.probabilities, np.eye(3)[[action]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (",polcy=victim", "unknown option of run 'polcy': did you mean policy?"),
        (",policy", "expected options as ,name=value, each once, got 'policy'"),
        (",policy=a,policy=b", "expected options as ,name=value, each once, got 'policy=b'"),
        (",policy=victim", "unknown policy in run:.* 'victim': did you mean victims?"),
    ],
)
def test_an_option_that_means_nothing_is_refused(tmp_path: Path, options: str, message: str) -> None:
    (tmp_path / "victims.json").write_text('{"0": {"1": 1}}')
    with pytest.raises(InputError, match=message) as error:
        load(f"run:{tmp_path}{options}", RPS, "row")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", builtin.names())
def test_every_agent_that_comes_with_the_package_plays(name: str) -> None:
    body = name.partition("-attack-")[0]
    game = RoboSumo((body, body))
    policy = load(f"builtin:{name}", game, f"{body}0")
    observation = game.reset(0)[f"{body}0"]
    assert np.isfinite(act(policy, KEY, observation, policy.initial_state(1)).action).all()
