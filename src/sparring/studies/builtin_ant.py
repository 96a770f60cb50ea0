"""Makes `builtin:ant`, a victim trained by self-play, and ships it with the adversarial policies trained against it.

Three steps, each a command:

1. `python -m sparring.studies.builtin_ant victim --out runs/ant` trains the ant; run again, it goes on.
2. `python -m sparring.studies.builtin_ant ship-victim --run runs/ant --zoo FOLDER` measures it against random, zero and
   (if their files are at hand) the published ants, and writes it into the package.
3. `sparring attack robosumo/ant-vs-ant --victim builtin:ant --budget 0.3 --out runs/ant-attack-0.3` (and at other
   budgets) trains the attackers; `python -m sparring.studies.builtin_ant ship-attacker --run runs/ant-attack-0.3`
   writes one into the package.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sparring import checkpoint
from sparring.defences.self_play import SelfPlayConfig, self_play_setup
from sparring.drive import drive, resumed
from sparring.errors import InputError
from sparring.games import make
from sparring.games.hosted import hosted
from sparring.games.robosumo.learning import FROM_SCRATCH
from sparring.learners.ppo import PPOConfig
from sparring.loaders import builtin, load, native
from sparring.metrics.outcome import summary
from sparring.nets import ActorCritic, NetworkConfig
from sparring.policy import Policy
from sparring.rollout import evaluate
from sparring.runs import CHECKPOINT, Run, plain, read_json, write_json
from sparring.training import Reward, thinned
from sparring.types import VectorGame

GAME = "robosumo/ant-vs-ant"
TRAIN_GAME = f"{GAME},integrator=euler"
RESULTS = Path("results/builtin-ant")


def victim_config(steps: int) -> SelfPlayConfig:
    """Sparse outcome, a draw as bad as a loss, and shaping that is gone after 70% of the steps."""
    num_games, steps_per_round = 128, 64
    return SelfPlayConfig(
        steps=steps,
        num_games=num_games,
        steps_per_round=steps_per_round,
        both_seats=False,  # as the shipped ant was trained
        reward=Reward("outcome", draw=-1.0, shaping=FROM_SCRATCH["shaping"], shaping_steps=int(0.7 * steps)),
        ppo=PPOConfig(
            learning_rate=3e-4,
            decay_updates=-(-steps // (num_games * steps_per_round)),
            gamma=0.98,
            epochs=6,
            minibatch=512,
            entropy_coef=0.002,
            min_std=0.2,
            network=NetworkConfig(initial_std=0.6),
        ),
    )


def train_victim(out: Path, steps: int, seed: int, threads: int) -> None:
    """Self-play in a run folder; an existing one is resumed."""
    config = victim_config(steps)
    game = make(TRAIN_GAME, config.num_games, threads)
    sides, play = self_play_setup(game, config)
    command = f"python -m sparring.studies.builtin_ant victim --steps {steps} --seed {seed} --threads {threads}"
    exists = (out / "config.json").exists()
    run = Run.open(out) if exists else Run.create(out, game.id, "self-play", seed, asdict(config), command.split())
    with run:
        state = drive(
            run,
            game,
            sides,
            play,
            seed=seed,
            steps_per_round=config.steps_per_round,
            steps=steps,
            label="self-play",
            settings=asdict(config),
        )
        made = {"command": command, "game": game.id, "seed": seed, "steps": state.steps, "settings": asdict(config)}
        native.save(next(iter(state.learners.values())).network, out / "policy.safetensors", plain(made))
        run.finish()


def ship_victim(folder: Path, zoo: Path | None, episodes: int, threads: int) -> None:
    """Measure the trained ant, write it into the package, and its learning curve under `results/`."""
    network, meta = native.read(folder / "policy.safetensors")
    made = dict(meta["provenance"])
    game = hosted(make(GAME, 32, threads))
    opponents = {"random": "random", "zero": "zero"}
    if zoo is not None:
        opponents |= {
            f"the published {kind.upper()} ant": f"robosumo-zoo:{zoo / f'ant-{kind}-v1.npy'}"
            for kind in ("mlp", "lstm")
        }
    measured = {}
    for name, spec in opponents.items():
        measured[name] = rates(game, network, load(spec, game, game.agents[1]), episodes)
        print(f"against {name}: {measured[name]}", file=sys.stderr)
    made["measured"] = plain(measured)
    native.save(network, builtin.path("ant"), made)
    game = hosted(make(TRAIN_GAME, 25, threads))
    curve = learning_curve(folder, game, dict(list(opponents.items())[:3]))
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "ant.json", {**made, "episodes": episodes, "evaluated_in": GAME, "curve": curve})
    figure(curve, RESULTS / "ant.svg")


def ship_attacker(folder: Path) -> None:
    """Write a trained attacker into the package, with what `sparring attack` measured of it."""
    network, meta = native.read(folder / "attacker.safetensors")
    result, made = read_json(folder / "attack.json"), dict(meta["provenance"])
    if made["victim"] != "builtin:ant":
        raise InputError(f"{folder}: its victim was {made['victim']}, expected builtin:ant")
    keys = ("win", "win_ci", "draw", "loss", "episodes")
    made["curve"] = result["curve"]
    made["measured"] = {f"builtin:ant at budget {made['budget']:g}": {key: result[key] for key in keys}}
    name = f"ant-attack-{made['budget']:g}"
    native.save(network, builtin.path(name), made)
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / f"{name}.json", {**made, "evaluated_in": result["game"], "baseline": result["baseline"]})


def rates(game: VectorGame, network: ActorCritic, opponent: Policy, episodes: int) -> dict[str, Any]:
    """The network's rates in the first seat against an opponent in the second."""
    rng = np.random.default_rng(0)
    outcomes = evaluate(game, {game.agents[0]: network, game.agents[1]: opponent}, episodes, rng)
    result = summary(outcomes, 0, 1, game.agents, rng)
    return {key: result[key] for key in ("win", "win_ci", "draw", "loss", "episodes", "mean_length")}


