"""Exact answers as functions of a game, a victim and a threat: the Python interface of finite games."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparring.errors import InputError, unknown
from sparring.oracles.exact import check_answerable, enough_memory, without_horizon
from sparring.oracles.seating import maker
from sparring.oracles.tables import table
from sparring.types import ThreatModel

if TYPE_CHECKING:
    from sparring.exact.certificate import Certificate
    from sparring.exact.finite import FiniteProblem
    from sparring.exact.problem import Response
    from sparring.games.finite import FiniteGame


def exploitability(game: Any, victim: Any, threat: ThreatModel) -> float:
    """Def. 4.1: minus the victim's worst-case value under the threat (one-sided, not NashConv: DECISIONS 4).

    Args:
      game: a finite game, its id, or a `pyspiel.Game`.
      victim: a policy's name, a `Policy`, action probabilities float64 [I, A], a dictionary {information state:
        {action: probability}}, or OpenSpiel's own policy.
      threat: who attacks, through whom and with what budget; its benign policies may be any of these, too.
        Whoever is not in it plays uniformly. One victim.

    Raises:
      InputError: a game that can only be simulated, policies that do not fit it, agents that it does not have, control
        that is not drawn at every step, one coin for a team, several victims, or too little memory.
    """
    return -best_response(game, victim, threat).value


def best_response(game: Any, victim: Any, threat: ThreatModel) -> Response:
    """The adversarial policy that hurts the victim most under the threat, float64 [T, B], and the victim's value.

    Args and errors: as `exploitability`. Ties go to the lowest index (DECISIONS 7).
    """
    finite, problem = _problem(game, threat)
    with enough_memory(finite.id):
        return problem.best_response(table(victim, finite, threat.victim))


def robust_policy(game: Any, threat: ThreatModel) -> Certificate:
    """The victim of least exploitability under the threat (DECISIONS 3), with a certificate for `verify`.

    Args and errors: as `exploitability`.
    """
    from sparring.exact.robust import robust

    finite, problem = _problem(game, threat)
    with enough_memory(finite.id):
        return robust(problem)


def _problem(game: Any, threat: ThreatModel) -> tuple[FiniteGame, FiniteProblem]:
    from sparring.games.finite import finite, problem

    if not isinstance(threat, ThreatModel):
        raise InputError(f"threat: expected a ThreatModel, got {type(threat).__name__}")
    name, make = maker(game)
    if (found := finite(make(1))) is None:
        raise InputError(f"{name} can only be simulated: an exact answer needs a matrix, Markov or openspiel game")
    without_horizon(found)
    others = threat.others or {}
    for agent in (*threat.victims, *threat.attackers, *threat.benign, *others):
        if agent not in found.agents:
            raise unknown(f"agent of {found.id}", agent, found.agents)
    check_answerable(threat)
    with enough_memory(found.id):
        benign = {agent: table(threat.benign[agent], found, agent) for agent in threat.attackers}
        fixed = {agent: table(policy, found, agent) for agent, policy in others.items()}
        return found, problem(found, threat.victim, threat.attackers, benign, threat.budget, fixed)
