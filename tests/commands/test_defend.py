from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

import sparring
from sparring.commands import defend
from sparring.errors import InputError

KUHN = "openspiel/kuhn_poker"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("method", get_args(defend.Method))
def test_no_method_beats_the_optimum_and_none_hands_over_a_worse_victim(method: str) -> None:
    result = sparring.defend(KUHN, method=method, budget=0.7, steps=100)
    # Golden numbers of Kuhn poker, seat 0, uniform benign policy.
    assert result["start_expl"] == pytest.approx(0.25416666666666665, abs=1e-9)
    assert result["robust_expl"] == pytest.approx(-0.0388888888888889, abs=1e-9)
    assert -1e-9 <= result["gap"] <= result["start_expl"] - result["robust_expl"]
    assert (result["method"], result["output"], result["oracle"]) == (method, "best", "exact")
    # The file is the victim, and the attack beside it is the best one on it.
    certified = sparring.certify(KUHN, victim=f"tabular:{result['policy']}", budget=0.7)
    assert certified["expl"] == pytest.approx(result["expl"], abs=1e-12)
    assert sparring.certify(KUHN, victim=f"run:{result['run']}", budget=0.7)["expl"] == certified["expl"]
    attacked = sparring.evaluate(
        KUHN, victim=f"run:{result['run']}", attacker=f"tabular:{result['attack']}", budget=0.7
    )
    assert -attacked["victim_value"] == pytest.approx(result["expl"], abs=1e-12)
    for points in result["curve"].values():
        assert [t for t, _ in points][:2] == [0, 1] and points[-1][0] == 100
        assert all(expl >= result["robust_expl"] - 1e-9 for _, expl in points)
    assert "most robust victim" in Path(result["figure"]).read_text()
    assert f"{result['gap']:.2g}" in defend.text(result)


def test_the_min_oracle_comes_close() -> None:
    result = sparring.defend(KUHN, budget=0.7, steps=500)
    assert result["gap"] < 2e-3


def test_output_rules_are_named_and_differ() -> None:
    found = {
        rule: sparring.defend(KUHN, method="single-timescale", steps=60, learning_rate=1.0, output=rule)
        for rule in get_args(defend.Output)
    }
    assert {rule: result["output"] for rule, result in found.items()} == {rule: rule for rule in found}
    assert found["best"]["expl"] == min(result["expl"] for result in found.values())
    assert found["last"]["expl"] == found["last"]["curve"]["last"][-1][1]
    assert found["averaged"]["expl"] == pytest.approx(found["averaged"]["curve"]["averaged"][-1][1])
    assert len({result["expl"] for result in found.values()}) >= 3


def test_true_gradients_go_elsewhere_than_counterfactual_ones() -> None:
    """They differ by the agent's own reach, which is below one in Leduc poker; both lower Expl (DECISIONS 9)."""
    found = {d: sparring.defend("openspiel/leduc_poker", direction=d, steps=50) for d in ("true", "counterfactual")}
    assert found["true"]["direction"] == "true"
    assert found["counterfactual"]["expl"] < found["true"]["expl"] < found["true"]["start_expl"]


def test_same_seed_same_victim() -> None:
    files = [
        Path(
            sparring.defend("matrix/rps", victim="first", steps=40, output="sampled", seed=seed)["policy"]
        ).read_bytes()
        for seed in (1, 1, 2)
    ]
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "min-orcale"}, "did you mean min-oracle"),
        ({"output": "lost"}, "did you mean last"),
        ({"steps": 0}, "steps: expected at least 1"),
        ({"learning_rate": -1.0}, "learning-rate: expected a number of at least 0"),
        ({"learning_rate": float("nan")}, "learning-rate: expected a number"),
        ({"ratio": 2.0}, "min-oracle has no ratio"),
        ({"ratio": 0.0, "method": "two-timescale"}, "ratio: expected a positive number"),
        ({"oracle": "learned", "victim": "first"}, "leave --victim out"),
        ({"oracle": "learned", "num_games": 0}, "num-games: expected at least 1"),
        ({"oracle": "learned", "game": f"{KUHN},players=3"}, "expected a game of two agents"),
        ({"game": "robosumo/ant-vs-ant"}, "defend: robosumo/ant-vs-ant can only be simulated"),
    ],
)
def test_bad_settings_are_told(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        sparring.defend(**{"game": KUHN, **settings})  # pyright: ignore[reportArgumentType]  # settings by name
    assert not list(tmp_path.iterdir())
