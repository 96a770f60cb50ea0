"""What learns to fight in RoboSumo: named variants of attacks and of self-play, trained one change at a time.

    python -m sparring.studies.robosumo_learning attack --budget 0.7 --steps 4000000 --out runs/attack-0.7

trains one variant in the Euler variant of a robot against its like; run again, it goes on. Ctrl-C stops a loser, and
what it learned until then can be measured: see `sparring.studies.robosumo_measures`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparring import checkpoint
from sparring.attacks.adversarial_policy import AttackConfig, attack_setup
from sparring.console import DONE, INTERRUPTED, Stopped, exit_code
from sparring.defences.self_play import SelfPlayConfig, self_play_setup
from sparring.drive import drive, resumed
from sparring.errors import InputError, unknown
from sparring.files import plain
from sparring.games import make
from sparring.games.robosumo.learning import ATTACK, FROM_SCRATCH, SELF_PLAY
from sparring.learners.ppo import PPOConfig, final_network
from sparring.loaders import load, native
from sparring.metrics.outcome import wilson
from sparring.nets import ActorCritic, NetworkConfig
from sparring.runs import CHECKPOINT, Run, read_config, read_events, read_status
from sparring.training import Play, Reward, Side, TrainState
from sparring.types import AgentID, Game, ThreatModel


@dataclass(frozen=True)
class Variant:
    """What is trained, and in which point it differs from the variant that it is compared with.

    Attributes:
      change: that point, in words.
      config: settings.
      body: of both robots.
      victim: who is attacked; "" in self-play.
      benign: the opponent that an attack controls in part.
      start: whose weights it starts from; "": the benign opponent's, or new ones.
      budget: of an attack.
      partner: whom self-play meets in part of its matches; "" if nobody.
    """

    change: str
    config: AttackConfig | SelfPlayConfig
    body: str = "ant"
    victim: str = ""
    benign: str = ""
    start: str = ""
    budget: float = 1.0
    partner: str = ""

    @property
    def game(self) -> str:
        return f"robosumo/{self.body}-vs-{self.body},integrator=euler"


SHAPING_PART = 0.6  # of the steps of a variant that goes on from weights that fight already
ASKED = ("body", "victim", "benign", "start", "budget", "partner")  # besides the variant, its steps and the seed

ATTACK_PPO = PPOConfig(**{**ATTACK["ppo"], "normalize_observations": False})
DEFAULT = AttackConfig(**{**ATTACK, "start": "benign", "reward": Reward(ATTACK["reward"]), "ppo": ATTACK_PPO})
LAST = replace(DEFAULT, ppo=replace(ATTACK_PPO, average=0.0))
LITTLE_NOISE = {"min_std": 0.1, "start_std": 0.0, "end_std": 0.0}  # it may die away: what was tried first
QUIET = replace(LAST, ppo=replace(LAST.ppo, **LITTLE_NOISE))
BASE = replace(QUIET, ppo=replace(QUIET.ppo, gamma=0.98, minibatch=512))
SELF_PLAY_PPO = PPOConfig(**{**SELF_PLAY["ppo"], "normalize_observations": False})
RING = {"approach": 4.0, "ring": 2.0}  # shaping per metre
LOW = {**RING, "low": 6.0}
QUIET_SELF_PLAY = replace(SELF_PLAY_PPO, **LITTLE_NOISE, average=0.99)
ON = SelfPlayConfig(
    num_games=SELF_PLAY["num_games"],
    steps_per_round=SELF_PLAY["steps_per_round"],
    past=SELF_PLAY["past"],
    passive=SELF_PLAY["passive"],
    reward=Reward("outcome", draw=SELF_PLAY["draw"]),
    ppo=SELF_PLAY_PPO,
)
STILL = replace(ON, passive=0.5, ppo=replace(SELF_PLAY_PPO, average=0.99))


def from_scratch(
    config: AttackConfig | SelfPlayConfig, shaping: Mapping[str, float] = FROM_SCRATCH["shaping"]
) -> AttackConfig | SelfPlayConfig:
    """The same for new weights, which have the symmetry of their body: an ant's until `chosen` says whose."""
    network = NetworkConfig(initial_std=FROM_SCRATCH["initial_std"], symmetry="robosumo-ant")
    ppo = replace(config.ppo, normalize_observations=True, warmup_updates=0, network=network)
    reward = replace(config.reward, draw=FROM_SCRATCH["draw"], shaping=shaping)
    if isinstance(config, SelfPlayConfig):
        return replace(config, passive=FROM_SCRATCH["passive"], reward=reward, ppo=ppo)
    return replace(config, start="scratch", reward=reward, ppo=ppo)


