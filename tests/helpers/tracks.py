"""Whole matches of `discs/duel` as its victim met them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparring.games.discs.duel import Duel
from sparring.loaders import load
from sparring.mixture import mix
from sparring.play.rollout import rollout, start
from sparring.types import Policy, Tracks

SLOTS, CHUNK = 100, 50


class Played(NamedTuple):
    tracks: Tracks
    won: np.ndarray  # bool [m], by the attacker


def duel(victim: str, attacker: str | None, budget: float, matches: int, seed: int) -> Played:
    """`matches` whole matches of a victim in the first seat against itself, mixed with an attacker (Eq. 3.2).

    Each of the slots plays the same number of matches, so that short ones are not favoured.
    """
    slots = min(SLOTS, matches)
    assert matches % slots == 0
    each = matches // slots
    game = Duel(slots)
    agent, other = game.agents
    benign = load(victim, game, other)
    opponent: Policy = benign if attacker is None else mix(benign, load(attacker, game, other), budget)
    policies = {agent: load(victim, game, agent), other: opponent}
    rng = np.random.default_rng(seed)
    state, parts, ended = start(game, policies, rng), [], np.zeros(slots, int)
    while ended.min() < each:
        played, state = rollout(game, policies, CHUNK, rng, state, record=(agent, other))
        ours, theirs = played.agents[agent], played.agents[other]
        controlled = np.asarray(theirs.controlled) & (attacker is not None)
        over = np.asarray(played.terminated)
        assert played.outcome is not None
        won = np.asarray(played.outcome[other]) == 1
        parts.append((np.asarray(ours.observation), np.asarray(ours.action), controlled, over, won))
        ended += over.sum(axis=0)
    rows, action, controlled, over, won = (np.concatenate(part).swapaxes(0, 1) for part in zip(*parts, strict=True))
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    wins = []
    for slot in range(slots):
        begun = 0
        for end in np.flatnonzero(over[slot])[:each] + 1:
            kept.append((rows[slot, begun:end], action[slot, begun:end], controlled[slot, begun:end]))
            wins.append(won[slot, end - 1])
            begun = end
    length = [len(one[0]) for one in kept]
    match, step = np.repeat(np.arange(matches), length), np.concatenate([np.arange(n) for n in length])
    columns = [np.concatenate(column) for column in zip(*kept, strict=True)]
    return Played(Tracks(columns[0], columns[1].clip(-1, 1), columns[2], match, step), np.array(wins))
