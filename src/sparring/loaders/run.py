"""`run:DIR`: the policy that a run left, of `sparring defend` the victim (where that is a mixture of networks, the
mixture), of `sparring attack` the attacker, or of a team the member that the agent is.

`run:DIR,policy=NAME` takes another one of the run's, the file `NAME.json` or `NAME.safetensors`: such as `attacker` of
a run that left both, or `attacker-budget-0.3` of an audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sparring.errors import InputError, unknown
from sparring.loaders import mixture, native, tabular
from sparring.types import AgentID, Game, Policy

OPTIONS = ("policy",)
RESULTS = ("victim", "attacker")  # tables of exact games: of a run that leaves both, the first is the result


def load(argument: str, options: Mapping[str, str], game: Game, agent: AgentID) -> Policy:
    """The policy of a run.

    Raises:
      InputError: the folder has no such policy, or several and `options` does not say which.
    """
    if not Path(argument).is_dir():
        raise InputError(f"run:{argument}: expected the folder of a run, and there is none")
    left = _policies(Path(argument))
    if "policy" not in options and (Path(argument) / mixture.FILE).exists():
        return mixture.load(str(Path(argument) / mixture.FILE), game, agent)
    if "policy" in options:
        name = options["policy"]
        if name not in left:
            raise unknown(f"policy in run:{argument}", name, left)
    elif results := [name for name in RESULTS if name in left and left[name].suffix == ".json"]:
        name = results[0]
    elif len(left) == 1:
        (name,) = left
    elif f"attacker-{agent}" in left:  # of a team each member has its own
        name = f"attacker-{agent}"
    else:
        names = ", ".join(left) or "none"
        hint = f"choose one with run:{argument},policy=NAME" if left else "choose the folder of a run that trained one"
        raise InputError(f"run:{argument}: expected a run folder with one policy, found {names}: {hint}")
    return (tabular if left[name].suffix == ".json" else native).load(str(left[name]), game, agent)


def _policies(folder: Path) -> dict[str, Path]:
    """The files of policies by their names."""
    arrays = sorted(folder.glob("*.safetensors"))
    # Beside policies a run keeps its checkpoint, detectors, and the matches that it played.
    others = ("checkpoint", "detector")
    networks = {
        path.stem: path
        for path in arrays
        if not path.stem.endswith(".matches") and path.stem.partition("-")[0] not in others
    }
    tables = {path.stem: path for path in sorted(folder.glob("*.json")) if any(name in path.stem for name in RESULTS)}
    return networks | tables
