"""J_eps (Def. 5.1): what a finite game becomes once a benign policy and a budget are given; one face for every kind.

Dynamics, robust policies, certificates and commands see only this. Policies are tables float64 [rows, actions], one row
per decision point (state, information set; one row in a matrix game); columns beyond a row's legal actions are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from sparring.errors import InputError
from sparring.exact import markov
from sparring.exact.markov_game import MarkovGame
from sparring.exact.rows import distributions
from sparring.types import check_budget

ROUNDING = 1e-13  # of the size of what is summed up: by how much two computed values may be apart that are equal
SOLVED = 64 * float(np.finfo(np.float64).eps)  # the same where a linear system is solved, by its condition


class Response(NamedTuple):
    """A best response and the value of J_eps that it reaches."""

    policy: np.ndarray  # float64 [rows, actions], deterministic
    value: float  # the victim's


class Met(NamedTuple):
    """The values that one victim can have, whatever the attacker's agent does."""

    low: float
    high: float
    rounding: float  # what two of them, as they are computed, may be apart where they are equal


class Problem(Protocol):
    """The victim maximises J_eps(nu, alpha), the attacker minimises it. Policies are not checked: see `fitting`."""

    @property
    def budget(self) -> float: ...
    @property
    def scale(self) -> float:
        """The unit of tolerances, in the victim's payoffs: see `scale_of`."""
        ...

    @property
    def benign(self) -> np.ndarray:
        """The attacker's agent's own policy, float64 [T, B]."""
        ...

    @property
    def victim_actions(self) -> np.ndarray:
        """Number of legal actions in each row of the victim's policy, int64 [S]."""
        ...

    @property
    def attacker_actions(self) -> np.ndarray:
        """Number of legal actions in each row of the attacker's policy, int64 [T]."""
        ...

    def met(self, nu: np.ndarray) -> Met:
        """What this victim can have, whatever the attacker's agent does."""
        ...

    def value(self, nu: np.ndarray, alpha: np.ndarray) -> float:
        """J_eps(nu, alpha): the attacker's agent plays (1 - eps) benign + eps alpha (Eq. 3.2)."""
        ...

    def best_response(self, nu: np.ndarray) -> Response:
        """The alpha that minimises J_eps(nu, .); ties go to the lowest index (DECISIONS 7)."""
        ...

    def victim_response(self, alpha: np.ndarray) -> Response:
        """The nu that maximises J_eps(., alpha); ties go to the lowest index."""
        ...

    def gradient(self, nu: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of J_eps in nu and in alpha, the latter with the factor eps (Lemma D.1, DECISIONS 13)."""
        ...

    def victim_gradient(self, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """The first of the two alone, all that Algorithm 1 needs."""
        ...

    def average(self, policies: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
        """The victim's policy that plays each of `policies` with a probability proportional to its weight.

        In trees exact (realisation plans are averaged, DECISIONS 4); in Markov games the average row by row.
        """
        ...

    def average_attacker(self, policies: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
        """The same for adversarial policies, before mixing."""
        ...


def exploitability(problem: Problem, nu: np.ndarray) -> float:
    """Def. 4.1: minus the worst-case value of `nu` under the budget (one-sided, not NashConv: DECISIONS 4)."""
    return -problem.best_response(nu).value


def fitting(policy: np.ndarray, actions: np.ndarray, what: str) -> np.ndarray:
    """`policy` as float64, if it is a table of distributions over the legal actions, int64 [S], of each row.

    Raises:
      InputError: it is not; `what` is named.
    """
    policy = distributions(policy, (len(actions), int(actions.max(initial=1))), what)
    if (bad := policy[~legal(actions)]).any():
        row = np.argwhere((policy > 0) & ~legal(actions))[0].tolist()
        raise InputError(f"{what}{row}: expected no probability on illegal actions, got {bad.max():g}")
    return policy


def scale_of(payoffs: np.ndarray, horizon: float = 1.0) -> float:
    """How far apart the victim's values in a game can be: what a difference of values is small or large against.

    Where that is hardly anything, a thousandth of the largest value, of which rounding takes its share anyway.

    Args:
      payoffs: all that the victim can be paid, float [n].
      horizon: how often it is paid that: 1 / (1 - gamma) in a discounted game.
    """
    if not len(payoffs):
        return 0.0
    return horizon * max(float(np.ptp(payoffs)), float(np.abs(payoffs).max()) / 1000)


def uniform(actions: np.ndarray) -> np.ndarray:
    """The policy that plays each of a row's legal actions alike; `actions` int64 [S] are their numbers."""
    return legal(actions) / actions[:, None]


def legal(actions: np.ndarray) -> np.ndarray:
    """bool [S, A]: which columns are legal actions."""
    return np.arange(actions.max(initial=1))[None] < actions[:, None]


@dataclass(frozen=True, eq=False)
class MarkovProblem:
    """A discounted Markov game (section 2), the victim in the first seat; a matrix game is one of gamma 0.

    Raises:
      InputError: a benign policy that does not fit, or a budget outside [0, 1].
    """

    game: MarkovGame
    benign: np.ndarray
    budget: float

    def __post_init__(self) -> None:
        check_budget(self.budget)
        states, _, actions = self.game.r.shape
        object.__setattr__(self, "benign", distributions(self.benign, (states, actions), "benign policy"))

    @property
    def victim_actions(self) -> np.ndarray:
        return np.full(self.game.r.shape[0], self.game.r.shape[1])

    @property
    def attacker_actions(self) -> np.ndarray:
        return np.full(self.game.r.shape[0], self.game.r.shape[2])

    @property
    def scale(self) -> float:
        return scale_of(self.game.r[markov.reachable(self.game)].ravel(), 1 / (1 - self.game.gamma))

    def met(self, nu: np.ndarray) -> Met:
        states, rho = markov.reachable(self.game, nu), self.game.rho
        least, most = markov.extremes(self.game, nu)
        sizes = [np.abs(part).max() for part in (self.game.r[states][nu[states] > 0], least[states], most[states])]
        # Solving for the values may magnify rounding by the condition of I - gamma P.
        rounding = max(sizes) * max(ROUNDING, SOLVED / (1 - self.game.gamma))
        return Met(float(rho @ least), float(rho @ most), float(rounding))

    def played(self, alpha: np.ndarray) -> np.ndarray:
        """Eq. 3.2: what the attacker's agent plays in the end."""
        return (1 - self.budget) * self.benign + self.budget * alpha

    def value(self, nu: np.ndarray, alpha: np.ndarray) -> float:
        return markov.expected_value(self.game, nu, self.played(alpha))

    def best_response(self, nu: np.ndarray) -> Response:
        return Response(*markov.best_response(self.game, nu, self.benign, self.budget))

    def victim_response(self, alpha: np.ndarray) -> Response:
        return Response(*markov.victim_response(self.game, self.played(alpha)))

    def gradient(self, nu: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return markov.gradient(self.game, nu, alpha, self.benign, self.budget)

    def victim_gradient(self, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        return self.gradient(nu, alpha)[0]

    def average(self, policies: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
        return np.average(policies, axis=0, weights=weights)

    def average_attacker(self, policies: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
        return np.average(policies, axis=0, weights=weights)
