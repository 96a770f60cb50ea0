from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact import dynamics
from sparring.exact.double_oracle import double_oracle
from sparring.exact.dynamics import Iterate, power
from sparring.exact.markov_game import random_game
from sparring.exact.outputs import Outputs, outputs
from sparring.exact.problem import MarkovProblem, Problem, exploitability, legal, uniform
from sparring.exact.robust import robust
from sparring.exact.simplex import project
from sparring.exact.tree import tree_problem
from sparring.games.matrix import MATCHING_PENNIES, ROCK_PAPER_SCISSORS, as_markov
from sparring.games.openspiel import compile_tree

GOLDENS = Path(__file__).parents[1] / "goldens"
KUHN = compile_tree("kuhn_poker")
RPS = MarkovProblem(as_markov(ROCK_PAPER_SCISSORS), np.full((1, 3), 1 / 3), 1.0)
RPS_START = Iterate(
    np.array([[0.5123456789, 0.2987654321, 0.188888889]]), np.array([[0.2345678901, 0.4456789012, 0.3197532087]])
)
ETA = {"const": power(0.1), "invsqrt": power(0.1, 0.5)}
METHODS: dict[str, Callable[[Problem, Iterate], Iterator[Iterate]]] = {
    "simultaneous": lambda problem, start: dynamics.simultaneous(problem, start, power(0.1), power(0.3, 0.5)),
    "alternating": lambda problem, start: dynamics.alternating(problem, start, power(0.1), power(0.3, 0.5)),
    "min_oracle": lambda problem, start: dynamics.min_oracle(problem, start, power(0.1, 0.5)),
    "simultaneous_best_response": dynamics.simultaneous_best_response,
    "alternating_best_response": dynamics.alternating_best_response,
    "retrain": dynamics.retrain,
    "fictitious_play": dynamics.fictitious_play,
    "extragradient": lambda problem, start: dynamics.extragradient(problem, start, power(0.1), power(0.1)),
    "optimistic": lambda problem, start: dynamics.optimistic(problem, start, power(0.1), power(0.1)),
    "regularised": lambda problem, start: dynamics.regularised(
        problem, start, power(0.5), power(0.5), power(0.3, 1 / 3)
    ),
    "magnetic": lambda problem, start: dynamics.magnetic(problem, start, power(0.5), power(0.3, 1 / 3)),
    "double_oracle": double_oracle,
}
# Expl of nu after k updates, and of the mean of the iterates 0 .. k; an independent implementation on the same start.
RPS_GOLDENS = {
    ("SGDA", "const"): (
        {1: 0.21765428419, 2: 0.21532091417600002, 10: 0.17794477064631917, 100: 0.5241678471847098},
        {1: 0.21561726549500004, 2: 0.21551848172200005, 10: 0.1870863960934571, 100: 0.026391616910797222},
    ),
    ("SGDA", "invsqrt"): (
        {1: 0.21765428419, 2: 0.21600434243008326, 10: 0.21048033194738067, 100: 0.3641071474403683},
        {1: 0.21561726549500004, 2: 0.21574629114002775, 10: 0.19633195324504016, 100: 0.06479134527082725},
    ),
    ("AGDA", "const"): (
        {1: 0.21124687678600007, 2: 0.20257610046842006, 10: 0.14212276602810883, 100: 0.14635071483651635},
        {1: 0.21241356179299997, 2: 0.20913440801814004, 10: 0.166730664134786, 100: 0.008588494553269155},
    ),
    ("AGDA", "invsqrt"): (
        {1: 0.21124687678600007, 2: 0.20642823187429332, 10: 0.1989418540325257, 100: 0.32732321766206157},
        {1: 0.21241356179299997, 2: 0.21041845182009777, 10: 0.18450545407712765, 100: 0.06377073518673138},
    ),
    ("SIBR", "const"): (
        {1: 1.0, 2: 1.0, 10: 1.0, 100: 1.0},
        {1: 0.6067901234, 2: 0.3699588477, 10: 0.10089786755454544, 100: 0.01098887666435644},
    ),
    ("AIBR", "const"): (
        {1: 1.0, 2: 1.0, 10: 1.0, 100: 1.0},
        {1: 0.55493827155, 2: 0.22551440336666667, 10: 0.10089786755454544, 100: 0.01098887666435644},
    ),
    ("GAMin", "const"): (
        {1: 0.20987654310000003, 2: 0.1135802468, 10: 0.07654321009999987, 100: 0.07654321009999987},
        {1: 0.1598765431, 2: 0.11358024680000006, 10: 0.037149270372727417, 100: 0.015560444819802344},
    ),
    ("GAMin", "invsqrt"): (
        {1: 0.20987654310000003, 2: 0.08429092491865475, 10: 0.01568022002331515, 100: 0.004503171569870401},
        {1: 0.1598765431, 2: 0.12940275768756346, 10: 0.04733991487253841, 100: 0.004556531204161884},
    ),
}
# Markov games of goldens/markov.json: Expl after k updates of Algorithm 1 (step 0.01), the mean of Expl over its
# iterates 0 .. 200, and Expl after k updates of Algorithm 2 (steps 0.01 and 0.1); same provenance.
MARKOV_GOLDENS = {
    ("G1", 0.3): (
        {1: -0.8036370428291991, 200: -0.8308669455799805},
        -0.8174647989480438,
        {1: -0.8036288617276243, 200: -0.8325706273156153},
    ),
    ("G2", 1.0): (
        {1: -2.1470189511673543, 200: -3.036119659877912},
        -2.896637908114886,
        {1: -2.1446924976942108, 200: -2.9778050842589887},
    ),
    ("G3", 1.0): (
        {1: -2.738197375291533, 200: -4.565342895099577},
        -4.271483068318153,
        {1: -2.6968149426641013, 200: -4.33755524434476},
    ),
}
SPECS = {
    "G1": {"seed": 1, "S": 2, "A": 2, "B": 2, "gamma": 0.5, "k": 2},
    "G2": {"seed": 2, "S": 3, "A": 3, "B": 2, "gamma": 0.8, "k": 2},
    "G3": {"seed": 3, "S": 5, "A": 3, "B": 3, "gamma": 0.9, "k": 3},
}