VARIANTS: dict[str, Variant] = {
    "base": Variant("the benign weights, the bare outcome, rounds of 8,192 steps, noise may fall to .1", BASE),
    "batch": Variant(
        "base with rounds of 32,768 steps, minibatches of 4,096, 8 epochs, learning rate 5e-4",
        replace(
            BASE,
            num_games=256,
            steps_per_round=128,
            ppo=replace(BASE.ppo, minibatch=4096, epochs=8, learning_rate=5e-4),
        ),
    ),
    "quiet": Variant("base with gamma .99 and minibatches of 1,024", QUIET),
    "attack": Variant("quiet, but with noise of .3 while it learns", LAST),
    "average": Variant(
        "the game's defaults: attack, but it ends with a mean of the weights of some 100 rounds", DEFAULT
    ),
    "large": Variant(
        "attack with rounds of 65,536 steps, minibatches of 4,096, 4 epochs, learning rate 2e-4, one round of warm-up",
        replace(
            LAST,
            num_games=256,
            steps_per_round=256,
            ppo=replace(LAST.ppo, minibatch=4096, epochs=4, learning_rate=2e-4, warmup_updates=1),
        ),
    ),
    "self-play": Variant("from given weights; 30% of the matches against zero, a draw costs half a loss", ON),
    "sparring": Variant(
        "self-play, but 40% of the matches against a given partner and 10% against zero",
        replace(ON, sparring=0.4, passive=0.1),
    ),
    "self-play-quiet": Variant(
        "self-play, but noise may fall to .1, and it ends with a mean of the weights of some 100 rounds",
        replace(ON, ppo=QUIET_SELF_PLAY),
    ),
    "self-play-still": Variant(
        "self-play, but half of the matches against zero, and it ends with a mean of the weights of some 100 rounds",
        STILL,
    ),
    "self-play-low-still": Variant(
        "self-play-still with shaping: of self-play-scratch-ring, and 6 for a second a metre below the height of .6",
        replace(STILL, reward=replace(ON.reward, shaping=LOW)),
    ),
    "self-play-low": Variant(
        "self-play-quiet with shaping: of self-play-scratch-ring, and 6 for a second a metre below the height of .6",
        replace(ON, reward=replace(ON.reward, shaping=LOW), ppo=QUIET_SELF_PLAY),
    ),
    "self-play-scratch": Variant(
        "of new weights with the body's symmetry; shaping at first, 15% of the matches against zero, draws are losses",
        from_scratch(ON),
    ),
    "self-play-scratch-quiet": Variant(
        "the same, but noise may fall to .1",
        from_scratch(replace(ON, ppo=replace(SELF_PLAY_PPO, **LITTLE_NOISE))),
    ),
    "self-play-scratch-ring": Variant(
        "self-play-scratch with shaping that minds the ring more: 2 a metre instead of .5, 4 to walk up instead of 6",
        from_scratch(ON, RING),
    ),
    "self-play-scratch-low": Variant(
        "self-play-scratch-ring, and 6 for a second a metre below the height of .6",
        from_scratch(ON, LOW),
    ),
    "attack-scratch": Variant(
        "attack of new weights with the body's symmetry; shaping at first, draws are losses",
        from_scratch(LAST),
    ),
}


