"""What an oracle is: it answers what the worst attack on a victim is, exactly or by learning.

The verbs know this face alone. What an oracle plays an attack with (tables, networks) and what it measures (matches,
probabilities) is its own business: it hands both out as `Any`, and takes them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sparring.oracles.seating import Question
from sparring.records import Curve, Damage, Goal, Improvement, OracleName, Rates, Scale
from sparring.runs import Run
from sparring.visibility import Coupling, Visibility

Adversarial = Any  # of an exact oracle a table float64 [T, B], of a learned one each attacker's policy
Measured = Any  # of an exact oracle probabilities and values, of a learned one matches


class Attack(NamedTuple):
    """An adversarial policy and how it was found."""

    adversarial: Adversarial
    files: tuple[Path, ...]  # of a team that was trained one for each attacker
    source: str | None = None  # the name of one that comes with the package
    steps: int | None = None  # environment steps of its training; None: it was computed
    curve: Curve | None = None
    still_improving: Improvement | None = None


class Oracle(Protocol):
    """One of two: `sparring.oracles.exact.ExactOracle` and `sparring.oracles.learned.LearnedOracle`."""

    @property
    def name(self) -> OracleName:
        """What an attack that it finds is: the worst there is, or a lower bound."""
        ...

    @property
    def question(self) -> Question: ...
    @property
    def goal(self) -> Goal:
        """What the attackers maximise."""
        ...

    @property
    def trains(self) -> bool:
        """An attack takes time, and another seed of training finds another one."""
        ...

    def winners(self) -> bool:
        """Whether matches have winners and losers; where a game can only be simulated, one step is played."""
        ...

    def plan(self, attacks: int, matches: int, certificates: bool = True) -> dict[str, Any]:
        """What so many attacks and so many matches would take; measured on this machine where that is needed.

        With `certificates`, each attack comes with what `robust` makes.
        """
        ...

    def adversarial(self, source: Any) -> Adversarial:
        """What a user gives as the attackers' policy, loaded.

        Raises:
          InputError: it cannot be loaded or does not fit.
        """
        ...

    def attack(self, budget: float, run: Run, seed: int) -> Attack:
        """Look for the worst attack under a budget; its files are written to the run's folder.

        What an earlier process has found there is read, and what it has begun is gone on with.
        """
        ...

    def found(self, budget: float, folder: Path) -> Attack:
        """What `attack` has written into a folder."""
        ...

    def evaluate(
        self, adversarial: Adversarial, budget: float, matches: int, run: Run, name: str, seed: int, whole: bool = False
    ) -> Measured:
        """What becomes of matches under an attack; written to the run's folder under this name, or read from there.

        An adversarial policy of None is the benign opponent left alone. With `whole`, matches are kept step by step, as
        many as there is room for.
        """
        ...

    def measured(self, folder: Path, name: str) -> Measured:
        """What `evaluate` has written into a folder."""
        ...

    def write_matches(self, path: Path, evaluations: Sequence[tuple[str, float, int, Measured]]) -> None:
        """Write the single matches of evaluations: label, budget, training seed and matches of each. Exact: none."""
        ...

    def scale(self, measured: list[Measured]) -> Scale | None:
        """The least and the largest return that intervals of returns are made for, one for a whole audit."""
        ...

    def rates(self, measured: Measured, scale: Scale | None) -> Rates: ...
    def damage(self, attacked: Measured, reference: Measured, scale: Scale | None, together: int) -> Damage:
        """What the attack costs the victim, compared with another opponent, at intervals that hold together."""
        ...

    def shift(self, benign: Measured, attacked: Measured) -> float | None:
        """How far what the victim meets under the attack is from what it meets otherwise."""
        ...

    def visibility(
        self, benign: Measured, again: Measured, attacked: Mapping[float, Measured], seed: int
    ) -> tuple[Visibility, ...]:
        """How visible the attack is at each budget, compared with one sample of benign matches and another one."""
        ...

    def certificate(self, benign: Sequence[Measured], budgets: Sequence[float]) -> Coupling | str:
        """What no attacker can do, from what was measured of the benign opponent; or the reason why nothing is known.

        Its bounds are those at the largest of the budgets, and its curve has them all.
        """
        ...

    def robust(self, budget: float, folder: Path) -> dict[str, Any]:
        """The fields of a `BudgetResult` about the most robust victim there is; empty where there is no proof.

        They are written to the folder, or read from there.
        """
        ...
