from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyspiel
import pytest
from open_spiel.python.algorithms.expected_game_score import policy_value
from open_spiel.python.policy import UniformRandomPolicy

from sparring.errors import InputError
from sparring.exact.tree_game import CHANCE, TERMINAL, Tree
from sparring.games import make
from sparring.games.openspiel import compile_tree, names
from sparring.games.tree import SampledTree

SMALL = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "leduc_poker",
    "liars_dice(numdice=1,dice_sides=3)",
    "goofspiel(num_cards=3,imp_info=True)",
    "tiny_hanabi",
    "matrix_pd",
)


@pytest.fixture(scope="module", params=SMALL)
def compiled(request: pytest.FixtureRequest) -> tuple[Any, Tree]:
    game = pyspiel.load_game(request.param)
    if game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        game = pyspiel.convert_to_turn_based(game)
    return game, compile_tree(request.param)


@pytest.mark.parametrize(
    ("name", "nodes", "infosets"),
    [
        # Kuhn: chance 1 + 3, then 6 deals of 9 histories: empty, p, b, pp, pb, bp, bb, pbp, pbb.
        ("kuhn_poker", 58, [6, 6]),
        # Computed by an independent implementation.
        ("leduc_poker", 9457, [468, 468]),
        # Two moves at once, asked one after the other, each a single information set.
        ("matrix_rps", 1 + 3 + 9, [1, 1]),
    ],
)
def test_sizes(name: str, nodes: int, infosets: list[int]) -> None:
    tree = compile_tree(name)
    assert len(tree.actor) == nodes
    assert [len(own.keys) for own in tree.infosets] == infosets


def test_arrays_are_one_breadth_first_numbering(compiled: tuple[Any, Tree]) -> None:
    _, tree = compiled
    nodes = np.arange(len(tree.actor))
    assert tree.parent[0] == -1
    np.testing.assert_array_equal(tree.actor == TERMINAL, tree.count == 0)
    for node in np.flatnonzero(tree.count).tolist():
        children = tree.first_child[node] + np.arange(int(tree.count[node]))
        assert (tree.parent[children] == node).all()
    assert tree.count.sum() == len(nodes) - 1
    depth = np.searchsorted(tree.level, nodes, "right") - 1
    assert (depth[1:] == depth[tree.parent[1:]] + 1).all()
    assert (tree.level[0], tree.level[-1]) == (0, len(nodes))
    assert (np.diff(tree.level) > 0).all()


def test_random_matches_are_paths_of_the_tree(compiled: tuple[Any, Tree]) -> None:
    """Every fact about a node is OpenSpiel's own about the history that leads there."""
    game, tree = compiled
    rng = np.random.default_rng(0)
    for _ in range(60):
        state, node = game.new_initial_state(), 0
        while not state.is_terminal():
            if state.is_chance_node():
                outcomes, probabilities = zip(*state.chance_outcomes(), strict=True)
                assert (tree.actor[node], tree.infoset[node]) == (CHANCE, -1)
                children = tree.first_child[node] + np.arange(int(tree.count[node]))
                np.testing.assert_array_equal(tree.chance[children], probabilities)
            else:
                player, outcomes = state.current_player(), state.legal_actions()
                own, row = tree.infosets[player], tree.infoset[node]
                assert tree.actor[node] == player
                assert own.keys[row] == state.information_state_string()
                assert own.count[row] == tree.count[node]
                np.testing.assert_array_equal(
                    own.actions[row], outcomes + [-1] * (own.actions.shape[1] - len(outcomes))
                )
                assert own.names[row] == tuple(state.action_to_string(player, action) for action in outcomes)
            column = int(rng.integers(len(outcomes)))
            state, node = state.child(outcomes[column]), tree.first_child[node] + column
            if tree.actor[tree.parent[node]] != CHANCE:
                assert tree.chance[node] == 1.0
        assert (tree.actor[node], tree.infoset[node]) == (TERMINAL, -1)
        np.testing.assert_array_equal(tree.returns[node], state.returns())