def of_section_c(name: str, schedule: str) -> Iterator[Iterate]:
    eta = ETA[schedule]
    return {
        "SGDA": lambda: dynamics.simultaneous(RPS, RPS_START, eta, eta),
        "AGDA": lambda: dynamics.alternating(RPS, RPS_START, eta, eta),
        "SIBR": lambda: dynamics.simultaneous_best_response(RPS, RPS_START),
        "AIBR": lambda: dynamics.alternating_best_response(RPS, RPS_START),
        "GAMin": lambda: dynamics.min_oracle(RPS, RPS_START, eta),
    }[name]()


def run(problem: Problem, iterates: Iterator[Iterate], updates: int) -> list[Outputs]:
    return list(islice(outputs(problem, iterates, np.random.default_rng(0)), updates + 1))


def after(iterates: Iterator[Iterate], updates: int) -> Iterate:
    return next(islice(iterates, updates, None))


def kuhn(victim: int = 0, budget: float = 1.0) -> Problem:
    return tree_problem(KUHN, victim, (1 - victim,), {}, budget)


def start_of(problem: Problem) -> Iterate:
    return Iterate(uniform(problem.victim_actions), uniform(problem.attacker_actions))


def check_rps(name: str, schedule: str, last: dict[int, float], averages: dict[int, float]) -> None:
    found = run(RPS, of_section_c(name, schedule), max(last))
    for k, expl in last.items():
        assert found[k].expl == pytest.approx(expl, abs=1e-9)
        assert exploitability(RPS, found[k].averaged) == pytest.approx(averages[k], abs=1e-9)


@pytest.mark.parametrize(("name", "schedule"), list(RPS_GOLDENS))
def test_rps_goldens(name: str, schedule: str) -> None:
    check_rps(name, schedule, *RPS_GOLDENS[name, schedule])


