"""A learner that hides: its penalty is the log ratio of densities, and it changes nothing else."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import KEY

from sparring.errors import InputError
from sparring.learners.stealthy import StealthConfig, StealthState, stealthy
from sparring.types import Array, Box, Discrete, Experience, Key, Learner, Metrics, Policy, Seen, Spaces

SPACES = Spaces(Box((1,)), Discrete(2))
T, B = 32, 16


def recorder() -> Learner:
    """Its state is the reward that it was shown last; it learns nothing."""

    def update(state: Any, experience: Experience, key: Key) -> tuple[Any, Metrics]:
        del state, key
        return experience, {"own": jnp.float32(7)}

    def policy(state: Any) -> Policy:
        return state

    return Learner(lambda spaces, key: "new", policy, update, None, recorder)


def experience(rows: Array, reward: float = 2.0, moves: Array | None = None) -> Experience:
    moves = np.ones((T, B), bool) if moves is None else moves
    blank = jnp.zeros((T, B))
    fields = dict.fromkeys(Experience._fields, blank) | {"legal": None, "moves": None}
    fields |= {"reward": jnp.full((T, B), reward), "seen": Seen(np.asarray(rows, np.float32), moves)}
    return Experience(**fields)  # pyright: ignore[reportArgumentType]


def ratios(config: StealthConfig, benign: np.ndarray, draw: Any, rounds: int) -> tuple[np.ndarray, np.ndarray, Metrics]:
    """States [n] and the log ratios that the learner is charged for them, after so many rounds."""
    rng = np.random.default_rng(1)
    learner = stealthy(recorder(), benign, config)
    state, metrics, rows = learner.init(SPACES, KEY), {}, np.zeros((T, B, 1))
    for k in range(rounds):
        rows = draw(rng)
        state, metrics = learner.update(state, experience(rows), np.array([k, 0], np.uint32))
    assert isinstance(state, StealthState)
    charged = (2.0 - np.asarray(state.inner.reward)) / config.weight
    return rows[..., 0].ravel(), charged.ravel(), metrics


@pytest.mark.slow
def test_the_penalty_is_the_log_ratio_of_two_gaussians() -> None:
    """Of N(1, 1) against N(0, 1) it is x - 1/2, whose mean under the attack, the divergence, is 1/2."""
    benign = np.random.default_rng(0).normal(size=(20_000, 1))
    config = StealthConfig(0.5)
    x, charged, metrics = ratios(config, benign, lambda rng: rng.normal(1, 1, (T, B, 1)), 50)
    middle = np.abs(x - 0.5) < 1.5
    assert np.abs(charged - (x - 0.5))[middle].mean() < 0.15
    assert abs(float(metrics["log_ratio"]) - 0.5) < 0.15 and float(metrics["own"]) == 7
    # The least loss of telling these two apart is their Jensen-Shannon divergence below log 2.
    assert 0.5 < float(metrics["discriminator_loss"]) < 0.65


@pytest.mark.slow
def test_nothing_is_charged_where_nothing_changes() -> None:
    benign = np.random.default_rng(0).normal(size=(20_000, 1))
    _, charged, _ = ratios(StealthConfig(1.0), benign, lambda rng: rng.normal(0, 1, (T, B, 1)), 50)
    assert abs(charged.mean()) < 0.1 and np.abs(charged).max() < 1.0


@pytest.mark.slow
def test_what_never_happens_otherwise_costs_no_more_than_the_limit() -> None:
    benign = np.random.default_rng(0).normal(size=(5_000, 1))
    _, charged, _ = ratios(StealthConfig(1.0, limit=3.0), benign, lambda rng: np.full((T, B, 1), 1e6), 30)
    assert charged.max() == pytest.approx(3.0) and (charged <= 3.0 + 1e-5).all()


@pytest.mark.slow
def test_where_no_observer_moves_nothing_is_charged_or_learned_from() -> None:
    """Half of the steps are waited through, and show something that would be told apart at once."""
    benign = np.random.default_rng(0).normal(size=(5_000, 1))
    learner = stealthy(recorder(), benign, StealthConfig(1.0))
    rng = np.random.default_rng(1)
    state: Any = learner.init(SPACES, KEY)
    moves = np.arange(T)[:, None] % 2 == np.zeros((1, B), int)
    for k in range(30):
        rows = np.where(moves[..., None], rng.normal(size=(T, B, 1)), 1e3)
        state, _ = learner.update(state, experience(rows, moves=moves), np.array([k, 0], np.uint32))
    charged = 2.0 - np.asarray(state.inner.reward)
    assert (charged[~moves] == 0).all() and np.abs(charged[moves]).mean() < 0.4


def test_the_learner_itself_is_what_it_was() -> None:
    benign = np.zeros((10, 1))
    learner = stealthy(recorder(), benign, StealthConfig(1.0))
    state = learner.init(SPACES, KEY)
    assert learner.policy(state) == "new" and learner.final is not None and learner.final(state) == "new"
    state, _ = learner.update(state, experience(np.zeros((T, B, 1))), KEY)
    assert state.inner.seen is None  # what others learn from has no such field
    assert learner.halved is not None
    again, _ = learner.halved().update(learner.init(SPACES, KEY), experience(np.zeros((T, B, 1))), KEY)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), state.inner, again.inner))


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(InputError, match=r"expected benign states \[n, D\], got \[0, 3\]"):
        stealthy(recorder(), np.zeros((0, 3)), StealthConfig(1.0))
    with pytest.raises(InputError, match="expected a weight of at least 0, got -1"):
        stealthy(recorder(), np.zeros((1, 3)), StealthConfig(-1.0))
    learner = stealthy(recorder(), np.zeros((1, 1)), StealthConfig(1.0))
    with pytest.raises(InputError, match="watches nobody"):
        unwatched = experience(np.zeros((T, B, 1)))._replace(seen=None)
        learner.update(learner.init(SPACES, KEY), unwatched, KEY)
