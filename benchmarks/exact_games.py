"""How fast finite games are compiled, sampled in bulk and solved.

compile   one traversal of OpenSpiel's game into arrays, on one core
sampling  `rollout` with uniform tabular policies, on all cores: complete games and decisions a second
expl      exploitability, beside OpenSpiel's best responses; iteration: Algorithm 1; growth: with the game's size
robust    the most robust victim and its certificate (these four: see `exact_solvers`)

Each figure is the best of several turns, since disturbance from outside only slows. What JAX and numba compile once is
not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import exact_solvers
import jax
import numpy as np

from sparring.exact.problem import uniform
from sparring.files import write_json
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.play.rollout import rollout
from sparring.policies import TabularPolicy

Rows = list[dict[str, Any]]  # of plain numbers; "met" says whether the limit was kept


class Compilation(NamedTuple):
    game: str  # OpenSpiel's string
    limit: float | None = None  # seconds


class Sampling(NamedTuple):
    game: str
    matches: int  # side by side
    limit: float | None = None  # least complete games a second


COMPILATIONS = (
    Compilation("leduc_poker", 0.5),
    Compilation("liars_dice(dice_sides=4)"),
    Compilation("liars_dice(dice_sides=5)"),
    Compilation("liars_dice(dice_sides=6)", 10.0),
)
SAMPLINGS = (Sampling("kuhn_poker", 16384, 1e6), Sampling("kuhn_poker", 65536, 1e6), Sampling("leduc_poker", 1024))


def compile_games(compilations: Sequence[Compilation] = COMPILATIONS, repeats: int = 3) -> Rows:
    """Seconds of `compile_tree`. In a family of games, the time per node should not grow with the game."""
    rows: Rows = []
    for game, limit in compilations:
        seconds, nodes = float("inf"), 0
        for _ in range(repeats):
            start = time.perf_counter()
            nodes = len(compile_tree(game).actor)
            seconds = min(seconds, time.perf_counter() - start)
        met = limit is None or seconds < limit
        rows.append({"game": game, "nodes": nodes, "seconds": seconds, "limit": limit, "met": met})
    return rows


def sample_games(samplings: Sequence[Sampling] = SAMPLINGS, steps: int = 128, repeats: int = 5) -> Rows:
    """Complete games and decisions a second, in turns of so many steps."""
    rows: Rows = []
    for name, matches, limit in samplings:
        tree = compile_tree(name)
        game = SampledTree(tree, matches)
        policies = {
            agent: TabularPolicy(uniform(own.count)) for agent, own in zip(game.agents, tree.infosets, strict=True)
        }
        rng = np.random.default_rng(0)
        _, state = rollout(game, policies, steps, rng)
        games = decisions = 0.0
        for _ in range(repeats):
            start = time.perf_counter()
            played, state = jax.block_until_ready(rollout(game, policies, steps, rng, state))
            seconds = time.perf_counter() - start
            games = max(games, float(np.asarray(played.terminated).sum()) / seconds)
            decisions = max(decisions, steps * matches / seconds)
        row = {"game": name, "matches": matches, "games_per_second": games, "decisions_per_second": decisions}
        rows.append({**row, "limit": limit, "met": limit is None or games > limit})
    return rows


def report_compilation(rows: Rows) -> str:
    return "\n".join(
        f"compile {row['game']} ({row['nodes']} nodes): {row['seconds']:.2f} s, "
        f"{1e6 * row['seconds'] / row['nodes']:.1f} us a node{_limit(row, 's')}"
        for row in rows
    )


def report_sampling(rows: Rows) -> str:
    return "\n".join(
        f"sample {row['game']} ({row['matches']} side by side): {row['games_per_second']:.3g} games/s, "
        f"{row['decisions_per_second']:.3g} decisions/s{_limit(row, 'games/s')}"
        for row in rows
    )


class Section(NamedTuple):
    measure: Callable[[], Rows]
    report: Callable[[Rows], str]


SECTIONS = {
    "compile": Section(compile_games, report_compilation),
    "sampling": Section(sample_games, report_sampling),
    "expl": Section(exact_solvers.exploitabilities, exact_solvers.report_exploitabilities),
    "iteration": Section(exact_solvers.iterations, exact_solvers.report_iterations),
    "growth": Section(exact_solvers.growth, exact_solvers.report_growth),
    "robust": Section(exact_solvers.robust_victims, exact_solvers.report_robust),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="sections, such as compile,sampling (default: all)", default=",".join(SECTIONS))
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    asked = parser.parse_args(arguments)
    sections = asked.only.split(",")
    if unknown := [section for section in sections if section not in SECTIONS]:
        parser.error(f"--only: expected some of {','.join(SECTIONS)}, got {unknown[0]!r}")
    results: dict[str, Rows] = {}
    for section in sections:
        results[section] = SECTIONS[section].measure()
        print(SECTIONS[section].report(results[section]), flush=True)
    if asked.json:
        write_json(asked.json, {"cores": os.cpu_count(), **results})
    return int(not all(row["met"] for rows in results.values() for row in rows))


def _limit(row: Mapping[str, Any], unit: str) -> str:
    return "" if row["limit"] is None else f", limit {row['limit']:g} {unit}{'' if row['met'] else ': MISSED'}"


if __name__ == "__main__":
    sys.exit(main())
