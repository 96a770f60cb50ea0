"""The study that makes `builtin:ant`, on one round of training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparring.errors import InputError
from sparring.loaders import builtin, native
from sparring.runs import read_events, read_json, write_json
from sparring.studies.builtin_ant import RESULTS, ship_attacker, train_victim, victim_config


def test_one_round_of_self_play_leaves_a_policy_that_says_how_it_was_made(tmp_path: Path) -> None:
    config = victim_config(1)
    per_round = config.num_games * config.steps_per_round
    train_victim(tmp_path / "ant", per_round, seed=3, threads=0)
    _, meta = native.read(tmp_path / "ant/policy.safetensors")
    made = meta["provenance"]
    assert made["steps"] == per_round and made["seed"] == 3 and f"--steps {per_round} --seed 3" in made["command"]
    assert str(tmp_path) not in json.dumps(made)
    assert [e["steps"] for e in read_events(tmp_path / "ant")] == [per_round]
    assert read_json(tmp_path / "ant/status.json")["state"] == "done"

    # Such a policy is no attacker on builtin:ant, and is not shipped as one.
    network, _ = native.read(tmp_path / "ant/policy.safetensors")
    native.save(network, tmp_path / "attacker.safetensors", {"victim": "zero"})
    write_json(tmp_path / "attack.json", {})
    with pytest.raises(InputError, match="its victim was zero"):
        ship_attacker(tmp_path)


def test_the_committed_record_agrees_with_the_shipped_weights() -> None:
    root = Path(__file__).parents[2] / RESULTS
    for name in (n for n in builtin.names() if n.partition("-")[0] == "ant"):
        record, made = read_json(root / f"{name}.json"), native.read(builtin.path(name))[1]["provenance"]
        for key in ("command", "seed", "steps", "settings", "measured"):
            assert record[key] == made[key], (name, key)
    ant = read_json(root / "ant.json")
    steps = [point["steps"] for point in ant["curve"]]
    assert steps == sorted(steps) and steps[-1] <= ant["steps"]
