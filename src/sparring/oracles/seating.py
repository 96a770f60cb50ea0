"""From what a user gives to one record: the game as it was asked for, who is attacked, through whom, by what policies.

It is made once, by `ask`, and handed down; nothing is looked up or loaded a second time.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparring.errors import InputError, foreign, unknown
from sparring.games.described import check_described, check_made, is_game
from sparring.policies import CallablePolicy
from sparring.records import OWN, benign_name
from sparring.types import AgentID, Game, Policy, Spaces, ThreatModel

if TYPE_CHECKING:
    from sparring.games.finite import FiniteGame
    from sparring.oracles.options import Seats

EARLY = "early"  # a shipped agent's weights of early in its training: known to be exploitable


class Names(NamedTuple):
    """What the user called the policies."""

    victim: str
    benign: str
    others: str | None  # None: there are no bystanders


@dataclass(frozen=True, eq=False)
class Question:
    """What is the worst attack on these victims, in this game, through these agents?

    The threat's budget is 1: an oracle is asked at budgets of its own.
    """

    game: str  # as it was asked for
    make: Callable[[int], Game]  # that very game, with so many matches side by side
    first: Game  # one of them, to look at
    finite: FiniteGame | None  # the same as exact solvers see it; None: it can only be simulated
    threat: ThreatModel
    victims: Mapping[AgentID, Policy]
    names: Names
    portable: bool  # all of it was given by name: another process can ask the same

    @property
    def agents(self) -> tuple[AgentID, ...]:
        return self.first.agents

    @property
    def benign(self) -> str:
        """What the benign policy is called: where it is the victim's own, the victim's name."""
        return benign_name(self.names.benign, self.names.victim)

    @property
    def spaces(self) -> Mapping[AgentID, Spaces]:
        return self.first.spaces

    def seats(self, agents: Sequence[AgentID]) -> tuple[int, ...]:
        return tuple(self.agents.index(agent) for agent in agents)


def ask(settings: Seats, victim: Any, first: Game | None = None) -> Question:
    """Resolve a verb's settings.

    Args:
      settings: of a verb; control and coin are read where it has them.
      victim: the policy of the victims: a name, a `Policy`, a function, a table, or one of these for each agent. None:
        the agent that comes with the package.
      first: one match of the game, where it was made before.

    Raises:
      InputError: no such game, a seat that does not exist or is taken twice, or a policy that cannot be loaded or does
        not fit its agent.
    """
    name, make = maker(settings.game, settings.threads)
    first = make(1) if first is None else first
    found = _finite(first)
    if victim is None and found is not None:
        raise InputError(f"{name}: give --victim POLICY: uniform, first, nash or tabular:FILE.json")
    victim = default_victim(settings) if victim is None else victim
    victims = agents_of(settings.victim_seat, first, "victim-seat") or (first.agents[0],)
    attackers = agents_of(settings.attackers, first, "attackers")
    attackers = attackers or tuple(agent for agent in first.agents if agent not in victims)
    if not attackers:
        raise InputError(
            f"attackers: {name} has no agent besides {', '.join(victims)}, the victim, so nobody can attack it: give a "
            "game of two agents or more"
        )
    if taken := [agent for agent in attackers if agent in victims]:
        raise InputError(f"attackers: expected agents other than the victim's, got {taken[0]}, which is the victim")
    rest = tuple(agent for agent in first.agents if agent not in victims and agent not in attackers)
    if settings.others is not None and not rest:
        raise InputError("others: every agent is a victim or an attacker, so there are no others; leave it out")
    attacked = {agent: policy(victim, first, agent, "victim") for agent in victims}
    benign, called, own = settings.benign, describe(settings.benign), settings.benign is None
    if own:
        benign, called = _default_benign(victim, first, found is not None, victims, attackers)
    others = "uniform" if settings.others is None else settings.others
    threat = ThreatModel(
        victims,
        attackers,
        {agent: policy(benign, first, agent, "benign") for agent in attackers},
        1.0,
        {agent: policy(others, first, agent, "others") for agent in rest},
        getattr(settings, "control", "step"),
        getattr(settings, "coin", "agent"),
    )
    if threat.coin == "team" and len(attackers) == 1:
        raise InputError("coin=team: there is one attacker, so there is one coin; leave it out")
    return Question(
        name,
        make,
        first,
        found,
        threat,
        attacked,
        Names(describe(victim), called, describe(others) if rest else None),
        all(isinstance(given, str) for given in (settings.game, victim, called if own else settings.benign, others)),
    )


def with_victim(question: Question, victim: Any) -> Question:
    """The same question about another victim."""
    victims = {agent: policy(victim, question.first, agent, "victim") for agent in question.victims}
    return replace(question, victims=victims, names=question.names._replace(victim=describe(victim)))


def maker(game: Any, threads: int = 0) -> tuple[str, Callable[[int], Game]]:
    """The name of a game and the function that makes it with so many matches side by side.

    Args:
      game: an id, a game, or a factory that is called with `num_games`. A game given as an object is used as it is,
        with the matches that it has.
      threads: to step a game on the host with.

    Raises:
      InputError: it is none of these; the function raises it, too.
    """
    from sparring.games import make

    if isinstance(game, str):
        return game, lambda num_games: make(game, num_games, threads)
    if type(game).__module__.startswith("pyspiel") or hasattr(game, "new_initial_state"):
        from sparring.games.openspiel import compile_tree
        from sparring.games.tree import SampledTree

        tree = compile_tree(game)
        return SampledTree(tree).id, lambda num_games: SampledTree(tree, num_games)
    if is_game(game):
        check_described(game)
        return str(game.id), lambda _: game
    if callable(game):
        what = f"game {getattr(game, '__name__', type(game).__name__)}"

        def made(num_games: int) -> Game:
            with foreign(what, "a function that takes num_games and returns a game", game):
                result = game(num_games=num_games)
            if not is_game(result):
                raise InputError(
                    f"{what}: expected that it returns a game (sparring.types), got {type(result).__name__}"
                )
            check_made(what, result, num_games, game)
            return result

        return what.removeprefix("game "), made
    raise InputError(
        "game: expected an id such as 'openspiel/kuhn_poker', a game, a pyspiel.Game or a function that makes a game, "
        f"got {type(game).__name__}"
    )


def agents_of(given: Sequence[Any], game: Game, what: str) -> tuple[AgentID, ...]:
    """The agents that seats or names mean.

    Raises:
      InputError: no such seat or agent, or one twice.
    """
    chosen = []
    for one in given:
        if str(one) in game.agents:
            chosen.append(str(one))
        elif str(one).isdecimal() and int(one) < len(game.agents):
            chosen.append(game.agents[int(one)])
        else:
            names = ", ".join(game.agents)
            apart = "; several are separated by blanks" if "," in str(one) else ""
            apart += "; a policy is given by --attacker" if what == "attackers" and ":" in str(one) else ""
            raise InputError(
                f"{what}: expected 0 to {len(game.agents) - 1}, got {one}; or give one of the names {names}{apart}"
            )
    if len(set(chosen)) < len(chosen):
        raise InputError(f"{what}: expected agents, each once, got {', '.join(chosen)}")
    return tuple(chosen)


def policy(source: Any, game: Game, agent: AgentID, what: str = "policy") -> Policy:
    """A policy from what a user gives.

    Args:
      source: a name, a `Policy`, a function `(observation, rng) -> action`, in games that can be enumerated a table
        (an array [I, A], or `{information state: {action: probability}}`), or one of these for each agent.
      game: the game that it is to play.
      agent: whom it is to play.
      what: the option that it was given for, for messages.

    Raises:
      InputError: none of these, or it does not fit.
    """
    from sparring.loaders import load

    if isinstance(source, Mapping) and is_for_each(source, game, what):
        if agent not in source:
            raise InputError(f"{what}: expected a policy for {agent}, too; got some for {', '.join(source)}")
        source = source[agent]
    if isinstance(source, str):
        return load(source, game, agent)
    if isinstance(source, Policy):
        return source
    if isinstance(source, (Mapping, np.ndarray, list)) or hasattr(source, "action_probabilities"):
        return _tabular(source, game, agent, what)
    if callable(source):
        return CallablePolicy(source)
    kinds = "a name, a Policy, a function or a table"
    raise InputError(f"{what} {describe(source)} of {agent}: expected {kinds}, got {type(source).__name__}")


def is_for_each(source: Mapping[Any, Any], game: Game, what: str) -> bool:
    """Whether a dictionary holds agents' policies; else it is a table, {information state: {action: probability}}.

    Raises:
      InputError: it holds policies of agents that the game does not have.
    """
    named = set(source) & set(game.agents) or any(
        isinstance(value, (str, Policy)) or (callable(value) and not isinstance(value, Mapping))
        for value in source.values()
    )
    if named and (strange := [name for name in source if name not in game.agents]):
        raise unknown(f"agent in {what}", strange[0], game.agents)
    return bool(named)


def for_each(given: Any, agents: Sequence[AgentID]) -> Any:
    """A policy for each agent from names in their order; one name is meant for all, anything else stays as it is.

    Raises:
      InputError: another number of names.
    """
    if not isinstance(given, (tuple, list)) or not all(isinstance(name, str) for name in given):
        return given
    if len(given) == 1:
        return given[0]
    if len(given) != len(agents):
        each = f", or one for each of {', '.join(agents)} in this order" if len(agents) > 1 else ""
        raise InputError(f"attacker: expected one policy{each}, got {len(given)}")
    return dict(zip(agents, given, strict=True))


def describe(source: Any) -> str:
    """A policy's or game's name, or the type of one given as a Python object."""
    return source if isinstance(source, str) else f"<{type(source).__name__}>"


def family_learning(game: str) -> ModuleType | None:
    """What is known about learning in a family of games: its `learning` module, or None if it has none."""
    family, slash, _ = game.partition("/")
    if not slash or not family.isidentifier():
        return None
    name = f"sparring.games.{family}.learning"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise  # of something that the module itself needs


def shipped_agent(game: str, seat: int) -> str | None:
    """The trained agent that comes with the package for a seat, or None."""
    from sparring.loaders.builtin import names

    family, _, rest = game.partition("/")
    title = rest.partition(",")[0]
    bodies = {"robosumo": title.split("-vs-"), "discs": ["disc", "disc"] if title == "duel" else []}.get(family, [])
    if len(bodies) == 2 and seat < 2 and bodies[seat] in names():
        return f"builtin:{bodies[seat]}"
    return None


def early_agent(game: str, seat: int) -> str | None:
    """The shipped agent of a seat as it was early in its training, or None."""
    from sparring.loaders.builtin import names

    shipped = shipped_agent(game, seat)
    early = None if shipped is None else f"{shipped}-{EARLY}"
    return early if early is not None and early.removeprefix("builtin:") in names() else None


def default_victim(settings: Seats) -> str:
    """The agent that comes with the package for the victim's seat.

    Raises:
      InputError: there is none.
    """
    seats, name = tuple(settings.victim_seat), describe(settings.game)
    seat = int(seats[0]) if len(seats) == 1 and str(seats[0]).isdecimal() else None
    found = None if seat is None or not isinstance(settings.game, str) else shipped_agent(settings.game, seat)
    if found is None:
        raise InputError(f"{name}: give --victim POLICY; no trained agent comes with the package for this game")
    return found


def _finite(game: Game) -> FiniteGame | None:
    from sparring.games.finite import finite

    return finite(game)


def _default_benign(
    victim: Any, game: Game, exact: bool, victims: Sequence[AgentID], attackers: Sequence[AgentID]
) -> tuple[Any, str]:
    """Uniform in games that can be enumerated; elsewhere each attacker's agent plays as a victim whose seat is alike.

    Raises:
      InputError: an attacker's agent is like none of the victims.
    """
    if exact:
        return "uniform", "uniform"
    own: dict[AgentID, Any] = {}
    for agent in attackers:
        alike = [other for other in victims if game.spaces[other] == game.spaces[agent]]
        if not alike:
            raise InputError(
                f"{game.id}: give --benign: {agent} differs from {' and '.join(victims)}, so it cannot play its policy"
            )
        several = isinstance(victim, Mapping) and set(victim) & set(game.agents)
        own[agent] = victim[alike[0]] if several else victim
    return own, OWN


def _tabular(source: Any, game: Game, agent: AgentID, what: str) -> Policy:
    from sparring.exact.problem import fitting
    from sparring.games.finite import infosets
    from sparring.loaders import tabular
    from sparring.policies import TabularPolicy

    if isinstance(source, (list, tuple)) and any(map(callable, source)):
        raise InputError(
            f"{what}: expected one policy, or a dictionary with one for each agent, got several objects; policies that "
            "are compared side by side are given by their names"
        )
    found = _finite(game)
    if found is None:
        raise InputError(f"{what} of {agent}: a table needs a game that can be enumerated, and {game.id} cannot be")
    rows = infosets(found, agent)
    name = f"{what} of {agent}"
    if hasattr(source, "action_probabilities"):
        from sparring.games.openspiel import policy_table
        from sparring.games.tree import SampledTree

        if not isinstance(found, SampledTree):
            raise InputError(f"{what} {describe(source)} of {agent}: OpenSpiel's policies are for openspiel/ games")
        return TabularPolicy(fitting(policy_table(source, found, agent), rows.count, name))
    if not isinstance(source, Mapping):
        try:
            return TabularPolicy(fitting(np.asarray(source, np.float64), rows.count, name))
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{name}: expected numbers [rows, actions]: {error}") from None
    return TabularPolicy(tabular.from_states(source, rows, name, tabular.others(found, agent)))
