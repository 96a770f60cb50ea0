from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact.markov_game import random_game
from sparring.exact.tree_game import Infosets
from sparring.games import make
from sparring.games.finite import infosets
from sparring.games.hosted import hosted
from sparring.games.markov import SampledMarkovGame
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.games.openspiel import compile_tree
from sparring.games.tree import SampledTree
from sparring.learners.tables import tabulate
from sparring.loaders import load, tabular
from sparring.policies import ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.types import AgentID, Discrete, Game

KUHN = SampledTree(compile_tree("kuhn_poker"))
SETS = KUHN.tree.infosets[0]
LEDUC = SampledTree(compile_tree("leduc_poker"))
PASS = {key: {"0": 1} for key in SETS.keys}


def loaded(path: Path, game: Game, agent: AgentID) -> np.ndarray:
    policy = load(f"tabular:{path}", game, agent)
    assert isinstance(policy, TabularPolicy)
    return policy.probabilities


def write(folder: Path, content: object) -> Path:
    path = folder / "policy.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([0, 1]))
def test_round_trip_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, seed: int, player: int) -> None:
    own = LEDUC.tree.infosets[player]
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=own.actions.shape) ** 30 * (own.actions >= 0)  # from 1e-300 to 1
    table = weight / weight.sum(axis=1, keepdims=True)
    path = tmp_path_factory.getbasetemp() / "leduc.json"
    tabular.save(path, own, table)
    np.testing.assert_array_equal(tabular.read(path, own), table)


def test_what_is_written(tmp_path: Path) -> None:
    table = np.array([[0.25, 0.75]] * 6)
    path = tmp_path / "kuhn.json"
    tabular.save(path, SETS, table)
    written = json.loads(path.read_text())
    assert list(written) == sorted(SETS.keys)
    assert written["0pb"] == {"0": 0.25, "1": 0.75}
    assert [entry.name for entry in tmp_path.iterdir()] == ["kuhn.json"]
    with pytest.raises(InputError, match=r"policy\[2\]: expected probabilities that sum to 1, got a sum of 0.5"):
        tabular.save(path, SETS, np.where(np.arange(6)[:, None] == 2, 0.25, table.round()))
    with pytest.raises(InputError, match="cannot write"):
        tabular.save(tmp_path / "nowhere" / "kuhn.json", SETS, table)
    assert json.loads(path.read_text()) == written


def test_only_legal_actions_are_written(tmp_path: Path) -> None:
    own = LEDUC.tree.infosets[0]
    tabular.save(tmp_path / "leduc.json", own, (own.actions >= 0) / own.count[:, None])
    written = json.loads((tmp_path / "leduc.json").read_text())
    assert {len(actions) for actions in written.values()} == {2, 3}
    assert written[own.keys[0]] == {"1": 0.5, "2": 0.5}  # call and raise: there is nothing to fold to yet


def test_actions_by_number_or_name_and_what_is_left_out(tmp_path: Path) -> None:
    words = {"0": {"Bet": 1}, "1": {"1": 0.5, "Pass": 0.5}, "2": {"Pass": 1, "Bet": 0}}
    path = write(tmp_path, PASS | words)
    for game in (KUHN, hosted(KUHN)):
        wanted = [[0, 1], [0.5, 0.5], [1, 0], [1, 0], [1, 0], [1, 0]]
        np.testing.assert_array_equal(loaded(path, game, "player0"), wanted)


def test_a_number_that_is_another_actions_name_is_a_number(tmp_path: Path) -> None:
    sets = Infosets(("x",), np.array([2]), np.array([[1, 2]]), (("2", "1"),))
    np.testing.assert_array_equal(tabular.read(write(tmp_path, {"x": {"1": 0.25, "2": 0.75}}), sets), [[0.25, 0.75]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PASS | {"0bp": {"0": 1}}, "information state '0bp' is not one of this player's: did you mean '0pb'"),
        (PASS | {"?": {"0": 1}}, "information state '\\?' is not one of this player's: expected such as '0'"),
        ({"0": {"0": 1}}, "5 of 6 information states are missing, the first is '1'"),
        (PASS | {"1": {"Fold": 1}}, r"state '1': 'Fold' is no legal action; expected 0 \(Pass\), 1 \(Bet\)"),
        (PASS | {"1": {"2": 1}}, r"state '1': '2' is no legal action"),
        (PASS | {"1": {"Bet": 0.5, "1": 0.5}}, "state '1': action '1' is given twice, by its number and by its name"),
        (PASS | {"1": {"0": 0.5, "1": 0.4}}, "state '1': expected probabilities that sum to 1, got a sum of 0.9"),
        (PASS | {"1": {}}, "state '1': expected probabilities that sum to 1, got a sum of 0"),
        (PASS | {"1": {"0": 1.5, "1": -0.5}}, r"state '1', action '0': expected a probability in \[0, 1\], got 1.5"),
        (PASS | {"1": {"0": 0.5, "1": -0.5}}, "state '1', action '1': .* got -0.5"),
        (PASS | {"1": {"0": float("nan")}}, "state '1', action '0': .* got NaN"),
        (PASS | {"1": {"0": float("inf")}}, "state '1', action '0': .* got Infinity"),
        (PASS | {"1": {"0": 10**400}}, "state '1', action '0': expected a probability"),
        (PASS | {"1": {"0": "1"}}, "state '1', action '0': .* got \"1\""),
        (PASS | {"1": {"0": True}}, "state '1', action '0': .* got true"),
        (PASS | {"1": [1, 0]}, r"state '1': expected {action: probability}, got \[1, 0\]"),
        ([1, 2], "expected one JSON object"),
        ("not JSON", "expected JSON, .*: Expecting value"),
        ('{"0": {"0": 1}, "0": {"1": 1}}', "the information state or action '0' is given twice"),
        ('{"0": {"1": 0.5, "1": 0.5}}', "the information state or action '1' is given twice"),
        ("[" * 100_000, "expected JSON"),
        ("", "expected JSON"),
    ],
)
def test_what_is_no_policy_is_refused_in_one_line(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=message) as error:
        load(f"tabular:{path}", KUHN, "player0")
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_long_lists_of_actions_are_cut() -> None:
    own = compile_tree("liars_dice(dice_sides=4)").infosets[0]
    assert tabular._legal(own, 0) == "0 (1-1), 1 (1-2), 2 (1-3), 3 (1-4), 4 (2-1), 5 (2-2) or 2 others"


