"""How the settings of a learned attack are resolved."""

from __future__ import annotations

import jax
import pytest

from sparring.commands.attack import Settings
from sparring.commands.common import PolicyLike, host_game, matchup
from sparring.commands.learned import attack_config
from sparring.errors import InputError
from sparring.nets import NetworkConfig, actor_critic

KUHN = "openspiel/kuhn_poker"


def started(game_id: str, benign: PolicyLike, start: str | None = None, seat: int = 0) -> str:
    game = host_game(game_id, 1, 1)
    settings = Settings(game=game_id, victim="zero", start=start, victim_seat=seat)
    return attack_config(settings, matchup(game, "random", benign, seat)).start


@pytest.mark.parametrize(("seat", "name"), [(0, "builtin:bug"), (1, "builtin:ant")])
def test_an_attack_starts_from_the_agent_that_comes_with_the_package(seat: int, name: str) -> None:
    assert started("robosumo/ant-vs-bug,integrator=euler", "zero", seat=seat) == name


def test_else_from_the_benign_weights_else_from_scratch() -> None:
    game = host_game(KUHN, 1, 1)
    weights = actor_critic(
        game.spaces[game.agents[1]], NetworkConfig(hidden=(4,)), jax.random.key_data(jax.random.key(0))
    )
    assert started(KUHN, weights) == "benign"
    assert started(KUHN, "uniform") == "scratch"
    assert started(KUHN, weights, "scratch") == "scratch"
    with pytest.raises(InputError, match="start=benign: the benign policy has no weights"):
        started(KUHN, "uniform", "benign")
