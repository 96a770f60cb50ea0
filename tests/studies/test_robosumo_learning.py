"""The learning study's harness, on a few rounds of tiny variants."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparring.attacks.adversarial_policy import AttackConfig
from sparring.defences.self_play import SelfPlayConfig
from sparring.errors import InputError
from sparring.loaders import native
from sparring.runs import read_json, read_status, write_json
from sparring.studies import robosumo_learning as study
from sparring.studies.robosumo_learning import VARIANTS, chosen, curve, measure, train, trained, write_table


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two variants that take no time, and results that stay in the test's folder."""
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    for name in ("symmetric", "self-play"):
        variant = VARIANTS[name]
        small = replace(variant.config.ppo, epochs=1, minibatch=16, warmup_updates=0)
        config = replace(variant.config, num_games=4, steps_per_round=8, ppo=small)
        monkeypatch.setitem(study.VARIANTS, f"tiny-{name}", replace(variant, config=config))


def test_variants_differ_from_their_base_in_what_they_say() -> None:
    base = VARIANTS["base"].config
    assert isinstance(base, AttackConfig) and base.start == "benign" and base.ppo.network.symmetry == ""
    assert VARIANTS["symmetric"].config == replace(
        VARIANTS["horizon"].config,
        view=study.VIEW,
        ppo=replace(VARIANTS["horizon"].config.ppo, network=study.SYMMETRIC),
    )
    assert isinstance(VARIANTS["self-play"].config, SelfPlayConfig)
    assert len({repr(v.config) for v in VARIANTS.values()}) == len(VARIANTS)


def test_what_is_asked_for_besides() -> None:
    attack = chosen("symmetric", 100_000, "native:ant.safetensors", 0.3, 5)
    assert (attack.victim, attack.budget, attack.game) == (
        "native:ant.safetensors",
        0.3,
        "robosumo/ant-vs-ant,integrator=euler",
    )
    assert isinstance(attack.config, AttackConfig) and (attack.config.steps, attack.config.view) == (100_000, 5)
    assert attack.config.ppo.decay_updates == 13
    bug = chosen("self-play-bug", 100_000)
    assert (bug.victim, bug.game) == ("", "robosumo/bug-vs-bug,integrator=euler")
    assert bug.config.ppo.network.symmetry == "robosumo-bug" and bug.config.reward.shaping_steps == 50_000


@pytest.mark.slow
def test_an_attack_is_trained_measured_and_tabled(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train("tiny-symmetric", chosen("tiny-symmetric", 64, budget=0.5), 5, out, 1)
    assert read_status(out)["state"] == "done"
    network, row = trained(out)
    saved, meta = native.read(out / "policy.safetensors")
    assert saved.symmetry == network.symmetry == "robosumo-ant"
    np.testing.assert_array_equal(saved.log_std, network.log_std)
    assert meta["provenance"]["command"] == row["command"] and str(tmp_path) not in row["command"]
    assert row["steps"] == 64 and row["settings"]["config"]["ppo"]["decay_updates"] == 2

    earlier = {**row, "curve": [[32, 0.5, 0.2, 0.8], [64, 0.6, 0.3, 0.9]], "measured": {}}
    write_json(study.RESULTS / "runs.json", {"runs": [{**earlier, "command": "another run"}, earlier]})
    measure(out, None, 4, 1)
    other, run = read_json(study.RESULTS / "runs.json")["runs"]
    assert (other["command"], run["command"]) == ("another run", row["command"])
    assert list(run["measured"]) == ["attacker", "benign", "zero", "random"]
    for result in run["measured"].values():
        assert result["win"] + result["draw"] + result["loss"] == pytest.approx(1) and result["episodes"] == 4
        assert result["win_ci"][0] <= result["win"] <= result["win_ci"][1]

    write_table(study.RESULTS)
    rows = list(csv.DictReader((study.RESULTS / "runs.csv").read_text().splitlines()))
    assert [r["pairing"] for r in rows] == list(run["measured"])
    assert {(r["variant"], r["seed"], r["steps"], r["budget"]) for r in rows} == {("tiny-symmetric", "5", "64", "0.5")}


@pytest.mark.slow
def test_self_play_goes_on_from_where_it_was_and_is_measured_against_others(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train("tiny-self-play", chosen("tiny-self-play", 64), 5, out, 1)
    first = (out / "policy.safetensors").read_bytes()
    train("tiny-self-play", chosen("tiny-self-play", 64), 5, out, 1)
    assert (out / "policy.safetensors").read_bytes() == first
    measure(out, None, 4, 1)
    (run,) = read_json(study.RESULTS / "runs.json")["runs"]
    assert list(run["measured"]) == ["against random", "against zero", "against builtin:ant"]


def test_a_run_of_another_version_of_a_variant_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("tiny-symmetric", chosen("tiny-symmetric", 32), 5, tmp_path / "run", 1)
    variant = study.VARIANTS["tiny-symmetric"]
    monkeypatch.setitem(study.VARIANTS, "tiny-symmetric", replace(variant, config=replace(variant.config, num_games=8)))
    with pytest.raises(InputError, match="other settings when it was trained"):
        trained(tmp_path / "run")
    with pytest.raises(InputError, match="unknown variant 'symetric': did you mean symmetric"):
        chosen("symetric", 32)


def test_a_curve_counts_every_match_once() -> None:
    events = [{"steps": 10 * i, "win": i % 3, "draw": 1, "loss": 2} for i in range(1, 8)]
    points = curve(events, 3)
    assert [p[0] for p in points] == [30, 50, 70]
    assert points[0][1] == pytest.approx(3 / 12) and points[0][2] < points[0][1] < points[0][3]
    assert curve([]) == []


def test_the_figure_shows_the_attacks_at_budget_1(tmp_path: Path) -> None:
    settings = {"variant": "symmetric", "victim": study.VICTIM, "budget": 1.0, "config": {"view": 1}}
    points = [[100_000, 0.5, 0.4, 0.6], [200_000, 0.7, 0.6, 0.8]]
    run = {"settings": settings, "seed": 3, "steps": 200_000, "minutes": 1.0, "curve": points, "measured": {}}
    others = [{**run, "seed": 4, "settings": {**settings, "budget": 0.3}}, {**run, "seed": 5, "curve": []}]
    write_json(tmp_path / "runs.json", {"runs": [run, *others]})
    write_table(tmp_path)
    svg = (tmp_path / "attacks.svg").read_text()
    assert "symmetric 3, 200k" in svg and "symmetric 4" not in svg and "symmetric 5" not in svg