def test_a_file_of_both_players(tmp_path: Path) -> None:
    """What is wrong is not the spelling of a state: the message names the agent, the file, the state and its owner."""
    path = write(tmp_path, {"0": {"0": 1}, "0p": {"0": 1}} | PASS)
    with pytest.raises(InputError, match=r"json for player0: it holds states of another player too, .*'0p' of p"):
        load(f"tabular:{path}", KUHN, "player0")


def test_another_players_file(tmp_path: Path) -> None:
    path = write(tmp_path, PASS)
    with pytest.raises(
        InputError, match="its states, such as '0', are those of player0; expected this player's 6 states, '1p'"
    ):
        load(f"tabular:{path}", KUHN, "player1")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"cannot read .*none.json: No such file"):
        load(f"tabular:{tmp_path / 'none.json'}", KUHN, "player0")
    with pytest.raises(InputError, match="expected a regular file"):
        load(f"tabular:{tmp_path}", KUHN, "player0")
    (tmp_path / "latin.json").write_bytes(b'{"0": {"P\xe4ss": 1}}')
    with pytest.raises(InputError, match="expected JSON"):
        load(f"tabular:{tmp_path / 'latin.json'}", KUHN, "player0")
    monkeypatch.setattr(tabular, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="expected at most 10"):
        load(f"tabular:{write(tmp_path, PASS)}", KUHN, "player0")


def test_markov_and_matrix_games_have_states_and_actions_by_number(tmp_path: Path) -> None:
    markov = SampledMarkovGame(random_game(0, S=2, A=3, B=2, gamma=0.5, k=1).game)
    path = write(tmp_path, {"0": {"0": 0.5, "1": 0.5}, "1": {"1": 1}})
    np.testing.assert_array_equal(loaded(path, markov, "attacker"), [[0.5, 0.5], [0, 1]])
    np.testing.assert_array_equal(loaded(path, markov, "victim"), [[0.5, 0.5, 0], [0, 1, 0]])
    with pytest.raises(InputError, match="information state '1' is not one of this player's"):
        load(f"tabular:{path}", MatrixGame(ROCK_PAPER_SCISSORS), "row")
    with pytest.raises(InputError, match=r"state '0': '3' is no legal action; expected 0, 1, 2$"):
        load(f"tabular:{write(tmp_path, {'0': {'3': 1}})}", MatrixGame(ROCK_PAPER_SCISSORS), "row")


def test_a_game_that_is_not_finite() -> None:
    game = make("robosumo/ant-vs-ant", threads=1)
    with pytest.raises(InputError, match=r"tabular:x\.json: robosumo/ant-vs-ant has no information sets to look up"):
        load("tabular:x.json", game, "ant0")


def test_plain_names_mean_legal_actions_in_trees() -> None:
    own = infosets(LEDUC, "player1")
    for name in ("uniform", "random"):
        table = tabulate(load(name, LEDUC, "player1"), own)
        np.testing.assert_allclose(table, (own.actions >= 0) / own.count[:, None], rtol=1e-7)
    first = tabulate(load("first", hosted(LEDUC), "player1"), own)
    np.testing.assert_array_equal(first, [[1, 0, 0]] * 468)
    with pytest.raises(InputError, match="'zero' does not fit discrete actions: use first"):
        load("zero", LEDUC, "player0")
    row = MatrixGame(ROCK_PAPER_SCISSORS)
    assert (load("uniform", row, "row"), load("first", row, "row")) == (
        RandomPolicy(Discrete(3)),
        ConstantPolicy(Discrete(3)),
    )
