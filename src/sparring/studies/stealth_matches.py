"""Matches of one victim with and without attacks, played or read, and what they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

STATES, KEPT, KEPT_FRESH = 8_000, 96 * 2**20, 512 * 2**20  # steps, and bytes of whole matches, of each evaluation
TOP = 10
AREAS = ("auc_state", "auc_window", "auc_match", "auc_floor")


class Matches:
    """Two samples of benign matches, and those of every attack by its name."""

    def __init__(self, game: str, victim: str, benign: str | None, matches: int, seed: int, folder: Path) -> None:
        from sparring.oracles import visible
        from sparring.oracles.learned import LearnedOracle
        from sparring.oracles.options import Seats
        from sparring.oracles.seating import ask
        from sparring.play.features import feature_names

        self.matches, self.seed, self.folder = matches, seed, folder
        self.oracle = LearnedOracle(ask(Seats(game=game, benign=benign), victim))
        question = self.oracle.question
        self.victims = question.threat.victims
        self.observers = (*self.victims, *(agent for agent in question.agents if agent not in self.victims))
        self.names = feature_names(question.first, self.observers)
        self.own = feature_names(question.first, self.victims)
        self.first, self.again = (self.played(f"benign {k}", None, 0.0) for k in range(2))
        ours, again = self.seen(self.first), self.seen(self.again)
        self.without = visible.benign(ours, again, self.own, visible.STUDY, seed)

    def played(self, name: str, source: str | None, budget: float) -> Any:
        """Matches with what all agents saw, the victim first."""
        from sparring.oracles.match_files import save_matches

        path = self._path(name)
        if not path.exists():
            save_matches(path, self._play(name, source, budget, self.matches, KEPT, self.observers))
        return self.read(name)

    def read(self, name: str) -> Any:
        """Matches that were played before."""
        from sparring.oracles.match_files import read_matches

        return read_matches(self._path(name))

    def _path(self, name: str) -> Path:
        return self.folder / f"{_plain(name)}.matches.safetensors"

    def _play(self, name: str, source: str | None, budget: float, matches: int, kept: int, observers: Any) -> Any:
        oracle = self.oracle
        adversarial = oracle.question.threat.benign if source is None else oracle.adversarial(source)
        seed = int(np.random.SeedSequence([self.seed, *name.encode()]).generate_state(1)[0])
        return oracle.play(adversarial, budget, matches, seed, name, STATES, tracks=kept, watch=observers)

    def seen(self, outcomes: Any) -> Any:
        """The same matches as the victim saw them."""
        width, acts = len(self.own), sum(self.oracle.question.spaces[agent].action.size for agent in self.victims)
        states = outcomes.states._replace(rows=np.ascontiguousarray(outcomes.states.rows[:, :width]))
        tracks = outcomes.tracks._replace(
            rows=np.ascontiguousarray(outcomes.tracks.rows[:, :width]),
            action=np.ascontiguousarray(outcomes.tracks.action[:, :acts]),
        )
        return outcomes._replace(states=states, tracks=tracks)

    def won(self, outcomes: Any) -> np.ndarray:
        """Whether the attacker won each match; an invalid one counts as not won."""
        flags = self.oracle.sample(outcomes).flags()
        assert flags is not None, "the studies of stealth are about games with winners"
        return flags["win"] & ~outcomes.invalid

    def fails(self, outcomes: Any) -> int:
        flags = self.oracle.sample(outcomes).flags()
        assert flags is not None
        return int((flags["fail"] & ~outcomes.invalid).sum())

    def wins(self, name: str, source: str, budget: float) -> tuple[int, int]:
        """Won and valid matches."""
        outcomes = self.played(name, source, budget)
        return int(self.won(outcomes).sum()), int((~outcomes.invalid).sum())

    def row(self, name: str, source: str, budget: float) -> dict[str, Any]:
        """What an attack does and how visible it is. Its detector is kept for `false_alarms`."""
        from sparring.oracles.visible import STUDY, visibility

        outcomes = self.played(name, source, budget)
        kept = self.folder / f"detector-{_plain(name)}"
        kept.mkdir(exist_ok=True)
        seen = visibility(
            self.without, self.seen(outcomes), self.won(outcomes), depth=STUDY, seed=self.seed, detectors=kept
        )
        valid = int((~outcomes.invalid).sum())
        row: dict[str, Any] = {"matches": valid, "wins": int(self.won(outcomes).sum()), "fails": self.fails(outcomes)}
        row |= {"benign_matches": int((~self.first.invalid).sum()), "benign_fails": self.fails(self.first)}
        row |= {"benign_wins": int(self.won(self.first).sum())}
        for d in seen.distances:
            if d.features == "all features":
                row |= {f"{d.measure}": d.value, f"{d.measure}_corrected": d.corrected, f"{d.measure}_p": d.p}
                row |= {f"{d.measure}_floor": d.floor, f"{d.measure}_floor_high": d.floor_high}
        for area in AREAS:
            value = getattr(seen, area)
            row[area] = None if value is None else value.value
        if seen.auc_floor is not None:
            row |= {"auc_floor_low": seen.auc_floor.low, "auc_floor_high": seen.auc_floor.high}
        if seen.online:
            row |= {"caught": seen.online[0].caught, "in_time": seen.online[0].in_time}
        return row

    def rounds(self, plain: str, hiding: str) -> list[dict[str, Any]]:
        """A hiding attacker before a detector that knows the plain one alone, and before one that has met it.

        Both detectors are tried on the same matches: those of the hiding attacker that neither was fitted on.
        """
        from sparring.metrics.auc import auc
        from sparring.metrics.online import fit_detector, trial
        from sparring.metrics.windows import numbered, picked

        ours, again = (self.seen(one).tracks for one in (self.first, self.again))
        known = self.seen(self.read(plain)).tracks
        outcomes = self.read(hiding)
        theirs = self.seen(outcomes).tracks
        matches = np.unique(theirs.match)
        order = np.random.default_rng([self.seed, 12]).permutation(len(matches))
        half, fresh = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
        tried = picked(theirs, fresh)
        rows = []
        for detector, attacked in (("before", known), ("adapted", (known, picked(theirs, half)))):
            fitted = fit_detector(ours, attacked, names=self.own, seed=self.seed)
            told = trial(fitted, again, tried, self.won(outcomes)[matches[fresh]], seed=self.seed)
            largest = [fitted.paths(one).max(axis=1) for one in (again, tried)]
            labels = np.repeat([False, True], [len(one) for one in largest])
            area = float(auc(np.concatenate(largest), labels))
            row = {"detector": detector, "caught": told.caught, "in_time": told.in_time, "auc": area}
            rows.append({**row, "false_alarms": told.false_alarms, "tried": int(numbered(tried.match)[-1]) + 1})
        return rows

    def false_alarms(self, matches: int) -> list[dict[str, Any]]:
        """The detectors of all attacks on fresh benign matches."""
        from sparring import detectors

        outcomes = self._play("fresh", None, 0.0, matches, KEPT_FRESH, self.victims)
        rows = []
        for path in sorted(self.folder.glob("detector-*/*.safetensors")):
            fitted = detectors.read(path)
            largest = fitted.paths(outcomes.tracks).max(axis=1)
            alarms = int((largest > fitted.threshold).sum())
            name = path.parent.name.removeprefix("detector-")
            rows.append({"detector": name, "alarms": alarms, "tried": len(largest), "alpha": fitted.alpha})
        return rows

    def variable(self, outcomes: Any) -> list[dict[str, Any]]:
        """The features of all agents that vary the most, by their numbers in the joint observation."""
        from sparring.metrics.features import most_variable

        best = most_variable(outcomes.states.rows, TOP)
        return [{"rank": k + 1, "index": i, "feature": self.names[i]} for k, i in enumerate(best)]

    def groups(self, outcomes: Any) -> list[dict[str, Any]]:
        """How far each kind of the victim's features moves, and without which ones a classifier tells less."""
        from sparring.oracles.visible import STUDY, visibility
        from sparring.play.features import by_quantity

        kinds = by_quantity(self.own)
        depth = replace(STUDY, measures=("wasserstein2",), permutations=0, views=(), importance=True)
        seen = visibility(self.without, self.seen(outcomes), None, depth=depth, seed=self.seed, groups=kinds)
        rows: list[dict[str, Any]] = [
            {"kind": "group", "group": d.features, "shift": d.corrected, "p": d.p, "features": len(self.names)}
            for d in seen.distances
            if d.features in kinds
        ]
        return [*rows, *({"kind": "importance", "feature": name, "fall": fall} for name, fall in seen.importance[:TOP])]


def _plain(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")
