"""The victim whose worst case under the budget is best: what no hardening can beat (the maximum in Eq. 3.3).

One linear program for a matrix game or a tree, Hoffman-Karp iteration over matrix games for a Markov game
(DECISIONS 3). Values are never the solver's own: the exact oracles recompute them for the policies that it found
(DECISIONS 14).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.exact import markov
from sparring.exact.certificate import Certificate, certificate
from sparring.exact.problem import MarkovProblem, Problem, legal
from sparring.exact.tree import TreeProblem, behaviour

REFINEMENTS = 3
NEARER = (1e3, 1e6, 1e9)
DIGITS = 4 * float(np.finfo(np.float64).eps)  # of usual payoffs: what is left open of a value, and is rounding
UNSETTLED = 1e-9  # of the value: what is left open of it, and is worth another try
ROUNDING = 64 * float(np.finfo(np.float64).eps)
TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def robust(problem: Problem) -> Certificate:
    """The victim's policy of least exploitability under the budget, and an attacker that proves it is least.

    Raises:
      InputError: a problem of another kind than matrix, Markov or tree.
      RuntimeError: the linear program could not be solved.
    """
    if problem.budget == 0:
        # Nothing that the attacker wants counts: any alpha will do.
        nu = problem.victim_response(problem.benign).policy
        return certificate(problem, nu, problem.best_response(nu).policy)
    if isinstance(problem, MarkovProblem):
        return certificate(problem, *_markov(problem))
    if isinstance(problem, TreeProblem):
        return certificate(problem, *_tree(problem))
    raise InputError(f"robust: expected a MarkovProblem or a TreeProblem, got {type(problem).__name__}")


def _markov(problem: MarkovProblem) -> tuple[np.ndarray, np.ndarray]:
    """Hoffman-Karp iteration on the game with the budget in it (r_mix and P_mix of D.3).

    The attacker solves every state's matrix game, given the values of the states that follow; the victim then responds
    to it in the whole game, and what that is worth are the next values. They fall until they are those of the game.
    """
    game = problem.game
    values, fell = _answer(problem, problem.benign), np.inf
    while True:
        onwards = game.r + game.gamma * game.P @ values
        benign = np.einsum("sab,sb->sa", onwards, problem.benign)[:, :, None]
        nu, alpha = matrix_games((1 - problem.budget) * benign + problem.budget * onwards)
        answer = _answer(problem, alpha)
        # Each state by its own payoffs: one that is paid much must not hide what another one still loses.
        sizes = np.abs(game.r).max(axis=(1, 2)) + game.gamma * (game.P @ np.abs(values)).max(axis=(1, 2))
        before, fell = fell, float(((values - answer) / np.where(sizes > 0, sizes, 1.0)).max())
        if fell <= ROUNDING or (fell < 1e-9 and fell > before / 2):
            return nu, alpha
        values = answer


def _answer(problem: MarkovProblem, alpha: np.ndarray) -> np.ndarray:
    """What every state is worth to a victim that knows `alpha`, float64 [S]."""
    played = problem.played(alpha)
    return markov.value(problem.game, markov.victim_response(problem.game, played).policy, played)


def matrix_games(payoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Optimal strategies [S, A] and [S, B] of S matrix games [S, A, B].

    Payoffs far from a game's value can be so large that the solver does not see the others. Where a solution leaves the
    value open, the game is solved again with payoffs that lie no further away than so many times what was open; what
    is better in the game as it is stays.
    """
    row, column = _matrix_games(payoffs)
    low, high = (row[:, None] @ payoffs)[:, 0].min(axis=1), (payoffs @ column[..., None])[..., 0].max(axis=1)
    first = high - low
    blind = first > DIGITS * np.median(np.abs(payoffs), axis=(1, 2))
    for times in NEARER:
        far = blind & (high - low > UNSETTLED * np.maximum(np.abs(low), np.abs(high)))
        if not far.any():
            break
        ends = (low - times * first)[far, None, None], (high + times * first)[far, None, None]
        rows, columns = _matrix_games(payoffs[far].clip(*ends))
        lows = (rows[:, None] @ payoffs[far])[:, 0].min(axis=1)
        highs = (payoffs[far] @ columns[..., None])[..., 0].max(axis=1)
        index = np.flatnonzero(far)
        better, closer = lows > low[index], highs < high[index]
        row[index[better]], low[index[better]] = rows[better], lows[better]
        column[index[closer]], high[index[closer]] = columns[closer], highs[closer]
    return row, column


