"""`sparring certify`: how exploitable a victim is, how robust any victim could be, and a proof of both."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sparring.answers import CertifyResult
from sparring.commands import certify_matches
from sparring.commands.certify_matches import FIGURE, FromMatches
from sparring.commands.common import accepted, perform, who
from sparring.console import CANNOT_TELL, DONE, number, payoff, settled
from sparring.errors import InputError
from sparring.files import write_atomic, write_json
from sparring.oracles import tables
from sparring.oracles.certificate import check_threshold, record
from sparring.oracles.exact import ExactOracle, enough_memory, exact_oracle, in_words, planned
from sparring.oracles.options import Controlled, Limits, OptionalFloat, OptionalInt, PolicyLike, refuse
from sparring.oracles.seating import Question, ask
from sparring.records import EXACT, BoundResult
from sparring.report.stealth_plots import certificate_figure
from sparring.results import plain, write
from sparring.runs import Run, versions
from sparring.types import check_budget
from sparring.visibility import Coupling

if TYPE_CHECKING:
    from sparring.exact.bounds import Bound
    from sparring.exact.cost import Cost
    from sparring.metrics.coupling import Certificate, Range

LARGE_MEMORY, LONG_SECONDS = 1e9, 60.0  # from here on a line tells before it begins
QUICK_SECONDS = 5.0  # where a certificate takes less, some forty best responses are computed for its figure


@dataclass(frozen=True)
class Settings(Controlled):
    """What no attacker can do: bounds that hold for every one, and in exact games the worst attack itself.

    Everywhere the coupling certificate bounds the victim's value, the attacker's wins and the AUC of any detector, at
    every budget, from benign matches alone. In exact games there are, besides, the victim's exploitability, the most
    robust victim with its certificate, and the paper's bounds; the exit code is 4 where these could not be verified:
    then neither number is to be trusted.

    Example: sparring certify openspiel/kuhn_poker --victim uniform --benign uniform --budget 0.7

    Example: sparring certify discs/duel --victim builtin:disc --budget 0.01 --at-least 0.4
    """

    victim: PolicyLike
    """The policy that is certified: uniform, first, nash, tabular:FILE, builtin:NAME, native:FILE, run:DIR, ..."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    at_least: OptionalFloat = None
    """What the victim must be sure of: the certified budget is the largest at which it is. A return where the game says
    what returns can be or --return-range does, else the share of matches that it does not lose. By default half of what
    is certain without an attack."""
    oracle: Literal["exact", "sampled"] | None = None
    """exact: by enumeration, the default in exact games. sampled: from benign matches, at 95% confidence."""
    matches: OptionalInt = None
    """Benign matches, where they are sampled; by default 1000."""
    return_range: Limits = None
    """Sampled: the least and the largest return of the victim that is possible, where the game does not say it."""
    discount: OptionalFloat = None
    """Sampled: certify the return discounted by this number below 1; needs --reward-range."""
    reward_range: Limits = None
    """Sampled, with --discount: the least and the largest reward of a step that is possible."""
    exact: bool = False
    """Verify in rational arithmetic (slow: for small games), so that no rounding is trusted."""
    mismatch: bool = False
    """Compute the mismatch coefficient C (Def. 5.2) however long it takes; by default where that takes seconds. Without
    it the bound that needs it, gradient domination in Lemma D.1, has the larger 1 / min rho in its place."""


def certify(game: Any, **settings: Any) -> dict[str, Any]:
    """Certify a victim: `sparring certify` as a function.

    Args:
      game: a game's id, a game, or a `pyspiel.Game`.
      **settings: the fields of `Settings`; policies may also be a `Policy`, an array [I, A] of probabilities, a
        dictionary {information state: {action: probability}}, or OpenSpiel's own policy.

    Returns:
      The JSON result (`answers.CertifyResult`): `coupling`, bounds that hold for every attacker; in exact games `expl`
      (Def. 4.1), `robust_expl` (the least that any victim reaches), `gap` between them, `lower` and `upper` (the value
      of the most robust victim lies in between), `verified`, `bounds`, and the written files.

    Raises:
      InputError: bad input.
    """
    return perform("certify", accepted(Settings, game=game, **settings))


