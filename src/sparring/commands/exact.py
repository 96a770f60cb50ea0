"""Finite games for the verbs: who sits where, policies as tables, and what is exact about a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sparring.commands.common import Seats, describe
from sparring.errors import InputError
from sparring.policy import ConstantPolicy, Policy, RandomPolicy, TabularPolicy
from sparring.types import AgentID, Control, check_budget

if TYPE_CHECKING:
    from sparring.exact.finite import FiniteProblem
    from sparring.exact.tree_game import Infosets
    from sparring.games.finite import FiniteGame
    from sparring.types import Game

TABULAR = "tabular:"
EXACT_ESTIMATE = "seconds up to a hundred thousand tree nodes; under 10 MB of disk"


class Contest(NamedTuple):
    """A finite game, its seats, and what those who are not attacked play."""

    game: FiniteGame
    victim: AgentID
    attackers: tuple[AgentID, ...]
    problem: FiniteProblem

    def at(self, budget: float) -> Contest:
        """The same under another budget."""
        return self._replace(problem=replace(self.problem, budget=budget))


def as_game(source: Any) -> Game:
    """A game from what a user means by one: its id, a game object, or OpenSpiel's own `pyspiel.Game`.

    Raises:
      InputError: something else, or no such game.
    """
    from sparring.games import make

    if isinstance(source, str):
        return make(source)
    if type(source).__module__.startswith("pyspiel") or hasattr(source, "new_initial_state"):
        from sparring.games.openspiel import compile_tree
        from sparring.games.tree import SampledTree

        return SampledTree(compile_tree(source))
    if hasattr(source, "agents") and hasattr(source, "spaces"):
        return source
    raise InputError(
        f"game: expected an id such as 'openspiel/kuhn_poker', a game, or a pyspiel.Game, got {type(source).__name__}"
    )


def solvable(game_id: Any, oracle: str | None) -> FiniteGame | None:
    """The game if it is to be solved: where `oracle` leaves it open, every finite game is. None: it is simulated.

    Raises:
      InputError: no such game, `oracle` is exact and the game can only be simulated, or the game is to be solved and
        its id has an option of sampled matches.
    """
    from sparring.games.finite import finite

    game = as_game(game_id)
    found = finite(game)
    if found is None and oracle == "exact":
        raise InputError(f"{game.id}: oracle=exact needs a matrix, Markov or openspiel game; use oracle=learned")
    if found is None or oracle not in (None, "exact"):
        return None
    if _has_horizon(found):
        raise InputError(
            f"{found.id}: horizon= is for matches that are sampled, an exact answer is that of the discounted game "
            "without an end: leave it out, or use --oracle learned or sampled"
        )
    return found


def to_compare(game_id: Any) -> FiniteGame | None:
    """The game if what is learned in it can be compared with the exact optimum.

    Matches that are cut off after a horizon of the user's have another value than the game without an end.
    """
    from sparring.games.finite import finite

    found = finite(as_game(game_id))
    return None if found is None or _has_horizon(found) else found


def _has_horizon(game: FiniteGame) -> bool:
    return ",horizon=" in game.id


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Tell in one line when memory ends.

    Raises:
      InputError: it did.
    """
    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{what}: there is not enough memory for an exact answer ({str(error) or 'out of memory'}): choose a "
            "smaller game or a machine with more memory; --dry-run tells how much it takes"
        ) from error


def finite_game(game_id: Any, verb: str) -> FiniteGame:
    """The game for a verb that solves it.

    Raises:
      InputError: no such game, or one that can only be simulated.
    """
    found = solvable(game_id, None)
    if found is None:
        raise InputError(
            f"{verb}: {game_id} can only be simulated; expected a game that can be enumerated: matrix/NAME, "
            "markov/FILE.npz or openspiel/NAME (sparring list)"
        )
    return found