def test_value_of_uniform_policies(compiled: tuple[Any, Tree]) -> None:
    game, tree = compiled
    reach = tree.chance.copy()
    for node in range(1, len(reach)):
        parent = tree.parent[node]
        reach[node] *= reach[parent] / (tree.count[parent] if tree.actor[parent] >= 0 else 1)
    players = range(tree.players)
    theirs = policy_value(game.new_initial_state(), [UniformRandomPolicy(game) for _ in players])
    np.testing.assert_allclose(reach @ tree.returns, theirs, atol=1e-12)


def test_a_pyspiel_game_is_compiled_as_its_name_is() -> None:
    game = compile_tree(pyspiel.load_game("liars_dice", {"dice_sides": 2}))
    assert game.id == "openspiel/liars_dice,dice_sides=2"
    np.testing.assert_array_equal(game.actor, compile_tree("liars_dice(dice_sides=2)").actor)


@pytest.mark.parametrize("name", names()[:4])
def test_make(name: str) -> None:
    game = make(f"openspiel/{name}", num_games=3)
    assert isinstance(game, SampledTree)
    assert (game.id, game.num_games) == (f"openspiel/{name}", 3)


def test_options_are_part_of_the_id() -> None:
    """Defaults are left out; a raised limit stays, for without it the game could not be made again."""
    game = make("openspiel/liars_dice,numdice=1,dice_sides=3,bidding_rule=reset-quantity,max_nodes=5000")
    assert game.id == "openspiel/liars_dice,bidding_rule=reset-quantity,dice_sides=3,max_nodes=5000"
    assert make(game.id).id == game.id
    assert make("openspiel/goofspiel,num_cards=3,imp_info=true").id == "openspiel/goofspiel,imp_info=True,num_cards=3"


STRINGS = (
    "liars_dice(numdice=1,dice_sides=3)",
    "liars_dice(dice_sides=3)",
    "kuhn_poker()",
    "kuhn_poker(players=2)",
    "liars_dice(numdice=1),dice_sides=3",
    "turn_based_simultaneous_game(game=goofspiel(imp_info=True,num_cards=3))",
    "turn_based_simultaneous_game,game=goofspiel(imp_info=True,num_cards=3)",
    "misere(game=kuhn_poker(players=3))",
    "misere(game=leduc_poker()),max_nodes=50000",
    "matrix_pd",
    "tiny_hanabi",
)


LARGER = [pytest.param(name, marks=pytest.mark.long) for name in (*names()[4:6], *names()[7:])]


