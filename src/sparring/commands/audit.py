"""`sparring audit`: how badly can a victim be made to fail, at which budgets, and how visibly?"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sparring.commands import exact_audit, learned_audit
from sparring.commands.common import OptionalFloat, OptionalInt, OptionalPolicy, perform
from sparring.commands.exact import solvable
from sparring.commands.learned import Training
from sparring.errors import InputError
from sparring.runs import Run
from sparring.types import check_budget


@dataclass(frozen=True)
class Settings(Training):
    """Attack a victim at several budgets and report the damage and the visibility of each attack.

    Exact games are solved. Elsewhere an attacker is trained per budget; without --victim, the agent that comes with the
    package is audited with the attackers that come with it. The report is one HTML file in the run folder.

    Example: sparring audit robosumo/ant-vs-ant --victim robosumo-zoo:ant-mlp-v1.npy --preset smoke
    """

    victim: OptionalPolicy = None
    """The policy that is audited: builtin:NAME, native:FILE, tabular:FILE, robosumo-zoo:FILE.npy, run:DIR, ..."""
    budgets: tuple[float, ...] = ()
    """Attack budgets epsilon in [0, 1]: the probability of control (Eq. 3.2). By default 0.3, 0.7 and 1, and in exact
    games 0, 0.1, ..., 1."""
    seeds: OptionalInt = None
    """Attackers trained per budget; the strongest on separate matches is reported. By default the preset's."""
    episodes: OptionalInt = None
    """Complete matches per evaluation; by default the preset's, or 96 with shipped attackers. Baselines get half."""
    clip: bool = True
    """Put a short film of a match that the attacker wins into the report."""
    fail_above: OptionalFloat = None
    """Exit with code 1 if the damage exceeds this at any budget: the win rate above the benign opponent's, in exact
    games the value that the attack costs the victim."""


def audit(game: str, **settings: Any) -> dict[str, Any]:
    """Audit a victim: `sparring audit` as a function.

    Args:
      game: a game's id.
      **settings: the fields of `Settings`; `victim` and `benign` may also be a `Policy` or a function.

    Returns:
      The JSON result; `report` is the HTML file's path.

    Raises:
      InputError: bad input.
    """
    return perform("audit", Settings(game=game, **settings))


def prepare(settings: Settings) -> exact_audit.Prepared | learned_audit.Prepared:
    for budget in settings.budgets:
        check_budget(budget)
    if len(set(settings.budgets)) < len(settings.budgets):
        raise InputError("budgets: the same one was given twice")
    game = solvable(settings.game, settings.oracle)
    return learned_audit.prepare(settings) if game is None else exact_audit.prepare(settings, game)


def plan(settings: Settings, prepared: Any) -> dict[str, Any]:
    return _kind(isinstance(prepared, exact_audit.Prepared)).plan(settings, prepared)


def execute(settings: Settings, prepared: Any, run: Run) -> dict[str, Any]:
    return _kind(isinstance(prepared, exact_audit.Prepared)).execute(settings, prepared, run)


def text(result: dict[str, Any]) -> str:
    from sparring.report.schema import is_exact

    return _kind(is_exact(result)).text(result)


def finding(settings: Settings, result: dict[str, Any]) -> bool:
    """Whether the damage exceeds what the user allows."""
    from sparring.report.schema import is_exact

    return settings.fail_above is not None and _kind(is_exact(result)).damage(result) > settings.fail_above


def _kind(exact: bool) -> ModuleType:
    return exact_audit if exact else learned_audit
