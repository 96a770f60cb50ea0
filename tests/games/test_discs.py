from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.games import make
from sparring.games.discs.duel import DT, FORCE, Duel, DuelState
from sparring.games.discs.settings import RADIUS, DuelSettings
from sparring.testing import check_game
from sparring.types import Box, FunctionalGame, Spaces, Step

KEY = np.array([1, 2], np.uint32)
WIDE = DuelSettings(ring=50.0)  # nobody gets out
DRAG = DuelSettings().drag

coordinate = st.floats(-1.0, 1.0, width=32)
speed = st.floats(-3.0, 3.0, width=32)


@eqx.filter_jit
def step(game: Duel, state: DuelState, action: np.ndarray) -> tuple[DuelState, Step]:
    """One step under actions [B, 2, 2]."""
    return game.step(state, {"disc0": action[:, 0], "disc1": action[:, 1]}, KEY)


def match(position: Any, velocity: Any = ((0, 0), (0, 0)), time: int = 0) -> DuelState:
    """One match, from the two discs' positions and velocities."""
    return DuelState(
        jnp.asarray(position, jnp.float32)[None], jnp.asarray(velocity, jnp.float32)[None], jnp.array([time], jnp.int32)
    )


def idle(matches: int = 1) -> np.ndarray:
    return np.zeros((matches, 2, 2), np.float32)


def random_state(rng: np.random.Generator, matches: int) -> DuelState:
    """Anywhere in the ring, touching or not, at any time."""
    position = rng.uniform(-0.7, 0.7, (matches, 2, 2))
    velocity = rng.normal(size=(matches, 2, 2))
    return DuelState(
        jnp.asarray(position, jnp.float32),
        jnp.asarray(velocity, jnp.float32),
        jnp.asarray(rng.integers(0, 99, matches)),
    )


@pytest.mark.slow
def test_the_game_keeps_its_promises() -> None:
    check_game(lambda num_games: make("discs/duel", num_games))
    game = make("discs/duel", num_games=3)
    assert isinstance(game, FunctionalGame)
    assert game.spaces == dict.fromkeys(("disc0", "disc1"), Spaces(Box((9,)), Box((2,), -1.0, 1.0)))


def test_options_are_part_of_the_id() -> None:
    game = make("discs/duel,restitution=0.5,ring=1.2,limit=40")
    assert game.id == "discs/duel,ring=1.2,limit=40,restitution=0.5"
    assert make(game.id).id == game.id
    assert make("discs/duel,ring=1.0").id == "discs/duel"
    assert Duel(1, DuelSettings(ring=2, drag=3)).id == "discs/duel,ring=2,drag=3"


