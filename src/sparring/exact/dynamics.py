"""Learning dynamics with exact gradients and best responses, over any `Problem`: sections 4 and C, and beyond.

Every method is a generator without end. It yields its start and then the state after each update; whatever it yields
can be the start of another run, which goes on in the same way. Starts of gradient methods belong in the interior:
where a policy gives no probability, softmax steps never give any, and true gradients in trees vanish (DECISIONS 9).

| in the paper | here |
|---|---|
| SGDA; with eta_nu << eta_alpha Algorithm 2, two timescales (DECISIONS 6) | `simultaneous` |
| AGDA | `alternating` |
| SIBR, AIBR | `simultaneous_best_response`, `alternating_best_response` |
| GAMin, which is Algorithm 1 with a constant step | `min_oracle` |

The double oracle, which solves linear programs, is in `sparring.exact.double_oracle`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.exact.magnetic import mirror_step
from sparring.exact.problem import Problem
from sparring.exact.simplex import project

Schedule = Callable[[int], float]


class Iterate(NamedTuple):
    """Where a method stands after `t` updates."""

    nu: np.ndarray  # float64 [S, A], the victim's policy
    alpha: np.ndarray  # float64 [T, B], the adversarial policy, before mixing
    t: int = 0
    step: float = 1.0  # the victim's step size from here on: the weight of nu in the output rule of Algorithms 1 and 2
    base: tuple[np.ndarray, np.ndarray] | None = None  # `optimistic` alone: the two points that steps start from
    populations: tuple[np.ndarray, np.ndarray] | None = None  # `double_oracle` alone: [k, S, A] and [m, T, B]


def saved(iterate: Iterate) -> dict[str, np.ndarray]:
    """An iterate as arrays, from which `restored` makes it again, bit for bit."""
    arrays = {name: np.asarray(getattr(iterate, name)) for name in ("nu", "alpha", "t", "step")}
    for name in ("base", "populations"):
        if (pair := getattr(iterate, name)) is not None:
            arrays |= {f"{name}/victim": pair[0], f"{name}/attacker": pair[1]}
    return arrays


def restored(arrays: Mapping[str, np.ndarray]) -> Iterate:
    """The iterate of which `saved` made `arrays`; others among them are not read."""
    pairs = {
        name: (arrays[f"{name}/victim"], arrays[f"{name}/attacker"])
        for name in ("base", "populations")
        if f"{name}/victim" in arrays
    }
    return Iterate(arrays["nu"], arrays["alpha"], int(arrays["t"]), float(arrays["step"]), **pairs)


def power(eta: float, exponent: float = 0.0) -> Schedule:
    """eta (t + 1)^-exponent: constant for 0, the inverse square root for 1/2.

    Raises:
      InputError: a negative or non-finite number.
    """
    if not (math.isfinite(eta) and eta >= 0 and math.isfinite(exponent) and exponent >= 0):
        raise InputError(f"step size: expected eta and exponent finite and at least 0, got {eta} and {exponent}")
    return lambda t: eta * (t + 1) ** -exponent


def simultaneous(problem: Problem, start: Iterate, eta_nu: Schedule, eta_alpha: Schedule) -> Iterator[Iterate]:
    """Gradient descent ascent, both sides from the same point: SGDA of section C, and Algorithm 2.

    nu' = P(nu + eta_nu grad_nu J(nu, alpha)), alpha' = P(alpha - eta_alpha grad_alpha J(nu, alpha)). One timescale if
    the step sizes are alike, two if eta_alpha is much larger, retraining by gradients if eta_alpha is 0.
    """
    step = _projected_step(problem)
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t, eta_nu(t))
        nu, alpha = step((nu, alpha), problem.gradient(nu, alpha), eta_nu(t), eta_alpha(t))
        t += 1


def alternating(problem: Problem, start: Iterate, eta_nu: Schedule, eta_alpha: Schedule) -> Iterator[Iterate]:
    """AGDA of section C: the attacker moves first, the victim's gradient sees where it went (DECISIONS 6)."""
    step = _projected_step(problem)
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t, eta_nu(t))
        alpha = step((nu, alpha), problem.gradient(nu, alpha), 0.0, eta_alpha(t))[1]
        nu = step((nu, alpha), problem.gradient(nu, alpha), eta_nu(t), 0.0)[0]
        t += 1


def min_oracle(problem: Problem, start: Iterate, eta: Schedule) -> Iterator[Iterate]:
    """Algorithm 1, and GAMin of section C, which is the same: one step up against the attacker's best response.

    nu' = P(nu + eta grad_nu J(nu, alpha')) with alpha' = arg min J(nu, .). The attacker's start is not used. With a
    constant step it settles at a distance of about eta from the optimum (DECISIONS 8).
    """
    actions = problem.victim_actions
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t, eta(t))
        alpha = problem.best_response(nu).policy
        nu = project(nu + eta(t) * problem.victim_gradient(nu, alpha), actions)
        t += 1


def simultaneous_best_response(problem: Problem, start: Iterate) -> Iterator[Iterate]:
    """SIBR of section C: each side's best response to what the other plays now (for nu an arg max: DECISIONS 6)."""
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t)
        nu, alpha = problem.victim_response(alpha).policy, problem.best_response(nu).policy
        t += 1


