"""Names of what agents see: as many as there are numbers, and each the right one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games import make
from sparring.games.hosted import hosted
from sparring.nets.encoders import flat
from sparring.play.features import by_quantity, feature_names, quantity
from sparring.types import Box, Dict, Discrete, Game, MultiDiscrete, Spaces


def game(space: Any, **more: Any) -> Game:
    return cast(Game, SimpleNamespace(id="test/game", spaces={"a": Spaces(space, Discrete(2))}, **more))


@pytest.mark.parametrize("body", ["ant", "bug", "spider"])
def test_a_robots_features_are_where_the_scene_has_them(body: str) -> None:
    """A leg is a hip and an ankle, one joint after the other behind the root."""
    pytest.importorskip("mujoco", reason="needs the extra robosumo")
    from sparring.games.robosumo.sumo import RoboSumo

    game = RoboSumo((body, body), 1)
    names = feature_names(game, game.agents[:1])
    seen = game.reset(0)[game.agents[0]].observation[0]
    assert len(names) == len(seen) == len(set(names))
    model, data = game.model, game.batch.get_data(0)
    for number, name in ((1, "hip 1"), (2, "ankle 1"), (4, "ankle 2")):
        joint = model.joint(number)  # joint 0 is the root
        assert joint.name == f"{game.agents[0]}/{name.replace(' ', '_')}"
        assert seen[names.index(f"{name} position")] == np.float32(data.qpos[joint.qposadr[0]])
        assert seen[names.index(f"{name} velocity")] == np.float32(data.qvel[joint.dofadr[0]])
    own, other = game.agents
    # The opponent's place among the observed is its own torso's, in its own frame.
    theirs = game.reset(0)[other].observation[0]
    theirs_names = feature_names(game, (other,))
    assert seen[names.index("opponent z position")] == theirs[theirs_names.index("torso z position")]
    assert feature_names(game, (own, other))[len(names)] == f"{other} torso x position"


def test_a_discs_features_are_what_the_views_show() -> None:
    duel = make("discs/duel", 3)
    names = feature_names(duel, duel.agents[:1])
    assert len(names) == 9 and names[-1] == "remaining time" and "own forward velocity" in names
    assert feature_names(hosted(duel), duel.agents[:1]) == names
    _, views = duel.init(np.array([0, 1], np.uint32))  # pyright: ignore[reportAttributeAccessIssue]
    seen = dict(zip(names, np.asarray(views["disc0"].observation).T, strict=True))
    # At the start both are equally far from the centre, and the other disc is straight ahead.
    np.testing.assert_allclose(seen["own sideways position"], seen["other sideways position"], atol=1e-5)
    assert (seen["other forward position"] > seen["own forward position"]).all() and (seen["remaining time"] == 1).all()


def test_the_parts_of_a_space_are_counted_where_the_game_names_nothing() -> None:
    space = Dict((("die", Discrete(3)), ("hand", MultiDiscrete((2, 2))), ("seen", Box((2,))), ("time", Box(()))))
    names = feature_names(game(space), ("a",))
    assert names == (
        *("die = 0", "die = 1", "die = 2"),
        *("hand 0 = 0", "hand 0 = 1", "hand 1 = 0", "hand 1 = 1"),
        *("seen 0", "seen 1", "time"),
    )
    row = flat(space, {"die": np.array(2), "hand": np.array([1, 0]), "seen": np.array([7.0, 8.0]), "time": 9.0})
    assert dict(zip(names, row.tolist(), strict=True)) == {
        **{"die = 0": 0, "die = 1": 0, "die = 2": 1},
        **{"hand 0 = 0": 0, "hand 0 = 1": 1, "hand 1 = 0": 1, "hand 1 = 1": 0},
        **{"seen 0": 7, "seen 1": 8, "time": 9},
    }
    assert feature_names(game(Box((2, 2))), ("a",)) == tuple(f"observation {i}" for i in range(4))


def test_another_number_of_names_is_refused() -> None:
    with pytest.raises(InputError, match="features of a: expected 2 names, got 1"):
        feature_names(game(Box((2,)), features={"a": ("one",)}), ("a",))


@pytest.mark.parametrize(
    ("name", "group"),
    [("hip 2 velocity", "velocity"), ("observation 3", "observation"), ("die = 2", "die"), ("hand 0 = 1", "hand")],
)
def test_the_group_of_a_feature_is_its_quantity(name: str, group: str) -> None:
    assert quantity(name) == group


def test_features_are_grouped_by_quantity() -> None:
    names = ["hip 1 velocity", "x position", "hip 2 velocity", "velocity"]
    assert by_quantity(names) == {"velocity (group)": (0, 2, 3), "position": (1,)}
    assert by_quantity(["a 0", "a 1"]) == {}  # one quantity
    assert by_quantity(["position", "velocity"]) == {}  # one feature of each
