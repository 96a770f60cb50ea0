"""`sparring attack`: train one adversarial policy under a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparring.commands.common import (
    GameArgument,
    Matchup,
    OptionalInt,
    OptionalPolicy,
    PolicyLike,
    describe,
    duration,
    host_game,
    matchup,
    percent,
    perform,
    play,
    result_of,
    slots,
)
from sparring.commands.learned import (
    PRESETS,
    Training,
    check_training,
    curve,
    train_attacker,
    training_speed,
    training_steps,
)
from sparring.runs import Run, write_json
from sparring.types import check_budget


@dataclass(frozen=True)
class Settings(Training):
    """Train an adversarial policy against a frozen victim, then measure it beside the benign opponent.

    Example: sparring attack robosumo/ant-vs-ant,integrator=euler --victim builtin:ant --budget 0.7 --steps 500000
    """

    game: GameArgument
    """A game's id; `sparring list` shows what there is."""
    victim: PolicyLike
    """The policy that is attacked: builtin:NAME, native:FILE, robosumo-zoo:FILE, run:DIR, package.module:factory."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    benign: OptionalPolicy = None
    """What the attacker's agent does when not controlled; by default the victim's own policy, where seats are alike."""
    episodes: OptionalInt = None
    """Complete matches of the evaluation; by default the preset's."""
    victim_seat: int = 0
    """Which of the game's agents the victim is."""


def attack(game: str, **settings: Any) -> dict[str, Any]:
    """Train an adversarial policy: `sparring attack` as a function.

    Args:
      game: a game's id.
      **settings: the fields of `Settings`; `victim` and `benign` may also be a `Policy` or a function.

    Returns:
      The JSON result: `evaluate`'s keys, `policy` (the file), and `baseline`, the benign opponent's.

    Raises:
      InputError: bad input.
    """
    return perform("attack", Settings(game=game, **settings))


def prepare(settings: Settings) -> Matchup:
    check_budget(settings.budget)
    game = host_game(settings.game, slots(episodes_of(settings)), settings.threads)
    pairing = matchup(game, settings.victim, settings.benign, settings.victim_seat)
    check_training(settings, pairing)
    return pairing


def plan(settings: Settings, pairing: Matchup) -> dict[str, Any]:
    steps = training_steps(settings)
    rate = training_speed(settings, pairing)
    return {
        "training_steps": steps,
        "steps_per_second": rate,
        "estimate": f"about {duration(steps / rate)} of training; under 10 MB of disk",
    }


def execute(settings: Settings, pairing: Matchup, run: Run) -> dict[str, Any]:
    episodes = episodes_of(settings)
    seeds = np.random.SeedSequence(settings.seed).spawn(3)
    made_by = {"command": run.config["command"], "victim": describe(settings.victim)}
    train_seed = int(seeds[0].generate_state(1)[0])
    network, path = train_attacker(run, pairing, settings, settings.budget, train_seed, "attacker", made_by)
    played = play(pairing, network, settings.budget, episodes, seeds[1], "evaluate", settings.control)
    alone = play(pairing, pairing.benign, 0.0, episodes, seeds[2], "evaluate benign")
    result = {
        "game": pairing.game.id,
        **result_of(pairing, played.outcomes, settings.budget, seeds[1]),
        "baseline": result_of(pairing, alone.outcomes, 0.0, seeds[2]),
        "policy": str(path),
        "steps": training_steps(settings),
        "oracle": "learned (lower bound)",
        "curve": curve(run.events(), "attacker"),
    }
    write_json(run.folder / "attack.json", result)
    return result


def episodes_of(settings: Settings) -> int:
    return PRESETS[settings.preset].episodes if settings.episodes is None else settings.episodes


def text(result: dict[str, Any]) -> str:
    return (
        f"budget {result['budget']:g}: the adversarial policy wins {percent(result, 'win')} of {result['episodes']} "
        f"matches; the benign opponent {percent(result['baseline'], 'win')}\n"
        f"A learned attack is a lower bound: it proves nothing about stronger ones.\n"
        f"{result['policy']}"
    )