@pytest.mark.parametrize("name", [*names()[:4], names()[6], *LARGER, *STRINGS])
def test_a_game_can_be_made_again_by_its_id(name: str) -> None:
    game = make(f"openspiel/{name}")
    again = make(game.id)
    assert isinstance(game, SampledTree) and isinstance(again, SampledTree)
    assert again.id == game.id
    for field in fields(Tree):
        one, other = getattr(game.tree, field.name), getattr(again.tree, field.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
    assert [own.keys for own in game.tree.infosets] == [own.keys for own in again.tree.infosets]


def test_strings_and_options_are_the_same_id() -> None:
    assert make("openspiel/liars_dice(numdice=1,dice_sides=3)").id == "openspiel/liars_dice,dice_sides=3"
    nested = "openspiel/turn_based_simultaneous_game(game=goofspiel(imp_info=True,num_cards=3))"
    assert make(nested).id == nested


def test_a_game_from_a_file_keeps_its_file(tmp_path: Path) -> None:
    """Once it is read, OpenSpiel calls it `matrix_nfg`, which no name finds again."""
    path = tmp_path / "pd.nfg"
    path.write_text('NFG 1 R "pd" { "P1" "P2" } { 2 2 }\n\n5 5 10 0 0 10 1 1\n')
    game = make(f"openspiel/nfg_game,filename={path}")
    again = make(game.id)
    assert isinstance(game, SampledTree) and isinstance(again, SampledTree)
    assert again.id == game.id == f"openspiel/nfg_game,filename={path}"
    np.testing.assert_array_equal(again.tree.returns, game.tree.returns)
    assert game.tree.returns.max() == 10


def test_a_game_without_a_name_has_an_id_of_no_family() -> None:
    payoffs = [[1.0, -1.0], [-1.0, 1.0]]
    tree = compile_tree(pyspiel.create_matrix_game("mine", "Mine", ["a", "b"], ["c", "d"], payoffs, payoffs))
    assert tree.id == "pyspiel.Game/mine"
    with pytest.raises(InputError, match="unknown game family"):
        make(tree.id)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kuhn_pokr", "unknown OpenSpiel game 'kuhn_pokr': did you mean kuhn_poker"),
        ("kuhn_poker,player=3", "unknown option of openspiel/kuhn_poker 'player': did you mean players"),
        ("kuhn_poker,players=x", "players: expected a whole number, got 'x'"),
        ("kuhn_poker,players=99", "OpenSpiel refuses the parameters: .*num_players_ = 99"),
        ("cursor_go,komi=high", "komi: expected a number, got 'high'"),
        ("goofspiel,imp_info=yes", "imp_info: expected True or False, got 'yes'"),
        ("turn_based_simultaneous_game,game=x", "unknown OpenSpiel game 'x'"),
        ("leduc_poker,max_nodes=many", "expected max_nodes=N, a whole number, got 'many'"),
        (
            "leduc_poker,max_nodes=9456",
            "9,457 nodes are reached .* size is unknown; expected at most 9,456: ",
        ),
        (
            "chess,max_nodes=1000",
            "expected at most 1,000: choose a smaller game, or raise the limit with max_nodes=N",
        ),
        ("nfg_game", "it is read from a file: give filename=FILE, got None"),
        ("efg_game,filename=nowhere.efg", "give filename=FILE, got 'nowhere.efg'"),
        ("kuhn_poker(players=3", "expected a closing parenthesis for each opening one"),
        ("kuhn_poker(players=3))", "expected a closing parenthesis for each opening one"),
        ("kuhn_poker(players=x)", "OpenSpiel refuses the parameters: Wrong type for parameter players"),
        ("kuhn_poker(players=3),players=3", "players is given twice, in the parentheses and as an option"),
        ("kuhn_pokr(players=3)", "unknown OpenSpiel game 'kuhn_pokr'"),
        ("misere(game=kuhn_pokr(players=3))", "unknown OpenSpiel game 'kuhn_pokr'"),
        ("misere(game=kuhn_poker(players=99))", "OpenSpiel refuses the parameters: .*num_players_ = 99"),
        ("start_at(game=kuhn_poker())", "OpenSpiel refuses the parameters: Missing parameter history"),
        ("stones_and_gems", "chance can only be sampled here"),
        ("mfg_crowd_modelling", "a mean-field game has no tree"),
        ("catch", "no information state strings"),
        ("liars_dice,numdice=0", "OpenSpiel fails: .*num_dice_"),
        ("goofspiel,num_cards=-3", "num_cards: expected a number of at least 0, got -3"),
        ("misere(game=goofspiel(num_cards=-3))", "num_cards: expected a number of at least 0, got -3"),
        ("liars_dice_ir,dice_sides=3", "player 0 has imperfect recall: it can be in 'P0 1 1-3"),
    ],
)
def test_refusals_are_one_line(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        make(f"openspiel/{name}")
    assert "\n" not in str(error.value)


_KIND = pyspiel.GameType
OWN = pyspiel.GameType(
    short_name="own",
    long_name="own",
    dynamics=_KIND.Dynamics.SEQUENTIAL,
    chance_mode=_KIND.ChanceMode.EXPLICIT_STOCHASTIC,
    information=_KIND.Information.IMPERFECT_INFORMATION,
    utility=_KIND.Utility.GENERAL_SUM,
    reward_model=_KIND.RewardModel.TERMINAL,
    max_num_players=2,
    min_num_players=2,
    provides_information_state_string=True,
    provides_information_state_tensor=False,
    provides_observation_string=False,
    provides_observation_tensor=False,
    parameter_specification={},
)
Node = Any  # [returns], (player, information state, {action: node}) or (-1, "", {outcome: (probability, node)})


class OwnGame(pyspiel.Game):
    """A game written in Python, as OpenSpiel's users may do it."""

    def __init__(self, root: Node) -> None:
        sizes = {"num_distinct_actions": 4, "max_chance_outcomes": 4, "num_players": 2, "max_game_length": 9}
        super().__init__(OWN, pyspiel.GameInfo(**sizes, min_utility=-9.0, max_utility=9.0), {})
        self.root = root

    def new_initial_state(self) -> OwnState:
        return OwnState(self, self.root)


class OwnState(pyspiel.State):
    def __init__(self, game: OwnGame, node: Node) -> None:
        super().__init__(game)
        self.game, self.node = game, node

    def current_player(self) -> int:
        return pyspiel.PlayerId.TERMINAL if isinstance(self.node, list) else self.node[0]

    def is_terminal(self) -> bool:
        return isinstance(self.node, list)

    def legal_actions(self) -> list[int]:
        return sorted(self.node[2])

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return [(outcome, probability) for outcome, (probability, _) in self.node[2].items()]

    def child(self, action: int) -> OwnState:
        below = self.node[2][action]
        return OwnState(self.game, below[1] if self.is_chance_node() else below)

    def action_to_string(self, player: int, action: int) -> str:
        return f"{player}:{action}"

    def information_state_string(self) -> str:
        return self.node[1]

    def returns(self) -> list[float]:
        return self.node


END = [1.0, -1.0]
LAST = (1, "b", {0: END, 1: END})


def test_a_game_written_in_python() -> None:
    tree = compile_tree(OwnGame((-1, "", {0: (0.25, (0, "a", {1: END, 3: LAST})), 1: (0.75, END)})))
    np.testing.assert_array_equal(tree.actor, [CHANCE, 0, TERMINAL, TERMINAL, 1, TERMINAL, TERMINAL])
    np.testing.assert_array_equal(tree.chance, [1, 0.25, 0.75, 1, 1, 1, 1])
    np.testing.assert_array_equal(tree.first_child[[0, 1, 4]], [1, 3, 5])
    assert tree.infosets[0].names == (("0:1", "0:3"),)


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ((0, "a", {0: END}), "pyspiel.Game/own: player 1 never has a choice"),
        (
            (0, "a", {0: (1, "b", {0: END}), 1: LAST}),
            r"player 1 may do \[0, 1\] at one and \[0\] at another history of the information state 'b'",
        ),
        (
            (-1, "", {0: (0.5, (0, "a", {0: LAST})), 1: (0.4, END)}),
            r"node 0: expected chance to have .* sum to 1, got \[0.5 0.4\] \(sum 0.9\)",
        ),
        (
            (-1, "", {0: (1.5, (0, "a", {0: LAST})), 1: (-0.5, END)}),
            r"node 0: expected chance to have probabilities >= 0",
        ),
        ((0, "a", {0: LAST, 1: [float("inf"), 0.0]}), "node 2: the return of player 0 is inf"),
        ((0, "a", {0: (1, "b", {0: (0, "a", {0: END})})}), "player 0 has imperfect recall: it can be in 'a'"),
    ],
)
def test_a_game_that_is_none(root: Node, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        compile_tree(OwnGame(root))
    assert "\n" not in str(error.value)


def test_names_need_no_openspiel() -> None:
    code = "import sys; from sparring.games.openspiel import names; names(); print('pyspiel' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
