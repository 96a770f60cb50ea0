"""Learned attacks for the verbs: which settings are resolved to what, and training inside a run folder."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
import tyro

from sparring.commands.common import Matchup, OptionalFloat, OptionalInt, Seats, shipped_agent
from sparring.errors import InputError, unknown
from sparring.policy import mix
from sparring.runs import Run
from sparring.types import Control, Game, ThreatModel

if TYPE_CHECKING:
    from sparring.attacks.adversarial_policy import AttackConfig
    from sparring.nets import ActorCritic

PresetName = Literal["smoke", "standard", "paper"]
RewardName = Literal["victim", "outcome", "shaped"]


class Preset(NamedTuple):
    steps: int  # of training, per attacker
    seeds: int  # attackers per budget
    episodes: int  # of an evaluation


PRESETS: Mapping[str, Preset] = {
    "smoke": Preset(20_000, 1, 40),
    "standard": Preset(2_000_000, 1, 400),
    "paper": Preset(20_000_000, 5, 1000),
}


@dataclass(frozen=True, kw_only=True)
class Training(Seats):
    """Arguments of the verbs that look for an attack; most of them are about training one."""

    oracle: Literal["exact", "learned"] | None = None
    """exact: best responses by enumeration, the default in exact games. learned: attackers are trained."""
    preset: PresetName = "standard"
    """How much is done: smoke (20 thousand steps per attacker: does everything fit?), standard (2 million) or paper (20
    million and, in an audit, 5 seeds). --dry-run measures how long it takes here: on two cores roughly half a minute,
    10 minutes or 2 hours per attacker in RoboSumo, a third of that with integrator=euler."""
    steps: OptionalInt = None
    """Training steps per attacker, of all matches together; by default the preset's."""
    train_game: Annotated[str | None, tyro.conf.arg(metavar="GAME")] = None
    """Train in another variant of the game than the evaluated one: robosumo/ant-vs-ant,integrator=euler is several
    times faster."""
    reward: RewardName | None = None
    """What the attacker maximises: minus the victim's reward (victim), win or loss (outcome), or win or loss with the
    game's shaping terms annealed away over half of the steps (shaped). By default the game's best known."""
    start: Annotated[str | None, tyro.conf.arg(metavar="benign|scratch|POLICY")] = None
    """Begin from the benign policy's weights, from scratch, or from those of any other policy: builtin:NAME,
    native:FILE, robosumo-zoo:FILE, run:DIR, ... A stronger one makes a stronger attacker: by default the agent that
    comes with the package for the attacker's seat, else the benign policy's weights where it has any."""
    control: Control = "step"
    """How control is drawn: at every step (the paper), once per episode, or not at all but blended."""
    num_games: OptionalInt = None
    """Matches side by side in training."""
    steps_per_round: OptionalInt = None
    """Steps of each match between two updates."""
    epochs: OptionalInt = None
    """PPO: passes over each round's steps."""
    minibatch: OptionalInt = None
    """PPO: steps per gradient step (the paper prints 2048 for attacks)."""
    learning_rate: OptionalFloat = None
    """PPO: Adam's, falling linearly to zero."""


def training_steps(settings: Training) -> int:
    steps = PRESETS[settings.preset].steps if settings.steps is None else settings.steps
    if steps < 1:
        raise InputError(f"steps: expected at least 1, got {steps}")
    return steps


