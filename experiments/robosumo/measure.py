"""Measures the runs of `experiments.robosumo.train`: matches, tables and figures; and exports their networks.

From the folder of the repository,

1. `python -m experiments.robosumo.measure measure --run runs/attack-0.7` plays complete matches, by default with RK4,
   and records them in `runs.json` in the folder of the results; an earlier record of the run is replaced.
2. `... cross --zoo FOLDER` plays the package's own robots and the published ones against each other: `cross.json`.
3. `... table` writes the tables and the figures of all that was measured.
4. `... ship --run runs/attack-0.7 --name ant-attack-0.7 --ship-to FOLDER` writes the network of a measured run, with
   the record of the run, to a file as they come with the package (in `src/sparring/data`).

`--results FOLDER` is the folder of the results; by default the repository's `results/robosumo-learning`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np

from experiments.robosumo.program import parser_of
from experiments.robosumo.train import trained
from sparring.console import DONE, exit_code
from sparring.errors import InputError, unknown
from sparring.files import plain, read_json, write_atomic, write_json
from sparring.games import make
from sparring.games.hosted import hosted
from sparring.games.robosumo.bodies import BODIES
from sparring.loaders import builtin, load, native
from sparring.metrics.outcome import summary
from sparring.mixture import mix
from sparring.play.evaluate import evaluate
from sparring.types import Policy, VectorGame

PROGRAM = "experiments.robosumo.measure"
RESULTS = Path(__file__).parents[2] / "results/robosumo-learning"
HEADER = (
    "variant,body,victim,benign,start,seed,steps,minutes,budget,integrator,pairing,win,low,high,draw,loss,matches\n"
)
PUBLISHED = ("mlp", "lstm")  # kinds of the agents that OpenAI published, version 1


def measure(run: Path, results: Path, zoo: Path | None, integrator: str, episodes: int, threads: int) -> None:
    """Play complete matches of a run's network, and record them in `runs.json`.

    An attacker plays its victim at its budget, and so do the benign opponent, zero and random. A robot of self-play
    plays random, zero, the robot that it started from and, if `zoo` has their files, the published robots.
    """
    network, row = trained(run)
    settings = row["settings"]
    body, attacked = settings["body"], settings["victim"]
    game = _game(body, body, integrator, episodes, threads)
    first, second = game.agents
    found = {}
    if attacked:
        victim, benign = load(attacked, game, first), load(settings["benign"], game, second)
        others = {"benign": benign, **{name: load(name, game, second) for name in ("zero", "random")}}
        for name, policy in {"attacker": network, **others}.items():
            executed = mix(benign, policy, settings["budget"])
            known = None if name == "attacker" else _known(results, name, settings, integrator, episodes)
            found[name] = known or rates(game, 1, {first: victim, second: executed}, episodes)
            _say(name, found[name])
    else:
        names = {name: name for name in ("random", "zero", settings["start"]) if name}
        names |= {f"the published {kind.upper()} {body}": spec for kind, spec in _published(zoo, body).items()}
        for name, spec in names.items():
            found[name] = rates(game, 0, {first: network, second: load(spec, game, second)}, episodes)
            _say(name, found[name])
    results.mkdir(parents=True, exist_ok=True)
    runs = recorded(results)
    row["measured"] = {**_measured(runs, row), integrator: found}
    record(results, [*(other for other in runs if other["command"] != row["command"]), row])


def rates(game: VectorGame, seat: int, policies: Mapping[str, Policy], episodes: int) -> dict[str, Any]:
    """How often the agent of one seat wins, with its 95% interval."""
    outcomes = evaluate(game, policies, episodes, np.random.default_rng(0))
    result = summary(outcomes, game.agents[seat : seat + 1], game.agents[1 - seat : 2 - seat])
    return {key: result[key] for key in ("win", "win_ci", "draw", "loss", "episodes", "mean_length")}


def cross(results: Path, zoo: Path | None, integrator: str, episodes: int, threads: int) -> None:
    """Play every robot against every other and itself, and record each pair in `cross.json` when it is played.

    A pair is played again where one of the robots has other weights now. It is played in one order only: the seats are
    alike, so the other order is the same match seen from the other side.

    Raises:
      InputError: the pairs in `cross.json` were played with the other integrator, or it is no file of this kind.
    """
    robots = dict(_robots(zoo))
    path = results / "cross.json"
    empty = {"integrator": integrator, "weights": {}, "cells": []}
    before = read_json(path) if path.exists() else empty
    if missing := empty.keys() - before.keys():
        raise InputError(f"cross: {path} lacks {', '.join(sorted(missing))}: move it away")
    if before["integrator"] != integrator:
        raise InputError(f"cross: {path} was played with {before['integrator']}; expected {integrator}: move it away")
    weights = before["weights"] | {name: fingerprint(spec) for name, (_, spec) in robots.items()}
    same = {name for name, digest in before["weights"].items() if weights[name] == digest}
    cells = {(c["row"], c["column"]): c for c in before["cells"] if {c["row"], c["column"]} <= same}
    places = {pair: place for place, pair in enumerate(combinations_with_replacement(robots, 2))}
    for row, column in places:
        if (row, column) in cells:
            continue
        (own, spec), (body, opponent) = robots[row], robots[column]
        game = _game(own, body, integrator, episodes, threads)
        first, second = game.agents
        result = rates(game, 0, {first: load(spec, game, first), second: load(opponent, game, second)}, episodes)
        cells[row, column] = {"row": row, "column": column, **result}
        ordered = sorted(cells, key=lambda pair: places.get(pair, len(places)))  # robots may have come since
        write_json(path, empty | {"weights": weights, "cells": [cells[pair] for pair in ordered]})
        _say(f"{row} against {column}", result)


def fingerprint(spec: str) -> str:
    """SHA-256 of the file of a policy's weights; of one without a file its name."""
    loader, _, argument = spec.partition(":")
    file = builtin.path(argument) if loader == "builtin" else Path(argument)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else spec


