"""One step of magnetic mirror descent (Sokota et al. 2023, arXiv 2206.05825) with entropy, in every kind of problem.

Both sides step at once on J_eps(nu, alpha) + tau H(nu) - tau H(alpha): a proximal step of length eta, in which distance
is what the negative entropy makes of it. The magnet is the policy of most entropy, to which tau draws both sides; so
the last iterate converges for a constant tau and a small eta (their Theorem 3.4: eta at most tau over the square of the
largest payoff is small enough).

| problem | H | the magnet |
|---|---|---|
| matrix and Markov games | the sum of the entropies of the rows | uniform in each row |
| trees | dilated: the entropy of a set times the own reach of it | uniform over reduced pure strategies |
"""

from __future__ import annotations

import numpy as np

from sparring.exact.compiled import njit
from sparring.exact.problem import Problem
from sparring.exact.tree import Sequences, TreeProblem, plan


def mirror_step(
    problem: Problem, nu: np.ndarray, alpha: np.ndarray, eta: float, tau: float
) -> tuple[np.ndarray, np.ndarray]:
    """Both policies after one step from `nu` [S, A] and `alpha` [T, B].

    In matrix and Markov games nu' is proportional to (nu exp(eta q))^(1 / (1 + eta tau)) in each row, with q the
    problem's own gradient: the true one, for alpha with the factor eps (Lemma D.1, DECISIONS 13). The uniform magnet's
    power is the same for all actions, and cancels.

    In trees the step is that of realisation plans (see `_dilated`), whatever the problem's `direction` is: actions
    count as in the counterfactual gradient, without own reach (DECISIONS 9).

    Args:
      problem: the problem.
      nu: the victim's policy. An action of probability 0 stays at 0.
      alpha: the adversarial policy, before mixing; likewise.
      eta: length of the step, in units of 1 / payoff.
      tau: temperature, in payoffs.
    """
    keep = 1 / (1 + eta * tau)
    if isinstance(problem, TreeProblem):
        return _tree_step(problem, nu, alpha, eta, keep)
    up, down = problem.gradient(nu, alpha)
    return _row_step(nu, eta * up, keep), _row_step(alpha, -eta * down, keep)


def _row_step(policy: np.ndarray, ascent: np.ndarray, keep: float) -> np.ndarray:
    logits = keep * (_logarithm(policy) + ascent)
    weight = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def _tree_step(
    problem: TreeProblem, nu: np.ndarray, alpha: np.ndarray, eta: float, keep: float
) -> tuple[np.ndarray, np.ndarray]:
    mine, theirs, pairs = problem.victim_sequences, problem.attacker_sequences, problem.payoffs
    x, y = plan(mine, nu), plan(theirs, problem.played(alpha))
    cost_of_victim = np.bincount(pairs.victim, -pairs.value * y[pairs.attacker], mine.size)
    cost_of_attacker = np.bincount(pairs.attacker, pairs.value * x[pairs.victim], theirs.size)

    def stepped(own: Sequences, policy: np.ndarray, benign: np.ndarray, eps: float, cost: np.ndarray) -> np.ndarray:
        return _dilated(own.parent, own.count, benign, eps, keep * _logarithm(policy), eta * keep * cost)

    return (
        stepped(mine, nu, np.zeros_like(nu), 1.0, cost_of_victim),  # the victim is its own master
        stepped(theirs, alpha, problem.benign, float(problem.budget), cost_of_attacker),
    )


def _logarithm(policy: np.ndarray) -> np.ndarray:
    return np.log(policy, out=np.full(policy.shape, -np.inf), where=policy > 0)


@njit(cache=True)
def _dilated(parent, count, benign, eps, logarithm, cost):
    """The policy [I, A] whose plan minimises a linear cost [1 + I A] plus the dilated negative entropy.

    The plan y of what is played is that of (1 - eps) benign + eps p, and the entropy is that of p: psi(y) is the sum
    over sets of y(I) sum_a p(a|I) log p(a|I). The proximal step minimises <eta g, y> + eta tau psi(y) + B(y; y_t), B
    the divergence of psi. Its gradient at y_t leaves log p_t(a|I) / (1 + eta tau) in the logits of set I, and what else
    is in it cancels between a set and the sequence that leads there. With Z(I, a) the cost of a sequence and of the
    sets that follow it, and l(I, a) that logarithm,

      p(a|I) is proportional to exp(l(I, a) - eps Z(I, a)), and
      W(I) = (1 - eps) sum_a benign(a|I) Z(I, a) - log sum_a exp(l(I, a) - eps Z(I, a))

    is what set I adds to the sequence before it: the recursion of DECISIONS 2 with a soft minimum. The factor eps is
    that of the gradient in alpha (DECISIONS 13).
    """
    width = benign.shape[1]
    onwards = cost.copy()
    policy = np.zeros_like(benign)
    for i in range(len(parent) - 1, -1, -1):
        first = 1 + i * width
        top = -np.inf
        for j in range(count[i]):
            policy[i, j] = logarithm[i, j] - eps * onwards[first + j]
            top = max(top, policy[i, j])
        total = 0.0
        for j in range(count[i]):
            policy[i, j] = np.exp(policy[i, j] - top)
            total += policy[i, j]
        worth = -(top + np.log(total))
        for j in range(count[i]):
            policy[i, j] /= total
            worth += (1 - eps) * benign[i, j] * onwards[first + j]
        onwards[parent[i]] += worth
    return policy
