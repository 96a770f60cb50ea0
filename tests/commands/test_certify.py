from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sparring
from sparring import cli
from sparring.commands import certify
from sparring.console import CANNOT_TELL
from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.oracles.exact import enough_memory

KUHN = "openspiel/kuhn_poker"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_certify_prints_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["certify", KUHN, "--victim", "uniform", "--benign", "uniform", "--budget", "0.7", "--out", "run"]
    assert cli.main([*words, "--exact", "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["expl"] == pytest.approx(0.25416667, abs=1e-8)
    assert result["robust_expl"] == pytest.approx(-0.03888889, abs=1e-8)
    assert result["gap"] == pytest.approx(result["expl"] - result["robust_expl"])
    assert result["lower"] <= result["upper"] <= result["lower"] + 1e-9
    assert result["verified"] is True and result["exact"] is True
    assert (result["budget"], result["victim_seat"], result["attackers"]) == (0.7, 0, [1])
    assert [bound["vacuous"] for bound in result["bounds"]] == [True, True]
    assert all(bound["true"] <= bound["sharp"] + 1e-12 for bound in result["bounds"])
    # What was written is what was found: the robust victim, and the attack on the given one.
    again = sparring.certify(KUHN, victim=f"tabular:{result['robust_victim']}", budget=0.7)
    assert again["expl"] == pytest.approx(result["robust_expl"], abs=1e-12)
    played = sparring.evaluate(KUHN, victim="uniform", attacker=f"tabular:{result['attack']}", budget=0.7)
    assert -played["victim_value"] == pytest.approx(result["expl"], abs=1e-12)
    record = json.loads(Path("run/certificate.json").read_text())
    assert record["verified"] and record["lower"] == result["lower"]
    assert "verified in rationals" in certify.text(result | {"bounds": []})


def test_the_coupling_certificate_from_matches_lies_below_the_computed_one() -> None:
    exact = sparring.certify(KUHN, victim="uniform", budget=0.3, at_least=-1.0)
    sampled = sparring.certify(KUHN, victim="uniform", budget=0.3, oracle="sampled", matches=500, at_least=-1.0)
    worst = -exact["expl"]
    known, found = exact["coupling"], sampled["coupling"]
    # By hand: the attacker decides once in every match, so .7 of what is .125 above the worst, -2, at budget 0.
    assert known["value_lower"] == pytest.approx(-2 + 0.7 * 2.125)
    assert found["value_lower"] < known["value_lower"] < worst
    assert found["total_variation_upper"] > known["total_variation_upper"] == pytest.approx(0.3)
    assert found["certified_budget"] < known["certified_budget"] == pytest.approx(1 - 1 / 2.125)
    assert (known["matches"], known["confidence"]) == (0, 1.0)
    assert (found["matches"], found["confidence"], found["mean_coins"]) == (500, 0.95, 1.0)
    assert sampled["oracle"] == "sampled" and sampled["expl"] is None and sampled["verified"] is None
    assert certify.exit_code(None, sampled) == 0  # pyright: ignore[reportArgumentType]
    # The same seed gives the same certificate.
    again = sparring.certify(KUHN, victim="uniform", budget=0.3, oracle="sampled", matches=500, at_least=-1.0)
    assert again["coupling"] == found


def test_a_discounted_game_is_certified_from_its_rewards(capsys: pytest.CaptureFixture[str]) -> None:
    from sparring.exact.markov_game import random_game, save

    save("game.npz", random_game(3, 3, 2, 2, 0.8, 2).game)
    words = ["certify", "markov/game.npz", "--victim", "uniform", "--budget", "0.05", "--json"]
    assert cli.main(words) == cli.DONE
    exact = json.loads(capsys.readouterr().out)
    assert cli.main([*words, "--oracle", "sampled", "--matches", "2000"]) == cli.DONE
    sampled = json.loads(capsys.readouterr().out)
    known, found = exact["coupling"], sampled["coupling"]
    assert (known["value_is"], found["value_is"]) == ("value", "discounted return")
    assert found["value_low"] <= found["value_lower"] < known["value_lower"] < -exact["expl"]
    # 2,000 matches: within a twentieth of the range.
    assert known["value_lower"] - found["value_lower"] < 0.05 * (found["value_high"] - found["value_low"])
    assert found["non_fail_lower"] is None and found["attacker_win_upper"] is None
    points = {point["budget"]: point for point in known["curve"]}
    assert points[1.0]["total_variation_upper"] == pytest.approx(1.0)


def test_a_users_discount_needs_what_a_reward_can_be() -> None:
    found = sparring.certify(
        "discs/duel", victim="zero", benign="zero", budget=0.01, matches=40, discount=0.9, reward_range=(-1, 1)
    )["coupling"]
    # Nobody moves, so every match is drawn at its limit after hundreds of steps and pays nothing: 0 is .5 of [-1, 1],
    # and what is certain of a discounted sum is .99 / (1 - .9 * .99) of it, beyond the least of -10.
    sure = -10 + 0.99 / (1 - 0.9 * 0.99)
    assert -10 < found["value_lower"] < sure
    assert found["value_is"] == "discounted return" and found["value_high"] == -found["value_low"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"matches": 10}, "matches: the answer is exact, which does not read it: use --oracle sampled"),
        ({"oracle": "sampled", "exact": True}, "exact: it is for exact answers, and this one is from matches"),
        ({"oracle": "sampled", "matches": 1}, "matches: expected at least 2, got 1"),
        ({"oracle": "sampled", "at_least": 3.0}, "at-least: expected a return above -2 and at most 2, got 3"),
        ({"at_least": -2.0}, "at-least: expected a return above -2 and at most 2, got -2"),
        (
            {"oracle": "sampled", "return_range": (1, -1)},
            "return-range: expected two finite numbers LOW < HIGH, got 1 -1",
        ),
        ({"oracle": "sampled", "return_range": (0, 1)}, "expected every return of the victim in"),
        ({"oracle": "sampled", "reward_range": (0, 1)}, "reward-range: it is read with --discount"),
        ({"oracle": "sampled", "discount": 0.9}, "discount: give the least and the largest reward of a step"),
        (
            {"oracle": "sampled", "discount": 1.0, "reward_range": (0, 1)},
            "discount: expected a number above 0 and below 1",
        ),
        ({"oracle": "sampled", "control": "blend"}, "control=blend: no bound holds for every attacker"),
    ],
)
def test_what_cannot_be_certified_is_refused_and_leaves_no_folder(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sparring.certify(KUHN, victim="uniform", out="run", **settings)
    assert not Path("run").exists()


def test_an_optimal_victim_has_no_gap() -> None:
    result = sparring.certify(KUHN, victim="nash", victim_seat=1)
    # The value of Kuhn poker is 1/18 for the second player (Kuhn 1950).
    assert result["expl"] == pytest.approx(-1 / 18, abs=1e-9)
    assert result["gap"] == pytest.approx(0, abs=1e-9) and result["verified"]


def test_bounds_hold_and_are_shown_in_a_discounted_game() -> None:
    from sparring.exact.markov_game import random_game, save

    save("game.npz", random_game(3, 3, 2, 2, 0.5, 2).game)
    result = sparring.certify("markov/game.npz", victim="uniform", budget=0.2)
    names = [bound["name"] for bound in result["bounds"]]
    assert "Proposition 3.1" in names and len(names) == len(set(names)) > 2
    for bound in result["bounds"]:
        assert bound["true"] <= bound["paper"] * (1 + 1e-9) + 1e-12
    assert "Proposition 3.1: " in certify.text(result)


def test_rows_that_miss_one_by_rounding_are_certified_for_what_they_mean() -> None:
    """Reward 1 for ever at gamma .999 is worth 1000 to every policy."""
    from sparring.exact.markov_game import MarkovGame, save

    save("const.npz", MarkovGame(np.ones((1, 3, 2, 1)), np.ones((1, 3, 2)), np.ones(1), 0.999))
    Path("third.json").write_text(json.dumps({"0": {"0": 0.3333335, "1": 0.3333335, "2": 0.3333335}}))
    for exact in (False, True):
        result = sparring.certify("markov/const.npz", victim="tabular:third.json", budget=0.5, exact=exact)
        assert result["expl"] == pytest.approx(-1000, abs=1e-9) and result["gap"] == pytest.approx(0, abs=1e-9)
        assert result["verified"]


# A child's own peak: seconds of its processor time, and bytes, after the imports that every verb needs.
CHILD = """
import json, re, sys, time
from pathlib import Path
import numpy as np
import sparring
from sparring.exact.markov_game import random_game, save
if sys.argv[1] == "matrix":
    size = int(sys.argv[2])
    np.save("game.npy", np.random.default_rng(0).normal(size=(size, size)))
    game = "matrix/game.npy"
else:
    save("game.npz", random_game(0, int(sys.argv[2]), 3, 3, 0.9, 5).game)
    game = "markov/game.npz"
result = sparring.certify(game, victim="uniform", budget=0.5, dry_run=True)
predicted = result["seconds"], result["memory_bytes"]
begun = time.process_time()
result = sparring.certify(game, victim="uniform", budget=0.5)
# Not ru_maxrss, which begins with what the process that started this one had.
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
used = time.process_time() - begun, 1024 * int(peak[1])
print(json.dumps([predicted, used, result["verified"], result["mismatch"]]))
"""


@pytest.mark.long
@pytest.mark.parametrize(("kind", "size"), [("matrix", 150), ("matrix", 400), ("markov", 300)])
def test_large_games_take_what_the_plan_says(kind: str, size: int) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, kind, str(size)], capture_output=True, text=True, check=True)
    predicted, used, verified, mismatch = json.loads(done.stdout)
    assert verified and mismatch == (kind == "matrix")
    for estimate, truth in zip(predicted, used, strict=True):
        assert truth / 4 <= estimate <= 4 * truth, (predicted, used)
    assert used[1] < 1e9


