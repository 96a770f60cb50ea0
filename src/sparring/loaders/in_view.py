"""`in-view:NUMBER:POLICY`: a RoboSumo robot's network that acts everywhere as POLICY does in one kind of situation.

A robot has 8 (ant), 4 (bug) or 2 (spider) kinds of situation that are alike but for turns and the mirror, and what was
trained without the symmetry fights better in some of them than in others. See `nets.in_frame`.
"""

from __future__ import annotations

from sparring import games, loaders
from sparring.errors import InputError
from sparring.games.robosumo import FRAMES
from sparring.nets import ActorCritic, in_frame
from sparring.types import AgentID, Game


def load(argument: str, game: Game, agent: AgentID) -> ActorCritic:
    number, colon, spec = argument.partition(":")
    if not colon or not number.isdecimal():
        raise InputError(
            f"in-view:{argument}: expected in-view:NUMBER:POLICY, such as in-view:0:native:FILE.safetensors"
        )
    symmetry = f"robosumo-{agent.rstrip('0123456789')}"
    if not game.id.startswith("robosumo/") or symmetry not in FRAMES:
        raise InputError(f"in-view:{argument}: {agent} of {game.id} has no symmetry; expected a robot of RoboSumo")
    network = loaders.load(spec, game, agent)
    if not isinstance(network, ActorCritic):
        raise InputError(f"in-view:{argument}: expected a policy with weights, got {type(network).__name__}")
    if network.frame is not None:
        # As all that comes with the package have it.
        raise InputError(f"in-view:{argument}: {spec} acts alike in all kinds of situation already: use {spec} itself")
    try:
        return in_frame(network, games.frame(symmetry), int(number))
    except InputError as error:
        raise InputError(f"in-view:{argument}: {error}") from error