def _matrix_games(payoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by one linear program of S blocks.

    Columns: the row players' x(s, a), slacks l(s, b), values v(s). Rows: sum_a x(s, a) payoffs(s, a, b) is
    v(s) + l(s, b), and sum_a x(s, a) is 1. The column players' strategies are the reduced costs of the slacks.
    """
    from scipy import sparse

    # The solver's tolerances are absolute, and payoffs far from 1 would make them mean anything (DECISIONS 14).
    low, high = payoffs.min(axis=(1, 2), keepdims=True), payoffs.max(axis=(1, 2), keepdims=True)
    payoffs = (payoffs - low) / np.where(high > low, high - low, 1.0)
    states, rows, columns = payoffs.shape
    ones = sparse.eye_array(states)
    matrix = sparse.block_array(
        [
            [
                sparse.block_diag(payoffs.transpose(0, 2, 1)),
                -sparse.eye_array(states * columns),
                -sparse.kron(ones, np.ones((columns, 1))),
            ],
            [sparse.kron(ones, np.ones((1, rows))), None, None],
        ]
    )
    free = np.arange(states * (rows + columns + 1)) >= states * (rows + columns)
    right = np.arange(states * (columns + 1)) >= states * columns
    solution, reduced = _linear_program(free.astype(float), matrix, right.astype(float), free)
    row = np.maximum(solution[: states * rows], 0.0).reshape(states, rows)
    column = np.maximum(reduced[states * rows : -states], 0.0).reshape(states, columns)
    return row / row.sum(axis=1, keepdims=True), column / column.sum(axis=1, keepdims=True)


def _tree(problem: TreeProblem) -> tuple[np.ndarray, np.ndarray]:
    """The sequence-form program (von Stengel 1996) with the budget in it (DECISIONS 3).

    Against the victim's plan x, the attacker's sequence (I, a) is worth Z(I, a), the least of which is m(I). With
    slacks l(I, a) = Z(I, a) - m(I) >= 0 the set is worth W(I) = (1 - eps) sum_a benign(a|I) Z(I, a) + eps m(I)
    = m(I) + (1 - eps) sum_a benign(a|I) l(I, a). Columns: x, l, m. Rows: Z(I, a) = m(I) + l(I, a), and x is a plan.
    The dual solution is what the attacker's agent plays, y, and the slack of (I, a) has the reduced cost
    y(I, a) - (1 - eps) benign(a|I) y(I) = eps alpha(a|I) y(I).
    """
    from scipy import sparse

    mine, theirs, pairs = problem.victim_sequences, problem.attacker_sequences, problem.payoffs
    i, a = np.nonzero(legal(theirs.count))
    sets, sequence = np.arange(len(theirs.parent)), 1 + i * theirs.width + a
    slack, least = mine.size + sequence - 1, mine.size + theirs.size - 1
    # The solver's tolerances are absolute.
    scale = np.abs(pairs.value).max(initial=0.0) or 1.0
    entries = [
        (pairs.attacker, pairs.victim, pairs.value / scale),
        (theirs.parent, least + sets, np.ones(len(sets))),
        (theirs.parent[i], slack, (1 - problem.budget) * problem.benign[i, a]),
        (sequence, slack, -np.ones(len(sequence))),
        (sequence, least + i, -np.ones(len(sequence))),
    ]
    # Row 0, the empty sequence's Z, is what the victim maximises; the rows of its own plan come after all others.
    i, a = np.nonzero(legal(mine.count))
    sets = theirs.size + 1 + np.arange(len(mine.parent))
    entries += [
        (theirs.size + 1 + i, 1 + i * mine.width + a, np.ones(len(i))),
        (sets, mine.parent, -np.ones(len(sets))),
        (np.array([theirs.size]), np.array([0]), np.ones(1)),
    ]
    row, column, coefficient = (np.concatenate(part) for part in zip(*entries, strict=True))
    shape = (theirs.size + 1 + len(mine.parent), least + len(theirs.parent))
    matrix = sparse.coo_array((coefficient, (row, column)), shape).tocsr()
    right, free = np.zeros(shape[0]), np.arange(shape[1]) >= least
    right[theirs.size] = 1.0
    solution, reduced = _linear_program(matrix[[0]].toarray()[0], matrix[1:], right[1:], free)
    shares = np.append(1.0, np.maximum(reduced[mine.size : least], 0.0))
    return behaviour(mine, np.maximum(solution[: mine.size], 0.0)), behaviour(theirs, shares)


def _linear_program(
    gain: np.ndarray, matrix: Any, right: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Maximise gain z over matrix z = right, where z >= 0 unless free [n]; returns z [n] and its reduced costs [n].

    What the solver leaves violated is solved for again, magnified to size one (iterative refinement, Gleixner et al.
    2016): on badly scaled payoffs one solve is off by more than its tolerance (DECISIONS 14).
    """
    from scipy.optimize import linprog

    solution, prices, magnified = np.zeros(len(gain)), np.zeros(len(right)), 1.0
    reduced, missing = -gain, right
    for _ in range(REFINEMENTS):
        bounds = np.stack([np.where(free, -np.inf, -magnified * solution), np.full(len(free), np.inf)], axis=1)
        program = (magnified * reduced, None, None, matrix, magnified * missing, bounds, "highs-ds")
        # Rarely rounding makes the solver give up; it does not without presolve, or with its own tolerances.
        for options in ({**TIGHT, "presolve": True}, {**TIGHT, "presolve": False}, {}):
            result = linprog(*program, options=options)
            if result.x is not None:
                break
        if result.x is None and magnified > 1.0:
            break  # some remainders defeat the solver: what was found stays, and the certificate's gap tells
        if result.x is None:
            raise RuntimeError(f"the linear program was not solved: {result.message}")
        solution = solution + result.x / magnified
        prices = prices + result.eqlin.marginals / magnified
        reduced, missing = -gain - matrix.T @ prices, right - matrix @ solution
        violation = np.concatenate([-solution[~free], -reduced[~free], np.abs(reduced[free]), np.abs(missing)]).max()
        if violation < 1e-12:
            break
        magnified = 1 / violation
    return solution, reduced
