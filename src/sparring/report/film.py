"""Films of single matches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparring.errors import NoPicture
from sparring.games.hosted import hosted
from sparring.play.rollout import rollout
from sparring.report.video import encode
from sparring.types import AgentID, Game, Policy

MAX_STEPS = 501
LENGTHS = (15, 300)  # steps of a match worth watching


def film_win(
    game: Game, policies: Mapping[AgentID, Policy], winner: AgentID, seed: np.random.SeedSequence, fps: int = 20
) -> tuple[bytes, str]:
    """A match that `winner` wins, as a film: its bytes and the suffix of its file.

    All matches are played once to find one, and then once more up to that one's end, drawing it.

    Args:
      game: B matches, which can draw: it has `frame(match) -> uint8 [H, W, 3]`, or within JAX `picture(state, match)`.
      policies: one for every agent.
      winner: whose win is wanted.
      seed: of this call alone.

    Raises:
      NoPicture: the game or the machine cannot draw, or `winner` won none of the matches.
    """
    game = hosted(game)
    frame = getattr(game, "frame", None)
    if frame is None:
        raise NoPicture(f"no picture: {game.id} cannot draw itself")
    trajectory, _ = rollout(game, policies, MAX_STEPS, np.random.default_rng(seed))
    if trajectory.outcome is None:
        raise NoPicture(f"no clip: {game.id} has no winners, so there is no win to show")
    ended = trajectory.terminated | trajectory.truncated | trajectory.invalid
    match, length = _won(trajectory.outcome[winner] == 1, ended)
    rng, state, frames = np.random.default_rng(seed), None, []
    for _ in range(length - 1):
        _, state = rollout(game, policies, 1, rng, state)
        frames.append(frame(match))
    return encode(np.stack(frames))


def _won(wins: np.ndarray, ended: np.ndarray) -> tuple[int, int]:
    """The match [B] whose first end is a win after a watchable number of steps, and that number."""
    happened = ended.any(axis=0)
    first = ended.argmax(axis=0)
    won = happened & wins[first, np.arange(len(first))]
    lengths = first + 1
    good = won & (lengths >= LENGTHS[0]) & (lengths <= LENGTHS[1])
    if not good.any():
        raise NoPicture(f"no clip: the attacker won none of the {len(first)} matches that were searched for one")
    # The median: neither a lucky push nor the longest stand-off.
    candidates = np.flatnonzero(good)
    match = candidates[np.argsort(lengths[candidates], kind="stable")[len(candidates) // 2]]
    return int(match), int(lengths[match])