def attack_config(settings: Training, pairing: Matchup) -> AttackConfig:
    """The game's learning defaults with what the user asked for on top.

    Raises:
      InputError: a value out of range, a shaped reward in a game that has no shaping terms, or start=benign without
        weights.
    """
    from sparring.attacks.adversarial_policy import AttackConfig
    from sparring.learners.ppo import PPOConfig

    known = _learning_module(_training_id(settings, pairing))
    defaults = dict(getattr(known, "ATTACK", {}))
    ppo = dict(defaults.pop("ppo", {}))
    asked = {n: getattr(settings, n) for n in ("num_games", "steps_per_round")}
    for name, value in {**asked, "epochs": settings.epochs, "minibatch": settings.minibatch}.items():
        if value is not None and value < 1:
            raise InputError(f"{name.replace('_', '-')}: expected at least 1, got {value}")
    defaults |= {name: value for name, value in asked.items() if value is not None}
    asked = {n: getattr(settings, n) for n in ("epochs", "minibatch", "learning_rate")}
    ppo |= {name: value for name, value in asked.items() if value is not None}
    steps = training_steps(settings)
    start = _start(settings, pairing)
    if start == "scratch":
        ppo |= {"warmup_updates": 0, "start_std": 0.0}
    else:
        # The weights were made for the statistics that they come with.
        ppo["normalize_observations"] = False
    reward = _reward(settings.reward or defaults.pop("reward", "victim"), known, steps)
    defaults.pop("reward", None)
    config = AttackConfig(steps=steps, start=start, control=settings.control, reward=reward, **defaults)
    rounds = -(-steps // (config.num_games * config.steps_per_round))
    return replace(config, ppo=PPOConfig(**{**ppo, "decay_updates": rounds}))


def check_training(settings: Training, pairing: Matchup) -> None:
    """Find out before anything is started whether training can be.

    Raises:
      InputError: a setting is out of range, or the game to train in or the weights to start from do not fit.
    """
    from sparring.attacks.adversarial_policy import attack_learner

    _training_game(settings, pairing, 1)
    config = attack_config(settings, pairing)
    attack_learner(config, pairing.benign, _weights(settings, pairing))


def training_speed(settings: Training, pairing: Matchup) -> float:
    """Steps per second of training, of all matches together: rollouts as measured, and 30% more for the updates."""
    config = attack_config(settings, pairing)
    return steps_per_second(pairing, _training_game(settings, pairing, config.num_games)) / 1.3


def steps_per_second(pairing: Matchup, game: Game | None = None) -> float:
    """Measured on a few steps of the pairing (in `game`, if given), policies included; of all matches together."""
    from sparring.rollout import rollout

    game, executed = game or pairing.game, mix(pairing.benign, pairing.benign, 0.5)
    policies = {pairing.victim_agent: pairing.victim, pairing.attacker_agent: executed}
    rng = np.random.default_rng(0)
    _, state = rollout(game, policies, 4, rng)
    begun = time.perf_counter()
    rollout(game, policies, 32, rng, state)
    return 32 * game.num_games / (time.perf_counter() - begun)


def train_attacker(
    run: Run, pairing: Matchup, settings: Training, budget: float, seed: int, name: str, provenance: Mapping[str, Any]
) -> tuple[ActorCritic, Path]:
    """Train one adversarial policy, or load it if this run has finished it before.

    The policy is written to `<name>.safetensors` in the run's folder; its training's events carry `name`.
    """
    from sparring.attacks.adversarial_policy import attack_setup
    from sparring.drive import drive
    from sparring.learners.ppo import final_network
    from sparring.loaders import native

    path = run.folder / f"{name}.safetensors"
    if path.exists():
        return native.read(path)[0], path
    config = attack_config(settings, pairing)
    game = _training_game(settings, pairing, config.num_games)
    attacker = pairing.attacker_agent
    threat = ThreatModel(pairing.victim_agent, (attacker,), {attacker: pairing.benign}, budget)
    sides, play = attack_setup(game, threat, pairing.victim, config, {}, _weights(settings, pairing))
    state = drive(
        run,
        game,
        sides,
        play,
        seed=seed,
        steps_per_round=config.steps_per_round,
        steps=config.steps,
        label=f"attack, budget {budget:g}",
        settings={**asdict(config), "game": game.id, "budget": budget},
        name=name,
    )
    network = final_network(config.ppo, state.learners[attacker])
    made = {
        **provenance,
        "game": game.id,
        "budget": budget,
        "seed": seed,
        "steps": state.steps,
        "settings": asdict(config),
    }
    native.save(network, path, made)
    return network, path


def curve(events: list[dict[str, Any]], name: str, points: int = 30) -> list[list[float]]:
    """The win rate of the matches that ended during one training, in at most `points` windows.

    Returns:
      [steps, rate, low, high] per window.
    """
    from sparring.metrics.outcome import wilson

    own = [e for e in events if e.get("training") == name]
    out = []
    for chunk in np.array_split(np.array(own, object), min(points, len(own))) if own else []:
        won = sum(e["win"] for e in chunk)
        n = sum(e["win"] + e["draw"] + e["loss"] for e in chunk)
        if n:
            out.append([float(chunk[-1]["steps"]), won / n, *wilson(won, n)])
    return out


def _training_id(settings: Training, pairing: Matchup) -> str:
    return settings.train_game or pairing.game.id


def _training_game(settings: Training, pairing: Matchup, num_games: int) -> Game:
    from sparring.games import make
    from sparring.games.hosted import hosted

    game = make(_training_id(settings, pairing), num_games, settings.threads)
    if not (pairing.victim.traceable and pairing.benign.traceable):
        game = hosted(game)  # a user's function cannot run inside JAX
    if game.spaces != pairing.game.spaces:
        raise InputError(f"train-game: {game.id} has other observations or actions than {pairing.game.id}")
    return game


def _start(settings: Training, pairing: Matchup) -> str:
    """Whose weights training starts from; if the user does not say, the strongest at hand.

    Raises:
      InputError: the benign policy's, but it has none.
    """
    from sparring.nets import ActorCritic

    has_weights = isinstance(pairing.benign, ActorCritic)
    if settings.start == "benign" and not has_weights:
        raise InputError("start=benign: the benign policy has no weights to start from; use start=scratch")
    if settings.start is not None:
        return settings.start
    shipped = shipped_agent(pairing.game.id, pairing.game.agents.index(pairing.attacker_agent))
    return shipped or ("benign" if has_weights else "scratch")


def _weights(settings: Training, pairing: Matchup) -> ActorCritic | None:
    """The weights that training starts from, if they are neither new nor the benign policy's."""
    from sparring.loaders import load
    from sparring.nets import ActorCritic

    start = _start(settings, pairing)
    if start in ("benign", "scratch"):
        return None
    loaded = load(start, pairing.game, pairing.attacker_agent)
    return loaded if isinstance(loaded, ActorCritic) else None


def _reward(name: str, known: Any, steps: int) -> Any:
    from sparring.training import Reward

    if name not in get_args(RewardName):
        raise unknown("reward", name, get_args(RewardName))
    if name == "victim":
        return Reward("victim", scale=getattr(known, "VICTIM_REWARD_SCALE", 1.0))
    if name == "outcome":
        return Reward("outcome")
    shaping = getattr(known, "SHAPING", None)
    if not shaping:
        raise InputError("reward=shaped: this game reports no shaping terms; use outcome or victim")
    return Reward("outcome", shaping=shaping, shaping_steps=steps // 2)


def _learning_module(game_id: str) -> Any:
    """The game family's own learning defaults, or None."""
    name = f"sparring.games.{game_id.partition('/')[0]}.learning"
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