def test_a_matrix_game_of_many_joint_actions_needs_little_memory() -> None:
    """150 x 150: an identity matrix over joint actions would have 4 GB; policies are indices."""
    import tracemalloc

    from sparring.exact.bounds import bounds
    from sparring.exact.problem import MarkovProblem, uniform
    from sparring.games.matrix import as_markov

    payoffs = np.random.default_rng(0).normal(size=(150, 150))
    problem = MarkovProblem(as_markov(payoffs), np.full((1, 150), 1 / 150), 0.5)
    nu = uniform(problem.victim_actions)
    tracemalloc.start()
    try:
        bounds(problem, nu, problem.best_response(nu).policy)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_the_mismatch_coefficient_is_for_those_who_wait() -> None:
    from sparring.exact.markov_game import random_game, save

    save("game.npz", random_game(3, 70, 8, 8, 0.5, 2).game)
    quick = sparring.certify("markov/game.npz", victim="uniform", budget=0.2)
    assert quick["mismatch"] is False
    assert sparring.certify("markov/game.npz", victim="uniform", budget=0.2, dry_run=True)["mismatch"] is False
    plan = sparring.certify("markov/game.npz", victim="uniform", budget=0.2, mismatch=True, dry_run=True)
    assert plan["mismatch"] is True and plan["seconds"] > 2
    with pytest.raises(InputError, match="mismatch is for Markov games"):
        sparring.certify(KUHN, victim="uniform", mismatch=True)


