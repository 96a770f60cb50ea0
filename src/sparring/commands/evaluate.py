"""`sparring evaluate`: who wins, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparring.commands.common import (
    Common,
    GameArgument,
    Matchup,
    OptionalPolicy,
    PolicyLike,
    duration,
    host_game,
    matchup,
    percent,
    perform,
    play,
    policy,
    result_of,
    slots,
    steps_per_second,
)
from sparring.policy import Policy
from sparring.runs import Run, write_json
from sparring.types import Control, check_budget


@dataclass(frozen=True)
class Settings(Common):
    """Win, draw and loss of an attacker against a victim under a budget, each with its 95% interval.

    Example: sparring evaluate robosumo/ant-vs-ant --victim builtin:ant --attacker zero --budget 0.3
    """

    game: GameArgument
    """A game's id; `sparring list` shows what there is."""
    victim: PolicyLike
    """The policy that is attacked: zero, random, builtin:NAME, native:FILE, robosumo-zoo:FILE.npy, run:DIR, ..."""
    attacker: PolicyLike
    """What the attacker's agent does when it is controlled."""
    benign: OptionalPolicy = None
    """What it does otherwise; by default the victim's own policy, where the seats are alike."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    control: Control = "step"
    """How control is drawn: at every step (the paper), once per episode, or not at all but blended."""
    episodes: int = 400
    """Complete matches."""
    victim_seat: int = 0
    """Which of the game's agents the victim is."""


def evaluate(game: str, **settings: Any) -> dict[str, Any]:
    """Evaluate an attacker: `sparring evaluate` as a function.

    Args:
      game: a game's id.
      **settings: the fields of `Settings`; `victim`, `attacker` and `benign` may also be a `Policy` or a function
        `(observation [B, D], rng) -> action [B, ...]`.

    Returns:
      The JSON result: `win`, `draw`, `loss` (the attacker's), `victim_return`, ..., each with `_ci`.

    Raises:
      InputError: bad input.
    """
    return perform("evaluate", Settings(game=game, **settings))


class Prepared(NamedTuple):
    pairing: Matchup
    adversarial: Policy


def prepare(settings: Settings) -> Prepared:
    check_budget(settings.budget)
    game = host_game(settings.game, slots(settings.episodes), settings.threads)
    pairing = matchup(game, settings.victim, settings.benign, settings.victim_seat)
    return Prepared(pairing, policy(settings.attacker, game, pairing.attacker_agent))


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    rate = steps_per_second(prepared.pairing)
    return {
        "steps_per_second": rate,
        "estimate": f"{duration(settings.episodes * 100 / rate)} if matches take 100 steps; under 100 kB of disk",
    }


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    pairing, adversarial = prepared
    seed = np.random.SeedSequence(settings.seed)
    played = play(pairing, adversarial, settings.budget, settings.episodes, seed, "evaluate", settings.control)
    result = {"game": pairing.game.id, **result_of(pairing, played.outcomes, settings.budget, seed)}
    write_json(run.folder / "evaluate.json", result)
    return result


def text(result: dict[str, Any]) -> str:
    rates = ", ".join(f"{key} {percent(result, key)}" for key in ("win", "draw", "loss"))
    invalid = f"; {result['invalid']} invalid matches left out" if result["invalid"] else ""
    return (
        f"attacker at budget {result['budget']:g}: {rates}\n"
        f"{result['episodes']} matches of {result['mean_length']:.0f} steps on average{invalid}\n"
        f"{result['run']}"
    )
