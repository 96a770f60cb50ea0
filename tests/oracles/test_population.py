"""The double oracle in simulated games: the order of its jobs, the game between the populations, a whole small run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sparring
from sparring.errors import InputError
from sparring.files import read_json
from sparring.oracles import population


def test_jobs_come_in_turn_and_share_the_steps() -> None:
    assert population.jobs_of(2) == ["attacker-1", "victim-1", "pairs-1", "attacker-2", "victim-2", "pairs-2"]
    assert population.steps_of(800, 4) == 100


def test_the_game_between_the_populations_is_solved_exactly() -> None:
    """Rock-Paper-Scissors without Scissors for the column: the row mixes Paper 2/3 and Scissors 1/3 (value 1/3)."""
    mine, theirs, value = population.solved(np.array([[0.0, -1.0], [1.0, 0.0], [-1.0, 1.0]]))
    assert mine == pytest.approx([0, 2 / 3, 1 / 3]) and theirs == pytest.approx([1 / 3, 2 / 3])
    assert value == pytest.approx(1 / 3)


@pytest.mark.slow
def test_populations_grow_and_their_mixture_is_the_victim(tmp_path: Path) -> None:
    settings = {"victim": "builtin:disc-early", "method": "double-oracle", "budget": 1.0, "iterations": 2, "seed": 3}
    settings |= {"steps": 8192, "num_games": 8, "steps_per_round": 32, "attack_steps": 512, "episodes": 8}
    result = sparring.defend("discs/duel", **settings, out=str(tmp_path / "run"))
    jobs = tmp_path / "run" / "jobs"
    assert {path.name for path in jobs.iterdir()} == {"before", "after", *population.jobs_of(2)}
    solved = read_json(jobs / "pairs-2" / population.SOLVED)
    payoffs = np.array(solved["payoffs"])
    assert payoffs.shape == (3, 2) and np.abs(payoffs).max() <= 1
    # What pairs have played is not played again.
    assert payoffs[:2, :1].tolist() == read_json(jobs / "pairs-1" / population.SOLVED)["payoffs"]
    assert solved["value"] == pytest.approx(float((np.array(solved["victims"]) @ payoffs).min()))
    kept = read_json(Path(result["policy"]))
    assert [w for w in solved["victims"] if w > 0] == pytest.approx(kept["weights"])
    assert [point["score"] for point in result["curve"]][-1] == solved["value"] and result["output"] == "mixture"
    played = sparring.evaluate("discs/duel", victim=f"run:{tmp_path}/run", attacker="zero", budget=1.0, episodes=8)
    assert played["episodes"] == 8


def test_what_does_not_fit_is_refused() -> None:
    for settings, message in (
        ({"method": "double-oracle", "iterations": 0}, "iterations: expected at least 1"),
        ({"method": "two-timescale", "iterations": 2}, "two-timescale does not read it: use method=double-oracle"),
    ):
        with pytest.raises(InputError, match=message):
            sparring.defend("discs/duel", victim="builtin:disc-early", **settings)
    with pytest.raises(InputError, match="iterations: it is read in games that can only be simulated"):
        sparring.defend("matrix/rps", method="double-oracle", iterations=2)