def ship(run: Path, name: str, results: Path, to: Path) -> None:
    """Write a run's network to `to`, with the record of the run and of what was measured with RK4.

    Raises:
      InputError: the run has not been measured with RK4, or the name is not one of its kind.
    """
    network, row = trained(run)
    settings = row["settings"]
    expected = settings["body"]
    if settings["victim"]:
        expected += f"-attack-{settings['budget']:g}"
    if name != expected:
        raise InputError(f"ship: expected the name {expected}, got {name}")
    measured = [
        r["measured"] for r in recorded(results) if (r["command"], r["steps"]) == (row["command"], row["steps"])
    ]
    if not measured or "rk4" not in measured[0]:
        raise InputError(f"{run}: measure it with --integrator rk4 first")
    found = measured[0]["rk4"]
    if settings["victim"]:
        found = {f"{settings['victim']} at budget {settings['budget']:g}": found["attacker"]}
    keys = ("win", "win_ci", "draw", "loss", "episodes")
    made = {**row, "measured": {what: {key: result[key] for key in keys} for what, result in found.items()}}
    native.save(network, to / f"{name}.safetensors", plain(made))


def write_tables(folder: Path) -> None:
    """`runs.csv`, one line a run and pairing; `attacks.svg`, one curve a run; `cross.csv` and `cross.svg`."""
    from sparring.report.plots import matrix_figure, rates_figure

    runs = recorded(folder)
    text = io.StringIO(HEADER)
    text.seek(0, io.SEEK_END)
    out = csv.writer(text, lineterminator="\n")
    for run in runs:
        asked = run["settings"]
        budget = asked["budget"] if asked["victim"] else ""
        what = [asked[key] for key in ("variant", "body", "victim", "benign", "start")]
        for integrator, found in run["measured"].items():
            for name, r in found.items():
                out.writerow([*what, run["seed"], run["steps"], run["minutes"], budget, integrator, name, *_numbers(r)])
    write_atomic(folder / "runs.csv", text.getvalue().encode())
    panels: dict[tuple[str, str], dict[str, list[Any]]] = {}
    attacks = [run for run in runs if run["settings"]["variant"] in ("attack", "average") and run["curve"]]
    for run in sorted(attacks, key=lambda run: (run["settings"]["body"], run["settings"]["budget"])):
        asked = run["settings"]
        own = asked["start"] in ("", asked["benign"])
        name = f"{_short(asked['victim'])} from {'its own weights' if own else _short(asked['start'])}"
        place = asked["body"], f"budget {asked['budget']:g}"
        panels.setdefault(place, {}).setdefault(name, []).append(run["curve"])
    if panels:
        caption = "matches that ended during training, Euler integrator, noise .3, 95% intervals; a line a run"
        svg = rates_figure(panels, "Attacks while they train", caption, "attacker's win rate")
        write_atomic(folder / "attacks.svg", svg.encode())
    if not (folder / "cross.json").exists():
        return
    played = read_json(folder / "cross.json")
    cells = played["cells"]
    text = io.StringIO("row,column,win,low,high,draw,loss,matches\n")
    text.seek(0, io.SEEK_END)
    csv.writer(text, lineterminator="\n").writerows([c["row"], c["column"], *_numbers(c)] for c in cells)
    write_atomic(folder / "cross.csv", text.getvalue().encode())
    win = both_ways(cells)
    names = list(dict.fromkeys(row for row, _ in win))
    caption = f"win rate of the row's robot, {cells[0]['episodes']} matches a pair, {played['integrator']} integrator"
    svg = matrix_figure(names, [[win.get((a, b), np.nan) for b in names] for a in names], "Who beats whom", caption)
    write_atomic(folder / "cross.svg", svg.encode())