def chosen(
    name: str,
    steps: int,
    *,
    body: str = "ant",
    victim: str = "",
    benign: str = "",
    start: str = "",
    budget: float = 1.0,
    partner: str = "",
) -> Variant:
    """A variant with what may be asked for besides; its learning rate falls to zero over its steps.

    Raises:
      InputError: there is no such variant, or `start` or `partner` does not go with it.
    """
    if name not in VARIANTS:
        raise unknown("variant", name, VARIANTS)
    config = VARIANTS[name].config
    new = bool(config.ppo.network.symmetry)
    if new and start:
        raise InputError(f"{name}: takes no start: its weights are new")
    if isinstance(config, AttackConfig):
        victim = victim or f"builtin:{body}"
        benign = benign or victim
        config = config if new else replace(config, start=start or "benign")
    elif not (new or start):
        raise InputError(f"{name}: needs start: whose weights it goes on from")
    spars = isinstance(config, SelfPlayConfig) and config.sparring > 0
    if spars != bool(partner):
        raise InputError(f"{name}: {'needs a' if spars else 'takes no'} partner: whom it meets in part of its matches")
    if new:
        network = replace(config.ppo.network, symmetry=f"robosumo-{body}")
        config = replace(config, ppo=replace(config.ppo, network=network))
    updates = -(-steps // (config.num_games * config.steps_per_round))
    part = FROM_SCRATCH["shaping_part"] if new else SHAPING_PART
    shaped = int(part * steps) if config.reward.shaping else 0
    reward = replace(config.reward, shaping_steps=shaped)
    config = replace(config, steps=steps, reward=reward, ppo=replace(config.ppo, decay_updates=updates))
    return Variant(VARIANTS[name].change, config, body, victim, benign, start, budget, partner)


def train(name: str, variant: Variant, seed: int, out: Path, threads: int) -> None:
    """One run of a variant in a run folder; an existing one is resumed. A stopped one keeps its checkpoint.

    Raises:
      InputError: the folder holds another run.
    """
    config = variant.config
    game = make(variant.game, config.num_games, threads)
    settings = {"variant": name, **asdict(variant)}
    command = f"python -m sparring.studies.robosumo_learning {name} --body {variant.body} --seed {seed}"
    command += f" --steps {config.steps}"
    if isinstance(config, AttackConfig):
        command += f" --victim {variant.victim} --budget {variant.budget:g}"
    if variant.benign != variant.victim:
        command += f" --benign {variant.benign}"
    if variant.start:
        command += f" --start {variant.start}"
    if variant.partner:
        command += f" --partner {variant.partner}"
    sides, play = _setup(game, variant)  # before anything is written
    exists = (out / "config.json").exists()
    run = Run.open(out) if exists else Run.create(out, game.id, "learning", seed, settings, command.split())
    with run:
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
        native.save(_network(variant, state), out / "policy.safetensors", plain(made))
        run.finish()


def trained(folder: Path) -> tuple[ActorCritic, dict[str, Any]]:
    """The network of a run, finished or stopped, and what is to be recorded of the run.

    Raises:
      InputError: `folder` is no run of a variant as it is now, or has no checkpoint yet.
    """
    config = read_config(folder)
    asked = config["settings"]
    besides = {key: asked[key] for key in ASKED}
    variant = chosen(asked["variant"], asked["config"]["steps"], **besides)
    if not (folder / CHECKPOINT).exists():
        raise InputError(f"{folder} has no {CHECKPOINT} yet: train it for a minute longer")
    saved = checkpoint.load(folder / CHECKPOINT)
    if saved[1]["settings"] != config["settings"] | plain(asdict(variant)):
        raise InputError(f"{folder}: its variant had other settings when it was trained; train it anew")
    game = make(variant.game, variant.config.num_games, 1)
    sides, play = _setup(game, variant)
    state = resumed(saved, game, sides, play, config["seed"])
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
        won, n = sum(e["win"] for e in window), sum(e["win"] + e["draw"] + e["loss"] for e in window)
        if n:
            found.append([window[-1]["steps"], won / n, *wilson(won, n)])
    return found


def _setup(game: Game, variant: Variant) -> tuple[dict[AgentID, Side], Play]:
    """The one learning side (an attacker's is the second seat), and who plays."""
    first, second = game.agents
    start = load(variant.start, game, first) if variant.start else None
    if not (start is None or isinstance(start, ActorCritic)):
        raise InputError(f"start: {variant.start} has no weights of this package's kind")
    if isinstance(variant.config, SelfPlayConfig):
        partner = load(variant.partner, game, second) if variant.partner else None
        return self_play_setup(game, variant.config, start, partner)
    victim, benign = load(variant.victim, game, first), load(variant.benign, game, second)
    threat = ThreatModel(first, (second,), {second: benign}, variant.budget)
    return attack_setup(game, threat, victim, variant.config, {}, start)


def _network(variant: Variant, state: TrainState) -> ActorCritic:
    (learner,) = state.learners.values()
    return final_network(variant.config.ppo, learner)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    return exit_code("robosumo_learning", lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    variants = "\n".join(f"  {name}: {variant.change}" for name, variant in VARIANTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m sparring.studies.robosumo_learning",
        description=f"{__doc__}\nvariants:\n{variants}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("variant", metavar="VARIANT")
    parser.add_argument("--body", default="ant", help="ant, bug or spider")
    parser.add_argument("--steps", type=int, default=4_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--victim", default="", help="who is attacked; by default the package's own robot")
    parser.add_argument("--benign", default="", help="the opponent that it controls in part; by default as the victim")
    parser.add_argument("--start", default="", help="whose weights it starts from; by default the benign opponent's")
    parser.add_argument("--budget", type=float, default=1.0, help="of an attack")
    parser.add_argument("--partner", default="", help="whom self-play with sparring meets in part of its matches")
    parser.add_argument("--out", type=Path, required=True, help="run folder; an existing one is resumed")
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args(arguments)
    besides = {key: getattr(asked, key) for key in ASKED}
    variant = chosen(asked.variant, asked.steps, **besides)
    try:
        train(asked.variant, variant, asked.seed, asked.out, asked.threads)
    except Stopped:
        print(f"robosumo_learning: stopped; the same command goes on with {asked.out}", file=sys.stderr)
        return INTERRUPTED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