@pytest.mark.parametrize(
    ("game_id", "message"),
    [
        ("discs/dual", "unknown discs game 'dual': did you mean duel"),
        ("discs/duel,rings=2", "unknown discs option 'rings': did you mean ring"),
        ("discs/duel,ring=wide", "discs option ring: expected a number, got 'wide'"),
        ("discs/duel,ring=0.5", "discs option ring: expected 0.8 to 100 metres, got 0.5"),
        ("discs/duel,ring=nan", "discs option ring: expected 0.8 to 100 metres, got nan"),
        ("discs/duel,limit=1.5", "discs option limit: expected a whole number, got '1.5'"),
        ("discs/duel,limit=0", "discs option limit: expected 1 to 100000 steps, got 0"),
        ("discs/duel,drag=0", "discs option drag: expected"),
        ("discs/duel,restitution=1.1", "discs option restitution: expected 0 to 1"),
    ],
)
def test_bad_options_are_refused(game_id: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(game_id)
    assert "\n" not in str(caught.value)


def test_listing_loads_no_jax() -> None:
    code = "import sys; from sparring.games.discs import names; print(names(), 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "('duel',) False\n"


@pytest.mark.slow
@given(
    st.tuples(*[coordinate] * 4), st.tuples(*[speed] * 4), st.sampled_from([0.0, 0.3, 0.8, 1.0]), st.floats(0.9, 5.0)
)
def test_momentum_is_kept_and_energy_is_not_gained(
    position: tuple[float, ...], velocity: tuple[float, ...], restitution: float, drag: float
) -> None:
    """Without force, drag alone changes the momentum, by e^(-k d) a step, whether the discs collide or not.

    The energy falls by e^(-2 k d) at least, and by no more than that if nothing is lost in the collision (e = 1).
    """
    state = match(np.reshape(position, (2, 2)), np.reshape(velocity, (2, 2)))
    game = Duel(1, DuelSettings(ring=50.0, drag=drag, restitution=restitution))
    after, _ = step(game, state, idle())
    before, now = (np.asarray(s.velocity[0], np.float64) for s in (state, after))
    keep = math.exp(-drag * DT)
    np.testing.assert_allclose(now.sum(axis=0), keep * before.sum(axis=0), atol=1e-5)
    energy, left = (before**2).sum() * keep**2, (now**2).sum()
    assert left <= energy * (1 + 1e-5) + 1e-6
    if restitution == 1.0:
        np.testing.assert_allclose(left, energy, rtol=1e-4, atol=1e-6)
    # The centre of mass moves on as if there were no collision, and the discs do not overlap.
    middle = np.asarray(state.position[0], np.float64).mean(axis=0) + before.mean(axis=0) * (1 - keep) / drag
    np.testing.assert_allclose(np.asarray(after.position[0]).mean(axis=0), middle, atol=1e-5)
    if math.dist(*np.reshape(position, (2, 2))) > 1e-3:
        assert math.dist(*np.asarray(after.position[0])) >= 2 * RADIUS - 1e-4


@pytest.mark.parametrize("restitution", [0.0, 0.5, 1.0])
def test_a_head_on_collision(restitution: float) -> None:
    """A moving disc meets one at rest: they leave with (1 - e)/2 and (1 + e)/2 of its speed, by restitution."""
    game = Duel(1, DuelSettings(ring=50.0, restitution=restitution))
    touching = [[-RADIUS, 0], [RADIUS, 0]]
    after, _ = step(game, match(touching, [[1, 0], [0, 0]]), idle())
    keep = math.exp(-DRAG * DT)
    expected = [[keep * (1 - restitution) / 2, 0], [keep * (1 + restitution) / 2, 0]]
    np.testing.assert_allclose(after.velocity[0], expected, atol=1e-6)


def test_drag_and_force_have_their_closed_form() -> None:
    """v' = -k v + a, solved for n steps at once: v = (a/k)(1 - e^(-k t)) and x = a t/k - v/k, from rest.

    Both discs accelerate away from each other, so that their frames do not turn.
    """
    game, state = Duel(1, WIDE), match([[-0.5, 0], [0.5, 0]])
    away = np.array([[[-0.5, 0], [-2.0, 0]]], np.float32)  # the second one is clamped to -1
    for _ in range(30):
        state, _ = step(game, state, away)
    t = 30 * DT
    for disc, side, action in ((0, -1, 0.5), (1, 1, 1.0)):
        v = action * FORCE / DRAG * (1 - math.exp(-DRAG * t))
        x = action * FORCE * t / DRAG - v / DRAG
        np.testing.assert_allclose(state.velocity[0, disc], [side * v, 0], atol=1e-5)
        np.testing.assert_allclose(state.position[0, disc], [side * (0.5 + x), 0], atol=1e-5)


@pytest.mark.parametrize("drag", [0.9, 20.0])
def test_discs_do_not_pass_through_each_other(drag: float) -> None:
    """Head-on at top speed from all distances: who is on the left stays there."""
    gaps = np.linspace(2 * RADIUS, 6 * RADIUS, 100)
    game = Duel(len(gaps), DuelSettings(ring=50.0, drag=drag))
    position, velocity = np.zeros((2, len(gaps), 2, 2), np.float32)
    position[:, 0, 0], position[:, 1, 0] = -gaps / 2, gaps / 2
    velocity[:, 0, 0], velocity[:, 1, 0] = FORCE / drag, -FORCE / drag
    state = DuelState(jnp.asarray(position), jnp.asarray(velocity), jnp.zeros(len(gaps), jnp.int32))
    forwards = np.zeros((len(gaps), 2, 2), np.float32)
    forwards[..., 0] = 1.0
    for _ in range(8):
        state, _ = step(game, state, forwards)
        assert (state.position[:, 0, 0] < state.position[:, 1, 0]).all()


@pytest.mark.slow
@pytest.mark.parametrize("matches", [1, 7])
def test_the_two_seats_are_alike(matches: int) -> None:
    """Who sits where changes nothing: with the discs exchanged, everything is exchanged, bit for bit."""
    rng = np.random.default_rng(matches)
    game = Duel(matches)
    for _ in range(12):
        state = random_state(rng, matches)
        turned = state._replace(position=state.position[:, ::-1], velocity=state.velocity[:, ::-1])
        action = rng.normal(size=(matches, 2, 2)).astype(np.float32)
        after, ours = step(game, state, action)
        after_turned, theirs = step(game, turned, action[:, ::-1])
        goes_on = ~np.asarray(ours.terminated)
        np.testing.assert_array_equal(after.position[goes_on], after_turned.position[goes_on][:, ::-1])
        np.testing.assert_array_equal(ours.terminated, theirs.terminated)
        for one, other in (("disc0", "disc1"), ("disc1", "disc0")):
            np.testing.assert_array_equal(ours.final_view[one].observation, theirs.final_view[other].observation)
            assert ours.outcome is not None
            assert theirs.outcome is not None
            np.testing.assert_array_equal(ours.outcome[one], theirs.outcome[other])
            np.testing.assert_array_equal(ours.reward[one], -np.asarray(ours.reward[other]))
            for name in ("ring", "centre"):
                np.testing.assert_array_equal(ours.info[name][one], theirs.info[name][other])


@pytest.mark.slow
@settings(max_examples=30)
@given(st.floats(0, 2 * math.pi), st.integers(0, 2**31), st.booleans())
def test_a_match_can_be_turned_and_mirrored(angle: float, seed: int, mirrored: bool) -> None:
    """Around the centre nothing changes but the directions; in a mirror the second component of actions does too."""
    rng = np.random.default_rng(seed)
    state, action = random_state(rng, 5), rng.uniform(-1, 1, (5, 2, 2)).astype(np.float32)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], np.float32)
    flip = np.array([1, -1 if mirrored else 1], np.float32)
    turned = state._replace(position=(state.position * flip) @ turn.T, velocity=(state.velocity * flip) @ turn.T)
    game = Duel(5, DuelSettings(ring=50.0))
    after, ours = step(game, state, action)
    _, theirs = step(game, turned, action * flip)
    # Where the centres nearly meet, the direction between them is made of rounding.
    apart = np.linalg.norm(np.asarray(state.position[:, 0] - state.position[:, 1]), axis=1) > 0.05
    apart &= np.linalg.norm(np.asarray(after.position[:, 0] - after.position[:, 1]), axis=1) > 0.05
    for agent in game.agents:
        wanted = np.asarray(ours.final_view[agent].observation) * np.array([*flip] * 4 + [1])
        np.testing.assert_allclose(theirs.final_view[agent].observation[apart], wanted[apart], atol=1e-3)