def contest(game: FiniteGame, settings: Seats, budget: float) -> Contest:
    """Seats and problem as the settings say.

    Raises:
      InputError: a seat that does not exist or is taken, a policy that does not fit, or a budget outside [0, 1].
    """
    from sparring.games.finite import problem

    check_budget(budget)
    seats = range(len(game.agents))
    if settings.victim_seat not in seats:
        raise InputError(f"victim-seat: expected 0 to {len(seats) - 1}, got {settings.victim_seat}")
    given = settings.attackers
    given = (given,) if isinstance(given, (int, np.integer)) else tuple(given)
    chosen = given or tuple(seat for seat in seats if seat != settings.victim_seat)
    if settings.victim_seat in chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(seats):
        raise InputError(
            f"attackers: expected seats 0 to {len(seats) - 1} other than the victim's, each once, got {list(chosen)}"
        )
    victim, attackers = game.agents[settings.victim_seat], tuple(game.agents[seat] for seat in chosen)
    benign = "uniform" if settings.benign is None else settings.benign
    rest = [agent for agent in game.agents if agent != victim and agent not in attackers]
    own = {agent: table(benign, game, agent) for agent in attackers}
    others = {agent: table(settings.others, game, agent) for agent in rest}
    return Contest(game, victim, attackers, problem(game, victim, attackers, own, budget, others))


def check_exact_control(control: Control) -> None:
    """Refuse what has no exact answer here.

    Raises:
      InputError: control that is not drawn at every step, as Eq. 3.2 has it (DECISIONS 1).
    """
    if control != "step":
        raise InputError(f"control={control}: exact answers are for control drawn at every step; use a sampled oracle")


def table(source: Any, game: FiniteGame, agent: AgentID) -> np.ndarray:
    """A policy as action probabilities at each of an agent's information sets, float64 [I, A].

    Args:
      source: a policy's name, a `Policy` (networks are asked at every information set), the probabilities as an array
        or as a dictionary {information state: {action: probability}}, or OpenSpiel's own policy. `RandomPolicy` is
        uniform over the legal actions of each information set, `ConstantPolicy` takes the first one.
      game: the game.
      agent: whose policy it is.

    Raises:
      InputError: it cannot be loaded, does not fit, or tells its actions but not their probabilities.
    """
    from sparring.exact.problem import fitting, uniform
    from sparring.games.finite import infosets
    from sparring.loaders import load, tabular

    rows = infosets(game, agent)
    policy = load(source, game, agent) if isinstance(source, str) else source
    if isinstance(policy, TabularPolicy):
        found = policy.probabilities
    elif isinstance(policy, RandomPolicy):
        found = uniform(rows.count)
    elif isinstance(policy, ConstantPolicy):
        found = np.zeros(rows.actions.shape)
        found[:, 0] = 1.0
    elif isinstance(policy, Policy) and policy.traceable:
        from sparring.defences.adversarial_training import tabulate

        found = tabulate(policy, rows)
    elif isinstance(policy, Mapping):
        return tabular.from_states(policy, rows, f"policy of {agent}", tabular.others(game, agent))
    elif hasattr(policy, "action_probabilities"):
        from sparring.games.openspiel import policy_table
        from sparring.games.tree import SampledTree

        if not isinstance(game, SampledTree):
            raise InputError(f"policy {describe(source)} of {agent}: OpenSpiel's policies are for openspiel/ games")
        found = policy_table(policy, game, agent)
    elif callable(policy) or isinstance(policy, Policy):
        raise InputError(
            f"policy {describe(source)} of {agent}: a function tells its actions, not their probabilities, which an "
            "exact answer needs: give a table (tabular:FILE.json), or use --oracle learned"
        )
    else:
        found = _array(policy, f"policy {describe(source)} of {agent}")
    return fitting(found, rows.count, f"policy {describe(source)} of {agent}")


