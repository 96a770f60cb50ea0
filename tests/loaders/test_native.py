from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from sparring import checkpoint, games
from sparring.errors import InputError
from sparring.games import make
from sparring.games.hosted import hosted
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.robosumo.sumo import RoboSumo
from sparring.loaders import builtin, load, native
from sparring.mixture import act
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, set_std
from sparring.policies import RandomPolicy, TabularPolicy
from sparring.types import Box, Dict, Discrete, MultiDiscrete, Space, Spaces, View

KEY = np.array([1, 2], np.uint32)
RPS = MatrixGame(ROCK_PAPER_SCISSORS)
CONFIG = NetworkConfig("mlp", (8, 8), 1.0, 0.1, 3.0)


@pytest.fixture(scope="module")
def network() -> ActorCritic:
    made = actor_critic(RPS.spaces["row"], CONFIG, KEY)
    norm = made.normalizer.update(np.random.default_rng(0).normal(3, 2, (10, 1)).astype(np.float32))
    return eqx.tree_at(lambda n: n.normalizer, made, norm)


def same(a: Any, b: Any) -> bool:
    ours, theirs = checkpoint.flatten(a), checkpoint.flatten(b)
    return ours.keys() == theirs.keys() and all(np.array_equal(x, theirs[name]) for name, x in ours.items())


@pytest.mark.slow
def test_what_is_saved_is_loaded(tmp_path: Path, network: ActorCritic) -> None:
    path = tmp_path / "policy.safetensors"
    native.save(network, path, {"steps": 12})
    loaded = load(f"native:{path}", RPS, "row")
    assert isinstance(loaded, ActorCritic) and same(loaded, network)
    assert jax.tree.structure(loaded) == jax.tree.structure(network)
    _, meta = native.read(path)
    assert meta["provenance"] == {"steps": 12}
    seen = View(np.ones((5, 1), np.float32))
    ours, theirs = (act(p, KEY, seen, p.initial_state(5)) for p in (network, loaded))
    np.testing.assert_array_equal(ours.action, theirs.action)
    np.testing.assert_array_equal(ours.value, theirs.value)


@pytest.mark.slow
def test_a_recurrent_gaussian_too(tmp_path: Path) -> None:
    space = Box((2,), -2.0, (3.0, 5.0))
    network = set_std(actor_critic(Spaces(Box((3,)), space), NetworkConfig("lstm", (4,)), KEY), 0.3)
    native.save(network, tmp_path / "policy.safetensors")
    loaded, _ = native.read(tmp_path / "policy.safetensors")
    assert same(loaded, network)
    assert loaded.action == space and loaded.observation == Box((3,)) and loaded.recurrent


def test_only_sound_actor_critics_are_saved(tmp_path: Path, network: ActorCritic) -> None:
    other: Any = RandomPolicy(Discrete(3))
    with pytest.raises(InputError, match="expected an ActorCritic, as load_policy returns"):
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
    native.save(actor_critic(Spaces(Box((1,)), Box((8,), -1.0, 1.0)), CONFIG, KEY), path)
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
    native.save(network, tmp_path / "attacker-row.safetensors")  # of a team each member has a file
    assert same(load(f"run:{tmp_path}", RPS, "row"), network)
    with pytest.raises(InputError, match="expected a run folder with one policy"):
        load(f"run:{tmp_path}", RPS, "col")


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


@pytest.mark.slow
@pytest.mark.parametrize("name", builtin.names())
def test_every_agent_that_comes_with_the_package_plays(name: str) -> None:
    body = name.split("-")[0]
    game = hosted(make("discs/duel", 1)) if body == "disc" else RoboSumo((body, body))
    policy = load(f"builtin:{name}", game, f"{body}0")
    view = game.reset(0)[f"{body}0"]
    assert np.isfinite(act(policy, KEY, view, policy.initial_state(1)).action).all()


RICH = Dict(
    (
        ("die", Discrete(3)),
        ("image", Box((2, 2), 0.0, 255.0, "uint8")),
        ("inner", Dict((("switches", MultiDiscrete((2, 3))),))),
        ("place", Box((2,), (-math.inf, -1.0), (math.inf, 1.0))),
    )
)


class Rich:
    """As much of a game of dicts and several choices as is needed to load a policy for it."""

    id, agents, num_games = "test/rich", ("x",), 2

    def __init__(self, observation: Space = RICH, action: Any = None) -> None:
        self.spaces = {"x": Spaces(observation, action or MultiDiscrete((2, 3)))}


