"""What the verbs share: their common arguments, who plays whom, and how a verb is carried out in a run folder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import numpy as np
import tyro

from sparring.console import Stopped
from sparring.errors import InputError
from sparring.policy import CallablePolicy, Policy, mix
from sparring.runs import Run, read_config
from sparring.types import AgentID, Control, VectorGame

if TYPE_CHECKING:
    from types import ModuleType

    from sparring.types import Outcomes

# What a user gives as a policy: on the command line a name; in Python also a `Policy` or a function
# `(observation [B, D], rng) -> action [B, ...]`. Tyro reads the annotations, so it is shown the name alone.
if TYPE_CHECKING:
    PolicyLike: TypeAlias = Any
    OptionalPolicy: TypeAlias = Any
else:
    PolicyLike = Annotated[str, tyro.conf.arg(metavar="POLICY")]
    OptionalPolicy = Annotated[str | None, tyro.conf.arg(metavar="POLICY")]
OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="N")]
OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="X")]
GameArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GAME")]
_JSON = (str, int, float, bool, tuple, type(None))
SLOTS = 16  # matches side by side in an evaluation: enough for two cores, few enough to waste little at the end


@dataclass(frozen=True, kw_only=True)
class Common:
    """Arguments of every verb."""

    seed: int = 0
    """Root of all randomness: same seed, same machine, same versions, same bits."""
    threads: int = 0
    """Threads that step the physics; 0 means all cores. Results do not depend on it."""
    out: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Run folder; by default runs/<game>__<verb>__<seed>__<time>."""
    config: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """A run's config.json (or its folder): its settings become the defaults."""
    dry_run: bool = False
    """Show the resolved settings, the steps and an estimate of the time, and do nothing."""
    json: bool = False
    """Print one JSON object on standard output and nothing else there."""


@dataclass(frozen=True, kw_only=True)
class Seats(Common):
    """Arguments of the verbs in which a victim meets attackers."""

    game: GameArgument
    """A game's id; `sparring list` shows what there is."""
    benign: OptionalPolicy = None
    """What the attacker's agent does when not controlled. By default uniform in exact games, and elsewhere the victim's
    own policy, where the seats are alike."""
    victim_seat: int = 0
    """Which of the game's agents the victim is."""
    attackers: tuple[int, ...] = ()
    """Seats of the attacker's agents (several are a team); by default all but the victim's. Exact games only."""
    others: PolicyLike = "uniform"
    """What the remaining agents play. Exact games only."""


class Matchup(NamedTuple):
    """A game of two, its seats and who sits in them."""

    game: VectorGame
    victim_agent: AgentID
    attacker_agent: AgentID
    victim: Policy
    benign: Policy


class Interrupted(Exception):
    """The user stopped a run; it is saved in `folder` and can be resumed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder


def verb_module(verb: str) -> ModuleType:
    return importlib.import_module(f"sparring.commands.{verb}")


def perform(verb: str, settings: Any, command: Sequence[str] = (), resume: Path | None = None) -> dict[str, Any]:
    """Carry out a verb in a new run folder, or go on in an existing one.

    Raises:
      InputError: bad input; nothing was started, or what was there before is intact.
    """
    module = verb_module(verb)
    prepared = module.prepare(settings)  # before there is a run folder: bad input leaves nothing behind
    if settings.dry_run:
        return {"verb": verb, "settings": as_config(settings), **module.plan(settings, prepared)}
    if resume is not None:
        run = Run.open(resume)
    else:
        out = None if settings.out is None else Path(settings.out)
        subject = settings.name if verb == "study" else getattr(settings.game, "id", settings.game)
        run = Run.create(out, subject, verb, settings.seed, as_config(settings), command)
    try:
        with run:
            result = module.execute(settings, prepared, run)
            run.finish()
    except (Stopped, KeyboardInterrupt) as stopped:
        raise Interrupted(run.folder) from stopped
    return {**result, "run": str(run.folder)}


def as_config(settings: Any) -> dict[str, Any]:
    """The settings as plain JSON; a policy given as a Python object is named by its type."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {
        k: v if isinstance(v, (str, int, float, bool, type(None), tuple)) else f"<{type(v).__name__}>"
        for k, v in values.items()
    }


def from_config(source: str | Path) -> tuple[str, Any]:
    """The verb and settings of a run, from its folder or its config.json.

    Raises:
      InputError: no such run, or settings that this version does not know.
    """
    path = Path(source)
    config = read_config(path.parent if path.name == "config.json" else path)
    verb, values = config["verb"], config["settings"]
    try:
        cls = verb_module(verb).Settings
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return verb, replace(cls(**values), config=None, dry_run=False)
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(f"{source}: the settings are not those of this version: {error}") from None


def host_game(game_id: str, num_games: int, threads: int) -> VectorGame:
    """The game, to be stepped on the host."""
    from sparring.games import make
    from sparring.games.hosted import hosted

    return hosted(make(game_id, num_games, threads))


