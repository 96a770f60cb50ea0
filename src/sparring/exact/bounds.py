"""What the paper promises about an attack (sections 3 and D), beside what is true of a given game and attack.

The paper's rewards lie in [0, 1]. Here the least reward is subtracted first, so that they lie in [0, R]: values move by
a constant, and every bound on values and gradients is R times the paper's (DECISIONS 12).

The sharp constants come from a coupling: let both versions of the attacker's agent draw the same action wherever they
can. They differ at a decision with probability at most eps, and until they first do, both matches are the same one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from sparring.exact import markov
from sparring.exact.mismatch import largest_ratio, mismatch_cheap, mismatch_upper
from sparring.exact.problem import MarkovProblem
from sparring.exact.tree import TreeProblem, reach
from sparring.exact.tree_game import TERMINAL
from sparring.metrics.divergences import divergences

_VALUE = "|V(nu, benign) - V(nu, attacked)| <= 2 eps / (1 - gamma)^2"
_VISITATION = "|d(nu, benign) - d(nu, attacked)|_1 <= 2 gamma eps / (1 - gamma)"


@dataclass(frozen=True)
class Bound:
    """One inequality of the paper, in the game's own units: `true` is at most `sharp`, and that at most `paper`."""

    name: str
    statement: str
    true: float
    paper: float  # infinite where the paper's conditions fail
    sharp: float | None  # None where we know of nothing better; equal to `paper` where some game attains that
    trivial: float  # what holds of every attack anyway

    @property
    def slack(self) -> float:
        """How far the paper's bound lies above the truth."""
        return self.paper - self.true if math.isfinite(self.paper) else math.inf

    @property
    def vacuous(self) -> bool:
        """Whether the paper's bound says no more than what holds anyway."""
        return self.paper >= self.trivial


def bounds(
    problem: MarkovProblem | TreeProblem, nu: np.ndarray, alpha: np.ndarray, mismatch: bool = True
) -> list[Bound]:
    """Every bound that the paper has for this kind of game, for one victim and one adversarial policy.

    `paper` and `sharp` are rounded up by what rounding can have moved `true`, so that no bound lies below the truth.

    Args:
      problem: a Markov game (Props. 3.1, 3.2 and 3.3, Lemma D.1), or a tree (Props. 3.1 and 3.2, where the paper's
        constants are infinite, for nothing is discounted).
      nu: the victim's policy.
      alpha: the adversarial policy, before mixing.
      mismatch: whether to compute C of Def. 5.2 by `mismatch_upper`, one decision process a state; else
        `mismatch_cheap` takes its place in Lemma D.1's gradient domination.

    Raises:
      InputError: policies that do not fit a Markov game; a tree takes them as they are.
    """
    rounding = 64 * float(np.finfo(np.float64).eps)
    if isinstance(problem, TreeProblem):
        value, ends = tree_bounds(problem, nu, alpha)
        largest = float(np.abs(problem.tree.returns[:, problem.victim]).max())
        return [_outward(value, rounding, largest), _outward(ends, rounding, 2.0)]
    horizon = 1 / (1 - problem.game.gamma)
    rounding *= horizon  # the linear systems of values and visitations amplify it
    largest = _reward_range(problem) * horizon
    return [
        _outward(value_bound(problem, nu, alpha), rounding, largest),
        _outward(visitation_bound(problem, nu, alpha), rounding, 2.0),
        *(_outward(bound, rounding, 1.0) for bound in transition_bounds(problem, alpha)),
        *(_outward(bound, rounding, largest * horizon) for bound in gradient_bounds(problem, nu, alpha, mismatch)),
    ]


def value_bound(problem: MarkovProblem, nu: np.ndarray, alpha: np.ndarray) -> Bound:
    """Proposition 3.1, and the sharp constant eps / ((1 - gamma) (1 - gamma (1 - eps))) (DECISIONS 12).

    The coupled matches have paid alike up to step t with probability (1 - eps)^(t + 1) at least; sum the rest,
    gamma^t (1 - (1 - eps)^(t + 1)). Attained where an agent that should stay leaves for good and staying pays.
    """
    eps, gamma, unit, shifted = problem.budget, problem.game.gamma, _reward_range(problem), _from_zero(problem)
    return Bound(
        "Proposition 3.1",
        _VALUE,
        true=abs(shifted.value(nu, problem.benign) - shifted.value(nu, alpha)),
        paper=unit * 2 * eps / (1 - gamma) ** 2,
        sharp=unit * eps / ((1 - gamma) * (1 - gamma * (1 - eps))),
        trivial=unit / (1 - gamma),
    )


