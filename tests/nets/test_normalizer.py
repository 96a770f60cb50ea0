from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.nets import Normalizer, normalizer


@settings(max_examples=30)  # every new size of a part is compiled
@given(
    st.lists(st.sampled_from([1, 2, 17]), min_size=1, max_size=5),
    st.floats(-100, 100),
    st.floats(0.1, 50),
    st.integers(0, 99),
)
def test_the_normaliser_is_the_mean_and_variance_of_all_it_saw(
    sizes: list[int], offset: float, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = [offset + scale * rng.normal(size=(n, 3)) for n in sizes]
    norm = normalizer(3)
    for part in parts:
        norm = Normalizer.update(norm, jnp.asarray(part, jnp.float32))
    everything = np.concatenate(parts)
    # float32 has 7 digits: of the mean, and of the variance relative to the numbers' own size.
    size = 1e-5 * (abs(offset) + scale)
    np.testing.assert_allclose(norm.mean, everything.mean(0), atol=5 * size)
    np.testing.assert_allclose(norm.var, everything.var(0), rtol=1e-3, atol=100 * size * scale)
    assert float(norm.count) == sum(sizes)


def test_the_normaliser_floors_the_variance_and_clips() -> None:
    norm = normalizer(2, floor=0.25, clip=3.0).update(jnp.asarray([[1.0, 10.0], [1.0, 30.0]]))
    # Variances 0 and 100: divided by sqrt(.25) = .5 and 10.
    np.testing.assert_allclose(norm(jnp.array([[2.0, 25.0], [9.0, -99.0]])), [[2.0, 0.5], [3.0, -3.0]], rtol=1e-6)
    np.testing.assert_allclose(normalizer(2)(jnp.array([[2.0, -9.0]])), [[2.0, -5.0]])
