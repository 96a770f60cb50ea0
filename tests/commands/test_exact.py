"""`attack` and `evaluate` where the answer is exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparring
from sparring import cli
from sparring.commands import attack, evaluate
from sparring.errors import InputError
from sparring.games import make
from sparring.games.finite import finite, infosets
from sparring.loaders import tabular

KUHN = "openspiel/kuhn_poker"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def skewed(rows: Any) -> np.ndarray:
    """The benign policy "skewed" of the golden numbers: the j-th legal action has weight j + 1."""
    weight = np.where(np.arange(rows.actions.shape[1]) < rows.count[:, None], np.arange(rows.actions.shape[1]) + 1, 0)
    return weight / weight.sum(axis=1, keepdims=True)


def test_attack_is_the_best_response_and_a_run_s_policy(capsys: pytest.CaptureFixture[str]) -> None:
    """Kuhn, seat 1, skewed: .3678 is right; the eps = 1 best response mixed afterwards would give .3328."""
    game = finite(make(KUHN))
    assert game is not None
    tabular.save(Path("skewed.json"), infosets(game, "player0"), skewed(infosets(game, "player0")))
    words = ["attack", KUHN, "--victim", "uniform", "--benign", "tabular:skewed.json", "--victim-seat", "player1"]
    assert cli.main([*words, "--budget", "0.3", "--out", "run", "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["expl"] == pytest.approx(0.36777777777777787, abs=1e-12)
    assert result["oracle"] == "exact" and result["victim_value"] == pytest.approx(-result["expl"])
    assert (result["victims"], result["attackers"]) == ([1], [0])
    assert "This is exact" in attack.text(result)
    again = ["evaluate", KUHN, "--victim", "uniform", "--attacker", "run:run", "--benign", "tabular:skewed.json"]
    assert cli.main([*again, "--victim-seat", "1", "--budget", "0.3", "--json"]) == cli.DONE
    assert json.loads(capsys.readouterr().out)["victim_value"] == pytest.approx(result["victim_value"], abs=1e-12)


@pytest.mark.slow
def test_evaluate_is_exact_and_matches_agree_with_it() -> None:
    given = {"victim": "uniform", "attacker": "first", "budget": 0.6}
    exact = sparring.evaluate(KUHN, **given)
    assert exact["oracle"] == "exact" and exact["episodes"] == 0 and exact["win_ci"] == [exact["win"]] * 2
    assert exact["win"] + exact["draw"] + exact["loss"] == pytest.approx(1)
    assert "exact: win" in evaluate.text(exact)
    sampled = sparring.evaluate(KUHN, **given, oracle="sampled", episodes=1000)
    assert sampled["oracle"] == "sampled" and sampled["episodes"] == 1000 and sampled["victim_value"] is None
    # Five standard errors of 1000 matches, whose returns lie in [-2, 2].
    assert sampled["win"] == pytest.approx(exact["win"], abs=5 * 0.5 / 1000**0.5)
    assert sampled["victim_return"] == pytest.approx(exact["victim_value"], abs=5 * 2 / 1000**0.5)


@pytest.mark.slow
def test_a_discounted_value_and_a_mean_return_have_different_names(capsys: pytest.CaptureFixture[str]) -> None:
    """One state, reward 1 in every step, gamma .5: the value is 2, the return of a match its length (DECISIONS 32)."""
    from sparring.exact.markov_game import MarkovGame, save

    save("ones.npz", MarkovGame(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1)), np.ones(1), 0.5))
    words = ["evaluate", "markov/ones.npz", "--victim", "uniform", "--attacker", "first"]
    assert cli.main(words) == cli.DONE
    assert "no winner" in capsys.readouterr().out
    assert cli.main([*words, "--json"]) == cli.DONE
    exact = json.loads(capsys.readouterr().out)
    assert exact["victim_value"] == pytest.approx(2) and exact["victim_return"] is None and exact["win"] is None
    sampled = sparring.evaluate("markov/ones.npz", victim="uniform", attacker="first", oracle="sampled", episodes=4)
    assert sampled["victim_return"] == sampled["mean_length"] > 2 and sampled["victim_value"] is None
    assert "no winners; the victim's return is" in evaluate.text(sampled)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"control": "episode"}, "every step"),
        ({"steps": -5}, "steps: the answer is exact, which does not read it"),
        ({"seeds": 0}, "seeds: the answer is exact, which does not read it"),
        ({"episodes": -1}, "episodes: the answer is exact, which does not read it"),
        ({"start": "nonsense"}, "start: the answer is exact, which does not read it"),
        ({"train_game": "nowhere/x"}, "train-game: the answer is exact, which does not read it"),
        ({"preset": "paper"}, "preset: the answer is exact, which does not read it"),
        ({"preset": "fast"}, "unknown preset 'fast'"),
        ({"oracle": "monte"}, "unknown oracle 'monte'"),
        ({"others": "uniform"}, "there are no others"),
        ({"coin": "team"}, "there is one coin"),
        ({"bugdets": 0.5}, "did you mean budgets"),
        ({"budgets": "many"}, "budgets: expected a number"),
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"attackers": 0}, "other than the victim's"),
        (
            {"victim_seat": "player2"},
            "victim-seat: expected 0 to 1, got player2; or give one of the names player0, player1",
        ),
        ({"fail_measure": "win"}, "it is read with --fail-above"),
        ({"summary": "audit.txt"}, "expected a file name that ends with"),
    ],
)
def test_what_an_exact_audit_does_not_read_is_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as refused:
        sparring.audit(KUHN, **{"victim": "uniform", **settings})
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_is_meant_in_python_is_taken() -> None:
    """Arrays and single numbers as budgets, seats and names as agents, a dictionary as a table, a game as its id."""
    by_id = sparring.audit("matrix/rps", victim="first", budgets=(0.5, 1.0))
    taken = sparring.audit(
        make("matrix/rps"),
        victim={"0": {"0": 1.0}},
        budgets=np.array([0.5, 1.0]),
        attackers="col",
        victim_seat="row",
    )
    assert taken["budgets"] == by_id["budgets"] and taken["game"] == "matrix/rps"
    rows = np.full((1, 3), 1 / 3)
    for verb in ("audit", "attack", "certify", "evaluate", "defend"):  # an array is a table, whoever plays it
        settings = {"audit": {"budgets": 0.5}, "evaluate": {"budget": 0.5, "attacker": rows}}.get(verb, {"budget": 0.5})
        getattr(sparring, verb)("matrix/rps", victim=rows, benign=rows, **settings)
    one = sparring.audit("matrix/rps", victim="first", budgets=0.5, attackers=1)
    assert [entry["expl"] for entry in one["budgets"]] == [pytest.approx(0.5)]


@pytest.mark.long
def test_a_loss_that_is_only_in_the_return_needs_the_own_discount() -> None:
    """gamma .5: giving up 1 at once costs more than .3 a step later; with .99 the attack would choose the other.

    The best response's value is 1 (action 0: 0 now, then 1 a step: .5 / (1 - .5)); the other action leaves
    1 + .5 * .7 / .5 = 1.7.
    """
    from sparring.exact.markov_game import MarkovGame, save

    transitions, rewards = np.zeros((3, 1, 2, 3)), np.zeros((3, 1, 2))
    transitions[0, 0, 0, 1] = transitions[0, 0, 1, 2] = 1
    transitions[1, :, :, 1] = transitions[2, :, :, 2] = 1
    rewards[0, 0], rewards[1], rewards[2] = [0.0, 1.0], 1.0, 0.7
    save("short.npz", MarkovGame(transitions, rewards, np.array([1.0, 0, 0]), 0.5))
    ppo = {"epochs": 4, "minibatch": 256, "learning_rate": 1e-2, "num_games": 64, "steps_per_round": 32}
    result = sparring.attack("markov/short.npz", victim="uniform", oracle="learned", steps=30000, episodes=16, **ppo)
    assert result["exact"]["best_response_value"] == pytest.approx(1.0)
    assert result["exact"]["value"] == pytest.approx(1.0, abs=0.1)


def test_a_dry_run_estimates_by_the_size_of_the_game() -> None:
    leduc, asked = "openspiel/leduc_poker", {"victim": "uniform", "dry_run": True}
    for game in (KUHN, leduc):
        plans = [
            sparring.evaluate(game, attacker="first", **asked),
            sparring.audit(game, budgets=1.0, **asked),
            sparring.audit(game, **asked),
            sparring.defend(game, updates=100_000, **asked),
        ]
        seconds = [plan["seconds"] for plan in plans]
        assert seconds == sorted(seconds) and seconds[0] < 3 and seconds[1] < seconds[2]
        assert sparring.attack(game, **asked)["seconds"] == seconds[0] < seconds[1]
        for plan in plans:
            assert plan["estimate"].startswith("about ") and "on one core" in plan["estimate"]
    assert sparring.audit(leduc, **asked)["seconds"] > sparring.audit(KUHN, **asked)["seconds"]
    assert not Path("runs").exists()