@pytest.mark.parametrize(
    ("position", "velocity", "time", "outcome"),
    [
        ([[-0.99, 0], [0.5, 0]], [[-3, 0], [0, 0]], 0, (-1, 1)),
        ([[0.3, 0], [0, 0.99]], [[0, 0], [0, 3]], 0, (1, -1)),
        ([[-0.99, 0], [0.99, 0]], [[-3, 0], [3, 0]], 0, (0, 0)),  # both out at the same step
        ([[0.3, 0], [-0.4, 0]], [[0, 0], [0, 0]], 99, (1, -1)),  # the limit: the nearer one
        ([[0.3, 0.3], [-0.4, 0.1]], [[0, 0], [0, 0]], 99, (-1, 1)),
        ([[0.4, 0], [0, -0.4]], [[0, 0], [0, 0]], 99, (0, 0)),
        ([[0.99, 0], [0.5, 0]], [[3, 0], [0, 0]], 99, (-1, 1)),  # out at the limit is out
        ([[-0.99, 0], [0.99, 0]], [[-3, 0], [3.5, 0]], 99, (0, 0)),  # however far
    ],
)
def test_who_wins(position: Any, velocity: Any, time: int, outcome: tuple[int, int]) -> None:
    after, result = step(Duel(1), match(position, velocity, time), idle())
    assert result.outcome is not None
    assert result.terminated.all()
    assert not result.truncated.any()
    assert not result.invalid.any()
    assert tuple(int(result.outcome[agent][0]) for agent in ("disc0", "disc1")) == outcome
    assert tuple(float(result.reward[agent][0]) for agent in ("disc0", "disc1")) == outcome
    assert int(after.time[0]) == 0


def test_a_match_that_goes_on_has_no_outcome() -> None:
    after, result = step(Duel(1), match([[-0.3, 0], [0.4, 0]], time=98), idle())
    assert result.outcome is not None
    assert not (result.terminated.any() or result.outcome["disc0"].any() or result.reward["disc0"].any())
    assert int(after.time[0]) == 99
    for agent in ("disc0", "disc1"):
        np.testing.assert_array_equal(result.view[agent].observation, result.final_view[agent].observation)


