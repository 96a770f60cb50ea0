from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sparring
from sparring.policies import CallablePolicy

HEAVY = ("jax", "torch", "mujoco", "pyspiel", "ray", "scipy.stats", "sklearn", "ot")


def loaded_by(code: str) -> list[str]:
    """Which heavy modules a fresh interpreter has loaded after running `code`."""
    report = f"import sys; print('LOADED', *[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return done.stdout.split("LOADED")[-1].split()


def test_the_check_sees_a_heavy_module() -> None:
    assert loaded_by("import scipy.stats") == ["scipy.stats"]


def test_import_is_light() -> None:
    assert loaded_by("import sparring") == []


def test_help_is_light() -> None:
    code = """
import runpy, sys
sys.argv = ["sparring", "--help"]
try:
    runpy.run_module("sparring", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
"""
    assert loaded_by(code) == []


@pytest.mark.parametrize("name", sparring.__all__)
def test_public_names_load(name: str) -> None:
    value = getattr(sparring, name)
    assert callable(value)
    assert value.__doc__


def test_all_names_are_located_and_listed() -> None:
    assert set(sparring._WHERE) == set(sparring.__all__) == set(dir(sparring))


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'sparring' has no attribute 'atack'"):
        _ = sparring.atack  # pyright: ignore[reportAttributeAccessIssue]  # a wrong name on purpose


RPS, THREAT = "matrix/rps", {"victims": "row", "attackers": "col", "benign": {"col": "uniform"}, "budget": 0.5}
NOWHERE = Path("nowhere")
EVALUATE = {"victim": "uniform", "attacker": "uniform"}


def threat() -> sparring.ThreatModel:
    return sparring.ThreatModel(**THREAT)  # pyright: ignore[reportArgumentType]  # one name as victim


def still(spaces: object) -> object:
    raise AssertionError("not called")