class Solved(NamedTuple):
    oracle: ExactOracle
    mismatch: bool
    cost: Cost
    certain: Certificate
    limits: Range


Prepared = Solved | FromMatches


def prepare(settings: Settings) -> Prepared:
    check_budget(settings.budget)
    question = ask(settings, settings.victim)
    if settings.oracle == "exact" or (settings.oracle is None and question.finite is not None):
        unread = ("matches", "return_range", "discount", "reward_range")
        refuse(settings, unread, "the answer is exact, which does not read it: use --oracle sampled")
        return _prepared(settings, question)
    refuse(settings, ("exact", "mismatch"), "it is for exact answers, and this one is from matches: use an exact game")
    return certify_matches.prepare(settings, question)


def _prepared(settings: Settings, question: Question) -> Solved:
    from sparring.exact.cost import AFFORDABLE, certify_cost, mismatch_work
    from sparring.exact.coupling import coupling
    from sparring.exact.problem import MarkovProblem

    oracle = exact_oracle(question)
    problem = oracle.problem(settings.budget)
    discounted = isinstance(problem, MarkovProblem)
    if settings.mismatch and not discounted:
        raise InputError(
            f"{question.game}: mismatch is for Markov games, in trees C is infinite (DECISIONS 9): leave it out"
        )
    mismatch = discounted and (settings.mismatch or mismatch_work(problem) <= AFFORDABLE)
    certain, limits = coupling(problem, oracle.nu)
    check_threshold(settings.at_least, limits, _what(oracle))
    return Solved(oracle, mismatch, certify_cost(problem, mismatch), certain, limits)


def _what(oracle: ExactOracle) -> str:
    return "return" if oracle.winners() else "value"


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    if isinstance(prepared, FromMatches):
        return certify_matches.plan(prepared)
    problem = prepared.oracle.problem(settings.budget)
    return {
        "victim_rows": len(problem.victim_actions),
        "attacker_rows": len(problem.attacker_actions),
        "mismatch": prepared.mismatch,
        **planned(prepared.cost),
    }


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    if isinstance(prepared, FromMatches):
        return certify_matches.execute(settings, prepared, run)
    with enough_memory(prepared.oracle.question.game):
        return _certify(settings, prepared, run)


def _certify(settings: Settings, prepared: Solved, run: Run) -> dict[str, Any]:
    from sparring.exact.bounds import bounds
    from sparring.exact.certificate import verify
    from sparring.exact.coupling import goes_on
    from sparring.exact.robust import robust

    begun = time.monotonic()
    oracle, mismatch, cost, certain, limits = prepared
    if cost.memory > LARGE_MEMORY or cost.seconds > LONG_SECONDS:
        print(f"certify {oracle.question.game}: this takes {in_words(cost)}", file=sys.stderr)
    problem, nu, question = oracle.problem(settings.budget), oracle.nu, oracle.question
    best = problem.best_response(nu)
    certificate = robust(problem)
    found = verify(certificate, settings.exact)
    # The given victim's worst case is a claim of the same kind, with the same attacker above it.
    own = verify(replace(certificate, victim=nu, lower=best.value), settings.exact)
    seats = who(settings, question, run)
    values = {
        "budget": problem.budget,
        "lower": float(found.lower),
        "upper": float(found.upper),
        "verified": found.verified and own.verified,
        "exact": found.exact,
    }
    folder, attackers = run.folder, question.threat.attackers
    victim = tables.save_victim(folder / "robust-victim.json", oracle.game, question.threat.victim, certificate.victim)
    attacker, attack = (
        tables.save_attacker(folder / name, oracle.game, attackers, problem, alpha)
        for name, alpha in (("robust-attacker.json", certificate.attacker), ("attacker.json", best.policy))
    )
    written = {
        **{key: seats[key] for key in ("game", "victim_seat", "attackers", "benign")},
        **values,
        "victim": victim.name,
        "attacker": attacker.name,
        "versions": versions(),
    }
    write_json(folder / "certificate.json", written)
    what, at_least = _what(oracle), settings.at_least
    result = CertifyResult(
        coupling=record(
            certain,
            budget=problem.budget,
            limits=limits,
            what=what,
            at_least=at_least,
            goes_on=goes_on(problem),
        ),
        **seats,
        **values,
        oracle=EXACT,
        expl=-best.value,
        robust_expl=-certificate.lower,
        gap=certificate.lower - best.value,
        bounds=tuple(as_bound(bound) for bound in bounds(problem, nu, best.policy, mismatch)),
        mismatch=mismatch,
        attack=str(attack),
        robust_victim=str(victim),
        robust_attacker=str(attacker),
        certificate=str(folder / "certificate.json"),
        figure=str(folder / FIGURE),
        wall_time_s=time.monotonic() - begun,
    )
    assert result.coupling is not None
    figure = certificate_figure(result.coupling, question.game, *_known(prepared, result.coupling))
    write_atomic(folder / FIGURE, figure.encode())
    write(result, folder / "certify.json")
    return plain(result)


