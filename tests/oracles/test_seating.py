"""From settings to a threat: who plays what."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from envs.pursuit import Pursuit

import sparring
from sparring import cli
from sparring.commands.evaluate import Settings
from sparring.errors import InputError
from sparring.oracles.seating import Question, ask, for_each
from sparring.policies import RandomPolicy
from sparring.types import Discrete

THREE = "openspiel/kuhn_poker,players=3"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Unlike(Pursuit):
    """The hunter has an action more than its prey."""

    def __init__(self, num_games: int = 1) -> None:
        super().__init__(num_games)
        hunter = replace(self.spaces["hunter"], action=Discrete(6))
        self.spaces = {**self.spaces, "hunter": hunter}


def asked(victims: tuple[str, ...], victim: Any, attackers: tuple[str, ...]) -> Question:
    settings = Settings(game=Unlike(), victim=victim, attacker="random", victim_seat=victims, attackers=attackers)
    return ask(settings, victim)


def test_an_attackers_agent_plays_by_default_as_the_victim_that_is_like_it() -> None:
    """The first victim is not: its policy would choose an action that the attacker's agent does not have."""
    spaces = Unlike().spaces
    hunter, prey = RandomPolicy(spaces["hunter"].action), RandomPolicy(spaces["prey0"].action)
    question = asked(("hunter", "prey0"), {"hunter": hunter, "prey0": prey}, ("prey1",))
    assert question.threat.benign["prey1"] is prey and question.names.benign == "the victim's own policy"
    assert asked(("hunter", "prey0"), "random", ("prey1",)).threat.benign["prey1"].traceable
    with pytest.raises(InputError, match="give --benign: prey0 differs from hunter, so it cannot play its policy"):
        asked(("hunter",), "random", ("prey0", "prey1"))


def test_another_process_can_ask_the_same_where_all_was_given_by_name() -> None:
    for benign, portable in ((None, True), ("first", True), (np.full((1, 3), 1 / 3), False)):
        settings = Settings(game="matrix/rps", victim="uniform", attacker="random", benign=benign)
        assert ask(settings, "uniform").portable is portable


def test_what_the_benign_policy_is_called_where_it_is_the_victims_own() -> None:
    settings = Settings(game="discs/duel", victim="builtin:disc-early", attacker="random")
    question = ask(settings, "builtin:disc-early")
    assert (question.names.benign, question.benign) == ("the victim's own policy", "builtin:disc-early")
    given = ask(replace(settings, benign="builtin:disc"), "builtin:disc-early")
    assert given.names.benign == given.benign == "builtin:disc"


def test_a_team_on_the_command_line_has_one_policy_or_one_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", THREE, "--victim", "uniform", "--victim-seat", "1", "--attacker"]
    asked: dict[str, Any] = {"victim": "uniform", "victim_seat": 1}

    def value(*attackers: str) -> float:
        assert cli.main([*words, *attackers, "--json"]) == cli.DONE
        return json.loads(capsys.readouterr().out)["victim_value"]

    values = [value("first", "uniform"), value("uniform", "first")]
    assert values[0] != pytest.approx(values[1])
    for found, attackers in zip(values, (("first", "uniform"), ("uniform", "first")), strict=True):
        by_agent = dict(zip(("player0", "player2"), attackers, strict=True))
        assert found == sparring.evaluate(THREE, attacker=by_agent, **asked)["victim_value"]
    assert value("first") == value("first", "first")
    result = sparring.evaluate(THREE, attacker=["first", "uniform"], out="run", **asked)
    assert result["attacker"] == "first, uniform" and result["victim_value"] == values[0]
    assert sparring.evaluate(THREE, config="run", out="again")["victim_value"] == values[0]
    assert cli.main([*words, "first", "first", "first"]) == cli.BAD_INPUT
    assert "one for each of player0, player2 in this order, got 3" in capsys.readouterr().err
    assert cli.main(words) == cli.BAD_INPUT
    assert "attacker: expected at least one value, got none" in capsys.readouterr().err
    assert cli.main(["evaluate", "matrix/rps", "--victim", "first", "--attacker", "first", "first"]) == cli.BAD_INPUT
    assert "attacker: expected policies, each once, got first, first" in capsys.readouterr().err


def test_tables_and_functions_are_left_as_they_are() -> None:
    table: Any = [[0.5, 0.5]]
    assert for_each(table, ("a", "b")) is table
    assert for_each(np.abs, ("a", "b")) is np.abs
    assert for_each("first", ("a", "b")) == for_each(("first",), ("a", "b")) == "first"


@pytest.mark.parametrize("part", ["victim", "benign", "attacker", "others"])
@pytest.mark.parametrize("game", [THREE, Unlike])
def test_an_agent_that_the_game_does_not_have_is_refused(part: str, game: Any) -> None:
    agents = ("player0", "player1", "player2") if game is THREE else ("hunter", "prey0", "prey1")
    given = {name: "uniform" for name in ("victim", "benign", "attacker", "others")}
    for own in ({"nobody": "uniform"}, {**dict.fromkeys(agents, "uniform"), "nobody": "uniform"}):
        with pytest.raises(InputError, match=f"unknown agent in {part} 'nobody': there are: {', '.join(agents)}"):
            sparring.evaluate(game, victim_seat=0, attackers=1, **{**given, part: own})


def test_a_table_is_no_dictionary_of_agents() -> None:
    """Its keys are information states; what is unknown among them is said by whoever reads tables."""
    with pytest.raises(InputError, match="victim of row: information state 'nobody' is not one of this player's"):
        sparring.evaluate("matrix/rps", victim={"nobody": {"0": 1.0}}, attacker="first")


@pytest.mark.parametrize("option", ["victim_seat", "attackers"])
def test_agents_are_given_once_and_apart(option: str) -> None:
    for given, message in (
        ((0, 0), "expected agents, each once, got player0, player0"),
        ((0, "player0"), "expected agents, each once, got player0, player0"),
        (("player0,player1",), "expected 0 to 2, got player0,player1; .* several are separated by blanks"),
    ):
        with pytest.raises(InputError, match=f"{option.replace('_', '-')}: {message}"):
            sparring.evaluate(THREE, victim="first", attacker="first", **{option: given})