def test_what_is_large_is_told_before_it_begins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = sparring.certify(KUHN, victim="uniform", dry_run=True)
    assert "GB of memory" in result["estimate"] and result["memory_bytes"] < 1e9
    sparring.certify(KUHN, victim="uniform")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(certify, "LARGE_MEMORY", result["memory_bytes"] - 1)
    sparring.certify(KUHN, victim="uniform")
    assert capsys.readouterr().err == (
        f"certify {KUHN}: this takes about 2 s on one core and {result['memory_bytes'] / 1e9:.1f} GB of memory\n"
    )


def test_the_end_of_memory_is_one_line() -> None:
    message = r"a game: there is not enough memory for an exact answer .*dry-run"
    with pytest.raises(InputError, match=message) as caught, enough_memory("a game"):
        np.empty((2**21, 2**21))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_horizon_is_for_sampled_matches() -> None:
    from sparring.exact.markov_game import random_game, save

    save("game.npz", random_game(3, 3, 2, 2, 0.5, 2).game)
    with pytest.raises(InputError, match=r"game.npz,horizon=7: horizon= is for matches that are sampled.*leave it out"):
        sparring.certify("markov/game.npz,horizon=7", victim="uniform")
    with pytest.raises(InputError, match="horizon= is for matches that are sampled"):
        sparring.evaluate("markov/game.npz,horizon=7", victim="uniform", attacker="first")
    sampled = sparring.evaluate(
        "markov/game.npz,horizon=7", victim="uniform", attacker="first", oracle="sampled", episodes=4
    )
    assert sampled["mean_length"] == 7
    words = {"steps": 64, "num_games": 4, "steps_per_round": 8, "episodes": 4}
    learned = sparring.attack("markov/game.npz,horizon=7", victim="uniform", oracle="learned", **words)
    assert learned["exact"] is None  # the game without an end has another value