# A path that does not exist, another type, or a value that nothing can be: of every public function.
BAD: list[tuple[str, Callable[[], object], str]] = [
    ("ThreatModel", lambda: sparring.ThreatModel(3, "col", {}, 0.5), "victims: expected an agent's name"),  # pyright: ignore
    ("ThreatModel", lambda: sparring.ThreatModel("row", "col", None, 0.5), "benign: expected a dictionary"),  # pyright: ignore
    ("ThreatModel", lambda: sparring.ThreatModel("row", "col", "uniform", 0.5), "benign: expected a dictionary"),  # pyright: ignore
    ("ThreatModel", lambda: sparring.ThreatModel("row", "col", {"col": 1}, 0.5, "uniform"), "others: expected a"),  # pyright: ignore
    (
        "ThreatModel",
        lambda: sparring.ThreatModel("row", "col", {"col": 1}, 0.5, control=3),  # pyright: ignore
        "unknown kind of control 3",
    ),
    ("ThreatModel", lambda: sparring.ThreatModel("row", "col", {"col": 1}, np.zeros((3, 3))), "budget: expected a"),  # pyright: ignore
    ("attack", lambda: sparring.attack(NOWHERE, victim="uniform"), "game: expected an id"),
    ("attack", lambda: sparring.attack(RPS), "attack: give victim="),
    ("attack", lambda: sparring.attack(RPS, victim="run:nowhere"), "nowhere"),
    ("attack", lambda: sparring.attack(RPS, victim="uniform", preset=3), "unknown preset 3"),
    ("audit", lambda: sparring.audit(None), "game: expected an id"),
    ("audit", lambda: sparring.audit(RPS, victim=3), "expected a name, a Policy, a function or a table, got int"),
    ("audit", lambda: sparring.audit(RPS, victim="uniform", summary=3), "summary: expected text, got int"),
    ("audit", lambda: sparring.audit(RPS, victim="uniform", config="nowhere"), "nowhere is no run"),
    ("audit", lambda: sparring.audit("matrix/nowhere.npy", victim="uniform"), "cannot read nowhere.npy"),
    ("best_response", lambda: sparring.best_response(NOWHERE, "uniform", threat()), "game: expected an id"),
    ("best_response", lambda: sparring.best_response(RPS, NOWHERE, threat()), "expected a name, a Policy"),
    ("budgets", lambda: sparring.budgets(["nowhere", "nowhere"]), "nowhere: there is no such folder"),
    ("budgets", lambda: sparring.budgets("nowhere"), "audits: expected a list of folders"),
    ("budgets", lambda: sparring.budgets(["nowhere"]), "expected at least two audits"),
    ("certify", lambda: sparring.certify(RPS, victim="tabular:nowhere.json"), "cannot read nowhere.json"),
    ("certify", lambda: sparring.certify(RPS, victim="uniform", out=3), "out: expected text, got int"),
    ("check_game", lambda: sparring.check_game("nowhere"), "check_game: expected a function"),  # pyright: ignore
    ("check_game", lambda: sparring.check_game(still), "it raised TypeError"),  # pyright: ignore
    ("check_game", lambda: sparring.check_game(lambda num_games: 3), "int: neither a VectorGame"),  # pyright: ignore
    (
        "check_policy",
        lambda: sparring.check_policy("nowhere", None),  # pyright: ignore
        "str: expected a function (observation, rng) -> actions, or a Policy",
    ),
    ("check_policy", lambda: sparring.check_policy(CallablePolicy(still), None), "spaces: expected the Spaces"),  # pyright: ignore
    ("compare", lambda: sparring.compare("nowhere", "nowhere"), "nowhere: there is no such folder"),
    ("compare", lambda: sparring.compare(None, "nowhere"), "expected the folder of one, got NoneType"),  # pyright: ignore
    ("defend", lambda: sparring.defend(3), "game: expected an id"),
    ("defend", lambda: sparring.defend(RPS, method=("a",)), "unknown method"),
    ("evaluate", lambda: sparring.evaluate(RPS, **EVALUATE, episodes="x"), "episodes: expected a number, got 'x'"),
    ("evaluate", lambda: sparring.evaluate(RPS, victim="uniform", attacker=NOWHERE), "expected a name, a Policy"),
    ("exploitability", lambda: sparring.exploitability(RPS, "uniform", None), "threat: expected a ThreatModel"),  # pyright: ignore
    (
        "load_policy",
        lambda: sparring.load_policy("uniform", "matrix/rps", "row"),  # pyright: ignore
        "game: expected a game, as make_game",
    ),
    ("load_policy", lambda: sparring.load_policy(NOWHERE, sparring.make_game(RPS), "row"), "policy: expected a name"),  # pyright: ignore
    ("load_policy", lambda: sparring.load_policy("uniform", sparring.make_game(RPS), 0), "unknown agent 0"),  # pyright: ignore
    ("load_policy", lambda: sparring.load_policy("native:nowhere", sparring.make_game(RPS), "row"), "nowhere"),
    ("make_game", lambda: sparring.make_game(NOWHERE), "game: expected an id"),  # pyright: ignore
    ("make_game", lambda: sparring.make_game(RPS, "2"), "num_games: expected a whole number, got str"),  # pyright: ignore
    ("make_parallel_env", lambda: sparring.make_parallel_env(None), "game: expected an id"),  # pyright: ignore
    ("mix", lambda: sparring.mix("uniform", "uniform", 0.5), "mix: benign: expected a policy"),  # pyright: ignore
    ("robust_policy", lambda: sparring.robust_policy(NOWHERE, threat()), "game: expected an id"),
    ("save_policy", lambda: sparring.save_policy("uniform", NOWHERE), "save_policy: expected an ActorCritic"),  # pyright: ignore
    ("stealth", lambda: sparring.stealth(RPS, victim="uniform"), "give --attacker POLICY"),
    ("stealth", lambda: sparring.stealth(RPS, victim="uniform", attacker=3), "expected a name, a Policy"),
    ("study", lambda: sparring.study(3), "name: expected text, got int"),  # pyright: ignore
    ("study", lambda: sparring.study("rps-dynamics", prest="smoke"), "unknown setting of study 'prest'"),
    ("study", lambda: sparring.study("rps-dynamics", preset="fast"), "unknown preset 'fast'"),
    ("verify", lambda: sparring.verify("nowhere"), "expected a Certificate, as robust_policy returns it; the files of"),  # pyright: ignore
    ("verify", lambda: sparring.verify(None), "expected a Certificate, as robust_policy returns it, got NoneType"),  # pyright: ignore
]


@pytest.mark.parametrize(("name", "call", "message"), BAD)
def test_a_bad_argument_is_one_line(
    name: str, call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sparring.InputError) as refused:
        call()
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_every_public_function_refuses_a_bad_argument() -> None:
    assert {name for name, _, _ in BAD} == set(sparring.__all__) - {"InputError"}
