"""Films of matches: the same match under several attacks, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from sparring.errors import InputError
from sparring.games.hosted import hosted
from sparring.games.pictures import Draw, Size, drawable, drawer
from sparring.play.rollout import RolloutState, rollout, start
from sparring.report.marked import controlled, marked
from sparring.report.panels import Panel, Reel, SideBySide
from sparring.report.video import encode, encoder
from sparring.types import AgentID, Game, Policy, Trajectory

LENGTHS = (15, 300)  # steps of a match worth watching; a film shows no more
PANEL: Size = (480, 368)  # the most that a panel takes, without its caption
RATES = (1, 240)  # steps in a second that a film may show
FPS = 20  # as many as RoboSumo's control steps in a second


class Casting(NamedTuple):
    """Who plays in one panel."""

    name: str  # for its caption
    policies: Mapping[AgentID, Policy]  # of every agent


class Film(NamedTuple):
    """A film, and what is in it."""

    data: bytes  # of the file
    suffix: str  # of its name: `.mp4` or `.webp`
    match: int  # which of the matches that were played side by side
    panels: tuple[Panel, ...]  # one for each casting


class _Played(NamedTuple):
    """The first match in every slot, of B slots."""

    length: np.ndarray  # int [B], steps; 0: it is not over
    won: np.ndarray  # bool [B], by an attacker


def film(
    game: Game,
    castings: Sequence[Casting],
    attackers: Sequence[AgentID],
    victims: Sequence[AgentID],
    seed: np.random.SeedSequence,
    leading: int = -1,
    match: int | None = None,
    size: Size = PANEL,
    fps: int = FPS,
    suffix: str | None = None,
) -> Film:
    """One match of each casting, from the same seed, as the panels of one film.

    All castings are shown in the same slot of the game: the match begins alike, and in each step every policy and every
    coin of Eq. 3.2 is given the same random numbers. So at a larger budget the attacker is controlled wherever it is
    at a smaller one, as long as the matches last. Without `match`, the leading casting is played first, and one of the
    matches that it wins is shown: that of median length, neither a lucky push nor the longest stand-off. If it wins
    none, one that ended is shown, else the first.

    Args:
      game: B matches, one which can draw; see `games.pictures`.
      castings: one for each panel.
      attackers: the agents whose control is marked, and whose win is looked for; where there are none, nothing is.
      victims: the agents that are attacked, whose win or return the captions name.
      seed: of this call alone.
      leading: the number of the casting whose win is looked for.
      match: the slot, 0 to B - 1, that is shown.
      size: the most that a panel takes, width and height in pixels.
      fps: steps that are shown in a second.
      suffix: `.mp4` or `.webp`; None: as `video.encode` chooses.

    Raises:
      NoPicture: the game or the machine cannot draw, or there is nothing to make a film with.
      InputError: no such match, a bad size or rate, or as `rollout`.
    """
    if match is not None and not 0 <= match < game.num_games:
        raise InputError(f"match: expected 0 to {game.num_games - 1}, got {match}")
    if not RATES[0] <= fps <= RATES[1]:
        raise InputError(f"fps: expected {RATES[0]} to {RATES[1]}, got {fps}")
    encoder(suffix)  # finds out before any match is played whether there is one, as does the first picture below
    castings = [casting._replace(policies=_watched(casting.policies, attackers)) for casting in castings]
    if not all(policy.traceable for casting in castings for policy in casting.policies.values()):
        game = hosted(game)
    game = drawable(game)
    draw = drawer(game, size)
    draw(start(game, castings[0].policies, _rng(seed, 0)).game, 0)
    if match is None:
        match = _worth_watching(_first_matches(game, castings[leading].policies, attackers, victims, seed))
    panels = [_shown(game, casting, attackers, victims, seed, match, draw) for casting in castings]
    data, suffix = encode(SideBySide(panels, rest=fps), fps, suffix=suffix)
    return Film(data, suffix, match, tuple(panels))


def _watched(policies: Mapping[AgentID, Policy], attackers: Sequence[AgentID]) -> dict[AgentID, Policy]:
    return {agent: marked(policy) if agent in attackers else policy for agent, policy in policies.items()}


def _first_matches(
    game: Game,
    policies: Mapping[AgentID, Policy],
    attackers: Sequence[AgentID],
    victims: Sequence[AgentID],
    seed: np.random.SeedSequence,
) -> _Played:
    """Play until the first match in every slot is over, or as long as a film may be."""
    length, won = np.zeros(game.num_games, int), np.zeros(game.num_games, bool)

    def look(t: int, step: Trajectory, state: RolloutState) -> bool:
        now = (length == 0) & _ended(step)
        length[now] = t + 1
        won[now] = _won(step, attackers, victims)[now]
        return bool(length.all())

    _play(game, policies, seed, look)
    return _Played(length, won)


def _worth_watching(played: _Played) -> int:
    good = (played.length >= LENGTHS[0]) & (played.length <= LENGTHS[1])
    candidates = next(
        (found for wanted in (good & played.won, played.won, good) if len(found := np.flatnonzero(wanted))),
        np.zeros(1, int),
    )
    ordered = candidates[np.argsort(played.length[candidates], kind="stable")]
    return int(ordered[len(ordered) // 2])


def _shown(
    game: Game,
    casting: Casting,
    attackers: Sequence[AgentID],
    victims: Sequence[AgentID],
    seed: np.random.SeedSequence,
    match: int,
    draw: Draw,
) -> Panel:
    """One match of a casting up to its end, drawn."""
    reel, marks, returns = Reel(), [], 0.0
    outcome = f"not over after {LENGTHS[1]} steps"

    def before(state: RolloutState) -> None:
        reel.add(draw(state.game, match))

    def look(t: int, step: Trajectory, state: RolloutState) -> bool:
        nonlocal returns, outcome
        marks.append(any(bool(controlled(state.policy[agent], game.num_games)[match]) for agent in attackers))
        returns += sum(float(step.reward[agent][0][match]) for agent in victims)
        if over := bool(_ended(step)[match]):
            outcome = f"{_ending(step, match, attackers, victims, returns)} at step {t + 1}"
        return over

    _play(game, casting.policies, seed, look, before)
    return Panel(casting.name, np.array(marks, bool), outcome, reel)


def _play(
    game: Game,
    policies: Mapping[AgentID, Policy],
    seed: np.random.SeedSequence,
    after: Callable[[int, Trajectory, RolloutState], bool],
    before: Callable[[RolloutState], None] = lambda state: None,
) -> None:
    """Play one step after the other until `after` says that it is enough, or as long as a film may be."""
    state = start(game, policies, _rng(seed, 0))
    for t in range(LENGTHS[1]):
        before(state)
        # Every step has randomness of its own, so that it does not matter what other castings drew before.
        step, state = rollout(game, policies, 1, _rng(seed, t + 1), state, before=t)
        if after(t, jax.tree.map(np.asarray, step), state):
            return


def _rng(seed: np.random.SeedSequence, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number)))


def _ended(step: Trajectory) -> np.ndarray:
    """Bool [B], of a trajectory of one step."""
    return step.terminated[0] | step.truncated[0] | step.invalid[0]


def _won(step: Trajectory, attackers: Sequence[AgentID], victims: Sequence[AgentID]) -> np.ndarray:
    """Bool [B]: an attacker won and no victim did."""
    if step.outcome is None:
        return np.zeros(np.shape(step.invalid)[1], bool)
    ours, theirs = (
        np.any([step.outcome[agent][0] == 1 for agent in agents], axis=0) if agents else np.False_
        for agents in (attackers, victims)
    )
    return np.broadcast_to(ours & ~theirs, np.shape(step.invalid)[1])


def _ending(
    step: Trajectory, match: int, attackers: Sequence[AgentID], victims: Sequence[AgentID], returns: float
) -> str:
    if step.invalid[0][match]:
        return "cut off, broken physics,"
    if step.outcome is None:
        return f"return {returns:.4g}"
    if _won(step, attackers, victims)[match]:
        return "attacker wins"
    if _won(step, victims, attackers)[match]:
        return "victim wins"
    return "time is up" if step.truncated[0][match] else "draw"
