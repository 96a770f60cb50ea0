"""Trains one of the variants of `experiments.robosumo.variants`: an attack on a robot of RoboSumo, or self-play.

From the folder of the repository,

    python -m experiments.robosumo.train attack --budget 0.7 --steps 4000000 --out runs/attack-0.7

trains a robot against one of the same body, with the Euler integrator. The same command goes on with a run that was
stopped, as by Ctrl-C. `experiments.robosumo.measure` measures what a run has learned, also of one that was stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.robosumo.program import parser_of
from experiments.robosumo.variants import CHOICES, VARIANTS, Variant, chosen
from sparring import checkpoint
from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
from sparring.console import DONE, INTERRUPTED, Stopped, exit_code, say
from sparring.defences.self_play import SelfPlayConfig, self_play
from sparring.drive import drive, resumed
from sparring.errors import InputError
from sparring.events import read_events
from sparring.files import plain
from sparring.games import make
from sparring.learners.ppo import final_network
from sparring.loaders import load, native
from sparring.metrics.outcome import wilson
from sparring.nets import ActorCritic
from sparring.runs import CHECKPOINT, Run, read_config, read_status
from sparring.training import Method, TrainState
from sparring.types import Game, ThreatModel

PROGRAM = "experiments.robosumo.train"


def train(name: str, variant: Variant, seed: int, out: Path, threads: int) -> None:
    """Train a variant in a run folder, or go on with the run that is in it.

    Raises:
      InputError: the folder holds another run.
    """
    config = variant.config
    game = make(variant.game, config.num_games, threads)
    settings = {"variant": name, **asdict(variant)}
    command = f"python -m {PROGRAM} {name} --body {variant.body} --seed {seed}"
    command += f" --steps {config.steps}"
    if isinstance(config, AttackConfig):
        command += f" --victim {variant.victim} --budget {variant.budget:g}"
    if variant.benign != variant.victim:
        command += f" --benign {variant.benign}"
    if variant.start:
        command += f" --start {variant.start}"
    if variant.partner:
        command += f" --partner {variant.partner}"
    method = _method(game, variant)  # before anything is written
    exists = (out / "config.json").exists()
    run = Run.open(out) if exists else Run.create(out, game.id, "learning", seed, settings, command.split())
    with run:
        state = drive(
            run,
            game,
            method,
            seed=seed,
            steps=config.steps,
            label=name,
            settings=settings,
        )
        made = {"command": command, "game": game.id, "seed": seed, "steps": state.steps, "settings": settings}
        native.save(_network(variant, state), out / "policy.safetensors", plain(made))
        run.finish()


def trained(folder: Path) -> tuple[ActorCritic, dict[str, Any]]:
    """The network of a finished or a stopped run, and the record of the run.

    Raises:
      InputError: `folder` is no run of a variant as it is now, or has no checkpoint yet.
    """
    config = read_config(folder)
    asked = config["settings"]
    variant = chosen(asked["variant"], asked["config"]["steps"], **{key: asked[key] for key in CHOICES})
    if not (folder / CHECKPOINT).exists():
        raise InputError(f"{folder} has no {CHECKPOINT} yet: train it for a minute longer")
    saved = checkpoint.load(folder / CHECKPOINT)
    if saved[1]["settings"] != config["settings"] | plain(asdict(variant)):
        raise InputError(f"{folder}: its variant had other settings when it was trained; train it anew")
    game = make(variant.game, variant.config.num_games, 1)
    state = resumed(saved, game, _method(game, variant), config["seed"])
    return _network(variant, state), {
        "game": game.id,
        "seed": config["seed"],
        "steps": state.steps,
        "minutes": round(read_status(folder)["seconds"] / 60, 1),
        "command": config["command"],
        "settings": config["settings"],
        "curve": curve(read_events(folder)),
    }


def curve(events: Sequence[Mapping[str, Any]], points: int = 20) -> list[list[float]]:
    """[steps, win rate, low, high] of the matches that ended during training, in at most so many windows."""
    found = []
    for window in np.array_split(np.array(events, object), min(points, len(events))) if events else []:
        records = [record for event in window for record in event["sides"].values()]  # of the one side that learns
        won, n = sum(r["win"] for r in records), sum(r["win"] + r["draw"] + r["loss"] for r in records)
        if n:
            found.append([window[-1]["steps"], won / n, *wilson(won, n)])
    return found


def _method(game: Game, variant: Variant) -> Method:
    """What is trained; an attacker takes the second seat."""
    first, second = game.agents
    start = load(variant.start, game, first) if variant.start else None
    if not (start is None or isinstance(start, ActorCritic)):
        raise InputError(f"start: {variant.start} has no weights of this package's kind")
    if isinstance(variant.config, SelfPlayConfig):
        partner = load(variant.partner, game, second) if variant.partner else None
        return self_play(game, variant.config, start, partner)
    victim, benign = load(variant.victim, game, first), load(variant.benign, game, second)
    threat = ThreatModel(first, (second,), {second: benign}, variant.budget)
    return adversarial_policy(game, threat, victim, variant.config, start)


def _network(variant: Variant, state: TrainState) -> ActorCritic:
    (learner,) = state.learners.values()
    return final_network(variant.config.ppo, learner)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    return exit_code(PROGRAM, lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    variants = "\n".join(f"  {name}: {variant.change}" for name, variant in VARIANTS.items())
    parser = parser_of(PROGRAM, f"{__doc__}\nvariants:\n{variants}")
    parser.add_argument("variant", metavar="VARIANT")
    parser.add_argument("--body", default="ant", help="ant, bug or spider")
    parser.add_argument("--steps", type=int, default=4_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--victim", default="", help="who is attacked; by default the package's own robot")
    parser.add_argument("--benign", default="", help="the opponent whom the attack controls; by default the victim")
    parser.add_argument("--start", default="", help="whose weights it starts from; by default the benign opponent's")
    parser.add_argument("--budget", type=float, default=1.0, help="the budget of an attack")
    parser.add_argument("--partner", default="", help="whom the variant sparring meets in part of its matches")
    parser.add_argument("--out", type=Path, required=True, help="run folder; an existing one is resumed")
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args(arguments)
    variant = chosen(asked.variant, asked.steps, **{key: getattr(asked, key) for key in CHOICES})
    try:
        train(asked.variant, variant, asked.seed, asked.out, asked.threads)
    except Stopped:
        say(f"{PROGRAM}: stopped; the same command goes on with {asked.out}", sys.stderr)
        return INTERRUPTED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
