"""`sparring evaluate`: who wins, by enumeration or by matches with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from sparring.commands.common import (
    Matchup,
    PolicyLike,
    Seats,
    duration,
    host_game,
    matchup,
    percent,
    perform,
    play,
    policy,
    result_of,
    slots,
)
from sparring.commands.exact import (
    EXACT_ESTIMATE,
    Contest,
    adversarial_table,
    chances,
    check_exact_control,
    contest,
    rates,
    seats_of,
    solvable,
    table,
)
from sparring.commands.learned import steps_per_second
from sparring.files import write_json
from sparring.policy import Policy
from sparring.runs import Run
from sparring.types import Control, check_budget


@dataclass(frozen=True)
class Settings(Seats):
    """Win, draw and loss of an attacker against a victim under a budget: exact, or each with its 95% interval.

    Example: sparring evaluate robosumo/ant-vs-ant --victim builtin:ant --attacker zero --budget 0.3
    """

    victim: PolicyLike
    """The policy that is attacked: zero, random, builtin:NAME, native:FILE, robosumo-zoo:FILE.npy, run:DIR, ..."""
    attacker: PolicyLike
    """What the attacker's agent does when it is controlled."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    oracle: Literal["exact", "sampled"] | None = None
    """exact: probabilities by enumeration, the default in exact games. sampled: rates over matches."""
    control: Control = "step"
    """How control is drawn: at every step (the paper), once per episode, or not at all but blended. Sampled only."""
    episodes: int = 400
    """Complete matches, where they are sampled."""


def evaluate(game: str, **settings: Any) -> dict[str, Any]:
    """Evaluate an attacker: `sparring evaluate` as a function.

    Args:
      game: a game's id.
      **settings: the fields of `Settings`; `victim`, `attacker` and `benign` may also be a `Policy` or a function
        `(observation [B, D], rng) -> action [B, ...]`.

    Returns:
      The JSON result: `win`, `draw`, `loss` (the attacker's), `victim_return` (sampled) or
      `victim_value` (exact), ..., each with `_ci`.

    Raises:
      InputError: bad input.
    """
    return perform("evaluate", Settings(game=game, **settings))


class Sampled(NamedTuple):
    pairing: Matchup
    adversarial: Policy


class Exact(NamedTuple):
    arena: Contest
    nu: np.ndarray
    alpha: np.ndarray


def prepare(settings: Settings) -> Sampled | Exact:
    check_budget(settings.budget)
    if (finite := solvable(settings.game, settings.oracle)) is not None:
        check_exact_control(settings.control)
        arena = contest(finite, settings, settings.budget)
        return Exact(arena, table(settings.victim, finite, arena.victim), adversarial_table(settings.attacker, arena))
    game = host_game(settings.game, slots(settings.episodes), settings.threads)
    pairing = matchup(game, settings.victim, settings.benign, settings.victim_seat)
    return Sampled(pairing, policy(settings.attacker, game, pairing.attacker_agent))


def plan(settings: Settings, prepared: Sampled | Exact) -> dict[str, Any]:
    if isinstance(prepared, Exact):
        return {"oracle": "exact", "estimate": EXACT_ESTIMATE}
    rate = steps_per_second(prepared.pairing)
    return {
        "steps_per_second": rate,
        "estimate": f"{duration(settings.episodes * 100 / rate)} if matches take 100 steps; under 100 kB of disk",
    }


def execute(settings: Settings, prepared: Sampled | Exact, run: Run) -> dict[str, Any]:
    if isinstance(prepared, Exact):
        arena, nu, alpha = prepared
        result = {**seats_of(settings, arena), **rates(arena, nu, alpha), "oracle": "exact"}
    else:
        pairing, adversarial = prepared
        seed = np.random.SeedSequence(settings.seed)
        played = play(pairing, adversarial, settings.budget, settings.episodes, seed, "evaluate", settings.control)
        found = result_of(pairing, played.outcomes, settings.budget, seed)
        result = {"game": pairing.game.id, **found, "oracle": "sampled"}
    write_json(run.folder / "evaluate.json", result)
    return result


def text(result: dict[str, Any]) -> str:
    if result["oracle"] == "exact":
        returns = f"the victim's value {result['victim_value']:.6f}, the attacker's {result['attacker_value']:.6f}"
        return f"attacker at budget {result['budget']:g}, exact: {chances(result)}\n{returns}\n{result['run']}"
    shares = ", ".join(f"{key} {percent(result, key)}" for key in ("win", "draw", "loss"))
    invalid = f"; {result['invalid']} invalid matches left out" if result["invalid"] else ""
    return (
        f"attacker at budget {result['budget']:g}: {shares}\n"
        f"{result['episodes']} matches of {result['mean_length']:.0f} steps on average{invalid}\n"
        f"{result['run']}"
    )
