from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.learners.gae import gae

compiled = jax.jit(gae)


def test_an_example_by_hand() -> None:
    """gamma .5, lambda .5; three matches follow each other in the one slot.

    t  reward  V   ends        V(s')            delta                 A = delta + .25 A'
    0    1     2   -           4 (V of t=1)     1 + .5*4 - 2 =  1     1 + .25 * -3   =  .25
    1    1     4   terminated  0                1        - 4 = -3     -3
    2    0     6   -           8 (V of t=3)     0 + .5*8 - 6 = -2     -2 + .25 * -1  = -2.25
    3    2     8   truncated   10 (bootstrap)   2 + .5*10- 8 = -1     -1
    4    3     1   -           12 (last value)  3 + .5*12- 1 =  8     8

    Whoever chose the action at t = 2, the step counts like any other: it only has no part in the policy's loss.
    """

    def column(*x: float) -> jnp.ndarray:
        return jnp.asarray(x, jnp.float32)[:, None]

    advantage = gae(
        reward=column(1, 1, 0, 2, 3),
        value=column(2, 4, 6, 8, 1),
        bootstrap=column(0, 0, 0, 10, 0),
        terminated=column(0, 1, 0, 0, 0) > 0,
        truncated=column(0, 0, 0, 1, 0) > 0,
        last_value=jnp.array([12.0]),
        gamma=0.5,
        lam=0.5,
    )
    np.testing.assert_allclose(advantage[:, 0], [0.25, -3, -2.25, -1, 8], rtol=1e-6)


def test_a_match_that_is_decided_at_the_time_limit_has_no_future() -> None:
    one, yes = jnp.ones((1, 1)), jnp.ones((1, 1), bool)
    advantage = gae(one, 0 * one, 10 * one, yes, yes, jnp.array([10.0]), 0.5, 0.5)
    np.testing.assert_allclose(advantage, [[1.0]])


def example(seed: int) -> dict[str, np.ndarray]:
    rng, shape = np.random.default_rng(seed), (9, 4)
    ended = rng.random(shape) < 0.3
    truncated = ended & (rng.random(shape) < 0.5)
    return {
        "reward": rng.normal(size=shape),
        "value": rng.normal(size=shape),
        "bootstrap": np.where(truncated, rng.normal(size=shape), 0),
        "terminated": ended & ~truncated,
        "truncated": truncated,
        "last_value": rng.normal(size=4),
    }


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_lambda_one_is_the_discounted_return_and_zero_the_td_error(seed: int, gamma: float) -> None:
    e = example(seed)
    returns, td = np.zeros((9, 4)), np.zeros((9, 4))
    after, following = e["last_value"], e["last_value"]
    for t in reversed(range(9)):
        ended = e["terminated"][t] | e["truncated"][t]
        returns[t] = e["reward"][t] + gamma * np.where(ended, e["bootstrap"][t], after)
        td[t] = e["reward"][t] + gamma * np.where(ended, e["bootstrap"][t], following) - e["value"][t]
        after, following = returns[t], e["value"][t]
    arrays = {name: jnp.asarray(x) for name, x in e.items()}
    np.testing.assert_allclose(compiled(**arrays, gamma=gamma, lam=1.0), returns - e["value"], atol=1e-5)
    np.testing.assert_allclose(compiled(**arrays, gamma=gamma, lam=0.0), td, atol=1e-5)


@pytest.mark.parametrize("name", ["reward", "value", "last_value"])
def test_a_match_does_not_see_the_next_one(name: str) -> None:
    e = {key: jnp.asarray(x) for key, x in example(0).items()}
    e["terminated"] = e["terminated"].at[4].set(True)
    changed = e | {name: e[name] + 1 if name == "last_value" else e[name].at[5:].add(1.0)}
    before, after = (gae(**x, gamma=0.9, lam=0.9)[:5] for x in (e, changed))
    np.testing.assert_array_equal(before, after)