@pytest.mark.long
@pytest.mark.parametrize("place", range(8))
def test_all_rps_goldens(place: int) -> None:
    golden = json.loads((GOLDENS / "rps.json").read_text())["runs"][place]
    tie = golden["first_near_tie_iteration"] or np.inf
    last, averages = (
        {k: expl for k, expl in zip(golden["k"], golden[key], strict=True) if k < tie}
        for key in ("expl_last", "expl_of_running_avg")
    )
    assert len(last) >= 10
    check_rps(golden["alg"], golden["schedule"], last, averages)


@pytest.mark.parametrize(("name", "eps"), list(MARKOV_GOLDENS))
def test_markov_goldens(name: str, eps: float) -> None:
    drawn = random_game(**SPECS[name])
    problem = MarkovProblem(drawn.game, drawn.benign, eps)
    start = Iterate(drawn.nu, drawn.alpha)
    first, mean, second = MARKOV_GOLDENS[name, eps]
    found = run(problem, dynamics.min_oracle(problem, start, power(0.01)), 200)
    assert {k: found[k].expl for k in first} == pytest.approx(first, abs=1e-8)
    assert found[200].mean_expl == pytest.approx(mean, abs=1e-8)
    found = run(problem, dynamics.simultaneous(problem, start, power(0.01), power(0.1)), 200)
    assert {k: found[k].expl for k in second} == pytest.approx(second, abs=1e-8)


def test_one_update_by_hand() -> None:
    # Matching pennies, nu = (.6, .4), alpha = (.7, .3): grad nu = P alpha = (.4, -.4), grad alpha = nu P = (.2, -.2).
    problem = MarkovProblem(as_markov(MATCHING_PENNIES), np.array([[0.5, 0.5]]), 1.0)
    start = Iterate(np.array([[0.6, 0.4]]), np.array([[0.7, 0.3]]))
    eta = power(0.1)

    def second(iterates: Iterator[Iterate]) -> list[float]:
        reached = after(iterates, 1)
        assert reached.t == 1
        return [float(reached.nu[0, 0]), float(reached.alpha[0, 0])]

    assert second(dynamics.simultaneous(problem, start, eta, eta)) == pytest.approx([0.64, 0.68])
    # The attacker is at .68 when the victim moves: grad nu = (.36, -.36).
    assert second(dynamics.alternating(problem, start, eta, eta)) == pytest.approx([0.636, 0.68])
    # alpha' = (0, 1) is worst for nu = (.6, .4), and grad nu = (-1, 1) against it.
    assert second(dynamics.min_oracle(problem, start, eta)) == pytest.approx([0.5, 0.0])
    assert second(dynamics.simultaneous_best_response(problem, start)) == [1.0, 0.0]
    assert second(dynamics.alternating_best_response(problem, start)) == [0.0, 0.0]
    assert second(dynamics.retrain(problem, start)) == [1.0, 0.7]
    assert second(dynamics.fictitious_play(problem, start)) == pytest.approx([0.8, 0.35])
    # Ahead is (.64, .68), where the gradients are .36 and .28.
    assert second(dynamics.extragradient(problem, start, eta, eta)) == pytest.approx([0.636, 0.672])
    # The base goes to (.64, .68), and the policies by as much again beyond it.
    assert second(dynamics.optimistic(problem, start, eta, eta)) == pytest.approx([0.68, 0.66])
    # Without entropy: logits move by +-.1 (.6 * .4 * .8) for nu and by -+.1 (.7 * .3 * .4) for alpha.
    odds = [1.5 * np.exp(2 * 0.1 * 0.24 * 0.8), 7 / 3 * np.exp(-2 * 0.1 * 0.21 * 0.4)]
    expected = [x / (1 + x) for x in odds]
    assert second(dynamics.regularised(problem, start, eta, eta, power(0.0))) == pytest.approx(expected)


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("budget", [0.0, 0.4, 1.0])
def test_policies_stay_policies_and_runs_go_on(name: str, budget: float) -> None:
    problem = kuhn(1, budget)
    found = list(islice(METHODS[name](problem, start_of(problem)), 40))
    assert [iterate.t for iterate in found] == list(range(40))
    for policy, actions in ((found[-1].nu, problem.victim_actions), (found[-1].alpha, problem.attacker_actions)):
        assert policy.min() >= 0
        assert not policy[~legal(actions)].any()
        np.testing.assert_allclose(policy.sum(axis=1), 1, rtol=0, atol=1e-12)
    for whole, resumed in zip(found[15:], METHODS[name](problem, found[15]), strict=False):
        assert whole.t == resumed.t
        assert whole.step == resumed.step
        np.testing.assert_array_equal(whole.nu, resumed.nu)
        np.testing.assert_array_equal(whole.alpha, resumed.alpha)


