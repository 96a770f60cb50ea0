"""Attacks: what is kept of their training, and attacks that hide. Of all else, see the tests of audits and the CLI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sparring
from sparring.errors import InputError


@pytest.mark.slow
def test_policies_on_the_way_are_kept_and_an_attack_that_hides_is_told_so(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"victim": "zero", "benign": "zero", "steps": 4096, "num_games": 8, "episodes": 8}
    settings |= {"steps_per_round": 64, "start": "scratch"}
    plain = sparring.attack("discs/duel", **settings, out=tmp_path / "plain")
    kept = sparring.attack("discs/duel", **settings, checkpoints=4, out=tmp_path / "kept")
    assert [Path(name).name for name in kept["checkpoints"]] == [
        f"attacker-{steps}.safetensors" for steps in (1024, 2048, 3072, 4096)
    ]
    assert plain["checkpoints"] == []
    # The run's policy is still the one that training ended with.
    attacked = {"victim": "zero", "benign": "zero", "episodes": 8}
    by_run, by_file = (
        sparring.evaluate("discs/duel", attacker=name, **attacked)
        for name in (f"run:{tmp_path}/kept", f"native:{kept['policy']}")
    )
    assert by_run["victim_return"] == by_file["victim_return"]
    # Keeping them changes nothing of what is learned.
    assert [kept[key] for key in ("win", "victim_return")] == [plain[key] for key in ("win", "victim_return")]
    early = sparring.evaluate(
        "discs/duel", victim="zero", benign="zero", attacker=f"native:{kept['checkpoints'][0]}", episodes=8
    )
    assert early["episodes"] == 8
    hidden = sparring.attack("discs/duel", **settings, stealth=1.0, out=tmp_path / "hidden")
    assert hidden["reward"]["stealth"] == 1.0 and plain["reward"]["stealth"] == 0.0
    again = sparring.attack("discs/duel", **settings, stealth=1.0, out=tmp_path / "again")
    assert (tmp_path / "hidden/events.jsonl").read_bytes() == (tmp_path / "again/events.jsonl").read_bytes()
    assert again["victim_return"] == hidden["victim_return"]
    metrics = json.loads((tmp_path / "hidden/events.jsonl").read_text().splitlines()[-1])["sides"]["disc1"]["metrics"]
    # An agent that never moved moves now: that can be told.
    assert metrics["log_ratio"] > 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stealth": -1.0}, "stealth: expected a number from 0 to 10000, got -1"),
        ({"stealth": float("nan")}, "stealth: expected a number from 0 to 10000, got nan"),
        ({"checkpoints": 33}, "checkpoints: expected 0 to 32, got 33"),
    ],
)
def test_how_an_attack_hides_and_what_is_kept_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sparring.attack("discs/duel", victim="zero", benign="zero", **settings)


def test_an_exact_attack_neither_hides_nor_is_on_the_way() -> None:
    for option in ({"stealth": 1.0}, {"checkpoints": 2}):
        with pytest.raises(InputError, match="the answer is exact, which does not read it"):
            sparring.attack("openspiel/kuhn_poker", victim="uniform", **option)
