"""What may be asked: the arguments that verbs share, as the command line shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeAlias

import tyro

from sparring.errors import InputError
from sparring.games.described import MOST_MATCHES
from sparring.types import Coin, Control

# What a user gives as a game or a policy: on the command line a name; in Python also the thing itself. Tyro reads the
# annotations, so it is shown the name alone.
if TYPE_CHECKING:
    GameArgument: TypeAlias = Any
    PolicyLike: TypeAlias = Any
    OptionalPolicy: TypeAlias = Any
    PolicyPerAgent: TypeAlias = Any
else:
    GameArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GAME")]
    PolicyLike = Annotated[str, tyro.conf.arg(metavar="POLICY")]
    OptionalPolicy = Annotated[str | None, tyro.conf.arg(metavar="POLICY")]
    PolicyPerAgent = Annotated[tuple[str, ...], tyro.conf.arg(metavar="POLICY [POLICY ...]")]
OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="N")]
OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="X")]
Limits = Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH")]
OptionalFile = Annotated[str | None, tyro.conf.arg(metavar="FILE")]
AgentNames = Annotated[tuple[str, ...], tyro.conf.arg(metavar="AGENT")]
PresetName = Literal["smoke", "standard", "paper"]
RewardName = Literal["victim", "outcome", "shaped", "own"]


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
class Common:
    """Arguments of every verb."""

    seed: int = 0
    """Root of all randomness: same seed, same machine, same versions, same bits."""
    threads: int = 0
    """Threads that step the physics; 0 means all cores. Results do not depend on it."""
    out: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Run folder; by default runs/<game>__<verb>__<seed>__<time>."""
    config: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """A run's config.json (or its folder): its settings become the defaults."""
    dry_run: bool = False
    """Show the resolved settings, the steps and an estimate of the time, and do nothing."""
    json: bool = False
    """Print one JSON object on standard output and nothing else there."""


@dataclass(frozen=True, kw_only=True)
class Seats(Common):
    """Arguments of the verbs in which a victim meets attackers."""

    game: GameArgument
    """A game's id, or package.module:factory; `sparring list` shows what there is."""
    benign: OptionalPolicy = None
    """What an attacker's agent does when it is not controlled. By default uniform in exact games, and elsewhere the
    victim's own policy, where the seats are alike."""
    victim_seat: AgentNames = ("0",)
    """Which of the game's agents the victim is: its seat, counted from 0, or its name. Several are one side."""
    attackers: AgentNames = ()
    """Seats or names of the attackers' agents (several are a team); by default all but the victim."""
    others: OptionalPolicy = None
    """What the remaining agents play; by default uniform (random) actions."""


@dataclass(frozen=True, kw_only=True)
class Controlled(Seats):
    """Arguments about how control is drawn."""

    control: Control = "step"
    """How control is drawn: at every step (the paper), once per episode, or not at all but blended. Exact answers are
    for control at every step."""
    coin: Coin = "agent"
    """Teams: agent draws the control of each attacker by itself, team draws it once for all of them."""


@dataclass(frozen=True, kw_only=True)
class Attacks(Controlled):
    """Arguments of the verbs that look for attacks; most of them are about training, all but where it starts."""

    oracle: Literal["exact", "learned"] | None = None
    """exact: best responses by enumeration, the default in exact games. learned: attackers are trained."""
    preset: PresetName | None = None
    """How much is done: smoke (20 thousand steps per attacker: does everything fit?), standard (2 million, the default)
    or paper (20 million and, in an audit, 5 seeds). --dry-run measures how long it takes here."""
    steps: OptionalInt = None
    """Training steps per attacker, of all matches together; by default the preset's."""
    train_game: Annotated[str | None, tyro.conf.arg(metavar="GAME")] = None
    """Train in another variant of the game than the evaluated one: robosumo/ant-vs-ant,integrator=euler is several
    times faster."""
    reward: RewardName | None = None
    """What the attacker maximises: minus the victim's reward (victim), win or loss (outcome), win or loss with the
    game's shaping terms annealed away over half of the steps (shaped), or each attacker its own reward (own). By
    default the game's best known."""
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
    gae_lambda: OptionalFloat = None
    """PPO: from 0 to 1, by default .95 (the paper's). 1 credits an action with the outcome, whatever the critic says:
    in long matches with one reward at the end it may find far more."""
    stealth: float = 0.0
    """An attacker that hides: its reward is lessened by this, times the log ratio of the densities of the states that
    the victim sees with and without the attack, which a discriminator learns along. 0: it does not hide."""


@dataclass(frozen=True, kw_only=True)
class Training(Attacks):
    """Arguments of the verbs that train one attacker."""

    start: Annotated[str | None, tyro.conf.arg(metavar="benign|scratch|POLICY")] = None
    """Begin from the benign policy's weights, from scratch, or from those of any other policy: builtin:NAME,
    native:FILE, robosumo-zoo:FILE, run:DIR, ... A stronger one makes a stronger attacker: by default the agent that
    comes with the package for the attacker's seat, else the benign policy's weights where it has any."""
    checkpoints: int = 0
    """Keep so many of the attacker's policies on the way, up to 32, in the folder checkpoints: one of them may win as
    often as a stealthier attack."""


TRAINING = ("preset", "steps", "train_game", "reward", "start", "num_games", "steps_per_round", "epochs", "minibatch")
TRAINING += ("learning_rate", "gae_lambda", "stealth")


# The largest values that anything can come of: beyond them a number is a slip, and memory or a life would end first.
MOST: Mapping[str, int] = {
    "episodes": 10**7,
    "seeds": 1_000,
    "num_games": MOST_MATCHES,
    "steps_per_round": 10**6,
    "steps": 10**12,
    "attack_steps": 10**12,
    "updates": 10**9,
    "attacker_rounds": 10**6,
    "iterations": 100,
    "epochs": 10_000,
    "minibatch": 10**9,
    "jobs": 1_024,
    "threads": 1_024,
}


def check_sizes(settings: Any) -> None:
    """Refuse numbers of matches, steps or processes that no machine can do.

    Raises:
      InputError: one of them is above `MOST`.
    """
    for name, most in MOST.items():
        if (value := getattr(settings, name, None)) is not None and value > most:
            raise InputError(
                f"{name.replace('_', '-')}: expected at most {most:,}, got {value:,}: give a smaller number"
            )


def changed(settings: Any, names: Iterable[str]) -> list[str]:
    """Which of these settings have another value than their default, or must be given."""
    defaults = {field.name: field.default for field in fields(settings)}
    return [name for name in names if getattr(settings, name) != defaults[name]]


def refuse(settings: Any, names: Iterable[str], why: str) -> None:
    """Refuse options that would not be read.

    Raises:
      InputError: one of them was given.
    """
    if given := changed(settings, names):
        raise InputError(f"{given[0].replace('_', '-')}: {why}, or leave it out")
