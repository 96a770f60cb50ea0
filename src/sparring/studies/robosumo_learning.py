"""What learns to fight in RoboSumo: named variants of attacks and of self-play, one change at a time, in one table.

Three steps, each a command:

1. `python -m sparring.studies.robosumo_learning train VARIANT --seed 1 --steps 1000000 --out runs/VARIANT-1` trains one
   variant in the Euler variant of ant against ant; run again, it goes on. Ctrl-C stops a loser, and what it learned
   until then can be measured.
2. `python -m sparring.studies.robosumo_learning measure --run runs/VARIANT-1` plays complete matches and adds the run
   to `results/robosumo-learning/runs.json`, or takes the place of its earlier row.
3. `python -m sparring.studies.robosumo_learning table` writes the table and the figure of all runs.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from sparring import checkpoint
from sparring.attacks.adversarial_policy import AttackConfig, attack_setup
from sparring.console import Stopped
from sparring.defences.self_play import SelfPlayConfig, self_play_setup
from sparring.drive import drive, resumed
from sparring.errors import InputError, unknown
from sparring.games import make
from sparring.games.hosted import hosted
from sparring.games.robosumo.learning import ATTACK, SELF_PLAY_SHAPING
from sparring.learners.ppo import PPOConfig
from sparring.loaders import load, native
from sparring.metrics.outcome import summary, wilson
from sparring.nets import ActorCritic, NetworkConfig, in_view
from sparring.policy import Policy, mix
from sparring.rollout import evaluate
from sparring.runs import CHECKPOINT, Run, plain, read_config, read_events, read_json, write_json
from sparring.training import Play, Reward, Side, TrainState
from sparring.types import AgentID, Game, ThreatModel, VectorGame

RESULTS = Path("results/robosumo-learning")
SYMMETRIC = NetworkConfig(symmetry="robosumo-ant")
VICTIM = "builtin:ant"
HEADER = "variant,victim,seed,steps,minutes,budget,pairing,win,low,high,draw,loss,matches\n"
VIEW = 1  # the situations in which builtin:ant wins most often: see the README of the results


@dataclass(frozen=True)
class Variant:
    """What is trained, and in which one point it differs from the variant that it is compared with."""

    change: str
    config: AttackConfig | SelfPlayConfig
    victim: str = VICTIM  # whose weights are also the benign opponent's, and those that self-play starts from, if any
    budget: float = 1.0  # of attacks
    body: str = "ant"

    @property
    def game(self) -> str:
        return f"robosumo/{self.body}-vs-{self.body},integrator=euler"


ATTACK_PPO = PPOConfig(**{**ATTACK["ppo"], "normalize_observations": False})
BASE = AttackConfig(num_games=128, steps_per_round=64, start="benign", reward=Reward("outcome"), ppo=ATTACK_PPO)
ATTACK_SYMMETRIC = replace(BASE, view=VIEW, ppo=replace(ATTACK_PPO, gamma=0.99, minibatch=1024, network=SYMMETRIC))
SELF_PLAY = SelfPlayConfig(
    passive=0.15,
    reward=Reward("outcome", draw=-1.0),
    ppo=replace(ATTACK_SYMMETRIC.ppo, entropy_coef=0.001),
)


def from_scratch(body: str) -> SelfPlayConfig:
    """As `SELF_PLAY`, with what a robot needs that cannot walk yet: noise, shaping, and a symmetry of its own."""
    network = NetworkConfig(initial_std=0.6, symmetry=f"robosumo-{body}")
    ppo = replace(SELF_PLAY.ppo, normalize_observations=True, warmup_updates=0, min_std=0.15, network=network)
    reward = replace(SELF_PLAY.reward, shaping=SELF_PLAY_SHAPING)
    return replace(SELF_PLAY, reward=reward, ppo=ppo)


VARIANTS: dict[str, Variant] = {
    "base": Variant("the benign weights, the bare outcome, rounds of 8,192 steps", BASE),
    "batch": Variant(
        "base with rounds of 32,768 steps, minibatches of 4,096, 8 epochs, learning rate 5e-4",
        replace(
            BASE,
            num_games=256,
            steps_per_round=128,
            ppo=replace(ATTACK_PPO, minibatch=4096, epochs=8, learning_rate=5e-4),
        ),
    ),
    "horizon": Variant(
        "base with gamma .99 and minibatches of 1,024",
        replace(BASE, ppo=replace(ATTACK_PPO, gamma=0.99, minibatch=1024)),
    ),
    "symmetric": Variant("horizon with the ant's symmetry", ATTACK_SYMMETRIC),
    "self-play": Variant(
        "from the same weights with the ant's symmetry; 15% of the matches against zero, draws are losses", SELF_PLAY
    ),
    **{
        f"self-play-{body}": Variant(
            f"a {body} from scratch with its symmetry; approach and ring terms until half of the steps are done",
            from_scratch(body),
            victim="",
            body=body,
        )
        for body in ("ant", "bug", "spider")
    },
}


def train(name: str, variant: Variant, seed: int, out: Path, threads: int) -> None:
    """One run of a variant in a run folder; an existing one is resumed. A stopped one keeps its checkpoint.

    Raises:
      InputError: the folder holds another run.
    """
    config = variant.config
    game = make(variant.game, config.num_games, threads)
    settings = {"variant": name, **asdict(variant)}
    command = f"python -m sparring.studies.robosumo_learning train {name} --seed {seed} --steps {config.steps}"
    if isinstance(config, AttackConfig):
        command += f" --victim {variant.victim} --budget {variant.budget:g} --view {config.view}"
    exists = (out / "config.json").exists()
    run = Run.open(out) if exists else Run.create(out, game.id, "learning", seed, settings, command.split())
    with run:
        sides, play = _setup(game, variant)
        state = drive(
            run,
            game,
            sides,
            play,
            seed=seed,
            steps_per_round=config.steps_per_round,
            steps=config.steps,
            label=name,
            settings=settings,
        )
        made = {"command": command, "game": game.id, "seed": seed, "steps": state.steps, "settings": settings}
        native.save(_network(sides, state), out / "policy.safetensors", plain(made))
        run.finish()


def trained(folder: Path) -> tuple[ActorCritic, dict[str, Any]]:
    """The network of a run, finished or stopped, and the run's row of the table without what is to be measured.

    Raises:
      InputError: `folder` is no run of a variant as it is now, or has no checkpoint yet.
    """
    config = read_config(folder)
    asked = config["settings"]
    steps, view = asked["config"]["steps"], asked["config"].get("view", VIEW)
    variant = chosen(asked["variant"], steps, asked["victim"], asked["budget"], view)
    if not (folder / CHECKPOINT).exists():
        raise InputError(f"{folder} has no {CHECKPOINT} yet: train it for a minute longer")
    saved = checkpoint.load(folder / CHECKPOINT)
    if saved[1]["settings"] != config["settings"] | plain(asdict(variant)):
        raise InputError(f"{folder}: its variant had other settings when it was trained; train it anew")
    game = make(variant.game, variant.config.num_games, 1)
    sides, play = _setup(game, variant)
    state = resumed(saved, game, sides, play, config["seed"])
    seconds = (folder / CHECKPOINT).stat().st_mtime - datetime.fromisoformat(config["started"]).timestamp()
    row = {
        "game": game.id,
        "seed": config["seed"],
        "steps": state.steps,
        "minutes": round(seconds / 60, 1),
        "command": config["command"],
        "settings": config["settings"],
        "curve": curve(read_events(folder)),
    }
    return _network(sides, state), row


def measure(folder: Path, zoo: Path | None, episodes: int, threads: int) -> None:
    """Complete matches of a run's network, added to `runs.json`.

    An attacker plays its victim at its budget, and so do the benign opponent, zero and random; self-play's robot plays
    random, zero, the one that it started from and, if their files are at hand, the published ones.
    """
    network, row = trained(folder)
    settings = row["settings"]
    body = settings["body"]
    game = hosted(make(row["game"], min(32, episodes), threads))
    first, second = game.agents
    found = {}
    if "past" in settings["config"]:
        names = {"random": "random", "zero": "zero"}
        if settings["victim"]:
            names[settings["victim"]] = settings["victim"]
        if zoo is not None:
            names |= {f"published {kind}": f"robosumo-zoo:{zoo / f'{body}-{kind}-v1.npy'}" for kind in ("mlp", "lstm")}
        for name, spec in names.items():
            found[f"against {name}"] = rates(game, 0, {first: network, second: load(spec, game, second)}, episodes)
    else:
        victim, benign = load(settings["victim"], game, first), load(settings["victim"], game, second)
        plain_ones = {name: load(name, game, second) for name in ("zero", "random")}
        for name, policy in {"attacker": network, "benign": benign, **plain_ones}.items():
            executed = mix(benign, policy, settings["budget"])
            found[name] = rates(game, 1, {first: victim, second: executed}, episodes)
    for name, result in found.items():
        print(f"{name}: {result}", file=sys.stderr)
    path = RESULTS / "runs.json"
    runs = read_json(path)["runs"] if path.exists() else []
    others = [r for r in runs if r["command"] != row["command"]]
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(path, {"runs": [*others, {**row, "measured": found}]})


def rates(game: VectorGame, seat: int, policies: Mapping[str, Policy], episodes: int) -> dict[str, Any]:
    """How often the agent of one seat wins, with its 95% interval."""
    rng = np.random.default_rng(0)
    result = summary(evaluate(game, policies, episodes, rng), seat, 1 - seat, game.agents, rng)
    return {key: result[key] for key in ("win", "win_ci", "draw", "loss", "episodes", "mean_length")}


def curve(events: Sequence[Mapping[str, Any]], points: int = 20) -> list[list[float]]:
    """[steps, win rate, low, high] of the matches that ended during training, in at most so many windows."""
    found = []
    for window in np.array_split(np.array(events, object), min(points, len(events))) if events else []:
        won, n = sum(e["win"] for e in window), sum(e["win"] + e["draw"] + e["loss"] for e in window)
        if n:
            found.append([window[-1]["steps"], won / n, *wilson(won, n)])
    return found


def write_table(folder: Path) -> None:
    """`runs.csv`, a line per run and pairing, and `attacks.svg`, the attacks' curves, from `runs.json`."""
    from sparring.report.plots import rates_figure

    runs = read_json(folder / "runs.json")["runs"]
    text = io.StringIO(HEADER)
    text.seek(0, io.SEEK_END)
    out = csv.writer(text, lineterminator="\n")
    for run in runs:
        settings = run["settings"]
        budget = "" if "past" in settings["config"] else settings["budget"]
        for name, r in run["measured"].items():
            numbers = [round(x, 4) for x in (r["win"], *r["win_ci"], r["draw"], r["loss"])]
            start = [settings["variant"], settings["victim"], run["seed"], run["steps"], run["minutes"], budget, name]
            out.writerow([*start, *numbers, r["episodes"]])
    checkpoint.write_atomic(folder / "runs.csv", text.getvalue().encode())
    series = {
        f"{r['settings']['variant']} {r['seed']}, {r['steps'] // 1000}k": r["curve"]
        for r in runs
        if "view" in (asked := r["settings"])["config"]
        and (asked["victim"], asked["budget"]) == (VICTIM, 1)
        and r["curve"]
    }
    caption = "variant, seed and steps; matches that ended during training, Euler integrator, 95% intervals"
    svg = rates_figure(series, "Attacks on builtin:ant at budget 1", caption, "attacker's win rate")
    checkpoint.write_atomic(folder / "attacks.svg", svg.encode())


