"""`sparring attack`: one adversarial policy under a budget, computed where that can be done, else trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparring.commands.common import (
    Matchup,
    OptionalInt,
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
from sparring.commands.exact import (
    EXACT_ESTIMATE,
    Contest,
    adversarial_table,
    chances,
    check_exact_control,
    contest,
    rates,
    save_attacker,
    seats_of,
    solvable,
    table,
    to_compare,
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
from sparring.files import write_json
from sparring.runs import Run
from sparring.types import check_budget

if TYPE_CHECKING:
    from sparring.games.finite import FiniteGame


@dataclass(frozen=True)
class Settings(Training):
    """An adversarial policy against a frozen victim: the best response in exact games, else trained and measured.

    Example: sparring attack robosumo/ant-vs-ant,integrator=euler --victim builtin:ant --budget 0.7 --steps 500000
    """

    victim: PolicyLike
    """The policy that is attacked: builtin:NAME, native:FILE, tabular:FILE, robosumo-zoo:FILE, run:DIR, ..."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    episodes: OptionalInt = None
    """Complete matches of the evaluation of a learned attack; by default the preset's."""


def attack(game: str, **settings: Any) -> dict[str, Any]:
    """Compute or train an adversarial policy: `sparring attack` as a function.

    Args:
      game: a game's id.
      **settings: the fields of `Settings`; `victim` and `benign` may also be a `Policy` or a function.

    Returns:
      The JSON result: `evaluate`'s keys, `policy` (the file), and `baseline`, the benign opponent's.

    Raises:
      InputError: bad input.
    """
    return perform("attack", Settings(game=game, **settings))


class Exact(NamedTuple):
    arena: Contest
    nu: np.ndarray


class Learned(NamedTuple):
    pairing: Matchup
    exact: Exact | None  # to compare with, where the game can be enumerated


def prepare(settings: Settings) -> Exact | Learned:
    check_budget(settings.budget)
    if (finite := solvable(settings.game, settings.oracle)) is not None:
        check_exact_control(settings.control)
        return _exact(settings, finite)
    game = host_game(settings.game, slots(episodes_of(settings)), settings.threads)
    pairing = matchup(game, settings.victim, settings.benign, settings.victim_seat)
    check_training(settings, pairing)
    # A user's function can be attacked by learning, but has no table to be compared with.
    comparable = settings.control == "step" and pairing.victim.traceable and pairing.benign.traceable
    finite = to_compare(settings.game) if comparable else None
    return Learned(pairing, None if finite is None else _exact(settings, finite))


def plan(settings: Settings, prepared: Exact | Learned) -> dict[str, Any]:
    if isinstance(prepared, Exact):
        return {"oracle": "exact", "estimate": EXACT_ESTIMATE}
    steps = training_steps(settings)
    rate = training_speed(settings, prepared.pairing)
    return {
        "training_steps": steps,
        "steps_per_second": rate,
        "estimate": f"about {duration(steps / rate)} of training; under 10 MB of disk",
    }


def execute(settings: Settings, prepared: Exact | Learned, run: Run) -> dict[str, Any]:
    result = _solve(settings, prepared, run) if isinstance(prepared, Exact) else _train(settings, prepared, run)
    write_json(run.folder / "attack.json", result)
    return result


def _exact(settings: Settings, finite: FiniteGame) -> Exact:
    arena = contest(finite, settings, settings.budget)
    return Exact(arena, table(settings.victim, finite, arena.victim))


def _solve(settings: Settings, prepared: Exact, run: Run) -> dict[str, Any]:
    arena, nu = prepared
    best = arena.problem.best_response(nu)
    return {
        **seats_of(settings, arena),
        **rates(arena, nu, best.policy),
        "expl": -best.value,
        "baseline": rates(arena.at(0.0), nu, arena.problem.benign),
        "policy": str(save_attacker(run.folder / "attacker.json", arena, best.policy)),
        "oracle": "exact",
    }


def _train(settings: Settings, prepared: Learned, run: Run) -> dict[str, Any]:
    pairing = prepared.pairing
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
    if prepared.exact is not None:
        arena, nu = prepared.exact
        reached = arena.problem.value(nu, adversarial_table(network, arena))
        result["exact"] = {"value": reached, "best_response_value": arena.problem.best_response(nu).value}
    return result


def episodes_of(settings: Settings) -> int:
    return PRESETS[settings.preset].episodes if settings.episodes is None else settings.episodes


def text(result: dict[str, Any]) -> str:
    if result["oracle"] == "exact":
        return (
            f"budget {result['budget']:g}: the best response brings the victim's value down to {-result['expl']:.6f}; "
            f"left alone, the benign opponent leaves it {result['baseline']['victim_value']:.6f}\n"
            f"{chances(result)}. This is exact: no attack at this budget does more.\n"
            f"{result['policy']}"
        )
    lines = [
        f"budget {result['budget']:g}: the adversarial policy wins {percent(result, 'win')} of {result['episodes']} "
        f"matches; the benign opponent {percent(result['baseline'], 'win')}",
        "A learned attack is a lower bound: it proves nothing about stronger ones.",
    ]
    if exact := result.get("exact"):
        lines.append(
            f"Exactly, it brings the victim's value down to {exact['value']:.6f}; a best response reaches "
            f"{exact['best_response_value']:.6f}."
        )
    return "\n".join([*lines, result["policy"]])