def _known(prepared: Solved, certain: Coupling) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """By budget the worst value, where it takes no time, and what Proposition 3.1 leaves, where it says anything."""
    from sparring.exact.bounds import value_bound
    from sparring.exact.problem import MarkovProblem

    oracle, budgets = prepared.oracle, [point.budget for point in certain.curve]
    problems = [oracle.problem(budget) for budget in budgets]
    quick = prepared.cost.seconds < QUICK_SECONDS
    worst = [(p.budget, p.best_response(oracle.nu).value) for p in problems] if quick else []
    paper = []
    for problem in problems:
        if isinstance(problem, MarkovProblem):
            alone = problem.value(oracle.nu, problem.benign)
            paper.append((problem.budget, alone - value_bound(problem, oracle.nu, problem.benign).paper))
    return worst, paper


def as_bound(bound: Bound) -> BoundResult:
    """The record of a bound."""
    known = {name: value for name, value in asdict(bound).items() if name in BoundResult.__struct_fields__}
    return BoundResult(**known, slack=bound.slack, vacuous=bound.vacuous)


def exit_code(settings: Settings, result: dict[str, Any]) -> int:
    """4 where the numbers could not be verified: then it cannot be told what the victim is worth."""
    del settings
    return CANNOT_TELL if result["verified"] is False else DONE


def text(result: dict[str, Any]) -> str:
    if result["expl"] is None:
        return "\n".join([*certify_matches.text(result), "", result["run"]])
    how = "in rationals" if result["exact"] else "by another route"
    verdict = f"verified {how}" if result["verified"] else f"NOT verified {how}: trust neither number"
    # Of Propositions 3.2 and 3.3 all numbers are without a unit, of the others in payoffs.
    bare = {
        bound["name"]: bound["name"].startswith(("Proposition 3.2", "Proposition 3.3")) for bound in result["bounds"]
    }
    sizes = [result[key] for key in ("expl", "robust_expl", "lower", "upper")]
    sizes += [bound["true"] for bound in result["bounds"] if bound["name"] == "Proposition 3.1"]
    unit = max(map(abs, sizes))
    form = ".9f" if unit == 0 or 1e-2 <= unit < 1e7 else ".10g"
    interval = "[{}, {}]".format(*(number(settled(result[key], unit), form) for key in ("lower", "upper")))
    expl, value, least, gap = (
        payoff(x, unit) for x in (result["expl"], -result["expl"], result["robust_expl"], result["gap"])
    )
    lines = [
        f"budget {result['budget']!r}: the victim's exploitability is {expl}: under the worst attack its value is "
        f"{value} (exploitability is minus this value)",
        f"the most robust victim's is {least}: the gap is {gap}",
        f"the best value that any victim can be sure of lies in {interval}",
        f"both exploitabilities and this interval: {verdict}",
        "",
        "bounds on what an attack can change: true, sharp, as in the paper",
    ]
    for bound in result["bounds"]:
        vacuous = " (vacuous)" if bound["vacuous"] else ""
        numbers = ", ".join(
            "none" if bound[key] is None else number(settled(bound[key], 1.0 if bare[bound["name"]] else unit), ".4g")
            for key in ("true", "sharp", "paper")
        )
        lines.append(f"  {bound['name']}: {numbers}{vacuous}")
    return "\n".join([*lines, "", *certify_matches.text(result), "", result["run"]])
