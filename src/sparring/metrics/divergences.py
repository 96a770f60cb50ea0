"""How different two distributions are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def divergences(p: np.ndarray, q: np.ndarray) -> Mapping[str, np.ndarray]:
    """D_f(p || q) for the usual f, over the last axis: distributions [..., n] to float64 [...].

    Total variation is half the L1 distance, KL is in nats, squared Hellinger is half the squared L2 distance of the
    roots. KL and chi^2 are infinite where p leaves the support of q.
    """
    apart = np.abs(p - q)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # - p + q adds nothing to the sum, and keeps every term at least 0.
        kl = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0) - p + q
        chi2 = np.where(p == q, 0.0, apart * (apart / q))  # a square could vanish, and leave 0 / 0
    return {
        "total variation": apart.sum(axis=-1) / 2,
        "KL": kl.sum(axis=-1),
        "chi^2": chi2.sum(axis=-1),
        "squared Hellinger": ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2,
    }
