from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.exact.tree_game import CHANCE, TERMINAL, Tree, check, outcomes
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.play.rollout import rollout, start
from sparring.policies import TabularPolicy
from sparring.testing import check_game
from sparring.types import Box, Discrete, FunctionalGame, Policy, Spaces

MATCHES = 20_000
GAMES = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "leduc_poker",
    "goofspiel(num_cards=3,imp_info=True)",  # chance moves within the match as well
    "goofspiel(num_cards=3,imp_info=True,points_order=descending)",  # chance never moves
)


@pytest.fixture(scope="module", params=GAMES)
def tree(request: pytest.FixtureRequest) -> Tree:
    return compile_tree(request.param)


@pytest.fixture(scope="module")
def kuhn() -> Tree:
    return compile_tree("kuhn_poker")


def random_policies(tree: Tree, rng: np.random.Generator) -> list[np.ndarray]:
    """Interior policies, one table [I, A] for each player."""
    tables = []
    for own in tree.infosets:
        weight = rng.exponential(size=own.actions.shape) * (own.actions >= 0)
        tables.append(weight / weight.sum(axis=1, keepdims=True))
    return tables


def reached(tree: Tree, tables: list[np.ndarray]) -> np.ndarray:
    """Probability of passing through each node: one multiplication after the other, from the root down."""
    reach = np.ones(len(tree.actor))
    for node in range(1, len(reach)):
        parent = tree.parent[node]
        actor, column = tree.actor[parent], node - tree.first_child[parent]
        step = tree.chance[node] if actor == CHANCE else tables[actor][tree.infoset[parent], column]
        reach[node] = reach[parent] * step
    return reach


@pytest.mark.slow
def test_nodes_are_visited_as_often_as_they_should_be(tree: Tree) -> None:
    """First matches of all slots, node by node; what is paid at the end, and where the next match begins."""
    rng = np.random.default_rng(1)
    game = SampledTree(tree, MATCHES)
    init, step_once = jax.jit(game.init), jax.jit(game.step)
    uniform = [(own.actions >= 0) / own.count[:, None] for own in tree.infosets]
    decides, ends = tree.actor >= 0, tree.actor == TERMINAL
    for tables in (uniform, random_policies(tree, rng)):
        state, _ = init(jax.random.key(rng.integers(2**31)))
        visits = np.bincount(np.asarray(state), minlength=len(tree.actor)).astype(float)
        restarts, paid = np.zeros(len(tree.actor)), []
        running = np.ones(MATCHES, bool)
        for _ in range(len(tree.level)):
            at = np.asarray(state)
            actions = {}
            for player, (agent, table) in enumerate(zip(game.agents, tables, strict=True)):
                cumulative = table[np.where(tree.actor[at] == player, tree.infoset[at], 0)].cumsum(axis=1)
                actions[agent] = (rng.random((MATCHES, 1)) > cumulative[:, :-1]).sum(axis=1)
            state, step = step_once(state, actions, jax.random.key(rng.integers(2**31)))
            over = np.asarray(step.terminated)
            rewards = np.stack([step.reward[agent] for agent in game.agents], axis=1)
            assert not rewards[~over].any()
            paid.append(rewards[over & running])
            restarts += np.bincount(np.asarray(state)[over], minlength=len(tree.actor))
            running &= ~over
            visits += np.bincount(np.asarray(state)[running], minlength=len(tree.actor))
        assert not running.any()

        reach = reached(tree, tables)
        # Five standard errors of a binomial, and the one count that a rare event may be off by.
        spread = 5 * np.sqrt(MATCHES * reach * (1 - reach)) + 1
        assert (np.abs(visits - MATCHES * reach)[decides] < spread[decides]).all()
        paid = np.concatenate(paid)
        error = np.abs(paid.mean(axis=0) - reach[ends] @ tree.returns[ends])
        assert (error < 5 * paid.std(axis=0) / np.sqrt(MATCHES)).all()
        opening = [node for node in np.flatnonzero(decides).tolist() if (tree.actor[_ancestors(tree, node)] < 0).all()]
        first = np.zeros(len(tree.actor))
        first[opening] = reach[opening]
        begun = restarts.sum()
        assert begun >= MATCHES
        assert (np.abs(restarts - begun * first) < 5 * np.sqrt(begun * first * (1 - first)) + 1).all()


def _ancestors(tree: Tree, node: int) -> list[int]:
    found = []
    while (node := int(tree.parent[node])) >= 0:
        found.append(node)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kuhn_poker(players=3)", "leduc_poker"])
