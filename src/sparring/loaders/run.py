"""`run:DIR`: the policy that a run left, of `sparring defend` the victim, of `sparring attack` the attacker."""

from __future__ import annotations

from pathlib import Path

from sparring.errors import InputError
from sparring.loaders import native, tabular
from sparring.policy import Policy
from sparring.types import AgentID, Game

TABLES = ("victim.json", "attacker.json")  # of exact games; of a run that leaves both, the first is the result


def load(argument: str, game: Game, agent: AgentID) -> Policy:
    folder = Path(argument)
    for name in TABLES:
        if (folder / name).exists():
            return tabular.load(str(folder / name), game, agent)
    found = sorted(folder.glob("*.safetensors"))
    policies = [path for path in found if path.name != "checkpoint.safetensors"]
    if len(policies) != 1:
        names = ", ".join(path.name for path in policies) or "none"
        raise InputError(f"run:{argument}: expected a run folder with one policy, found {names}; use native:FILE")
    return native.load(str(policies[0]), game, agent)