def visitation_bound(problem: MarkovProblem, nu: np.ndarray, alpha: np.ndarray) -> Bound:
    """Proposition 3.2, and the sharp constant 2 gamma eps / (1 - gamma (1 - eps)) (DECISIONS 12).

    The coupled matches are in the same state at step t with probability (1 - eps)^t at least, and the L1 distance is
    twice the total variation. Attained where an agent that should stay leaves for good.
    """
    game, eps, gamma = problem.game, problem.budget, problem.game.gamma
    benign = markov.visitation(game, nu, problem.benign)
    attacked = markov.visitation(game, nu, problem.played(alpha))
    return Bound(
        "Proposition 3.2",
        _VISITATION,
        true=float(np.abs(benign - attacked).sum()),
        paper=2 * gamma * eps / (1 - gamma),
        sharp=2 * gamma * eps / (1 - gamma * (1 - eps)),
        trivial=2.0,
    )


def transition_divergences(problem: MarkovProblem, alpha: np.ndarray) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    """Both sides of Proposition 3.3, for every state and action of the victim.

    Returns:
      For each divergence that of the next state's distribution as the victim sees it, float64 [S, A], and that of the
      attacker's agent's policy, float64 [S, 1].
    """
    played, P = problem.played(alpha), problem.game.P
    attacked, benign = (np.einsum("sabt,sb->sat", P, policy) for policy in (played, problem.benign))
    seen, done = divergences(attacked, benign), divergences(played, problem.benign)
    return {name: (seen[name], done[name][:, None]) for name in seen}


def transition_bounds(problem: MarkovProblem, alpha: np.ndarray) -> list[Bound]:
    """Proposition 3.3 for each divergence, the largest over states and victim's actions on either side.

    Equality holds where the next state gives the attacker's action away, so nothing sharper holds of every game.
    """
    found = []
    for name, (seen, done) in transition_divergences(problem, alpha).items():
        true, bound = float(seen.max()), float(done.max())
        trivial = 1.0 if name in ("total variation", "squared Hellinger") else math.inf
        statement = "D(P_nu(attacked) || P_nu(benign)) <= D(attacked || benign)"
        found.append(Bound(f"Proposition 3.3 ({name})", statement, true, bound, bound, trivial))
    return found


def gradient_bounds(problem: MarkovProblem, nu: np.ndarray, alpha: np.ndarray, mismatch: bool = True) -> list[Bound]:
    """Lemma D.1, on the game whose least reward is 0.

    Lipschitz: attained where one state pays R for ever, whatever is done. Smoothness is checked between (nu, alpha) and
    the pair of best responses to them. Gradient domination takes an upper estimate of C (see `bounds`); its sharp form
    has the true ratio of visitations at hand instead of C / (1 - gamma), as the first line of the paper's proof does.
    """
    game, unit, horizon = problem.game, _reward_range(problem), 1 / (1 - problem.game.gamma)
    shifted = _from_zero(problem)
    best_nu, best_alpha = shifted.victim_response(alpha), shifted.best_response(nu)
    value, (nu_slope, alpha_slope) = shifted.value(nu, alpha), shifted.gradient(nu, alpha)
    nu_other, alpha_other = shifted.gradient(best_nu.policy, best_alpha.policy)
    nu_root, alpha_root = (math.sqrt(actions) for actions in game.r.shape[1:])
    apart = nu_root * _norm(nu - best_nu.policy) + alpha_root * _norm(alpha - best_alpha.policy)
    d = markov.visitation(game, nu, problem.played(alpha))
    C = mismatch_upper(problem) if mismatch else mismatch_cheap(problem)
    nu_ratio = largest_ratio(markov.visitation(game, best_nu.policy, problem.played(alpha)), d)
    alpha_ratio = largest_ratio(markov.visitation(game, nu, problem.played(best_alpha.policy)), d)
    nu_constant = nu_root * horizon**2 * unit
    alpha_constant = problem.budget * alpha_root * horizon**2 * unit
    # What the best answer gains in truth, and to first order: max <gradient, change>, which a pure policy attains.
    nu_gain, nu_linear = best_nu.value - value, _gain(nu, nu_slope)
    alpha_gain, alpha_linear = value - best_alpha.value, _gain(alpha, -alpha_slope)
    trivial = unit * horizon
    return [
        _lipschitz("nu", "", nu_slope, nu_constant),
        _lipschitz("alpha", "eps ", alpha_slope, alpha_constant),
        _smoothness("nu", "", nu_slope - nu_other, nu_constant, horizon * apart),
        _smoothness("alpha", "eps ", alpha_slope - alpha_other, alpha_constant, horizon * apart),
        _domination("nu", nu_gain, nu_linear, C * horizon, nu_ratio, trivial),
        _domination("alpha", alpha_gain, alpha_linear, C * horizon, alpha_ratio, trivial),
    ]