def _array(policy: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(policy, np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"{what}: expected a name, a Policy, probabilities [rows, actions] or {{state: {{action: probability}}}}, "
            f"got {type(policy).__name__}"
        ) from None


def adversarial_table(source: Any, arena: Contest) -> np.ndarray:
    """The adversarial policy, float64 [T, B]; what a team plays is a table of its own, or each member's policy.

    Raises:
      InputError: as `table`.
    """
    if len(arena.attackers) == 1:
        return table(source, arena.game, arena.attackers[0])
    if isinstance(source, str) and source.startswith(TABULAR):
        from sparring.loaders import tabular

        return tabular.read(source.removeprefix(TABULAR), attacker_rows(arena))
    members = {arena.game.agents.index(agent): table(source, arena.game, agent) for agent in arena.attackers}
    problem: Any = arena.problem  # of a tree: only trees have teams
    rows = np.zeros_like(problem.benign)
    for row, (player, infoset) in enumerate(problem.attacker_rows):
        own = members[player][infoset]
        rows[row, : len(own)] = own[: rows.shape[1]]
    return rows


def attacker_rows(arena: Contest) -> Infosets:
    """The rows of the adversarial policy. A team's are named by all that it has seen and done, member by member."""
    from sparring.exact.tree_game import Infosets
    from sparring.games.finite import infosets

    if len(arena.attackers) == 1:
        return infosets(arena.game, arena.attackers[0])
    problem: Any = arena.problem
    width = problem.attacker_sequences.width
    keys: list[str] = []
    ids, names = np.full((len(problem.attacker_rows), width), -1), []
    for row, (player, infoset) in enumerate(problem.attacker_rows):
        own = problem.tree.infosets[player]
        before = problem.attacker_sequences.parent[row] - 1
        past = f"{keys[before // width]} {names[before // width][before % width]}; " if before >= 0 else ""
        keys.append(f"{past}{arena.game.agents[player]} {own.keys[infoset]}")
        names.append(own.names[infoset])
        ids[row, : own.actions.shape[1]] = own.actions[infoset][:width]
    return Infosets(tuple(keys), problem.attacker_actions, ids, tuple(names))


def save_victim(path: Path, arena: Contest, nu: np.ndarray) -> Path:
    """Write a victim's policy as `tabular:` reads it."""
    from sparring.games.finite import infosets
    from sparring.loaders import tabular

    tabular.save(path, infosets(arena.game, arena.victim), nu)
    return path


def save_attacker(path: Path, arena: Contest, alpha: np.ndarray) -> Path:
    """Write an adversarial policy as `tabular:` reads it."""
    from sparring.loaders import tabular

    tabular.save(path, attacker_rows(arena), alpha)
    return path


def rates(arena: Contest, nu: np.ndarray, alpha: np.ndarray) -> dict[str, Any]:
    """The keys of an exact evaluation: no match was played, and every interval is its one value."""
    from sparring.exact.outcome import outcome

    found = outcome(arena.problem, nu, alpha)._asdict()
    decisions = found.pop("mean_decisions")
    result: dict[str, Any] = {"budget": arena.problem.budget}
    for key, value in found.items():
        result[key], result[f"{key}_ci"] = value, None if value is None else [value, value]
    return {**result, "scale": arena.problem.scale, "episodes": 0, "invalid": 0, "mean_decisions": decisions}


def seats_of(settings: Seats, arena: Contest) -> dict[str, Any]:
    """Who is who, for a result."""
    return {
        "game": arena.game.id,
        "victim_seat": settings.victim_seat,
        "attackers": [arena.game.agents.index(agent) for agent in arena.attackers],
        "benign": "uniform" if settings.benign is None else describe(settings.benign),
        "scale": arena.problem.scale,
    }


def chances(result: Mapping[str, Any]) -> str:
    """Win, draw and loss of the attacker for people, or the reason why there are none."""
    if result["win"] is None:
        return "matches have no end, and no winner"
    return ", ".join(f"{key} {result[key]:.2%}" for key in ("win", "draw", "loss"))
