"""How large and how small payoffs may be: beyond these bounds sums and products of them are no numbers any more."""

from __future__ import annotations

import numpy as np

from sparring.errors import InputError

# Matches are played in float32, which ends at 3e38 and at 1e-38; the exact solvers multiply payoffs with each other.
LARGEST, SMALLEST = 1e30, 1e-30


def check_payoffs(payoffs: np.ndarray, what: str, horizon: float = 1.0) -> None:
    """Refuse payoffs whose values would overflow or vanish.

    Args:
      payoffs: all that are paid, finite, of any shape.
      what: the game, for the message.
      horizon: how often they are paid: 1 / (1 - gamma) in a discounted game.

    Raises:
      InputError: the largest one is above 1e30 in size, or below 1e-30 and not 0.
    """
    largest = float(np.abs(payoffs).max(initial=0.0))
    advice = "multiply all payoffs by one positive number, which changes no best policy"
    if largest * horizon > LARGEST:
        over = f" over {horizon:.4g} steps" if horizon > 1 else ""
        raise InputError(f"{what}: payoffs of up to {largest:.4g}{over}: expected at most {LARGEST:g} in all: {advice}")
    if 0 < largest < SMALLEST:
        raise InputError(f"{what}: payoffs of up to {largest:.4g}: expected at least {SMALLEST:g}, or 0: {advice}")