def matchup(game: VectorGame, victim: PolicyLike, benign: PolicyLike | None, victim_seat: int) -> Matchup:
    """Resolve the seats and load the policies.

    Args:
      game: of two agents.
      victim: as given by the user.
      benign: the same; None means uniform in a game that can be enumerated, and else the victim's own policy, if both
        seats have the same observations and actions.
      victim_seat: 0 or 1.

    Raises:
      InputError: not a game of two, a seat that does not exist, or a policy that cannot be loaded or does not fit.
    """
    from sparring.games.finite import finite

    if len(game.agents) != 2:
        raise InputError(f"{game.id}: expected a game of two agents, got {len(game.agents)}")
    if victim_seat not in (0, 1):
        raise InputError(f"victim-seat: expected 0 or 1 ({' or '.join(game.agents)}), got {victim_seat}")
    victim_agent, attacker_agent = game.agents[victim_seat], game.agents[1 - victim_seat]
    if benign is None and finite(game) is not None:
        benign = "uniform"
    if benign is None and game.spaces[victim_agent] != game.spaces[attacker_agent]:
        raise InputError(
            f"{game.id}: give --benign: {attacker_agent} differs from {victim_agent}, so the victim cannot play both"
        )
    return Matchup(
        game,
        victim_agent,
        attacker_agent,
        policy(victim, game, victim_agent),
        policy(victim if benign is None else benign, game, attacker_agent),
    )


def policy(source: PolicyLike, game: VectorGame, agent: AgentID) -> Policy:
    """A policy from what a user gives: a name, a `Policy`, or a function."""
    if isinstance(source, str):
        from sparring.loaders import load

        return load(source, game, agent)
    if isinstance(source, Policy):
        return source
    if callable(source):
        return CallablePolicy(source)
    raise InputError(f"policy of {agent}: expected a name, a Policy or a function, got {type(source).__name__}")


def describe(source: PolicyLike) -> str:
    """A policy's name, or for one given as a Python object its type's."""
    return source if isinstance(source, str) else f"<{type(source).__name__}>"


def shipped_agent(game_id: str, seat: int) -> str | None:
    """The trained agent that comes with the package for a seat, or None."""
    from sparring.loaders.builtin import names

    bodies = game_id.partition("/")[2].partition(",")[0].split("-vs-")
    if game_id.startswith("robosumo/") and len(bodies) == 2 and 0 <= seat <= 1 and bodies[seat] in names():
        return f"builtin:{bodies[seat]}"
    return None


def default_victim(game_id: str, victim_seat: int) -> str:
    """The agent that comes with the package for this seat.

    Raises:
      InputError: there is none.
    """
    if (name := shipped_agent(game_id, victim_seat)) is None:
        raise InputError(f"{game_id}: give --victim POLICY; no trained agent comes with the package for this game")
    return name


class Played(NamedTuple):
    """Matches of one pairing, and a sample of what the victim saw in them."""

    outcomes: Outcomes
    states: np.ndarray  # float32 [n, D]


def play(
    pairing: Matchup,
    adversarial: Policy,
    budget: float,
    episodes: int,
    seed: np.random.SeedSequence,
    label: str,
    control: Control = "step",
    states: int = 0,
) -> Played:
    """Complete matches of the victim against the attacker's agent under a budget.

    Args:
      pairing: the seats.
      adversarial: what the attacker plays when in control.
      budget: epsilon.
      episodes: how many.
      seed: of this call alone.
      label: for the progress.
      control: see `mix`.
      states: how many of the victim's observations to keep (a uniform sample, in time order).
    """
    from sparring.console import interruptible, progress
    from sparring.rollout import evaluate

    rng = np.random.default_rng(seed)
    executed = mix(pairing.benign, adversarial, budget, control)
    policies = {pairing.victim_agent: pairing.victim, pairing.attacker_agent: executed}
    seen: list[np.ndarray] = []

    def on_progress(done: int) -> None:
        advance(done)
        if stop():
            raise Stopped

    def keep(observation: Mapping[AgentID, Any], counting: np.ndarray) -> None:
        if states:
            seen.append(np.asarray(observation[pairing.victim_agent])[counting])

    with progress(episodes, label) as advance, interruptible() as stop:
        outcomes = evaluate(pairing.game, policies, episodes, rng, on_progress, keep)
    rows = np.concatenate(seen) if seen else np.zeros((0, 0), np.float32)
    chosen = np.sort(rng.choice(len(rows), min(states, len(rows)), replace=False)) if states else []
    return Played(outcomes, rows[chosen] if states else rows)


def result_of(pairing: Matchup, outcomes: Outcomes, budget: float, seed: np.random.SeedSequence) -> dict[str, Any]:
    """The JSON keys of an evaluation."""
    from sparring.metrics.outcome import summary

    agents = pairing.game.agents
    attacker, victim = agents.index(pairing.attacker_agent), agents.index(pairing.victim_agent)
    return {"budget": budget, **summary(outcomes, attacker, victim, agents, np.random.default_rng(seed))}


def slots(episodes: int) -> int:
    if episodes < 1:
        raise InputError(f"episodes: expected at least 1, got {episodes}")
    return min(episodes, SLOTS)


def duration(seconds: float) -> str:
    """`seconds` for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def percent(result: Mapping[str, Any], key: str) -> str:
    low, high = result[f"{key}_ci"]
    return f"{result[key]:.1%} [{low:.1%}, {high:.1%}]"
