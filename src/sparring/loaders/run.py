"""`run:DIR`: the adversarial policy that a finished `sparring attack` left in its run folder."""

from __future__ import annotations

from pathlib import Path

from sparring.errors import InputError
from sparring.loaders import native
from sparring.nets import ActorCritic
from sparring.types import AgentID, Game


def load(argument: str, game: Game, agent: AgentID) -> ActorCritic:
    found = sorted(Path(argument).glob("*.safetensors"))
    policies = [path for path in found if path.name != "checkpoint.safetensors"]
    if len(policies) != 1:
        names = ", ".join(path.name for path in policies) or "none"
        raise InputError(f"run:{argument}: expected a run folder with one policy, found {names}; use native:FILE")
    return native.load(str(policies[0]), game, agent)
