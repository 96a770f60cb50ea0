"""The learned oracle: attackers are trained and matches are played. What it finds is a lower bound (DECISIONS 22)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np

from sparring.console import Stopped, interruptible, progress
from sparring.errors import InputError
from sparring.events import read_events
from sparring.jobs import JOB
from sparring.oracles import seating
from sparring.oracles.base import Attack
from sparring.oracles.curves import curve_of
from sparring.oracles.match_files import read_matches, save_matches
from sparring.oracles.preparation import Training
from sparring.oracles.seating import Question
from sparring.records import LEARNED, Curve, Damage, Goal, OracleName, Rates, Scale
from sparring.runs import Run
from sparring.types import AgentID, Game, Outcomes, Policy
from sparring.visibility import Coupling, Visibility

if TYPE_CHECKING:
    from sparring.metrics.outcome import Sample

STATES = 4_000  # of a victim's observations kept per evaluation
CHECKPOINTS = "checkpoints"  # the folder of an attacker's policies on the way
WHOLE = 8 * 2**20  # bytes of whole matches kept per evaluation, where they are
SLOTS = 16  # matches side by side in an evaluation: enough for two cores, few enough to waste little at the end
MATCHES = ".matches.safetensors"
LIKE = (64, 256)  # matches side by side, and in all, that an attacker which hides is to be like
TRIED = 4  # matches that are played to see how long they take


@dataclass(frozen=True, eq=False)
class LearnedOracle:
    """Reinforcement learning against frozen victims, and matches with intervals."""

    question: Question
    training: Training | None = None  # None: it only plays matches
    shipped: Mapping[float, str] | None = None  # attackers that come with the package, by budget: none is trained

    @property
    def name(self) -> OracleName:
        return LEARNED

    @property
    def goal(self) -> Goal:
        if self.training is None:
            return Goal(weights={}, outcome=1.0)
        return self.training.goal

    @property
    def trains(self) -> bool:
        return self.training is not None and not self.shipped

    def winners(self) -> bool:
        from sparring.play.rollout import rollout

        game, policies = self.seated(self.question.threat.benign, 0.0, 1)
        trajectory, _ = rollout(game, policies, 1, np.random.default_rng(0))
        return trajectory.outcome is not None

    def plan(self, attacks: int, matches: int, certificates: bool = True) -> dict[str, Any]:
        del certificates  # there are none
        length, rate = self._pace(matches)
        steps = self.training.config.steps * attacks if self.training is not None and self.trains else 0
        seconds = matches * length / rate
        planned: dict[str, Any] = {"oracle": self.name, "matches": matches, "mean_length": length}
        if self.training is not None and self.trains:
            speed = self._speed(self.training.config.num_games, self.training.make) / 1.3  # 30% more for the updates
            seconds += steps / speed
            planned |= {"attackers": "to be trained", "training_steps": steps, "training_steps_per_second": speed}
        elif self.shipped:
            planned |= {"attackers": "shipped", "training_steps": 0}
        return {**planned, "steps_per_second": rate, "estimate": f"about {duration(seconds)}; under 100 MB of disk"}

    def adversarial(self, source: Any) -> dict[AgentID, Policy]:
        question = self.question
        return {a: seating.policy(source, question.first, a, "attacker") for a in question.threat.attackers}

    def attack(self, budget: float, run: Run, seed: int) -> Attack:
        from sparring.attacks.adversarial_policy import adversarial_policy
        from sparring.drive import drive
        from sparring.loaders import native

        files = self._files(run.folder)
        if self.shipped or all(path.exists() for path in files.values()):
            return self.found(budget, run.folder)
        training, question = self._training, self.question
        config, threat = training.config, replace(question.threat, budget=budget)
        everybody = (*question.victims.values(), *threat.benign.values(), *(threat.others or {}).values())
        game = self._playable(training.make(config.num_games), everybody)
        states = self._benign_states(seed) if config.stealth else None
        method = adversarial_policy(game, threat, question.victims, config, training.start or None, states)
        settings = {**asdict(config), "game": training.game, "budget": budget}
        label = f"attack, budget {budget!r}"
        state = drive(run, game, method, seed=seed, steps=config.steps, label=label, settings=settings)
        made = {
            "command": run.config["command"],
            "victim": question.names.victim,
            "game": training.game,
            "budget": budget,
            "seed": seed,
            "steps": state.steps,
            "settings": asdict(config),
        }
        for agent, path in files.items():
            past = state.past[agent]
            for number, policy in zip(past.numbers, past.policies, strict=True):
                taken = (number + 1) * method.steps_per_round * game.num_games
                at = path.parent / CHECKPOINTS / f"{path.stem}-{taken}{path.suffix}"
                at.parent.mkdir(exist_ok=True)
                native.save(cast("Any", policy), at, {**made, "agent": agent, "steps": taken})
            learner = method.sides[agent].learner
            network: Any = (learner.final or learner.policy)(state.learners[agent])
            native.save(network, path, {**made, "agent": agent})
        return self.found(budget, run.folder)

    def found(self, budget: float, folder: Path) -> Attack:
        from sparring.judgement import still_improving
        from sparring.loaders import builtin, native

        if self.shipped:
            source = self.shipped[budget]
            path = builtin.path(source.removeprefix("builtin:"))
            made = native.read(path)[1]["provenance"]
            points = tuple(tuple(point) for point in made.get("curve", ()))
            curve = Curve(budget=budget, seed=made["seed"], points=points) if points else None
            return Attack(self.adversarial(source), (path,), source, made["steps"], curve)
        files = self._files(folder)
        read = {agent: native.read(path) for agent, path in files.items()}
        made = next(iter(read.values()))[1]["provenance"]
        threat = self.question.threat
        curve = curve_of(read_events(folder), threat.victim, threat.attackers[0], budget, made["seed"])
        improving = None if curve is None else still_improving(curve)
        return Attack(
            {agent: network for agent, (network, _) in read.items()},
            tuple(files.values()),
            None,
            made["steps"],
            curve,
            improving,
        )

    def evaluate(
        self,
        adversarial: Mapping[AgentID, Policy] | None,
        budget: float,
        matches: int,
        run: Run,
        name: str,
        seed: int,
        whole: bool = False,
    ) -> Outcomes:
        path = run.folder / f"{name}{MATCHES}"
        of = {"budget": budget if adversarial else 0.0, "matches": matches, "seed": seed}
        if not path.exists():
            benign = self.question.threat.benign
            label = f"matches, {_whose(run, budget if adversarial else None)}"
            tracks = WHOLE if whole else 0
            outcomes = self.play(
                adversarial or benign, budget if adversarial else 0.0, matches, seed, label, tracks=tracks
            )
            save_matches(path, outcomes, of)
        return read_matches(path, of)

    def measured(self, folder: Path, name: str) -> Outcomes:
        return read_matches(folder / f"{name}{MATCHES}")

    def write_matches(self, path: Path, evaluations: Sequence[tuple[str, float, int, Outcomes]]) -> None:
        from sparring.matches import Evaluation, write_matches

        rows = [Evaluation(label, at, seed, self.sample(outcomes)) for label, at, seed, outcomes in evaluations]
        write_matches(path, rows)

    def scale(self, measured: list[Outcomes]) -> Scale | None:
        from sparring.judgement import scale_of

        return scale_of([self.sample(one) for one in measured], self.return_range())

    def rates(self, measured: Outcomes, scale: Scale | None) -> Rates:
        from sparring.judgement import rates_of

        return rates_of(self.sample(measured), scale)

    def damage(self, attacked: Outcomes, reference: Outcomes, scale: Scale | None, together: int) -> Damage:
        from sparring.judgement import damage_of

        return damage_of(self.sample(attacked), self.sample(reference), scale, together)

    def shift(self, benign: Outcomes, attacked: Outcomes) -> float | None:
        from sparring.metrics.shift import wasserstein2

        if (
            benign.states is None
            or attacked.states is None
            or not (len(benign.states.rows) and len(attacked.states.rows))
        ):
            return None
        return wasserstein2(benign.states.rows, attacked.states.rows)

    def visibility(
        self, benign: Outcomes, again: Outcomes, attacked: Mapping[float, Outcomes], seed: int
    ) -> tuple[Visibility, ...]:
        from sparring.oracles import visible
        from sparring.play.features import feature_names

        names = feature_names(self.question.first, self.question.threat.victims)
        without = visible.benign(benign, again, names, visible.QUICK, seed)
        found = []
        for number, (budget, outcomes) in enumerate(attacked.items()):
            flags = self.sample(outcomes).flags()
            won = None if flags is None else flags["win"]
            own = int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1)[0])
            seen = visible.visibility(without, outcomes, won, depth=visible.QUICK, seed=own)
            found.append(msgspec.structs.replace(seen, budget=budget))
        return tuple(found)

    def certificate(self, benign: Sequence[Outcomes], budgets: Sequence[float]) -> Coupling | str:
        from sparring.games.markov import SampledMarkovGame
        from sparring.metrics.coupling import Range, grid_with
        from sparring.oracles import certificate

        threat, limits, finite = self.question.threat, self.return_range(), self.question.finite
        if isinstance(finite, SampledMarkovGame) and len(threat.victims) == 1:
            paid = finite.game.r if threat.victim == finite.agents[0] else -finite.game.r
            limits = finite.horizon * float(paid.min()), finite.horizon * float(paid.max())
        limits = None if limits is None or not limits[0] < limits[1] else Range(*limits)
        try:
            matches = certificate.together(benign)
            certain = certificate.from_matches(matches, threat, limits, grid=grid_with(budgets))
            return certificate.record(
                certain,
                budget=min(budgets),
                limits=limits,
                what="return",
                budgets=budgets,
                outcomes=matches,
                threat=threat,
            )
        except InputError as error:
            return str(error)

    def robust(self, budget: float, folder: Path) -> dict[str, Any]:
        del budget, folder
        return {}

    def seated(self, adversarial: Mapping[AgentID, Policy], budget: float, num_games: int) -> tuple[Game, dict]:
        """The game with so many matches, and what everybody plays in it under an attack."""
        from sparring.mixture import executed

        threat = replace(self.question.threat, budget=budget)
        policies = {**(threat.others or {}), **self.question.victims, **executed(threat, adversarial)}
        return self._playable(self.question.make(num_games), policies.values()), policies

    @property
    def _training(self) -> Training:
        assert self.training is not None, "this oracle was made to play matches alone"
        return self.training

    def _files(self, folder: Path) -> dict[AgentID, Path]:
        attackers = self.question.threat.attackers
        names = {agent: "attacker" if len(attackers) == 1 else f"attacker-{agent}" for agent in attackers}
        return {agent: folder / f"{name}.safetensors" for agent, name in names.items()}

    def sample(self, outcomes: Outcomes) -> Sample:
        from sparring.metrics.outcome import sample

        threat = self.question.threat
        return sample(outcomes, threat.attackers, threat.victims)

    def play(
        self,
        adversarial: Mapping[AgentID, Policy],
        budget: float,
        matches: int,
        seed: int,
        label: str,
        states: int = STATES,
        on_steps: Callable[..., None] | None = None,
        tracks: int = 0,
        watch: Sequence[AgentID] = (),
        discount: float = 1.0,
    ) -> Outcomes:
        """Play matches under an attack; what is kept of them beside their outcomes see `play.evaluate.evaluate`."""
        from sparring.play.evaluate import evaluate

        game, policies = self.seated(adversarial, budget, slots(matches))

        def on_progress(done: int) -> None:
            advance(done)
            if stop():
                raise Stopped

        with progress(matches, label) as advance, interruptible() as stop:
            watched = tuple(watch) or self.question.threat.victims
            rng = np.random.default_rng(seed)
            return evaluate(game, policies, matches, rng, on_progress, watched, states, discount, tracks, on_steps)

    def _playable(self, game: Game, policies: Any) -> Game:
        """The game as these policies can be played in it: a user's function cannot run inside JAX."""
        from sparring.games.hosted import hosted

        return game if all(policy.traceable for policy in policies) else hosted(game)

    def _benign_states(self, seed: int) -> np.ndarray:
        """What the victims see without an attack, in the game that is trained in: other physics would be seen, too."""
        from sparring.play.evaluate import evaluate

        training, question = self._training, self.question
        policies = {**(question.threat.others or {}), **question.victims, **question.threat.benign}
        slots, matches = LIKE
        game, rng = self._playable(training.make(slots), policies.values()), np.random.default_rng([seed, matches])
        outcomes = evaluate(game, policies, matches, rng, watch=question.threat.victims, states=10 * STATES)
        assert outcomes.states is not None
        return outcomes.states.rows

    def return_range(self) -> tuple[float, float] | None:
        """The least and the largest undiscounted return of the victim, where the game's rules tell them."""
        found, victims = self.question.finite, self.question.threat.victims
        if len(victims) > 1 or found is None:
            return None
        seat, tree, payoffs = (
            self.question.seats(victims)[0],
            getattr(found, "tree", None),
            getattr(found, "payoffs", None),
        )
        if tree is not None:
            returns = tree.returns[:, seat]
        elif payoffs is not None:
            returns = payoffs if seat == 0 else -payoffs
        else:
            return None
        return float(np.min(returns)), float(np.max(returns))

    def _pace(self, matches: int) -> tuple[float, float]:
        """Steps that a match takes, and steps a second of all matches together, as measured on a few."""
        outcomes = self.play(self.question.threat.benign, 0.0, min(matches, TRIED), 0, "trying a few matches", 0)
        return float(outcomes.length.mean()), self._speed(slots(matches))

    def _speed(self, num_games: int, make: Callable[[int], Game] | None = None) -> float:
        """Steps a second in a game with so many matches, all of them together."""
        from sparring.play.rollout import rollout

        game, policies = self.seated(self.question.threat.benign, 0.5, num_games)
        if make is not None:
            game = self._playable(make(num_games), policies.values())
        rng, steps = np.random.default_rng(0), 32
        _, state = rollout(game, policies, steps, rng)  # compiles
        begun = time.perf_counter()
        trajectory, _ = rollout(game, policies, steps, rng, state)
        np.asarray(trajectory.terminated)  # what runs within JAX may still be running
        return steps * game.num_games / (time.perf_counter() - begun)


def _whose(run: Run, budget: float | None) -> str:
    """Whose matches are played, for the progress: a job's name, such as `zero-0.3`, says it all."""
    if run.config["verb"] == JOB:
        return run.config["game"]
    return "benign opponent" if budget is None else f"budget {budget!r}"


def slots(matches: int) -> int:
    """How many matches are played side by side.

    Raises:
      InputError: fewer than one match.
    """
    if matches < 1:
        raise InputError(f"episodes: expected at least 1, got {matches}")
    return min(matches, SLOTS)


def duration(seconds: float) -> str:
    """`seconds` for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
