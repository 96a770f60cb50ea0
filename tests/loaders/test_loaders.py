from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.robosumo.sumo import RoboSumo
from sparring.loaders import check_spaces, formats, load
from sparring.mixture import act
from sparring.policies import CallablePolicy, ConstantPolicy, RandomPolicy
from sparring.types import Box, Discrete, View

RPS = MatrixGame(ROCK_PAPER_SCISSORS)


@pytest.fixture(scope="module")
def ants() -> RoboSumo:
    return RoboSumo(("ant", "bug"))


def test_plain_policies(ants: RoboSumo) -> None:
    assert load("random", RPS, "row") == load("uniform", RPS, "row") == RandomPolicy(Discrete(3))
    assert load("first", RPS, "col") == ConstantPolicy(Discrete(3))
    assert load("zero", ants, "bug1") == ConstantPolicy(Box((12,), -1.0, 1.0))


def test_formats_are_the_files() -> None:
    assert {"native", "robosumo-zoo", "run", "builtin"} <= set(formats())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("randm", "unknown policy 'randm': did you mean random"),
        ("zero", "'zero' does not fit discrete actions: use first"),
        ("natve:x.safetensors", "unknown policy format 'natve': did you mean native"),
        (
            "natve:x.safetensors",
            f"no module 'natve' that can be imported in {os.getcwd()}: for one of your own, run from",
        ),
        (":x", "unknown policy format ''"),
        ("..:x", r"policy '\.\.:x': expected package.module:factory"),
        ("..a:b", r"policy '\.\.a:b': expected package.module:factory"),
        ("__main__:no_such_name", "unknown function in __main__ 'no_such_name'"),
        ("a b:x", "unknown policy format 'a b'"),
        ("json:not a name", "expected package.module:factory"),
        ("json:load_", "unknown function in json 'load_': did you mean load"),
        (
            "sparring.no_such_module:make",
            f"there is no module sparring.no_such_module in {os.getcwd()} or among the installed ones; install it, or",
        ),
        ("builtin:mosquito", "unknown builtin policy 'mosquito'"),
        ("native:no-such-file.safetensors", "cannot read no-such-file.safetensors: No such file"),
        ("robosumo-zoo:no-such-file.npy", "robosumo-zoo:no-such-file.npy: no such file"),
        ("in-view:0:zero", "row of matrix/custom has no symmetry"),
        ("run:no-such-folder", "run:no-such-folder: expected the folder of a run, and there is none"),
        ("", "unknown policy ''"),
    ],
)
def test_a_name_that_means_nothing_is_refused_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load(spec, RPS, "row")
    assert "\n" not in str(error.value)


def test_an_unknown_agent_is_refused() -> None:
    with pytest.raises(InputError, match="unknown agent 'rwo': did you mean row"):
        load("random", RPS, "rwo")


MODULE = """
from sparring.policies import ConstantPolicy

def always(spaces):
    return ConstantPolicy(spaces.action)

def lottery(spaces):
    return lambda observation, rng: rng.integers(spaces.action.n, size=len(observation))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "users_own_policies.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_own_policies", raising=False)
    return "users_own_policies"


def test_a_users_factory(module: str) -> None:
    assert load(f"{module}:always", RPS, "row") == ConstantPolicy(Discrete(3))
    policy = load(f"{module}:lottery", RPS, "row")
    assert isinstance(policy, CallablePolicy)
    view = View(np.ones((50, 1), np.float32))
    played = [act(policy, np.array([seed, 0], np.uint32), view, ()).action for seed in (1, 1, 2)]
    np.testing.assert_array_equal(played[0], played[1])
    assert not np.array_equal(played[0], played[2])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            (7, 3),
            "native:x: it was made for observations of size 7, but those of row in matrix/custom have size 1: give",
        ),
        (
            (1, 5),
            "native:x: it was made for actions of size 5, but those of row in matrix/custom have size 3: give row",
        ),
    ],
)
def test_both_sizes_are_shown(sizes: tuple[int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_spaces(*sizes, RPS, "row", "native:x")
    check_spaces(1, 3, RPS, "row", "native:x")