def test_rollout_pays_the_exact_value(name: str) -> None:
    """First matches of all slots, played by `TabularPolicy` within the compiled scan."""
    tree = compile_tree(name)
    tables = random_policies(tree, np.random.default_rng(2))
    game = SampledTree(tree, 4096)
    policies: dict[str, Policy] = {
        agent: TabularPolicy(table) for agent, table in zip(game.agents, tables, strict=True)
    }
    played, _ = rollout(game, policies, len(tree.level), np.random.default_rng(3))
    over = np.asarray(played.terminated)
    first = over & (over.cumsum(axis=0) == 1)
    assert first.any(axis=0).all()
    reach = reached(tree, tables)
    for player, agent in enumerate(game.agents):
        paid = np.asarray(played.reward[agent])[first]
        exact = reach[tree.actor == TERMINAL] @ tree.returns[tree.actor == TERMINAL, player]
        assert abs(paid.mean() - exact) < 5 * paid.std() / np.sqrt(len(paid))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kuhn_poker(players=3)", "goofspiel(num_cards=3,imp_info=True)"])
def test_keeps_the_promises_of_a_game(name: str) -> None:
    tree = compile_tree(name)
    check_game(lambda num_games: SampledTree(tree, num_games))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kuhn_poker(players=3)", "goofspiel(num_cards=3,imp_info=True)"])
def test_who_is_to_move_sees_its_information_set(name: str) -> None:
    """The others see zeros and do not move; a mask tells the legal actions of the one who does."""
    tree = compile_tree(name)
    game = SampledTree(tree, 64)
    assert isinstance(game, FunctionalGame)
    rng = np.random.default_rng(0)
    step_once = jax.jit(game.step)
    state, views = jax.jit(game.init)(jax.random.key(0))
    for t in range(30):
        at = np.asarray(state)
        actions = {}
        for player, (agent, own) in enumerate(zip(game.agents, tree.infosets, strict=True)):
            columns = int(own.count.max())
            assert game.spaces[agent] == Spaces(Box((len(own.keys),), 0.0, 1.0), Discrete(columns))
            view, wanted = views[agent], np.zeros((64, len(own.keys)))
            moves = tree.actor[at] == player
            wanted[moves, tree.infoset[at][moves]] = 1
            np.testing.assert_array_equal(view.observation, wanted)
            np.testing.assert_array_equal(view.moves, moves)
            legal = np.arange(columns) < np.where(moves, tree.count[at], columns)[:, None]
            np.testing.assert_array_equal(view.legal, legal)
            actions[agent] = np.where(legal, rng.random(legal.shape), -1).argmax(1)
        state, step = step_once(state, actions, jax.random.key(t + 1))
        views = step.view
        over = np.asarray(step.terminated)
        for agent in game.agents:
            last, following = step.final_view[agent], step.view[agent]
            assert not np.asarray(last.observation)[over].any() and not np.asarray(last.moves)[over].any()
            for a, b in zip(last, following, strict=True):
                np.testing.assert_array_equal(np.asarray(a)[~over], np.asarray(b)[~over])


def play(game: SampledTree, state: Any, *columns: int) -> Any:
    """Everybody offers the same column; only the one who is to move is heard."""
    step = None
    step_once = jax.jit(game.step)
    for column in columns:
        offered = {agent: np.full(game.num_games, column) for agent in game.agents}
        state, step = step_once(state, offered, jax.random.key(column))
    return step


def test_kuhn_by_hand(kuhn: Tree) -> None:
    """Pass, bet, pass: player 1 wins the ante of 1. Bet, bet: the higher card wins 2."""
    game = SampledTree(kuhn, 32)
    state, views = jax.jit(game.init)(jax.random.key(0))
    cards = np.asarray(views["player0"].observation).argmax(axis=1)
    step = play(game, state, 0, 1, 0)
    np.testing.assert_array_equal(step.reward["player0"], -np.ones(32))
    np.testing.assert_array_equal(step.reward["player1"], np.ones(32))
    np.testing.assert_array_equal(step.outcome["player0"], -np.ones(32))
    np.testing.assert_array_equal(step.outcome["player1"], np.ones(32))
    assert step.terminated.all()
    step = play(game, state, 1, 1)
    lost, won = cards == 0, cards == 2
    assert set(cards) == {0, 1, 2}
    np.testing.assert_array_equal(np.asarray(step.reward["player0"])[lost], -2)
    np.testing.assert_array_equal(np.asarray(step.outcome["player0"])[lost], -1)
    np.testing.assert_array_equal(np.asarray(step.reward["player0"])[won], 2)
    np.testing.assert_array_equal(np.asarray(step.outcome["player0"])[won], 1)


@pytest.mark.slow
def test_an_action_that_is_not_legal_does_not_leave_the_tree() -> None:
    """Leduc's first decision has call and raise, two of three columns. Whoever plays is refused before (`play`)."""
    tree = compile_tree("leduc_poker")
    game = SampledTree(tree, 5)
    state, views = jax.jit(game.init)(jax.random.key(0))
    assert set(tree.count[np.asarray(state)]) == {2}
    np.testing.assert_array_equal(views["player0"].legal, np.tile([True, True, False], (5, 1)))
    after, _ = game.step(state, dict.fromkeys(game.agents, np.full(5, 2)), jax.random.key(1))
    assert (tree.parent[np.asarray(after)] == np.asarray(state)).all()


