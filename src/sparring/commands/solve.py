"""Exact answers as functions of a game, a victim and a threat: the Python interface of finite games."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparring.errors import InputError
from sparring.oracles.tables import table
from sparring.types import Game, ThreatModel

if TYPE_CHECKING:
    from sparring.exact.certificate import Certificate
    from sparring.exact.finite import FiniteProblem
    from sparring.exact.problem import Response
    from sparring.games.finite import FiniteGame


def exploitability(game: Game | str, victim: Any, threat: ThreatModel) -> float:
    """Def. 4.1: minus the victim's worst-case value under the threat (one-sided, not NashConv: DECISIONS 4).

    Args:
      game: a finite game, or its id.
      victim: a policy's name, a `Policy`, or action probabilities float64 [I, A].
      threat: who attacks, through whom and with what budget; its benign policies may be names or probabilities, too.
        Whoever is not in it plays uniformly.

    Raises:
      InputError: a game that can only be simulated, or policies that do not fit it.
    """
    return -best_response(game, victim, threat).value


def best_response(game: Game | str, victim: Any, threat: ThreatModel) -> Response:
    """The adversarial policy that hurts the victim most under the threat, float64 [T, B], and the victim's value.

    Args and errors: as `exploitability`. Ties go to the lowest index (DECISIONS 7).
    """
    finite, problem = _problem(game, threat)
    return problem.best_response(table(victim, finite, threat.victim))


def robust_policy(game: Game | str, threat: ThreatModel) -> Certificate:
    """The victim of least exploitability under the threat (DECISIONS 3), with a certificate for `verify`.

    Args and errors: as `exploitability`.
    """
    from sparring.exact.robust import robust

    return robust(_problem(game, threat)[1])


def _problem(game: Game | str, threat: ThreatModel) -> tuple[FiniteGame, FiniteProblem]:
    from sparring.errors import unknown
    from sparring.games import make
    from sparring.games.finite import finite, problem

    made = make(game) if isinstance(game, str) else game
    if (found := finite(made)) is None:
        raise InputError(f"{made.id} can only be simulated: an exact answer needs a matrix, Markov or openspiel game")
    for agent in (threat.victim, *threat.attackers):
        if agent not in found.agents:
            raise unknown(f"agent of {found.id}", agent, found.agents)
    benign = {agent: table(threat.benign[agent], found, agent) for agent in threat.attackers}
    return found, problem(found, threat.victim, threat.attackers, benign, threat.budget)
