from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparring.nets.encoders import encode, flat
from sparring.types import Box, Dict, Discrete, MultiDiscrete, Space

IMAGE = np.array([[[0, 51], [102, 255]]], np.uint8)
PARTS = Dict((("image", Box((2, 2), 0, 255, "uint8")), ("place", Box((2,))), ("turn", Discrete(2))))
OBSERVED = {"turn": np.array([1]), "image": IMAGE, "place": np.array([[3.0, -4.0]], np.float32)}
CASES: list[tuple[Space, Any, list[float], list[float]]] = [
    # (space, one observation, as networks read it, as it was observed)
    (Box((2,)), np.array([[3.0, -4.0]], np.float32), [3, -4], [3, -4]),
    (Box(()), np.array([7.0], np.float32), [7], [7]),
    (Box((2, 2), 0, 255, "uint8"), IMAGE, [0, 0.2, 0.4, 1], [0, 51, 102, 255]),
    (Discrete(3), np.array([2]), [0, 0, 1], [0, 0, 1]),
    (MultiDiscrete((2, 3)), np.array([[1, 0]]), [0, 1, 1, 0, 0], [0, 1, 1, 0, 0]),
    (PARTS, OBSERVED, [0, 0.2, 0.4, 1, 3, -4, 0, 1], [0, 51, 102, 255, 3, -4, 0, 1]),
]


@pytest.mark.parametrize(("space", "observation", "read", "observed"), CASES)
def test_observations_as_vectors(space: Space, observation: Any, read: list[float], observed: list[float]) -> None:
    """Bytes become 0 to 1 (51 / 255 is .2), choices one-hot; the parts of a dict stand in the order of their names."""
    for got, expected in ((encode(space, observation), read), (flat(space, observation), observed)):
        assert got.shape == (1, space.size) and got.dtype == np.float32
        np.testing.assert_allclose(got[0], expected, rtol=1e-6)


def test_leading_dimensions_stay() -> None:
    def more(part: np.ndarray) -> np.ndarray:
        return np.broadcast_to(part, (3, 5, *part.shape[1:]))

    several = {name: more(part) for name, part in OBSERVED.items()}
    for read in (encode, flat):
        got = read(PARTS, several)
        assert got.shape == (3, 5, 8)
        np.testing.assert_array_equal(got[2, 4], read(PARTS, OBSERVED)[0])