def test_nobody_wins_a_draw_or_by_losing_least(kuhn: Tree) -> None:
    ends = np.flatnonzero(kuhn.actor == TERMINAL)
    returns = kuhn.returns.copy()
    returns[ends] = np.random.default_rng(0).choice([[0.0, 0.0], [1.0, 1.0], [-2.0, -1.0]], len(ends))
    game = SampledTree(replace(kuhn, returns=returns), 32)
    state, _ = jax.jit(game.init)(jax.random.key(0))
    step = play(game, state, 1, 1)
    assert step.terminated.all()
    assert set(np.asarray(step.reward["player0"])) == {0, 1, -2}
    for agent in game.agents:
        np.testing.assert_array_equal(step.outcome[agent], np.zeros(32))


@pytest.mark.parametrize(
    ("returns", "wanted"),
    [
        ([1, 1, -2], [1, 1, -1]),  # a team's equal highest returns are its win, not a draw
        ([1, 1, 1], [0, 0, 0]),
        ([0, 0, 0], [0, 0, 0]),
        ([2, 1, -3], [1, -1, -1]),
        ([0, -1, -1], [0, 0, 0]),  # nobody wins by losing least
        ([-1, -1, 2], [-1, -1, 1]),
    ],
)
def test_those_with_the_highest_return_win_if_it_is_positive(returns: list[float], wanted: list[int]) -> None:
    got = outcomes(np.array([returns, returns], float))
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, [wanted] * 2)


@pytest.mark.slow
def test_a_team_wins_together_when_it_is_played() -> None:
    """Three-player Kuhn with returns (-2, 1, 1) at every end: both members win, whoever moved last."""
    tree = compile_tree("kuhn_poker(players=3)")
    game = SampledTree(replace(tree, returns=np.where((tree.actor == TERMINAL)[:, None], [-2.0, 1.0, 1.0], 0)), 8)
    policies = {agent: TabularPolicy(np.full((16, 2), 0.5)) for agent in game.agents}
    played, _ = rollout(game, policies, 12, np.random.default_rng(0))
    over = np.asarray(played.terminated)
    assert over.any() and played.outcome is not None
    for agent, result in zip(game.agents, (-1, 1, 1), strict=True):
        np.testing.assert_array_equal(played.outcome[agent], np.where(over, result, 0))


def test_a_match_that_chance_ends_takes_one_step() -> None:
    """Chance ends half of the matches; in the others player 0 moves, then player 1."""
    kuhn = compile_tree("kuhn_poker")
    tree = Tree(
        id="half",
        actor=np.array([CHANCE, TERMINAL, 0, 1, TERMINAL], np.int8),
        parent=np.array([-1, 0, 0, 2, 3]),
        first_child=np.array([1, 0, 3, 4, 0]),
        count=np.array([2, 0, 1, 1, 0]),
        infoset=np.array([-1, -1, 0, 0, -1]),
        chance=np.array([1, 0.5, 0.5, 1, 1]),
        level=np.array([0, 1, 3, 4, 5]),
        returns=np.array([[0, 0], [3, -3], [0, 0], [0, 0], [-1.0, 1]]),
        infosets=tuple(
            replace(own, keys=("x",), count=np.array([1]), actions=np.array([[0]]), names=(("go",),))
            for own in kuhn.infosets
        ),
    )
    game = SampledTree(check(tree), 2000)
    policies = {agent: TabularPolicy(np.ones((1, 1))) for agent in game.agents}
    played, _ = rollout(game, policies, 60, np.random.default_rng(0))
    paid, over = np.asarray(played.reward["player0"]), np.asarray(played.terminated)
    assert set(paid[over]) == {3.0, -1.0}
    # Two steps in one half of the matches, one in the other: in the long run 2 of 3 steps end a match.
    assert abs(over.mean() - 2 / 3) < 0.01
    assert abs((paid[over] == 3).mean() - 0.5) < 0.02


@pytest.mark.slow
def test_same_seed_same_matches(kuhn: Tree) -> None:
    game = SampledTree(kuhn, 50)
    policies = {agent: TabularPolicy(np.full((6, 2), 0.5)) for agent in game.agents}
    one, two, other = (rollout(game, policies, 20, np.random.default_rng(seed))[0] for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.reward["player0"], two.reward["player0"])
    assert not np.array_equal(one.reward["player0"], other.reward["player0"])
    assert start(game, policies, np.random.default_rng(4)).views["player0"].observation.shape == (50, 6)


def test_no_match_is_refused(kuhn: Tree) -> None:
    with pytest.raises(InputError, match="openspiel/kuhn_poker: expected at least 1 match side by side, got 0"):
        SampledTree(kuhn, 0)