def test_python_gives_games_and_policies_of_other_kinds() -> None:
    import pyspiel
    from open_spiel.python import policy as theirs

    by_id = sparring.certify(KUHN, victim="uniform", budget=0.7)
    kuhn = pyspiel.load_game("kuhn_poker")
    for victim in (theirs.UniformRandomPolicy(kuhn), theirs.TabularPolicy(kuhn), pyspiel.UniformRandomPolicy(kuhn)):
        given = sparring.certify(kuhn, victim=victim, budget=np.float64(0.7), attackers=1)
        assert given["game"] == KUHN and given["expl"] == pytest.approx(by_id["expl"], abs=1e-12)
    assert sparring.certify(sparring.make_game(KUHN), victim="uniform", budget=0.7)["expl"] == by_id["expl"]
    mine = pyspiel.create_matrix_game("mine", "", ["a", "b"], ["c", "d"], [[1, -1], [-1, 1]], [[-1, 1], [1, -1]])
    assert sparring.certify(mine, victim="first")["expl"] == pytest.approx(1)
    with pytest.raises(InputError, match="budget: expected one number, got 2"):
        sparring.certify(KUHN, victim="uniform", budget=[0.1, 0.2])
    with pytest.raises(InputError, match=r"game: expected an id such as 'openspiel/kuhn_poker', .* got int"):
        sparring.certify(3, victim="uniform")


@pytest.mark.parametrize("unit", [1e-29, 1e-3, 1e29])
def test_the_unit_of_the_payoffs_changes_nothing_but_the_numbers(unit: float) -> None:
    """Rock, paper, scissors: half of the time the response beats the first action, and the best victim has 0."""
    result = sparring.certify(MatrixGame(unit * ROCK_PAPER_SCISSORS), victim="first", budget=0.5)
    assert result["expl"] == pytest.approx(0.5 * unit, rel=1e-12) and result["verified"]
    assert result["robust_expl"] == pytest.approx(0, abs=1e-12 * unit)
    said = certify.text(result)
    exploitability = {1e-29: "5e-30", 1e-3: "0.0005", 1e29: "5e+28"}[unit]
    assert f"exploitability is {exploitability}: " in said and f"the gap is {exploitability}\n" in said
    assert "the most robust victim's is 0: " in said and "(total variation): 0, 0.3333, 0.3333" in said


def test_what_is_rounding_is_zero() -> None:
    values = {"expl": 1.0, "robust_expl": 1.0, "gap": -5.551e-17, "lower": -1.0, "upper": -1.0, "budget": 0.5}
    bounds = [{"name": "Proposition 3.1", "true": -5.551e-17, "sharp": 0.25, "paper": None, "vacuous": False}]
    said = certify.text({**values, "verified": True, "exact": False, "bounds": bounds, "run": "run"})
    assert "the gap is 0.000000" in said and "Proposition 3.1: 0, 0.25, none" in said


def test_what_is_not_verified_ends_with_the_code_for_that_it_cannot_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The file of a finished run, as a certificate that fails leaves it, is shown with that code."""
    assert cli.main(["certify", "matrix/rps", "--victim", "first", "--out", "run"]) == cli.DONE
    assert "verified by another route" in capsys.readouterr().out
    settings = certify.Settings(game="matrix/rps", victim="first")
    result = {**json.loads(Path("run/certify.json").read_text()), "run": "run", "verified": False}
    assert certify.exit_code(settings, result) == CANNOT_TELL == 4
    assert "NOT verified by another route: trust neither number" in certify.text(result)


def test_large_gradients_hide_no_value() -> None:
    """Lemma D.1's numbers grow with the square of the horizon, values with the horizon alone."""
    values = {"expl": -4.5, "robust_expl": -5.0, "gap": 0.5, "lower": 5.0, "upper": 5.0, "budget": 0.5}
    bounds = [{"name": "Lemma D.1 (Lipschitz, nu)", "true": 1e28, "sharp": 1e29, "paper": None, "vacuous": False}]
    said = certify.text({**values, "verified": True, "exact": False, "bounds": bounds, "run": "run"})
    assert "exploitability is -4.500000: " in said and "the gap is 0.500000" in said and "1e+28, 1e+29, none" in said