def test_what_an_agent_sees() -> None:
    """By hand: disc 1 is at (0, .4), disc 0 at (0, -.2), so that the x axis of disc 0 is the world's y axis."""
    state = match([[0, -0.2], [0, 0.4]], [[1, 2], [3, 4]], time=74)
    game = Duel(1, DuelSettings(drag=20.0))
    # The next step's view is of the moved discs, so the state's own view is had from a start that is replaced.
    view = eqx.filter_jit(lambda g, s: g.views(s))(game, state)
    np.testing.assert_allclose(view["disc0"].observation[0], [-0.2, 0, 0.4, 0, 2, -1, 4, -3, 0.26], atol=1e-6)
    # The x axis of disc 1 is the opposite direction.
    np.testing.assert_allclose(view["disc1"].observation[0], [-0.4, 0, 0.2, 0, -4, 3, -2, 1, 0.26], atol=1e-6)


def test_an_action_has_the_direction_of_the_agents_own_frame() -> None:
    """Forwards is to the other disc, and the second component is a quarter turn to the left of it."""
    state = match([[0, -0.3], [0, 0.3]])
    action = np.array([[[1, 0], [0, 1]]], np.float32)
    after, _ = step(Duel(1), state, action)
    assert after.velocity[0, 0, 1] > 0.05
    assert after.velocity[0, 1, 0] > 0.05
    np.testing.assert_allclose([after.velocity[0, 0, 0], after.velocity[0, 1, 1]], 0, atol=1e-6)


def test_shaping_terms_are_metres_of_the_step() -> None:
    state = match([[-0.5, 0.1], [0.6, 0]], [[1, 0], [0.5, 1]])
    after, result = step(Duel(1), state, idle())
    before, now = (np.linalg.norm(np.asarray(s.position[0], np.float64), axis=1) for s in (state, after))
    outward = now - before
    for own, agent in enumerate(("disc0", "disc1")):
        np.testing.assert_allclose(result.info["centre"][agent][0], -outward[own], atol=1e-6)
        np.testing.assert_allclose(result.info["ring"][agent][0], outward[1 - own], atol=1e-6)


def test_starts_are_fair() -> None:
    """Both discs rest equally far from the centre, and apart; all directions are equally likely."""
    game = Duel(20_000, DuelSettings(ring=1.5))
    state, _ = eqx.filter_jit(game.init)(KEY)
    position = np.asarray(state.position, np.float64)
    far = np.linalg.norm(position, axis=2)
    np.testing.assert_allclose(far[:, 0], far[:, 1], rtol=1e-5)
    assert far.min() * (1 + 1e-6) >= 0.6
    assert far.max() <= 1.05 * (1 + 1e-6)
    assert np.linalg.norm(position[:, 0] - position[:, 1], axis=1).min() > 2 * RADIUS
    assert not np.asarray(state.velocity).any()
    # The mean of n independent components of variance v is within five standard errors of 0.
    spread = 5 * np.sqrt((position**2).mean(axis=0) / len(position))
    assert (np.abs(position.mean(axis=0)) < spread).all()


def test_the_smallest_ring_has_room_for_the_start() -> None:
    state, _ = eqx.filter_jit(Duel(20_000, DuelSettings(ring=4 * RADIUS)).init)(KEY)
    gap = np.linalg.norm(np.asarray(state.position[:, 0] - state.position[:, 1]), axis=1)
    assert gap.min() > 2 * RADIUS


def test_rings_of_two_sizes_share_one_compilation() -> None:
    """The physical constants are traced: what is compiled for one game serves another one with the same B."""
    traced = []

    @eqx.filter_jit
    def play(game: Duel, state: DuelState) -> DuelState:
        traced.append(game.num_games)
        return game.step(state, {agent: jnp.zeros((4, 2)) for agent in game.agents}, KEY)[0]

    state = random_state(np.random.default_rng(0), 4)
    small, large = (play(Duel(4, DuelSettings(ring=ring, limit=50)), state) for ring in (0.9, 30.0))
    assert traced == [4]
    assert not np.array_equal(small.position, large.position)  # and it is not the same game


@pytest.mark.slow
def test_the_same_key_gives_the_same_match() -> None:
    game = Duel(16)
    action = np.random.default_rng(0).uniform(-1, 1, (60, 16, 2, 2)).astype(np.float32)

    @eqx.filter_jit
    def play(game: Duel, key: Any) -> tuple[DuelState, Any]:
        def one(state: DuelState, inputs: Any) -> tuple[DuelState, Any]:
            chosen, key = inputs
            state, step = game.step(state, {"disc0": chosen[:, 0], "disc1": chosen[:, 1]}, key)
            return state, (step.view, step.reward)

        first, *rest = jax.random.split(key, 61)
        return jax.lax.scan(one, game.init(first)[0], (action, jnp.stack(rest)))

    one, again, other = (play(game, np.array([7, seed], np.uint32)) for seed in (0, 0, 1))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[0].position, other[0].position)
