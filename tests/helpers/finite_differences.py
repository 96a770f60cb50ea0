"""Gradients beside slopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def check_gradient(
    loss: Callable[[list[Any]], Any], at: Sequence[Any], gradient: Sequence[Any], step: float, rtol: float
) -> None:
    """In eight random directions, the gradient's slope is that of central differences; `loss` is in float64."""
    rng = np.random.default_rng(3)
    for _ in range(8):
        direction = [rng.normal(size=x.shape) for x in at]
        ahead, behind = (float(loss([x + h * d for x, d in zip(at, direction, strict=True)])) for h in (step, -step))
        slope = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
        np.testing.assert_allclose((ahead - behind) / (2 * step), slope, rtol=rtol)
