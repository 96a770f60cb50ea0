"""Measured state shift against the exact one and Proposition 3.2, in random Markov games.

In each game the victim and the benign opponent are random, and the adversary is the best response to the victim.
Matches are played at several budgets, their states drawn by Def. 2.1, and compared with those of benign matches. The
observation is the one-hot state, so that the L1 distance of two distributions over states is the sum of the total
variations of all features. Beside it the exact distance, Proposition 3.2 and its sharp constant (DECISIONS 12).

Run: python experiments/markov_shift.py [--games 20] [--out results/markov-shift]
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.exact.bounds import visitation_bound
from sparring.exact.markov_game import random_game, save
from sparring.exact.problem import MarkovProblem
from sparring.files import write_atomic, write_json
from sparring.metrics.distances import compare_states
from sparring.oracles.learned import LearnedOracle
from sparring.oracles.options import Seats
from sparring.oracles.seating import ask
from sparring.report import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAMMA, STATES, ACTIONS, SUCCESSORS = 0.9, 5, 3, 2
BUDGETS = (0.1, 0.3, 0.5, 0.7, 1.0)
MATCHES, RESAMPLES, SEED = 400, 199, 0


def measured(number: int, folder: Path) -> list[dict[str, Any]]:
    """One game at every budget."""
    root = int(np.random.SeedSequence([SEED, number]).generate_state(1)[0])
    made = random_game(root, STATES, ACTIONS, ACTIONS, GAMMA, SUCCESSORS)
    save(folder / "game.npz", made.game)
    best = MarkovProblem(made.game, made.benign, 1.0).best_response(made.nu).policy
    oracle = LearnedOracle(ask(Seats(game=f"markov/{folder / 'game.npz'}", benign=made.benign), made.nu))
    names = [f"state {i}" for i in range(STATES)]

    def played(adversarial: Any, budget: float, stream: int) -> Any:
        seed = int(np.random.SeedSequence([SEED, number, stream]).generate_state(1)[0])
        return oracle.play(adversarial, budget, MATCHES, seed, f"game {number}", 10**6, discount=GAMMA).states

    benign = oracle.question.threat.benign
    first, again = played(benign, 0.0, 0), played(benign, 0.0, 1)
    rows = []
    for k, budget in enumerate(BUDGETS):
        attacked = played(oracle.adversarial(best), budget, 2 + k)
        measures = ("total-variation", "wasserstein2")
        found = compare_states(first, again, attacked, names, seed=number, measures=measures, resamples=RESAMPLES)
        variation, transport = found
        bound = visitation_bound(MarkovProblem(made.game, made.benign, budget), made.nu, best)
        rows.append(
            {"game": number, "budget": budget, "exact": bound.true, "sharp": bound.sharp, "paper": bound.paper}
            | {"value": variation.value * STATES, "corrected": variation.corrected * STATES}
            | {"floor_high": variation.floor_high * STATES, "p": variation.p}
            | {"wasserstein2": transport.corrected, "states": list(variation.states)}
        )
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How often the measured L1 distance is below the bounds, grows with the budget, and is near the truth."""
    games = sorted({row["game"] for row in rows})

    def grows(key: str) -> float:
        pairs = [
            later[key] > earlier[key]
            for game in games
            for earlier, later in itertools.pairwise(row for row in rows if row["game"] == game)
        ]
        return float(np.mean(pairs))

    errors = np.abs([row["value"] - row["exact"] for row in rows])
    return {
        "games": len(games),
        "comparisons": len(rows),
        "value above Proposition 3.2": sum(row["value"] > row["paper"] for row in rows),
        "value above the sharp constant": sum(row["value"] > row["sharp"] for row in rows),
        "corrected above the sharp constant": sum(row["corrected"] > row["sharp"] for row in rows),
        "steps of the budget with growth": {key: grows(key) for key in ("exact", "value", "wasserstein2")},
        "error of the value: mean, largest": [float(errors.mean()), float(errors.max())],
        "Spearman with the truth": float(_rank_correlation(rows)),
    }


def _rank_correlation(rows: list[dict[str, Any]]) -> float:
    from scipy.stats import spearmanr

    return spearmanr([row["exact"] for row in rows], [row["value"] for row in rows]).statistic  # pyright: ignore


def figure(rows: list[dict[str, Any]]) -> str:
    """Measured and exact L1 distances by budget, below both bounds."""

    def draw(drawn: Figure) -> None:
        axes = drawn.add_subplot()
        for game in sorted({row["game"] for row in rows}):
            own = [row for row in rows if row["game"] == game]
            axes.plot(BUDGETS, [row["exact"] for row in own], color=plots.BASELINE, lw=0.8, alpha=0.6)
            axes.plot(BUDGETS, [row["value"] for row in own], "o", color=plots.ATTACKER, ms=4, alpha=0.7)
        axes.plot([], [], color=plots.BASELINE, label="exact")
        axes.plot([], [], "o", color=plots.ATTACKER, label="measured")
        own = rows[: len(BUDGETS)]
        axes.plot(BUDGETS, [row["sharp"] for row in own], color=plots.MANY[0], lw=2, label="sharp constant")
        axes.plot(BUDGETS, [row["paper"] for row in own], color=plots.MANY[0], lw=1, ls=":", label="Proposition 3.2")
        axes.set_ylim(0, 2.1)
        axes.set_xlabel("attack budget")
        axes.set_ylabel("L1 distance of state visitations, at most 2")
        axes.legend()

    caption = f"{len({row['game'] for row in rows})} random Markov games, {MATCHES} matches each"
    return plots.svg("markov-shift", "State shift in random Markov games", caption, 900, 460, draw)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("results/markov-shift"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.games):
            rows += measured(number, Path(folder))
            print(number, [f"{row['value']:.3f} of {row['exact']:.3f}" for row in rows[-len(BUDGETS) :]], flush=True)
    told = summary(rows)
    write_json(given.out / "markov-shift.json", {"summary": told, "rows": rows})
    write_atomic(given.out / "markov-shift.svg", figure(rows).encode())
    print(told)


if __name__ == "__main__":
    main()