def both_ways(cells: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Win rates by (row, column), of pairs that were played in one order: what one robot loses the other one wins."""
    turned = {(cell["column"], cell["row"]): cell["loss"] for cell in cells}
    return turned | {(cell["row"], cell["column"]): cell["win"] for cell in cells}


def recorded(folder: Path) -> list[dict[str, Any]]:
    """The runs in `runs.json`, oldest first."""
    path = folder / "runs.json"
    return read_json(path)["runs"] if path.exists() else []


def record(folder: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Write `runs.json`, one line a run: half the size of an indented file, and what changes is the line of one run."""
    lines = ",\n".join(json.dumps(plain(run)) for run in runs)
    write_atomic(folder / "runs.json", f'{{"runs": [\n{lines}\n]}}\n'.encode())


def _say(name: str, result: Mapping[str, Any]) -> None:
    print(f"{name}: wins {result['win']:.3f}, loses {result['loss']:.3f} of {result['episodes']}", file=sys.stderr)


def _known(
    results: Path, name: str, settings: Mapping[str, Any], integrator: str, episodes: int
) -> dict[str, Any] | None:
    """The rates of a baseline that another run has recorded; those of the benign opponent hold at all budgets."""
    same = ("body", "victim", "benign") if name == "benign" else ("body", "victim", "benign", "budget")
    for run in recorded(results):
        found = run["measured"].get(integrator, {}).get(name)
        if found and found["episodes"] == episodes and all(run["settings"][key] == settings[key] for key in same):
            return found
    return None


def _measured(runs: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> dict[str, Any]:
    """What has been measured of a run as it is now, by integrator."""
    same = [run["measured"] for run in runs if (run["command"], run["steps"]) == (row["command"], row["steps"])]
    return same[0] if same else {}


def _short(policy: str) -> str:
    """`ant-mlp-v1` of `robosumo-zoo:zoo/ant-mlp-v1.npy`; what comes with the package keeps its whole name."""
    return policy if policy.startswith("builtin:") else Path(policy.partition(":")[2]).stem


def _numbers(result: Mapping[str, Any]) -> list[Any]:
    numbers = (result["win"], *result["win_ci"], result["draw"], result["loss"])
    return [*(round(number, 4) for number in numbers), result["episodes"]]


def _robots(zoo: Path | None) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name, body and specification of the package's own robots and, if their files are at hand, the published ones."""
    for body in BODIES:
        if body in builtin.names():
            yield f"our {body}", (body, f"builtin:{body}")
        for kind, spec in _published(zoo, body).items():
            yield f"{kind.upper()} {body}", (body, spec)


def _published(zoo: Path | None, body: str) -> dict[str, str]:
    files = {} if zoo is None else {kind: zoo / f"{body}-{kind}-v1.npy" for kind in PUBLISHED}
    for file in files.values():  # before matches are played for minutes
        if not file.is_file():
            raise InputError(f"--zoo: {file}: no such file; expected a folder with the published BODY-KIND-v1.npy")
    return {kind: f"robosumo-zoo:{file}" for kind, file in files.items()}


def _game(first: str, second: str, integrator: str, episodes: int, threads: int) -> VectorGame:
    if integrator not in ("rk4", "euler"):
        raise unknown("robosumo integrator", integrator, ("rk4", "euler"))
    option = ",integrator=euler" if integrator == "euler" else ""
    # Few matches side by side: those that are done with their share idle until the last one is.
    return hosted(make(f"robosumo/{first}-vs-{second}{option}", min(16, episodes), threads))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    return exit_code(PROGRAM, lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = parser_of(PROGRAM, __doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    stages = parser.add_subparsers(dest="stage", required=True)
    measuring = stages.add_parser("measure", help="play what a run has learned, and record it")
    crossing = stages.add_parser("cross", help="play all robots against each other")
    shipping = stages.add_parser("ship", help="write the network of a measured run as it comes with the package")
    for stage in (measuring, shipping):
        stage.add_argument("--run", type=Path, required=True)
    for stage in (measuring, crossing):
        stage.add_argument("--zoo", type=Path, help="folder with the published BODY-KIND-v1.npy")
        stage.add_argument("--integrator", choices=("rk4", "euler"), default="rk4")
        stage.add_argument("--episodes", type=int, default=400)
        stage.add_argument("--threads", type=int, default=0)
    shipping.add_argument("--name", required=True, help="BODY, or BODY-attack-BUDGET")
    shipping.add_argument("--ship-to", type=Path, required=True, help="folder of the file NAME.safetensors")
    stages.add_parser("table", help="write the tables and the figures")
    asked = parser.parse_args(arguments)
    if asked.stage == "measure":
        measure(asked.run, asked.results, asked.zoo, asked.integrator, asked.episodes, asked.threads)
    elif asked.stage == "cross":
        cross(asked.results, asked.zoo, asked.integrator, asked.episodes, asked.threads)
    elif asked.stage == "ship":
        ship(asked.run, asked.name, asked.results, asked.ship_to)
    else:
        write_tables(asked.results)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