@pytest.mark.slow
def test_dicts_images_and_several_choices_survive_bit_for_bit(tmp_path: Path) -> None:
    game: Any = Rich()
    network = actor_critic(game.spaces["x"], NetworkConfig("mlp", (4, 4)), KEY)
    native.save(network, tmp_path / "policy.safetensors")
    loaded = load(f"native:{tmp_path / 'policy.safetensors'}", game, "x")
    assert isinstance(loaded, ActorCritic) and same(loaded, network)
    assert jax.tree.structure(loaded) == jax.tree.structure(network)  # with the spaces
    rng = np.random.default_rng(0)
    shown = {
        "die": np.array([0, 2]),
        "image": rng.integers(0, 256, (2, 2, 2)).astype(np.uint8),
        "inner": {"switches": np.array([[0, 2], [1, 1]])},
        "place": rng.normal(size=(2, 2)).astype(np.float32),
    }
    view = View(shown, np.array([[1, 1, 1, 1, 1], [1, 0, 0, 1, 1]], bool))
    ours, theirs = (act(p, KEY, view, p.initial_state(2)) for p in (network, loaded))
    for name in ("action", "log_prob", "value"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert np.asarray(ours.action)[1, 0] == 0


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        # The sizes are the same: 3 + 4 + 5 + 2 numbers, and 5 logits.
        (Box((14,)), None, "it was made for observations"),
        (Dict((*RICH.parts[:3], ("speed", RICH.parts[3][1]))), None, "it was made for observations"),
        (Dict((RICH.parts[0], ("image", Box((2, 2))), *RICH.parts[2:])), None, "it was made for observations"),
        (RICH, Discrete(5), "it was made for actions"),
        (RICH, MultiDiscrete((3, 2)), "it was made for actions"),
        (RICH, Box((5,), -1.0, 1.0), "it was made for discrete actions"),
    ],
)
def test_what_has_the_same_size_but_means_something_else_is_refused(
    tmp_path: Path, observation: Space, action: Any, message: str
) -> None:
    game: Any = Rich()
    native.save(actor_critic(game.spaces["x"], NetworkConfig("mlp", (4,)), KEY), tmp_path / "policy.safetensors")
    other: Any = Rich(observation, action)
    with pytest.raises(InputError, match=message) as error:
        load(f"native:{tmp_path / 'policy.safetensors'}", other, "x")
    assert "\n" not in str(error.value)


def test_other_bounds_are_the_games(tmp_path: Path) -> None:
    """A policy goes on in a game whose bounds are others: the file's are not what the game clamps to."""
    game: Any = Rich(Box((3,)), Box((2,), -1.0, 1.0))
    native.save(actor_critic(game.spaces["x"], NetworkConfig("mlp", (4,)), KEY), tmp_path / "policy.safetensors")
    other: Any = Rich(Box((3,), -9.0, 9.0), Box((2,), -5.0, (5.0, 6.0)))
    loaded = load(f"native:{tmp_path / 'policy.safetensors'}", other, "x")
    assert isinstance(loaded, ActorCritic)
    assert (loaded.observation, loaded.action) == (Box((3,), -9.0, 9.0), Box((2,), -5.0, (5.0, 6.0)))


def test_a_frame_is_saved_by_its_name(tmp_path: Path) -> None:
    spaces = Spaces(Box((120,)), Box((8,), -1.0, 1.0))
    network = actor_critic(spaces, NetworkConfig("mlp", (4,), frame=games.frame("robosumo-ant")), KEY)
    native.save(network, tmp_path / "policy.safetensors")
    loaded, meta = native.read(tmp_path / "policy.safetensors")
    assert meta["network"]["frame"] == "robosumo-ant"
    assert loaded.frame == network.frame and same(loaded, network)
    arrays, _ = checkpoint.load(tmp_path / "policy.safetensors")
    checkpoint.save(
        tmp_path / "x.safetensors", arrays, meta | {"network": {**meta["network"], "frame": "robosumo-flea"}}
    )
    with pytest.raises(InputError, match="unknown symmetry 'robosumo-flea': did you mean"):
        native.read(tmp_path / "x.safetensors")


