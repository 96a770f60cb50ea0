"""How an attack on a disc learns what it won by: GAE's lambda, the length of rounds, and the noise at the start.

A match of discs has 100 steps and one reward, at its end. With lambda .95 an action is credited with what the critic
says some twenty steps later. With lambda 1 it is credited with the outcome itself, whatever the critic says. A round of
64 steps ends in the middle of matches that all began together, one of 100 at their end.

The victims: the early disc, the later one, and a disc that was hardened by two timescales (its command is in
results/discs-defence). Attackers start from the victim's benign opponent or from the later disc, in full control.

Run: python experiments/discs/credit.py [--steps 1000000] [--seeds 1 2] [--out results/discs/credit.csv]
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import sparring
from sparring.files import write_atomic
from sparring.games.discs import learning

GAME, BENIGN = "discs/duel", "builtin:disc-early"
HARDENED = "native:results/discs-defence/hardened.safetensors"
CASES = (
    (HARDENED, "builtin:disc"),
    (HARDENED, "builtin:disc-early"),
    ("builtin:disc-early", "builtin:disc-early"),
    ("builtin:disc-early", "builtin:disc"),
    ("builtin:disc", "builtin:disc"),
)


class Credit(NamedTuple):
    """What is varied."""

    steps_per_round: int
    gae_lambda: float
    start_std: float


VARIED = (Credit(64, 0.95, 0.3), Credit(100, 1.0, 0.3), Credit(64, 1.0, 0.3), Credit(100, 1.0, 0.1))


def attacked(victim: str, start: str, credit: Credit, steps: int, episodes: int, seed: int) -> dict[str, Any]:
    """One attack, and its winning rate in matches of its own."""
    own = dict(learning.ATTACK["ppo"])
    learning.ATTACK["ppo"] |= {"gae_lambda": credit.gae_lambda, "start_std": credit.start_std}
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = sparring.attack(
                GAME,
                victim=victim,
                benign=BENIGN,
                start=start,
                budget=1.0,
                steps=steps,
                steps_per_round=credit.steps_per_round,
                episodes=episodes,
                seed=seed,
                out=str(Path(folder) / "run"),
            )
    finally:
        learning.ATTACK["ppo"] = own
    low, high = result["win_ci"]
    return {"victim": victim, "start": start, **credit._asdict(), "steps": steps, "seed": seed} | {
        "win": result["win"],
        "low": low,
        "high": high,
        "benign": result["baseline"]["win"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=Path("results/discs/credit.csv"))
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        for victim, start in CASES:
            for credit in VARIED:
                rows.append(attacked(victim, start, credit, given.steps, given.episodes, seed))
                print(rows[-1], flush=True)
                buffer = io.StringIO()
                writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
                write_atomic(given.out, buffer.getvalue().encode())


if __name__ == "__main__":
    main()
