"""What is played, recorded and shipped of RoboSumo's runs, on tiny ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from experiments.robosumo import measure as program
from experiments.robosumo.measure import both_ways, cross, fingerprint, measure, recorded, ship, write_tables
from experiments.robosumo.train import train, trained
from experiments.robosumo.variants import chosen
from sparring.errors import InputError
from sparring.files import read_json, write_json
from sparring.games.robosumo.bodies import BODIES
from sparring.loaders import builtin, native

COMMITTED = program.RESULTS


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


@pytest.mark.long
@pytest.mark.usefixtures("tiny")
def test_an_attack_is_measured_tabled_and_shipped(tmp_path: Path, results: Path) -> None:
    run = tmp_path / "run"
    train("tiny-attack", chosen("tiny-attack", 64, budget=0.5), 5, run, 1)
    with pytest.raises(InputError, match="measure it with --integrator rk4 first"):
        ship(run, "ant-attack-0.5", results, tmp_path)
    _, row = trained(run)
    earlier = {**row, "measured": {}}
    write_json(results / "runs.json", {"runs": [{**earlier, "command": "another run"}, earlier]})
    measure(run, results, None, "euler", 4, 1)
    elsewhere = {**row, "command": "another budget", "settings": row["settings"] | {"budget": 0.25}}
    known = {"win": 0.6, "win_ci": [0.2, 0.9], "draw": 0.2, "loss": 0.2, "episodes": 5, "mean_length": 9.0}
    elsewhere["measured"] = {"rk4": {"benign": known, "zero": known}}
    again = {**row, "command": "another seed", "measured": {"rk4": {"random": known}}}
    write_json(results / "runs.json", {"runs": [*recorded(results), elsewhere, again]})
    measure(run, results, None, "rk4", 5, 1)
    other, another, seed, found = recorded(results)
    played = found["measured"]["rk4"]
    # The benign opponent is the same at all budgets, other baselines at the same one: they are not played again.
    assert played["benign"] == played["random"] == known != played["zero"]
    write_json(results / "runs.json", {"runs": [other, found]})
    assert seed["command"] == "another seed"
    assert another["command"] == "another budget"
    assert (other["command"], found["command"]) == ("another run", row["command"])
    assert list(found["measured"]) == ["euler", "rk4"]
    for integrator, episodes in (("euler", 4), ("rk4", 5)):
        assert list(found["measured"][integrator]) == ["attacker", "benign", "zero", "random"]
        for result in found["measured"][integrator].values():
            assert result["win"] + result["draw"] + result["loss"] == pytest.approx(1)
            assert result["episodes"] == episodes and result["win_ci"][0] <= result["win"] <= result["win_ci"][1]

    write_tables(results)
    rows = list(csv.DictReader((results / "runs.csv").read_text().splitlines()))
    assert [(r["integrator"], r["pairing"]) for r in rows] == [
        (integrator, pairing) for integrator in ("euler", "rk4") for pairing in ("attacker", "benign", "zero", "random")
    ]
    assert {(r["variant"], r["seed"], r["steps"], r["budget"]) for r in rows} == {("tiny-attack", "5", "64", "0.5")}

    with pytest.raises(InputError, match=r"expected the name ant-attack-0\.5, got ant"):
        ship(run, "ant", results, tmp_path)
    ship(run, "ant-attack-0.5", results, tmp_path)
    made = native.read(tmp_path / "ant-attack-0.5.safetensors")[1]["provenance"]
    attacker = found["measured"]["rk4"]["attacker"]
    assert made["command"] == row["command"]
    assert made["measured"] == {
        "builtin:ant at budget 0.5": {k: attacker[k] for k in ("win", "win_ci", "draw", "loss", "episodes")}
    }


@pytest.mark.long
@pytest.mark.usefixtures("tiny")
def test_a_robot_of_self_play_is_measured_against_others(tmp_path: Path, results: Path) -> None:
    train("tiny-self-play", chosen("tiny-self-play", 32, start="builtin:ant"), 5, tmp_path / "run", 1)
    measure(tmp_path / "run", results, None, "euler", 4, 1)
    (run,) = recorded(results)
    assert list(run["measured"]["euler"]) == ["random", "zero", "builtin:ant"]


@pytest.mark.long
def test_robots_of_all_kinds_play_each_other_once(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    robots = {"our ant": ("ant", "builtin:ant"), "a bug": ("bug", "zero")}
    monkeypatch.setattr(program, "_robots", lambda zoo: robots.items())
    done = {"row": "a bug", "column": "a bug", "win": 0.25, "win_ci": [0.2, 0.3], "draw": 0, "loss": 0.75}
    before = {"integrator": "euler", "weights": {"a bug": "zero"}, "cells": [{**done, "episodes": 4}]}
    write_json(results / "cross.json", before)
    cross(results, None, "euler", 4, 1)
    cells = read_json(results / "cross.json")["cells"]
    assert [(c["row"], c["column"]) for c in cells] == [
        ("our ant", "our ant"),
        ("our ant", "a bug"),
        ("a bug", "a bug"),
    ]
    assert cells[2]["win"] == 0.25  # what was played is not played again
    found = read_json(results / "cross.json")
    write_json(results / "cross.json", found | {"weights": found["weights"] | {"a bug": "other weights"}})
    cross(results, None, "euler", 4, 1)
    again = read_json(results / "cross.json")
    assert again["weights"] == found["weights"] == {"our ant": fingerprint("builtin:ant"), "a bug": "zero"}
    assert again["cells"][:2] == cells[:2]  # the same matches
    assert again["cells"][2] != cells[2]  # a bug that stands still draws
    with pytest.raises(InputError, match="was played with euler; expected rk4"):
        cross(results, None, "rk4", 4, 1)
    write_tables(results)
    assert "our ant,a bug," in (results / "cross.csv").read_text()
    assert "Who beats whom" in (results / "cross.svg").read_text()


def test_cross_refuses_what_it_cannot_use_before_it_plays(results: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--zoo: .*nowhere.ant-mlp-v1\.npy: no such file; expected a folder with"):
        cross(results, tmp_path / "nowhere", "rk4", 4, 1)
    assert not list(results.iterdir())
    write_json(results / "cross.json", {"integrator": "rk4"})
    with pytest.raises(InputError, match=r"cross\.json lacks cells, weights: move it away"):
        cross(results, None, "rk4", 4, 1)


def test_what_one_loses_the_other_wins() -> None:
    cells = [
        {"row": "a", "column": "a", "win": 0.4, "loss": 0.5},
        {"row": "a", "column": "b", "win": 0.7, "loss": 0.2},
    ]
    assert both_ways(cells) == {("a", "a"): 0.4, ("a", "b"): 0.7, ("b", "a"): 0.2}


@pytest.mark.parametrize("body", BODIES)
def test_the_committed_matches_are_those_of_the_weights_that_are_shipped(body: str) -> None:
    assert read_json(COMMITTED / "cross.json")["weights"][f"our {body}"] == fingerprint(f"builtin:{body}")


@pytest.mark.parametrize("name", [n for n in builtin.names() if n.split("-")[0] in BODIES and "early" not in n])
def test_the_committed_record_agrees_with_what_is_shipped(name: str) -> None:
    made = native.read(builtin.path(name))[1]["provenance"]
    (run,) = (r for r in recorded(COMMITTED) if r["command"] == made["command"])
    assert (run["steps"], run["settings"], run["curve"]) == (made["steps"], made["settings"], made["curve"])
    found = run["measured"]["rk4"]
    if "-attack-" in name:
        found = {f"{made['settings']['victim']} at budget {name.rpartition('-')[2]}": found["attacker"]}
    assert made["measured"].keys() == found.keys()
    for opponent, rates in made["measured"].items():
        assert rates.items() <= found[opponent].items()


def test_a_figure_shows_every_attack_by_body_budget_and_start(results: Path) -> None:
    def run(victim: str, budget: float = 1.0, seed: int = 1, start: str = "", **other: Any) -> dict[str, Any]:
        settings = {"variant": "attack", "body": "ant", "victim": victim, "benign": victim, "start": start}
        points = [[100_000, 0.5, 0.4, 0.6], [300_000, 0.6 + seed / 10, 0.6, 0.8]]
        made = {"command": f"{victim} {budget} {seed}", "seed": seed, "steps": 300_000, "minutes": 1, "curve": points}
        return made | {"settings": settings | {"budget": budget} | other, "measured": {}}

    def figure(runs: list[dict[str, Any]]) -> str:
        write_json(results / "runs.json", {"runs": runs})
        write_tables(results)
        return (results / "attacks.svg").read_text()

    own = [run("builtin:ant"), run("builtin:ant", start="builtin:ant", seed=2)]
    runs = [
        *own,
        run("builtin:bug", body="bug"),
        run("native:zoo/early.safetensors", start="native:zoo/late.safetensors"),
        run("native:zoo/weak.safetensors", budget=0.3),
        run("native:zoo/unseen.safetensors") | {"curve": []},
        run("native:zoo/noiseless.safetensors", variant="quiet"),
    ]
    svg = figure(runs)
    for words in ("ant, budget 0.3", "ant, budget 1", "bug, budget 1", "early from late", "weak from its own weights"):
        assert f">{words}<" in svg
    assert svg.count(">builtin:ant from its own weights<") == 1
    assert "unseen" not in svg and "noiseless" not in svg
    lines = [figure(some).count("<path") for some in (own[:1], own)]
    assert lines[1] > lines[0]  # both seeds are drawn