def alternating_best_response(problem: Problem, start: Iterate) -> Iterator[Iterate]:
    """AIBR of section C: the victim responds to the attacker's new best response, which is self-play at its purest."""
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t)
        alpha = problem.best_response(nu).policy
        nu = problem.victim_response(alpha).policy
        t += 1


def retrain(problem: Problem, start: Iterate) -> Iterator[Iterate]:
    """The victim's best response to one fixed attacker (section 4): nothing moves after the first update."""
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t)
        nu = problem.victim_response(alpha).policy
        t += 1


def fictitious_play(problem: Problem, start: Iterate) -> Iterator[Iterate]:
    """Best responses to the other's average so far (Brown 1951); both policies yielded are the averages.

    In trees realisation plans are averaged (DECISIONS 4), which makes it the play of whole strategies that converges.
    """
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t)
        weights = np.array([t + 1.0, 1.0])
        responses = problem.victim_response(alpha).policy, problem.best_response(nu).policy
        nu = problem.average([nu, responses[0]], weights)
        alpha = problem.average_attacker([alpha, responses[1]], weights)
        t += 1


def extragradient(problem: Problem, start: Iterate, eta_nu: Schedule, eta_alpha: Schedule) -> Iterator[Iterate]:
    """Steps from here, with the gradient of where a first step would lead (Korpelevich 1976); beyond the paper.

    In matrix games its last iterate converges for small constant steps.
    """
    step = _projected_step(problem)
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t, eta_nu(t))
        ahead = step((nu, alpha), problem.gradient(nu, alpha), eta_nu(t), eta_alpha(t))
        nu, alpha = step((nu, alpha), problem.gradient(*ahead), eta_nu(t), eta_alpha(t))
        t += 1


def optimistic(problem: Problem, start: Iterate, eta_nu: Schedule, eta_alpha: Schedule) -> Iterator[Iterate]:
    """As `extragradient`, with the last gradient in the place of the first one (Popov 1980); beyond the paper.

    A base moves by the gradient at the policies, base' = P(base + eta g), and the policies run ahead of it by the same
    gradient once more, P(base' + eta g): one gradient per update.
    """
    step = _projected_step(problem)
    nu, alpha, t = start.nu, start.alpha, start.t
    base = start.base or (nu, alpha)
    while True:
        yield Iterate(nu, alpha, t, eta_nu(t), base)
        gradient = problem.gradient(nu, alpha)
        base = step(base, gradient, eta_nu(t), eta_alpha(t))
        nu, alpha = step(base, gradient, eta_nu(t), eta_alpha(t))
        t += 1


def regularised(
    problem: Problem, start: Iterate, eta_nu: Schedule, eta_alpha: Schedule, tau: Schedule
) -> Iterator[Iterate]:
    """Softmax gradient descent ascent on J + tau H(nu) - tau H(alpha), tau annealed (Zeng et al. 2022, section 5).

    Entropies pull both sides inwards, so that the last iterate converges for a fixed tau, and follows as tau goes to 0.
    H is the sum over rows; the published entropy is discounted along the match, which is the same in matrix games.
    """
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t, eta_nu(t))
        up, down = problem.gradient(nu, alpha)
        nu, alpha = (
            _softmax_step(nu, eta_nu(t), up, tau(t)),
            _softmax_step(alpha, eta_alpha(t), -down, tau(t)),
        )
        t += 1


def magnetic(problem: Problem, start: Iterate, eta: Schedule, tau: Schedule) -> Iterator[Iterate]:
    """Magnetic mirror descent on J + tau H(nu) - tau H(alpha) (Sokota et al. 2023); beyond the paper.

    In trees H is the dilated entropy of realisation plans, as in OpenSpiel's `mmd_dilated`, whose iterates at full
    control these are; in matrix and Markov games it is the sum over rows (see `sparring.exact.magnetic`). The last
    iterate converges for a constant tau to the equilibrium that tau bends, and to the game's own as tau falls to 0.
    """
    nu, alpha, t = start.nu, start.alpha, start.t
    while True:
        yield Iterate(nu, alpha, t, eta(t))
        nu, alpha = mirror_step(problem, nu, alpha, eta(t), tau(t))
        t += 1


def _projected_step(problem: Problem) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """The victim a step up and the attacker a step down from a pair of policies, projected onto the simplex."""
    victim, attacker = problem.victim_actions, problem.attacker_actions

    def step(
        policies: tuple[np.ndarray, np.ndarray], gradient: tuple[np.ndarray, np.ndarray], up: float, down: float
    ) -> tuple[np.ndarray, np.ndarray]:
        return (
            project(policies[0] + up * gradient[0], victim),
            project(policies[1] - down * gradient[1], attacker),
        )

    return step


def _softmax_step(policy: np.ndarray, eta: float, direction: np.ndarray, tau: float) -> np.ndarray:
    """A gradient step in the logits, of a function with this gradient in the policy plus tau times the entropy."""
    logarithm = np.log(policy, out=np.zeros_like(policy), where=policy > 0)
    ascent = direction - tau * logarithm
    ascent = policy * (ascent - (policy * ascent).sum(axis=1, keepdims=True))
    weight = policy * np.exp(eta * (ascent - ascent.max(axis=1, keepdims=True)))
    return weight / weight.sum(axis=1, keepdims=True)
