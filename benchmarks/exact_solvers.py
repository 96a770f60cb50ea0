"""How fast exact games are solved: Expl beside OpenSpiel's best responses, Algorithm 1, and the most robust victim.

Sections for `exact_games.py`; each function measures and returns plain numbers, with the limits that it should meet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sparring.exact.certificate import verify
from sparring.exact.dynamics import Iterate, min_oracle, power
from sparring.exact.problem import exploitability, uniform
from sparring.exact.robust import robust
from sparring.exact.tree import tree_problem
from sparring.games.openspiel import compile_tree

MAX_GAP = 1e-9  # of the certificate, as a share of its value


MAX_ITERATION = 4.0  # of Algorithm 1, in evaluations of Expl
MAX_GROWTH = 3.0  # of the time per node from the smallest of a family of games to the largest


class Peer(NamedTuple):
    name: str
    ratio: float  # how many times faster Expl should be


PYTHON, NATIVE = Peer("OpenSpiel's Python best response", 2000.0), Peer("OpenSpiel's C++ best response", 800.0)
FAMILY = ("liars_dice(dice_sides=4)", "liars_dice(dice_sides=5)", "liars_dice(dice_sides=6)")


class Program(NamedTuple):
    game: str  # OpenSpiel's string
    limit: float  # seconds that the most robust victim may take


PROGRAMS = (Program("leduc_poker", 1.0), Program("liars_dice(numdice=1,dice_sides=5)", 10.0))


def exploitabilities(game: str = "leduc_poker", repeats: int = 5) -> list[dict[str, Any]]:
    """Expl of the uniform victim in seat 0 at full control, and what OpenSpiel takes for the same number."""
    import pyspiel
    from open_spiel.python.algorithms.best_response import BestResponsePolicy
    from open_spiel.python.policy import TabularPolicy

    problem = tree_problem(compile_tree(game), 0, (1,), {}, 1.0)
    nu = uniform(problem.victim_actions)
    seconds, value = _each(lambda: exploitability(problem, nu), 1000, repeats)
    theirs = pyspiel.load_game(game)
    table, native = TabularPolicy(theirs), pyspiel.UniformRandomPolicy(theirs)
    peers = {
        PYTHON: lambda: BestResponsePolicy(theirs, 1, table).value(theirs.new_initial_state()),
        NATIVE: lambda: pyspiel.TabularBestResponse(theirs, 1, native).value_from_state(theirs.new_initial_state()),
    }
    rows = []
    for peer, function in peers.items():
        spent, found = _best(function, repeats)
        ratio = spent / seconds
        agree = abs(found - value) < 1e-12
        rows.append(
            {
                "game": game,
                "peer": peer.name,
                "seconds": seconds,
                "peer_seconds": spent,
                "ratio": ratio,
                "limit": peer.ratio,
                "agree": agree,
                "met": agree and ratio > peer.ratio,
            }
        )
    return rows


def iterations(game: str = "leduc_poker", updates: int = 500, repeats: int = 5) -> list[dict[str, Any]]:
    """One iteration of Algorithm 1, in evaluations of Expl."""
    problem = tree_problem(compile_tree(game), 0, (1,), {}, 0.7)
    nu, alpha = uniform(problem.victim_actions), uniform(problem.attacker_actions)
    one, _ = _each(lambda: exploitability(problem, nu), 1000, repeats)

    def run() -> Iterate:
        *_, last = islice(min_oracle(problem, Iterate(nu, alpha), power(0.1, 0.5)), updates)
        return last

    seconds, _ = _best(run, repeats)
    ratio = seconds / updates / one
    row = {"game": game, "seconds": seconds / updates, "ratio": ratio, "limit": MAX_ITERATION}
    return [{**row, "met": ratio < MAX_ITERATION}]


def growth(games: Sequence[str] = FAMILY, repeats: int = 5) -> list[dict[str, Any]]:
    """Expl in ever larger games of one family: the time per node should not grow, but for what leaves the caches."""
    rows: list[dict[str, Any]] = []
    for game in games:
        tree = compile_tree(game)
        problem = tree_problem(tree, 0, (1,), {}, 0.7)
        nu = uniform(problem.victim_actions)
        seconds, _ = _each(lambda problem=problem, nu=nu: exploitability(problem, nu), 50, repeats)
        per_node = seconds / len(tree.actor)
        met = per_node < MAX_GROWTH * rows[0]["per_node"] if rows else True
        rows.append({"game": game, "nodes": len(tree.actor), "seconds": seconds, "per_node": per_node, "met": met})
    return rows


def report_exploitabilities(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        f"Expl of {row['game']}: {1e6 * row['seconds']:.1f} us; {row['peer']}: {1e3 * row['peer_seconds']:.1f} ms, "
        f"{row['ratio']:.0f} times as long, limit {row['limit']:.0f}{'' if row['met'] else ': MISSED'}"
        for row in rows
    )


def report_iterations(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        f"one iteration of Algorithm 1 on {row['game']}: {1e6 * row['seconds']:.1f} us, {row['ratio']:.2f} evaluations "
        f"of Expl, limit {row['limit']:g}{'' if row['met'] else ': MISSED'}"
        for row in rows
    )


def report_growth(rows: Sequence[dict[str, Any]]) -> str:
    return "\n".join(
        f"Expl of {row['game']} ({row['nodes']} nodes): {1e3 * row['seconds']:.2f} ms, {1e9 * row['per_node']:.1f} ns "
        f"a node{'' if row['met'] else ': MISSED'}"
        for row in rows
    )


def robust_victims(programs: Sequence[Program] = PROGRAMS, repeats: int = 3) -> list[dict[str, Any]]:
    """For each game the best of so many times, in seconds: victim in seat 0, uniform benign policy, budget 0.5.

    Compiling the game and the oracles' machine code is not part of it: it is done once.
    """
    robust(tree_problem(compile_tree("kuhn_poker"), 0, (1,), {}, 0.5))
    rows = []
    for game, limit in programs:
        tree = compile_tree(game)
        problem = tree_problem(tree, 0, (1,), {}, 0.5)
        seconds, certificate = _best(lambda problem=problem: robust(problem), repeats)
        searched, found = _best(lambda certificate=certificate: verify(certificate), repeats)
        rational, exact = _best(lambda certificate=certificate: verify(certificate, exact=True), 1)
        gap = abs(certificate.gap) / max(abs(certificate.upper), abs(certificate.lower))
        rows.append(
            {
                "game": game,
                "nodes": len(tree.actor),
                "seconds": seconds,
                "limit": limit,
                "gap": gap,
                "verify_seconds": searched,
                "verify_exact_seconds": rational,
                "met": bool(seconds < limit and gap < MAX_GAP and found.verified and exact.verified),
            }
        )
    return rows


def report_robust(rows: Sequence[dict[str, Any]]) -> str:
    """What `robust_victims` measured, one line a game."""
    return "\n".join(
        f"robust victim of {row['game']} ({row['nodes']} nodes): {row['seconds']:.2f} s, limit {row['limit']:g} s, "
        f"relative gap {row['gap']:.0e}, limit {MAX_GAP:g}; verified in {row['verify_seconds']:.2f} s, "
        f"in rationals in {row['verify_exact_seconds']:.2f} s{'' if row['met'] else ': MISSED'}"
        for row in rows
    )


def _each(function: Callable[[], Any], calls: int, repeats: int) -> tuple[float, Any]:
    """The shortest mean time of so many calls in a row, and the last result."""
    result = function()  # the first call compiles

    def run() -> None:
        for _ in range(calls):
            function()

    seconds, _ = _best(run, repeats)
    return seconds / calls, result


def _best(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The shortest time of so many calls, since disturbance from outside only slows, and the last result."""
    seconds, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds, result
