"""What a Python caller may give for an option, and what a run that came to nothing leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import sparring
from sparring.commands.common import accepted, verb_module
from sparring.errors import InputError
from sparring.runs import Run

RPS = "matrix/rps"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(verb: str, **values: Any) -> Any:
    given = {"audit": {"victim": "first"}, "defend": {}}.get(verb, {"victim": "first"})
    given |= {"attacker": "first"} if verb == "evaluate" else {}
    return accepted(verb_module(verb).Settings, game=RPS, **given, **values)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (0.25, (0.25,)),
        (1, (1.0,)),
        (np.float32(0.25), (0.25,)),
        (np.array(0.25), (0.25,)),
        (jnp.float32(0.25), (0.25,)),
        ([0.25, 0.5], (0.25, 0.5)),
        ((0.25, np.float64(0.5)), (0.25, 0.5)),
        (np.array([0.25, 0.5]), (0.25, 0.5)),
        (jnp.array([0.25, 0.5]), (0.25, 0.5)),
        (np.array([0, 1]), (0.0, 1.0)),
        (range(2), (0.0, 1.0)),
    ],
)
def test_budgets_may_be_given_as_what_they_look_like(given: Any, meant: tuple[float, ...]) -> None:
    found = settings("audit", budgets=given).budgets
    assert found == meant and all(type(budget) is float for budget in found)
    for verb in ("attack", "certify", "defend", "evaluate"):
        if len(meant) == 1:
            assert settings(verb, budget=given).budget == meant[0]
            assert settings(verb, budget=[given]).budget == settings(verb, budget=np.array([given])).budget == meant[0]
        else:
            with pytest.raises(InputError, match=r"budget: expected (one number, got 2|a number, got range)"):
                settings(verb, budget=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.array([[0.1, 0.2]]), r"got an array of shape \[1, 2\]"),
        (jnp.zeros((2, 3)), r"got an array of shape \[2, 3\]"),
        ([[0.1, 0.2]], r"got (a list of )?\[0\.1, 0\.2\]"),
        ("0.1", "expected a number, got '0.1'"),
        (True, "expected a number, got True"),
        (np.array([True]), "expected a number, got True"),
        ({0.1}, r"expected a number, got \{0.1\}"),
    ],
)
def test_other_budgets_are_refused_in_one_line(given: Any, message: str) -> None:
    for verb, name in (("audit", "budgets"), *((verb, "budget") for verb in ("attack", "certify", "defend"))):
        with pytest.raises(InputError, match=f"{name}: .*({message})") as refused:
            settings(verb, **{name: given})
        assert "\n" not in str(refused.value)


def test_the_settings_of_an_earlier_run_can_be_taken_over_in_python() -> None:
    first = sparring.evaluate(RPS, victim="first", attacker="uniform", budget=0.25, out="first")
    again = sparring.evaluate(RPS, config="first", out="second")
    assert again["victim_value"] == first["victim_value"] and again["budget"] == 0.25
    with pytest.raises(InputError, match="config first: it is of sparring evaluate, not of sparring certify"):
        sparring.certify(RPS, config="first")


def broken(folder: Path) -> str:
    """A victim that is refused at the first step of the first match."""
    (folder / "brokenvictim.py").write_text("def load(spaces):\n    return lambda o, rng: o[:0]\n")
    return "brokenvictim:load"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("evaluate", {"attacker": "first", "oracle": "sampled"}),
        ("audit", {"budgets": 1.0, "oracle": "learned", "out": "deep/run"}),  # its jobs have folders of their own
    ],
)
def test_a_run_that_came_to_nothing_leaves_nothing(
    verb: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    victim = broken(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="row"):
        getattr(sparring, verb)(RPS, victim=victim, benign="first", episodes=4, **options)
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in str(path)] == before


def test_a_run_that_has_done_something_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Run, state: Any = "done", message: str = "") -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr(Run, "finish", refuse)
    with pytest.raises(InputError, match="the disk is full"):
        sparring.evaluate(RPS, victim="first", attacker="first", out="run")
    assert (Path("run") / "evaluate.json").exists() and (Path("run") / "config.json").exists()
