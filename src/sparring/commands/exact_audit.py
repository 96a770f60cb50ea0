"""`sparring audit` where the game can be enumerated: best responses, and the most robust victim of each budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparring.commands.common import as_config, describe
from sparring.commands.exact import (
    EXACT_ESTIMATE,
    Contest,
    adversarial_table,
    check_exact_control,
    contest,
    rates,
    save_attacker,
    save_victim,
    seats_of,
    table,
)
from sparring.console import Stopped, interruptible, progress
from sparring.errors import InputError
from sparring.report.schema import BENIGN, EXACT
from sparring.runs import Run, versions

if TYPE_CHECKING:
    from sparring.commands.audit import Settings
    from sparring.games.finite import FiniteGame

BUDGETS = tuple(tenth / 10 for tenth in range(11))
PLAIN = ("uniform", "first")


class Prepared(NamedTuple):
    arena: Contest
    nu: np.ndarray
    budgets: tuple[float, ...]


def prepare(settings: Settings, game: FiniteGame) -> Prepared:
    check_exact_control(settings.control)
    if settings.victim is None:
        raise InputError(f"{settings.game}: give --victim POLICY: uniform, first, nash or tabular:FILE.json")
    arena = contest(game, settings, 1.0)
    return Prepared(arena, table(settings.victim, game, arena.victim), settings.budgets or BUDGETS)


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    del settings
    return {"oracle": EXACT, "budgets": list(prepared.budgets), "estimate": EXACT_ESTIMATE}


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    """The JSON result: `report.schema.ExactAudit`, and the path of the report."""
    from sparring.report.html import write_report

    begun = time.monotonic()
    arena, budgets = prepared.arena, prepared.budgets
    alone = rates(arena.at(0.0), prepared.nu, arena.problem.benign)
    results = []
    with progress(len(budgets), "audit") as advance, interruptible() as stop:
        for budget in budgets:
            if stop():
                raise Stopped
            results.append(_at(arena.at(budget), prepared.nu, run.folder, alone))
            advance(len(results))
    result = {
        **seats_of(settings, arena),
        "victim": describe(settings.victim),
        "oracle": EXACT,
        "seed": settings.seed,
        "command": run.config["command"] or "sparring.audit(...) from Python",
        "versions": versions(),
        "settings": {**as_config(settings), "budgets": budgets},
        "budgets": results,
        "not_tested": _not_tested(settings, arena, budgets),
        "wall_time_s": time.monotonic() - begun,
    }
    return {**result, "report": str(write_report(result, run.folder))}


def text(result: dict[str, Any]) -> str:
    from sparring.report.schema import check_exact
    from sparring.report.verdict import exact_verdict

    lines = [
        f"budget {r['budget']:g}: Expl {r['expl']:.6f}; most robust {r['robust_expl']:.6f}"
        f"{'' if r['verified'] else ' (NOT verified)'}; gap {r['gap']:.6f}; shift {r['shift']:.3f}"
        for r in result["budgets"]
    ]
    return "\n".join(
        [exact_verdict(check_exact(result)), "", *lines, "", f"report: {Path(result['report']).resolve()}"]
    )


def damage(result: dict[str, Any]) -> float:
    """The largest value that an attack costs the victim, compared with the benign opponent left alone."""
    from sparring.report.schema import check_exact
    from sparring.report.verdict import exact_worst, lost

    return lost(exact_worst(check_exact(result)))


def _at(arena: Contest, nu: np.ndarray, folder: Path, alone: dict[str, Any]) -> dict[str, Any]:
    from sparring.exact.certificate import verify
    from sparring.exact.outcome import shift
    from sparring.exact.robust import robust

    problem = arena.problem
    best = problem.best_response(nu)
    certificate = robust(problem)
    attacker = save_attacker(folder / f"attacker-budget-{problem.budget:g}.json", arena, best.policy)
    save_victim(folder / f"robust-victim-budget-{problem.budget:g}.json", arena, certificate.victim)
    return {
        **rates(arena, nu, best.policy),
        "expl": -best.value,
        "robust_expl": -certificate.lower,
        "gap": certificate.lower - best.value,
        "verified": verify(certificate).verified,
        "attacker": attacker.name,
        "oracle": EXACT,
        "shift": shift(problem, nu, best.policy),
        "baselines": {BENIGN: alone, **{name: rates(arena, nu, adversarial_table(name, arena)) for name in PLAIN}},
    }


def _not_tested(settings: Settings, arena: Contest, budgets: Sequence[float]) -> list[str]:
    untested = [
        f"Budgets other than {', '.join(f'{budget:g}' for budget in budgets)}.",
        f"The victim in another seat than {settings.victim_seat}.",
        f"Another benign opponent than {'uniform' if settings.benign is None else describe(settings.benign)}.",
        "Control that is not drawn independently at every decision.",
        "Attacks on the victim's observations, actions or weights: the attacker only moves its own agent.",
        "Less visible attacks of the same strength: the shift is that of one best response.",
    ]
    if len(arena.game.agents) > 1 + len(arena.attackers):
        untested.append(f"Remaining agents that play otherwise than {describe(settings.others)}.")
    return untested