@pytest.mark.parametrize(
    "name", ["simultaneous", "alternating", "extragradient", "optimistic", "regularised", "magnetic"]
)
def test_nothing_moves_at_the_equilibrium(name: str) -> None:
    # Rock-Paper-Scissors from the uniform start, DECISIONS 8.
    reached = after(METHODS[name](RPS, start_of(RPS)), 50)
    np.testing.assert_allclose(reached.nu, 1 / 3, rtol=0, atol=1e-12)
    np.testing.assert_allclose(reached.alpha, 1 / 3, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["extragradient", "optimistic"])
def test_last_iterates_that_converge(name: str) -> None:
    assert exploitability(RPS, after(METHODS[name](RPS, RPS_START), 1500).nu) < 1e-6


def test_regularised_converges_to_the_regularised_equilibrium() -> None:
    # With one fixed tau: nu proportional to exp(P alpha / tau), alpha to exp(-nu P / tau).
    payoffs, tau = np.array([[1.0, -0.5], [-0.3, 0.8]]), 0.5
    problem = MarkovProblem(as_markov(payoffs), np.full((1, 2), 0.5), 1.0)
    method = dynamics.regularised(problem, start_of(problem), power(0.2), power(0.2), power(tau))
    reached = after(method, 2000)
    for policy, ascent in ((reached.nu, payoffs @ reached.alpha[0]), (reached.alpha, -reached.nu[0] @ payoffs)):
        np.testing.assert_allclose(policy[0], np.exp(ascent / tau) / np.exp(ascent / tau).sum(), rtol=0, atol=1e-9)


def test_regularised_last_iterate_follows_the_annealing() -> None:
    found = dynamics.regularised(RPS, RPS_START, power(0.1), power(0.1), power(1.0, 1 / 3))
    assert exploitability(RPS, after(found, 2000).nu) < 1e-3


def test_constant_steps_settle_at_their_size_and_shrinking_ones_do_not() -> None:
    # DECISIONS 8.
    assert 0.05 < exploitability(RPS, after(of_section_c("GAMin", "const"), 2000).nu) < 0.15
    assert exploitability(RPS, after(of_section_c("GAMin", "invsqrt"), 2000).nu) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize(
    ("budget", "optimum"),
    # Least Expl in Kuhn poker, benign uniform; goldens/kuhn.json, linear programs certified by their duals.
    [(0.7, (-0.0388888888888889, -0.0872222222222222)), (1.0, (1 / 18, -1 / 18))],
)
def test_kuhn_poker_converges_to_the_optimum(victim: int, budget: float, optimum: tuple[float, float]) -> None:
    problem = kuhn(victim, budget)
    start = start_of(problem)
    methods = {
        "min oracle": dynamics.min_oracle(problem, start, power(0.3, 0.5)),
        "two timescales": dynamics.simultaneous(problem, start, power(0.03), power(0.3)),
        "fictitious play": dynamics.fictitious_play(problem, start),
    }
    for name, method in methods.items():
        found = run(problem, method, 4000)
        assert min(outputs.expl for outputs in found) >= optimum[victim] - 1e-12, name
        policy = found[-1].last if name == "fictitious play" else found[-1].averaged
        assert exploitability(problem, policy) < optimum[victim] + 0.01, name


