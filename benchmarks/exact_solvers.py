"""How fast exact games are solved: the most robust victim by one linear program, and its certificate checked again.

Sections for `exact_games.py`; each function measures and returns plain numbers, with the limits that it should meet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sparring.exact.certificate import verify
from sparring.exact.robust import robust
from sparring.exact.tree import tree_problem
from sparring.games.openspiel import compile_tree

MAX_GAP = 1e-9  # of the certificate, as a share of its value


class Program(NamedTuple):
    game: str  # OpenSpiel's string
    limit: float  # seconds that the most robust victim may take


PROGRAMS = (Program("leduc_poker", 1.0), Program("liars_dice(numdice=1,dice_sides=5)", 10.0))


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


def report(rows: Sequence[dict[str, Any]]) -> str:
    """What `robust_victims` measured, one line a game."""
    return "\n".join(
        f"robust victim of {row['game']} ({row['nodes']} nodes): {row['seconds']:.2f} s, limit {row['limit']:g} s, "
        f"relative gap {row['gap']:.0e}, limit {MAX_GAP:g}; verified in {row['verify_seconds']:.2f} s, "
        f"in rationals in {row['verify_exact_seconds']:.2f} s{'' if row['met'] else ': MISSED'}"
        for row in rows
    )


def _best(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The shortest time of so many calls, since disturbance from outside only slows, and the last result."""
    seconds, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds, result