def chosen(name: str, steps: int, victim: str = VICTIM, budget: float = 1.0, view: int = VIEW) -> Variant:
    """A variant with what may be asked for besides.

    Its learning rate falls to zero over its steps, and its shaping over half of them.

    Raises:
      InputError: there is no such variant.
    """
    if name not in VARIANTS:
        raise unknown("variant", name, VARIANTS)
    config = VARIANTS[name].config
    updates = -(-steps // (config.num_games * config.steps_per_round))
    reward = config.reward
    if reward.shaping:
        reward = replace(reward, shaping_steps=steps // 2)
    config = replace(config, steps=steps, reward=reward, ppo=replace(config.ppo, decay_updates=updates))
    if isinstance(config, AttackConfig):
        config = replace(config, view=view if config.ppo.network.symmetry else 0)
    if VARIANTS[name].victim:
        return replace(VARIANTS[name], config=config, victim=victim, budget=budget)
    return replace(VARIANTS[name], config=config)


def _setup(game: Game, variant: Variant) -> tuple[dict[AgentID, Side], Play]:
    """The one learning side (an attacker's is the second seat), and who plays."""
    first, second = game.agents
    if isinstance(variant.config, SelfPlayConfig):
        if not variant.victim:
            return self_play_setup(game, variant.config)
        start = load(variant.victim, game, first)
        assert isinstance(start, ActorCritic)
        return self_play_setup(game, variant.config, in_view(start, SYMMETRIC.symmetry, VIEW))
    victim, benign = load(variant.victim, game, first), load(variant.victim, game, second)
    threat = ThreatModel(first, (second,), {second: benign}, variant.budget)
    return attack_setup(game, threat, victim, variant.config, {})


def _network(sides: Mapping[AgentID, Side], state: TrainState) -> ActorCritic:
    (agent,) = sides
    network = sides[agent].learner.policy(state.learners[agent])
    assert isinstance(network, ActorCritic)
    return network


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sparring.studies.robosumo_learning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = parser.add_subparsers(dest="stage", required=True)
    training = stages.add_parser("train", help="train a variant")
    training.add_argument("variant", choices=sorted(VARIANTS))
    training.add_argument("--steps", type=int, default=1_000_000)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--victim", default=VICTIM, help="an MLP ant; what trains starts from its weights")
    training.add_argument("--budget", type=float, default=1.0)
    training.add_argument("--view", type=int, default=VIEW, help="in which of its situations, see in_view")
    training.add_argument("--out", type=Path, required=True, help="run folder; an existing one is resumed")
    measuring = stages.add_parser("measure", help="play what a run has learned, and add it to the table's runs")
    measuring.add_argument("--run", type=Path, required=True)
    measuring.add_argument("--zoo", type=Path, help="folder with the published ant-mlp-v1.npy")
    measuring.add_argument("--episodes", type=int, default=400)
    stages.add_parser("table", help="write the table and the figure")
    for stage in (training, measuring):
        stage.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args(arguments)
    if asked.stage == "train":
        variant = chosen(asked.variant, asked.steps, asked.victim, asked.budget, asked.view)
        with contextlib.suppress(Stopped):
            train(asked.variant, variant, asked.seed, asked.out, asked.threads)
    elif asked.stage == "measure":
        measure(asked.run, asked.zoo, asked.episodes, asked.threads)
    else:
        write_table(RESULTS)


if __name__ == "__main__":
    main()