@given(st.integers(0, 2**32), st.sampled_from([0.2, 0.7, 1.0]))
@settings(max_examples=30)
def test_fictitious_attackers_are_averages_of_whole_strategies(seed: int, budget: float) -> None:
    # J is linear in the attacker's realisation plan, so against every victim the average earns the average.
    problem = kuhn(budget=budget)
    rng = np.random.default_rng(seed)

    def policy(actions: np.ndarray) -> np.ndarray:
        return project(rng.normal(size=(len(actions), 2)), actions)

    start = Iterate(policy(problem.victim_actions), policy(problem.attacker_actions), t=2)
    average = after(dynamics.fictitious_play(problem, start), 1).alpha
    response = problem.best_response(start.nu).policy
    nu = policy(problem.victim_actions)
    expected = (3 * problem.value(nu, start.alpha) + problem.value(nu, response)) / 4
    assert problem.value(nu, average) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=20)
def test_fictitious_play_of_matrix_games_counts_choices(seed: int, budget: float) -> None:
    payoffs = np.random.default_rng(seed).normal(size=(3, 4))
    problem = MarkovProblem(as_markov(payoffs), np.full((1, 4), 0.25), budget)
    counts = np.full(3, 1 / 3)
    for before, iterate in pairwise(islice(dynamics.fictitious_play(problem, start_of(problem)), 12)):
        counts[problem.victim_response(before.alpha).policy[0].argmax()] += 1
        np.testing.assert_allclose(iterate.nu[0], counts / counts.sum(), rtol=0, atol=1e-12)


def test_frozen_attackers_stay() -> None:
    problem = kuhn()
    start = start_of(problem)
    reached = after(dynamics.simultaneous(problem, start, power(0.1), power(0.0)), 300)
    np.testing.assert_array_equal(reached.alpha, start.alpha)
    assert problem.value(reached.nu, start.alpha) == pytest.approx(problem.victim_response(start.alpha).value)


def test_power() -> None:
    assert [power(0.5)(t) for t in (0, 3)] == [0.5, 0.5]
    assert [power(0.5, 0.5)(t) for t in (0, 3)] == [0.5, 0.25]


@pytest.mark.parametrize(("eta", "exponent"), [(-0.1, 0.0), (float("nan"), 0.5), (0.1, -1.0), (0.1, float("inf"))])
def test_power_refuses(eta: float, exponent: float) -> None:
    with pytest.raises(InputError, match="expected eta and exponent finite and at least 0"):
        power(eta, exponent)


@pytest.mark.long
def test_an_iteration_of_algorithm_1_costs_less_than_four_exploitabilities_on_leduc() -> None:
    problem = tree_problem(compile_tree("leduc_poker"), 0, (1,), {}, 1.0)
    method = dynamics.min_oracle(problem, start_of(problem), power(0.1))
    nu = uniform(problem.victim_actions)

    def seconds(function: Callable[[], object]) -> float:
        begin = time.perf_counter()
        function()
        return time.perf_counter() - begin

    # The least of many, as others use the machine too.
    pairs = [(seconds(lambda: exploitability(problem, nu)), seconds(lambda: next(method))) for _ in range(2000)]
    expl, iteration = (min(times) for times in zip(*pairs, strict=True))
    assert iteration < 4 * expl


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.booleans())
def test_algorithm_1_never_beats_the_linear_program(seed: int, budget: float, tree: bool) -> None:
    """The robust optimum is computed by a program that knows nothing of gradients; iterates may only approach it."""
    made = random_game(seed, S=3, A=3, B=2, gamma=0.7, k=2)
    problem: Problem = MarkovProblem(made.game, made.benign, budget)
    if tree:
        problem = tree_problem(KUHN, seed % 2, (1 - seed % 2,), {}, budget)
    start = Iterate(uniform(problem.victim_actions), uniform(problem.attacker_actions))
    least = -robust(problem).lower
    course = [exploitability(problem, it.nu) for it in islice(dynamics.min_oracle(problem, start, power(0.1, 0.5)), 80)]
    assert min(course) >= least - 1e-9
