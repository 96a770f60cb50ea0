"""JaxMARL's environments through our interface, against JaxMARL itself."""

from __future__ import annotations

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring import cli
from sparring.errors import InputError
from sparring.games import make
from sparring.games.jaxmarl import JaxmarlGame
from sparring.testing import check_game
from sparring.types import Box, Discrete

TAG, B = "jaxmarl/MPE_simple_tag_v3", 3


@pytest.mark.slow
def test_a_match_is_the_environments_own_step_for_step() -> None:
    """Every match is stepped by JaxMARL alone, with the keys that the game derives from its own."""
    game: Any = make(TAG, B)
    theirs = game._env
    begin = jax.jit(theirs.reset)
    rng = np.random.default_rng(0)
    key = rng.integers(0, 2**32, 2, np.uint32)
    state, views = game.init(key)
    alone = [begin(k) for k in jax.random.split(jax.random.wrap_key_data(jnp.asarray(key)), B)]
    step_ours, step_theirs = jax.jit(game.step), jax.jit(theirs.step_env)
    for t in range(27):
        for agent in game.agents:
            expected = np.stack([seen[agent] for seen, _ in alone])
            np.testing.assert_allclose(views[agent].observation, expected, atol=1e-5)
        actions = {a: rng.integers(0, 5, B) for a in game.agents}
        key = rng.integers(0, 2**32, 2, np.uint32)
        state, step = step_ours(state, {a: jnp.asarray(x) for a, x in actions.items()}, key)
        move, restart = jax.random.split(jax.random.wrap_key_data(jnp.asarray(key)))
        moves, restarts = jax.random.split(move, B), jax.random.split(restart, B)
        after = [
            step_theirs(moves[i], alone[i][1], {a: jnp.asarray(x[i]) for a, x in actions.items()}) for i in range(B)
        ]
        for agent in game.agents:
            np.testing.assert_allclose(step.reward[agent], [float(one[2][agent]) for one in after], atol=1e-5)
            np.testing.assert_allclose(
                step.final_view[agent].observation, np.stack([x[0][agent] for x in after]), atol=1e-5
            )
        # Their matches of 25 steps end with the 26th; nothing but time ends them.
        assert step.truncated.tolist() == [t == 25] * B and not step.terminated.any() and step.outcome is None
        over = np.asarray(step.truncated)
        alone = [begin(restarts[i]) if over[i] else (after[i][0], after[i][1]) for i in range(B)]
        views = step.view


@pytest.mark.slow
def test_spaces_and_names_are_theirs() -> None:
    game = make(TAG, 2)
    assert game.agents == ("adversary_0", "adversary_1", "adversary_2", "agent_0")
    assert game.spaces["agent_0"].observation == Box((14,)) and game.spaces["agent_0"].action == Discrete(5)
    smaller = make(f"{TAG},num_adversaries=2", 2)
    assert smaller.agents == ("adversary_0", "adversary_1", "agent_0")
    assert smaller.id == f"{TAG},num_adversaries=2"
    # Overcooked declares its picture turned on its side; what it shows counts.
    with pytest.warns(DeprecationWarning):
        cooks = make("jaxmarl/overcooked")
    assert cooks.spaces["agent_0"].observation == Box((4, 5, 26), 0.0, 255.0)


@pytest.mark.slow
def test_a_space_is_as_large_as_what_is_shown() -> None:
    """With two predators JaxMARL declares 16 numbers for each of them and shows 14 (8 and 12 + 2 for the prey)."""
    game: Any = make(f"{TAG},num_adversaries=2", B)
    _, views = jax.jit(game.init)(np.array([0, 1], np.uint32))
    for agent in game.agents:
        assert views[agent].observation.shape == (B, *game.spaces[agent].observation.shape)


def test_games_that_are_made_alike_share_one_compilation() -> None:
    first, second = make(TAG, 2), make(TAG, 2)
    assert first == second and hash(first) == hash(second)
    assert first != make(TAG, 3) and first != make(f"{TAG},num_adversaries=2", 2)


@pytest.mark.long
def test_an_agent_that_is_done_is_out() -> None:
    """In SMAX soldiers die before the match ends, and which actions are legal changes."""
    game: Any = make("jaxmarl/HeuristicEnemySMAX", 4)
    state, views = game.init(np.array([0, 1], np.uint32))
    rng, died = np.random.default_rng(0), False
    step_it = jax.jit(game.step)
    for _ in range(40):
        actions = {}
        for agent in game.agents:
            legal = np.asarray(views[agent].legal)
            actions[agent] = jnp.asarray(np.argmax(legal * rng.random(legal.shape), axis=1))
        out = {a: np.asarray(state.out[a]) for a in game.agents}
        state, step = step_it(state, actions, rng.integers(0, 2**32, 2, np.uint32))
        views = step.view
        over = np.asarray(step.terminated | step.truncated)
        for agent in game.agents:
            assert not np.asarray(step.reward[agent])[out[agent]].any()
            # Who was out stays out until the match ends.
            assert not np.asarray(views[agent].moves)[out[agent] & ~over].any()
            assert np.asarray(views[agent].moves)[over].all()
            died |= bool(out[agent].any())
    assert died


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("simple_tag", "unknown JaxMARL environment 'simple_tag'"),
        ("MPE_simple_tag_v3,wolves=2", "unknown option of MPE_simple_tag_v3 'wolves'"),
        ("MPE_simple_tag_v3,num_adversaries=many", "JaxMARL cannot make it"),
        ("storm_2p", "expected observations by agent's name, got tuple"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        make(f"jaxmarl/{name}")
    assert "\n" not in str(refused.value)


def test_at_least_one_match() -> None:
    with pytest.raises(InputError, match="at least 1 match"):
        JaxmarlGame("MPE_simple_tag_v3", 0)


@pytest.mark.long
@pytest.mark.parametrize("name", ["MPE_simple_tag_v3", "MPE_simple_facmac_v1", "SMAX", "hanabi"])
def test_the_games_keep_the_protocol(name: str) -> None:
    check_game(lambda num_games: make(f"jaxmarl/{name}", num_games))


@pytest.mark.long
def test_three_predators_are_attacked_from_within(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    """A team of three attackers learns against the prey; what is printed is JSON alone."""
    given = ["attack", TAG, "--victim", "random", "--benign", "random", "--victim-seat", "agent_0", "--budget", "1"]
    given += ["--steps", "4096", "--num-games", "16", "--steps-per-round", "64", "--episodes", "16", "--json"]
    assert cli.main([*given, "--out", str(tmp_path / "run")]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["attackers"] == [0, 1, 2]  # the predators, by seat
    assert result["win"] is None and result["episodes"] == 16


@pytest.mark.slow
def test_a_particle_world_is_drawn_where_its_particles_are() -> None:
    """An agent's colour is at its place, 2 units each way from the middle; y points upwards."""
    game: Any = make(TAG, B)
    state, _ = game.init(np.zeros(2, np.uint32))
    images = [game.picture(state, match, (400, 300)) for match in range(B)]
    assert all(image.shape == (300, 300, 3) for image in images) and (images[0] != images[1]).any()
    for match, image in enumerate(images):
        x, y = np.asarray(state.inner.p_pos[match, 0]).tolist()  # the first agent lies above all others
        assert tuple(image[int((2 - y) / 4 * 300), int((2 + x) / 4 * 300)].tolist()) == game._env.colour[0]
    assert not hasattr(make("jaxmarl/switch_riddle", 1), "picture")
