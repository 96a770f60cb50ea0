"""How visible the shipped attacks on `builtin:disc-early` are, at each budget, and how soon a detector raises an alarm.

    python experiments/discs/detection.py > detection.jsonl

One JSON object a line. Seconds are those of the processor.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sparring.files import plain
from sparring.games.discs.duel import Duel
from sparring.loaders import load
from sparring.metrics.detection import importance, transitions, two_sample
from sparring.metrics.online import fit_detector, trial
from sparring.metrics.sequential import Statistic
from sparring.metrics.windows import View
from sparring.mixture import mix
from sparring.play.rollout import rollout, start
from sparring.types import Policy, Tracks

VICTIM, BUDGETS = "builtin:disc-early", ("0.3", "0.7", "1")
MATCHES, FRESH, MANY = 400, 2000, 1000
SLOTS, CHUNK = 100, 50  # matches side by side; steps between two looks
FEATURES = (
    *("own x", "own y", "other x", "other y", "own velocity x", "own velocity y"),
    *("other velocity x", "other velocity y", "time left"),
)
# What is looked at, whether attacked matches are learned from, and how scores are added up.
DETECTORS: tuple[tuple[View, bool, Statistic], ...] = (
    ("state", True, "cusum"),
    ("state", True, "betting"),
    ("transition", True, "cusum"),
    ("state", False, "cusum"),
    ("transition", False, "cusum-two-sided"),
)


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


def timed(what: str, call: Callable[[], Any], **more: Any) -> Any:
    """The result, printed with the seconds that it took."""
    begun = time.process_time()
    found = call()
    seconds = round(time.process_time() - begun, 2)
    if more:
        shown = json.loads(json.dumps(plain(jsonable(found))))
        print(json.dumps({"what": what, **more, "seconds": seconds, "found": shown}), flush=True)
    return found


def jsonable(value: Any) -> Any:
    """Named tuples as dictionaries."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: jsonable(inner) for name, inner in value._asdict().items()}  # pyright: ignore
    return value


def main() -> None:
    benign, more, fresh = (duel(VICTIM, None, 0.0, n, s).tracks for s, n in ((1, MATCHES), (2, MANY), (3, FRESH)))
    groups = {name: [k] for k, name in enumerate(FEATURES)}
    for i, budget in enumerate(BUDGETS):
        attacker = f"{VICTIM}-attack-{budget}"
        learned, met = (duel(VICTIM, attacker, float(budget), MATCHES, 10 * i + s) for s in (11, 12))
        own = {"budget": float(budget), "won": float(met.won.mean())}
        timed("two-sample", lambda learned=learned: two_sample(benign, learned.tracks), **own)
        timed("transitions", lambda learned=learned: transitions(benign, learned.tracks), **own)
        timed("importance", lambda learned=learned: importance(benign, learned.tracks, groups), **own)
        for view, known, statistic in DETECTORS:
            for calibration in (None, more) if (view, statistic) == ("state", "cusum") else (None,):
                attacked = learned.tracks if known else None
                begun = time.process_time()
                detector = fit_detector(
                    benign, attacked, view=view, statistic=statistic, game="discs/duel", calibration=calibration
                )
                fitted = round(time.process_time() - begun, 2)
                said = {"view": view, "learned": known, "statistic": statistic, "fit_seconds": fitted}
                said |= {"calibration": len(detector.calibration), "certified": detector.certified}
                timed("trial", lambda d=detector, m=met: trial(d, fresh, m.tracks, m.won), **own, **said)


if __name__ == "__main__":
    main()