def tree_bounds(problem: TreeProblem, nu: np.ndarray, alpha: np.ndarray) -> list[Bound]:
    """Propositions 3.1 and 3.2 without a discount, where the paper's constants are infinite.

    With K the most decisions of the attacker on a path, the coupled matches are the same one to the end with
    probability (1 - eps)^K at least; in the rest their returns differ by R at most. Attained by K chances to leave.
    """
    leaves = (problem.tree.actor == TERMINAL) & (problem.nodes.weight > 0)
    returns = problem.tree.returns[leaves, problem.victim]
    unit = float(np.ptp(returns))
    differ = 1 - (1 - problem.budget) ** most_decisions(problem)
    ends = reach(problem, nu, problem.benign)[leaves] - reach(problem, nu, alpha)[leaves]
    return [
        Bound(
            "Proposition 3.1",
            _VALUE,
            true=abs(problem.value(nu, problem.benign) - problem.value(nu, alpha)),
            paper=math.inf,
            sharp=unit * differ,
            trivial=unit,
        ),
        Bound(
            "Proposition 3.2",
            f"{_VISITATION}, d over the ends of the match",
            true=float(np.abs(ends).sum()),
            paper=math.inf,
            sharp=2 * differ,
            trivial=2.0,
        ),
    ]


def most_decisions(problem: TreeProblem) -> int:
    """The largest number of the attackers' real decisions (more than one action) on a path from the root."""
    tree = problem.tree
    decides = np.isin(tree.actor, problem.attackers) & (tree.count > 1)
    made = np.zeros(len(tree.actor), np.int64)
    for begin, end in pairwise(tree.level[1:]):
        parent = tree.parent[begin:end]
        made[begin:end] = made[parent] + decides[parent]
    return int(made[problem.nodes.weight > 0].max())


def _outward(bound: Bound, rounding: float, unit: float) -> Bound:
    """The bound with its right sides raised by a share `rounding` of themselves and of `unit`, the size of a term."""

    def up(number: float) -> float:
        return number + rounding * (number + unit)

    return replace(bound, paper=up(bound.paper), sharp=None if bound.sharp is None else up(bound.sharp))


def _lipschitz(agent: str, eps: str, slope: np.ndarray, constant: float) -> Bound:
    statement = f"|grad_{agent} J| <= {eps}sqrt(A_{agent}) / (1 - gamma)^2"
    return Bound(f"Lemma D.1 (Lipschitz, {agent})", statement, _norm(slope), constant, constant, math.inf)


def _smoothness(agent: str, eps: str, change: np.ndarray, constant: float, apart: float) -> Bound:
    statement = (
        f"|grad_{agent} J - grad_{agent} J'| <= 2 {eps}sqrt(A_{agent}) / (1 - gamma)^3 "
        "(sqrt(A_nu) |nu - nu'| + sqrt(A_alpha) |alpha - alpha'|)"
    )
    # Both gradients are as long as `constant` at most, and neither has a negative entry.
    trivial = math.sqrt(2) * constant
    return Bound(f"Lemma D.1 (smoothness, {agent})", statement, _norm(change), 2 * constant * apart, None, trivial)


def _domination(agent: str, gain: float, linear: float, paper: float, ratio: float, trivial: float) -> Bound:
    statement = f"what the best response gains on {agent} <= C / (1 - gamma) max <grad_{agent} J, change of {agent}>"
    # An infinite coefficient promises nothing, not even where the gradient is 0.
    least, most = (c * linear if math.isfinite(c) else math.inf for c in (ratio, paper))
    return Bound(f"Lemma D.1 (gradient domination, {agent})", statement, max(gain, 0.0), most, least, trivial)


def _gain(policy: np.ndarray, slope: np.ndarray) -> float:
    return float((slope.max(axis=1) - (policy * slope).sum(axis=1)).sum())


def _from_zero(problem: MarkovProblem) -> MarkovProblem:
    """The problem with its least reward at 0, so that differences of values have no digits to lose."""
    game = problem.game
    return replace(problem, game=replace(game, r=game.r - game.r.min()))


def _reward_range(problem: MarkovProblem) -> float:
    return float(np.ptp(problem.game.r))


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array))
