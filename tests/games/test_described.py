"""What a user's game says of itself is looked at before it is played: one line names the part that is none."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

import sparring
from sparring.errors import InputError
from sparring.games import make
from sparring.games.described import MOST_MATCHES, check_described, is_game
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.types import Box, Dict, Discrete, MultiDiscrete, Spaces

SOUND = Spaces(Box((1,)), Discrete(3))
THEIRS = gymnasium.spaces.Discrete(3)


def game(**other: Any) -> Any:
    """A sound game, but for these attributes."""
    found: Any = MatrixGame(ROCK_PAPER_SCISSORS)
    for name, value in other.items():
        setattr(found, name, value)
    return found


def spaces(observation: Any = SOUND.observation, action: Any = SOUND.action) -> dict[str, Any]:
    return dict.fromkeys(("row", "col"), Spaces(observation, action))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"id": None}, "game MatrixGame: id: expected text, got NoneType"),
        ({"agents": None}, "agents: expected a tuple of names, at least one, got None"),
        ({"agents": ["row", "col"]}, "agents: expected a tuple of names, at least one, got ['row', 'col']"),
        ({"agents": ()}, "agents: expected a tuple of names, at least one, got ()"),
        ({"agents": (0, 1)}, "agents: expected a tuple of names, at least one, got (0, 1)"),
        ({"agents": ("row", "row")}, "agents: expected names, each once, got 'row' twice"),
        ({"num_games": 0}, "num_games: expected a whole number of at least 1, got 0"),
        ({"num_games": 2.0}, "num_games: expected a whole number of at least 1, got 2.0"),
        ({"spaces": None}, "spaces: expected a dictionary of each agent's Spaces, got NoneType"),
        ({"spaces": {"row": SOUND}}, "spaces: col has none: expected Spaces for each of row, col"),
        ({"spaces": spaces() | {"you": SOUND}}, "spaces: 'you' is none of the agents row, col"),
        ({"spaces": dict.fromkeys(("row", "col"), THEIRS)}, "spaces of row: expected sparring.types.Spaces("),
        (
            {"spaces": spaces(THEIRS)},
            "observation space of row: expected one of sparring.types (Box, Discrete, MultiDiscrete, Dict), got "
            "gymnasium.spaces.discrete.Discrete: convert it with sparring.games.gym_spaces.from_gymnasium",
        ),
        ({"spaces": spaces(action=THEIRS)}, "action space of row: expected one of sparring.types (Box, Discrete, Mult"),
        ({"spaces": spaces(action=Dict((("x", Discrete(2)),)))}, "action space of row: expected one of sparring.types"),
        ({"spaces": spaces(Dict((("x", THEIRS),)))}, "observation space of row, 'x': expected one of sparring.types"),  # pyright: ignore[reportArgumentType]
        ({"spaces": spaces(Discrete)}, "observation space of row: expected one of sparring.types (Box, Discrete, Mul"),
        ({"spaces": spaces(action=Discrete(0))}, "n: expected whole numbers of at least 1, got (0,)"),
        ({"spaces": spaces(action=MultiDiscrete(()))}, "nvec: expected whole numbers of at least 1, got none"),
    ],
)  # fmt: skip
def test_what_a_game_says_wrongly_is_named(other: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        check_described(game(**other))
    assert message in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputError) as error:  # and by whatever takes games
        sparring.evaluate(game(**other), victim="random", attacker="random")
    assert message in str(error.value)


def test_sound_games_pass() -> None:
    rich = Dict((("die", Discrete(6)), ("place", Box((2, 3)))))
    check_described(game())
    check_described(game(spaces=spaces(rich, MultiDiscrete((2, 3))), num_games=np.int64(2)))


def test_an_attribute_that_cannot_be_read_is_named_with_its_line() -> None:
    def gone(self: Any) -> Any:
        raise RuntimeError("not yet")

    odd = type("Odd", (MatrixGame,), {"init": property(gone)})
    with pytest.raises(InputError, match=r"game Odd: expected the attributes of a game; it raised RuntimeError: not"):
        is_game(odd(ROCK_PAPER_SCISSORS))
    assert is_game(game()) and not is_game(MatrixGame) and not is_game(3)


def test_more_matches_than_any_memory_holds_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"matrix/rps: num_games: expected at most 131,072 matches side by side, got 1,0"
    ):
        make("matrix/rps", 10**12)
    assert MOST_MATCHES == 131_072