def learning_curve(folder: Path, game: VectorGame, opponents: Mapping[str, str]) -> list[dict[str, Any]]:
    """The snapshots that self-play kept, each measured over 100 matches against every opponent."""
    config = read_json(folder / "config.json")
    settings = victim_config(config["settings"]["steps"])
    sides, play = self_play_setup(game, settings)
    saved = checkpoint.load(folder / CHECKPOINT)
    state = resumed(saved, make(TRAIN_GAME, settings.num_games), sides, play, config["seed"])
    per_round = settings.num_games * settings.steps_per_round
    kept: tuple[int, ...] = ()
    for number in range(settings.snapshot_every, state.round + 1, settings.snapshot_every):
        kept = thinned((*kept, number), sides[game.agents[0]].max_snapshots)
    points = []
    for number, policy in zip(kept, state.snapshots[game.agents[0]], strict=True):
        assert isinstance(policy, ActorCritic)
        found = {name: rates(game, policy, load(spec, game, game.agents[1]), 100) for name, spec in opponents.items()}
        points.append({"steps": number * per_round, "against": found})
        print(f"{points[-1]['steps']} steps: { ({k: v['win'] for k, v in found.items()}) }", file=sys.stderr)
    return points


def figure(curve: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Win rates of the snapshots with their 95% intervals, as SVG."""
    from sparring.report.plots import rates_figure

    series = {
        name: [(p["steps"], p["against"][name]["win"], *p["against"][name]["win_ci"]) for p in curve]
        for name in curve[0]["against"]
    }
    caption = "100 matches per point and opponent, Euler integrator, 95% intervals"
    svg = rates_figure(series, "builtin:ant in self-play", caption, "win rate against")
    checkpoint.write_atomic(path, svg.encode())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sparring.studies.builtin_ant",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = parser.add_subparsers(dest="stage", required=True)
    victim = stages.add_parser("victim", help="train the ant by self-play")
    victim.add_argument("--steps", type=int, default=8_000_000)
    victim.add_argument("--seed", type=int, default=1)
    victim.add_argument("--out", type=Path, required=True, help="run folder; an existing one is resumed")
    ship = stages.add_parser("ship-victim", help="measure it and write it into the package")
    ship.add_argument("--run", type=Path, required=True)
    ship.add_argument("--zoo", type=Path, help="folder with the published ant-mlp-v1.npy and ant-lstm-v1.npy")
    ship.add_argument("--episodes", type=int, default=400)
    attacker = stages.add_parser("ship-attacker", help="write a trained attacker into the package")
    attacker.add_argument("--run", type=Path, required=True)
    for stage in (victim, ship):
        stage.add_argument("--threads", type=int, default=0)
    chosen = parser.parse_args(arguments)
    if chosen.stage == "victim":
        train_victim(chosen.out, chosen.steps, chosen.seed, chosen.threads)
    elif chosen.stage == "ship-victim":
        ship_victim(chosen.run, chosen.zoo, chosen.episodes, chosen.threads)
    else:
        ship_attacker(chosen.run)


if __name__ == "__main__":
    main()