def test_files_of_the_first_format_are_read(tmp_path: Path, network: ActorCritic) -> None:
    """They wrote the number of observations, and one pair of bounds for all actions; the shipped agents are such."""
    native.save(network, tmp_path / "policy.safetensors")
    arrays, meta = checkpoint.load(tmp_path / "policy.safetensors")
    old = {"format": "sparring actor-critic 1", "observation": 1, "action": {"kind": "discrete", "n": 3}}
    kept = {name: value for name, value in meta["network"].items() if name != "frame"} | {"symmetry": ""}
    checkpoint.save(tmp_path / "old.safetensors", arrays, {**old, "network": kept, "provenance": {}})
    loaded = load(f"native:{tmp_path / 'old.safetensors'}", RPS, "row")
    assert (
        isinstance(loaded, ActorCritic)
        and same(loaded, network)
        and loaded.observation == RPS.spaces["row"].observation
    )

    torques = actor_critic(Spaces(Box((1,)), Box((2,), -2.0, 5.0)), CONFIG, KEY)
    native.save(torques, tmp_path / "policy.safetensors")
    arrays, _ = checkpoint.load(tmp_path / "policy.safetensors")
    old["action"] = {"kind": "continuous", "size": 2, "low": -2.0, "high": 5.0}  # pyright: ignore[reportArgumentType]
    checkpoint.save(tmp_path / "old.safetensors", arrays, {**old, "network": kept, "provenance": {}})
    loaded, _ = native.read(tmp_path / "old.safetensors")
    assert loaded.action == Box((2,), -2.0, 5.0) and loaded.observation == Box((1,))


def test_the_agents_that_come_with_the_package_have_a_frame() -> None:
    network, meta = native.read(builtin.path("ant"))
    assert network.frame == games.frame("robosumo-ant")
    assert network.observation.size == 120 and network.action == Box((8,), -1.0, 1.0)
    assert meta["format"] in (native.FORMAT, native.FIRST_FORMAT)


SPOILED: list[Any] = [
    None,
    True,
    0,
    -1,
    "x",
    [],
    {},
    {"kind": "discrete"},
    {"kind": "discrete", "n": 0},
    {"kind": "discrete", "n": -2},
    {"kind": "discrete", "n": 10**9},
    {"kind": "discrete", "n": "many"},
    {"kind": "multidiscrete", "nvec": 3},
    {"kind": "multidiscrete", "nvec": []},
    {"kind": "multidiscrete", "nvec": [3, 0]},
    {"kind": "multidiscrete", "nvec": [[1]]},
    {"kind": "box", "shape": [1]},
    {"kind": "box", "shape": [-1], "low": 0, "high": 1, "dtype": "float32"},
    {"kind": "box", "shape": [-1, -1], "low": 0, "high": 1, "dtype": "float32"},
    {"kind": "box", "shape": [1], "low": 1, "high": 0, "dtype": "float32"},
    {"kind": "box", "shape": [1], "low": [0, 0], "high": 1, "dtype": "float32"},
    {"kind": "box", "shape": [1], "low": "x", "high": 1, "dtype": "float32"},
    {"kind": "box", "shape": [1], "low": 0, "high": 1, "dtype": "object"},
    {"kind": "box", "shape": [1], "low": 0, "high": 1, "dtype": "float99"},
    {"kind": "box", "shape": [1], "low": 0, "high": 1, "dtype": None},
    {"kind": "box", "shape": [1], "low": 0, "high": 1, "dtype": [["a", "f4"]]},
    {"kind": "box", "shape": [10**6, 10**6], "low": 0, "high": 1, "dtype": "float32"},
    {"kind": "dict", "parts": {}},
    {"kind": "dict", "parts": [1]},
    {"kind": "dict", "parts": {"a": {"kind": "quantum"}}},
    {"kind": ["box"], "shape": [1]},
]


def deep(levels: int) -> Any:
    return {"kind": "dict", "parts": {"a": deep(levels - 1)}} if levels else {"kind": "discrete", "n": 1}


@pytest.mark.parametrize("field", ["observation", "action"])
def test_damaged_descriptions_of_spaces_are_refused(tmp_path: Path, network: ActorCritic, field: str) -> None:
    path = tmp_path / "policy.safetensors"
    native.save(network, path)
    arrays, meta = checkpoint.load(path)
    for value in (*SPOILED, deep(50)):
        checkpoint.save(path, arrays, {**meta, field: value})
        with pytest.raises(InputError) as error:
            native.read(path)
        assert "\n" not in str(error.value) and str(path) in str(error.value), value


@pytest.mark.parametrize("hidden", [None, 3, [], [0], ["x"], [10**9], [-4]])
def test_damaged_layers_are_refused(tmp_path: Path, network: ActorCritic, hidden: Any) -> None:
    path = tmp_path / "policy.safetensors"
    native.save(network, path)
    arrays, meta = checkpoint.load(path)
    checkpoint.save(path, arrays, {**meta, "network": {**meta["network"], "hidden": hidden}})
    with pytest.raises(InputError) as error:
        native.read(path)
    assert "\n" not in str(error.value)


def test_a_runs_matches_are_no_policies(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "matches.matches.safetensors", {"length": np.ones(2)}, {})
    network = actor_critic(RPS.spaces["row"], NetworkConfig(hidden=(4, 4)), KEY)
    native.save(network, tmp_path / "attacker.safetensors")
    assert isinstance(load(f"run:{tmp_path}", RPS, "row"), ActorCritic)
