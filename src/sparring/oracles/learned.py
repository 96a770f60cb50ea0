"""The learned oracle: attackers are trained and matches are played. What it finds is a lower bound (DECISIONS 22)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring import checkpoint
from sparring.console import Stopped, interruptible, progress
from sparring.errors import InputError
from sparring.oracles import seating
from sparring.oracles.base import Attack
from sparring.oracles.options import PRESETS
from sparring.oracles.seating import Question
from sparring.results import LEARNED, Curve, Damage, Goal, OracleName, Rates, Scale
from sparring.runs import Run, read_events
from sparring.types import AgentID, Game, Outcomes, Policy, States

if TYPE_CHECKING:
    from sparring.attacks.adversarial_policy import AttackConfig
    from sparring.metrics.outcome import Sample
    from sparring.nets import ActorCritic
    from sparring.oracles.options import Training as Asked
    from sparring.training import Reward

STATES = 4_000  # of a victim's observations kept per evaluation
SLOTS = 16  # matches side by side in an evaluation: enough for two cores, few enough to waste little at the end
MATCHES = ".matches.safetensors"
TRIED = 4  # matches that are played to see how long they take


@dataclass(frozen=True, eq=False)
class Training:
    """How attackers are trained: resolved once, before anything is started."""

    game: str  # as it was asked for
    make: Callable[[int], Game]
    config: AttackConfig  # its steps are those that will be taken
    start: Mapping[AgentID, ActorCritic]  # weights, where they are neither new nor the benign policy's
    goal: Goal


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

    def plan(self, attacks: int, matches: int) -> dict[str, Any]:
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
        return {**planned, "steps_per_second": rate, "estimate": f"about {duration(seconds)}; under 20 MB of disk"}

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
        method = adversarial_policy(game, threat, question.victims, config, training.start or None)
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
            points = tuple(tuple(point) for point in made["curve"])
            curve = Curve(budget=budget, seed=made["seed"], points=points)
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
        self, adversarial: Mapping[AgentID, Policy] | None, budget: float, matches: int, run: Run, name: str, seed: int
    ) -> Outcomes:
        path = run.folder / f"{name}{MATCHES}"
        if not path.exists():
            benign = self.question.threat.benign
            outcomes = self._play(adversarial or benign, budget if adversarial else 0.0, matches, seed, name)
            save_matches(path, outcomes)
        return read_matches(path)

    def measured(self, folder: Path, name: str) -> Outcomes:
        return read_matches(folder / f"{name}{MATCHES}")

    def write_matches(self, path: Path, evaluations: Sequence[tuple[str, float, int, Outcomes]]) -> None:
        from sparring.matches import Evaluation, write_matches

        rows = [Evaluation(label, at, seed, self._sample(outcomes)) for label, at, seed, outcomes in evaluations]
        write_matches(path, rows)

    def scale(self, measured: list[Outcomes]) -> Scale | None:
        from sparring.judgement import scale_of

        return scale_of([self._sample(one) for one in measured], self._range())

    def rates(self, measured: Outcomes, scale: Scale | None) -> Rates:
        from sparring.judgement import rates_of

        return rates_of(self._sample(measured), scale)

    def damage(self, attacked: Outcomes, reference: Outcomes, scale: Scale | None, together: int) -> Damage:
        from sparring.judgement import damage_of

        return damage_of(self._sample(attacked), self._sample(reference), scale, together)

    def shift(self, benign: Outcomes, attacked: Outcomes) -> float | None:
        from sparring.metrics.shift import wasserstein2

        victim = self.question.threat.victim
        states = [one.states[victim].rows for one in (benign, attacked)]
        return None if min(map(len, states)) == 0 else wasserstein2(*states)

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

    def _sample(self, outcomes: Outcomes) -> Sample:
        from sparring.metrics.outcome import sample

        threat = self.question.threat
        return sample(outcomes, threat.attackers, threat.victims)

    def _play(
        self,
        adversarial: Mapping[AgentID, Policy],
        budget: float,
        matches: int,
        seed: int,
        label: str,
        states: int = STATES,
    ) -> Outcomes:
        from sparring.play.evaluate import evaluate

        game, policies = self.seated(adversarial, budget, slots(matches))

        def on_progress(done: int) -> None:
            advance(done)
            if stop():
                raise Stopped

        with progress(matches, label) as advance, interruptible() as stop:
            watched = self.question.threat.victims
            return evaluate(game, policies, matches, np.random.default_rng(seed), on_progress, watched, states)

    def _playable(self, game: Game, policies: Any) -> Game:
        """The game as these policies can be played in it: a user's function cannot run inside JAX."""
        from sparring.games.hosted import hosted

        return game if all(policy.traceable for policy in policies) else hosted(game)

    def _range(self) -> tuple[float, float] | None:
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
        outcomes = self._play(self.question.threat.benign, 0.0, min(matches, TRIED), 0, "trying a few matches", 0)
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


def curve_of(
    events: Sequence[Mapping[str, Any]], victim: AgentID, attacker: str, budget: float, seed: int, points: int = 30
) -> Curve | None:
    """An attack while it was trained, from its rounds' events, in at most `points` windows.

    Win rates of the matches that ended, or in games without winners the victim's return for each of them.

    Args:
      events: as `drive` writes them.
      victim: whose rewards are added up where nobody wins.
      attacker: the side whose wins are counted.
      budget, seed: of the training.
      points: windows.

    Returns:
      None where no match ended.
    """
    from sparring.metrics.intervals import wilson

    rows, matches, wins = [], [], all("win" in e["sides"][attacker] for e in events)
    for chunk in np.array_split(np.array(events, object), min(points, len(events))) if events else []:
        sides = [e["sides"][attacker] for e in chunk]
        n = sum(side["matches"] for side in sides)
        if not n:
            continue
        if wins:
            won = sum(side["win"] for side in sides)
            point = (won / n, *wilson(won, n))
        else:
            sums = np.array([e["rewards"][victim] for e in chunk])
            value = float(sums.sum()) / n
            half = 1.96 * float(np.std(sums)) * math.sqrt(len(sums)) / n
            point = (value, value - half, value + half)
        rows.append((float(chunk[-1]["steps"]), *point))
        matches.append(int(n))
    if not rows:
        return None
    measure = "win" if wins else "return"
    return Curve(budget=budget, seed=seed, points=tuple(rows), matches=tuple(matches), measure=measure)


def training_of(asked: Asked, question: Question) -> Training:
    """The game's learning defaults with what the user asked for on top.

    Raises:
      InputError: a value out of range, a shaped reward in a game that has no shaping terms, a game to train in that is
        another one, or weights to start from that do not fit.
    """
    from sparring.attacks.adversarial_policy import AttackConfig, adversarial_policy
    from sparring.learners.ppo import PPOConfig

    name, make = question.game, question.make
    if asked.train_game is not None:
        name, make = seating.maker(asked.train_game, asked.threads)
        _check_alike(make(1), question)
    for option in ("steps", "num_games", "steps_per_round", "epochs", "minibatch"):
        if (value := getattr(asked, option)) is not None and value < 1:
            raise InputError(f"{option.replace('_', '-')}: expected at least 1, got {value}")
    known = seating.family_learning(name)
    defaults = dict(getattr(known, "ATTACK", {}))
    ppo = dict(defaults.pop("ppo", {}))
    default_reward = defaults.pop("reward", "victim")
    defaults |= {n: v for n in ("num_games", "steps_per_round") if (v := getattr(asked, n)) is not None}
    ppo |= {n: v for n in ("epochs", "minibatch", "learning_rate") if (v := getattr(asked, n)) is not None}
    if (gamma := discount(question)) is not None:
        ppo["gamma"] = gamma  # DECISIONS 32
    start, weights = _start(asked, question)
    if start == "scratch":
        ppo |= {"warmup_updates": 0, "start_std": 0.0}
    else:
        # The weights were made for the statistics that they come with.
        ppo["normalize_observations"] = False
    config = AttackConfig(start=start, **defaults)
    given = make(config.num_games).num_games  # a game given as an object has the matches that it has
    if asked.num_games not in (None, given):
        raise InputError(f"num-games: the game was given as an object of {given} matches; leave it out")
    steps = PRESETS[asked.preset or "standard"].steps if asked.steps is None else asked.steps
    rounds, length = rounds_of(steps, given, config.steps_per_round, fixed=asked.steps_per_round is not None)
    config = replace(
        config,
        steps=rounds * length * given,
        num_games=given,
        steps_per_round=length,
        reward=_reward(asked.reward or default_reward, known, rounds * length * given),
        victim_scale=getattr(known, "VICTIM_REWARD_SCALE", 1.0),
        ppo=PPOConfig(**{**ppo, "decay_updates": rounds}),
    )
    # Whether the weights fit is found out before anything is started.
    adversarial_policy(question.first, question.threat, question.victims, config, weights or None)
    return Training(name, make, config, weights, _goal(question, config))


def rounds_of(steps: int, num_games: int, steps_per_round: int, fixed: bool = False) -> tuple[int, int]:
    """How many rounds, and of how many steps of each match, so that about `steps` steps are taken in all.

    No fewer steps than asked for are taken. The length of a round is shortened so that all rounds are alike and not a
    whole round too much is done, unless it is `fixed`.
    """
    rounds = -(-steps // (num_games * steps_per_round))
    return rounds, steps_per_round if fixed else -(-steps // (num_games * rounds))


def discount(question: Question) -> float | None:
    """The game's own discount; None if it has none."""
    found = question.finite
    if found is None:
        gamma = getattr(question.first, "gamma", None)
        return None if gamma is None else float(gamma)
    inner = getattr(found, "game", None)
    return float(getattr(inner, "gamma", 1.0))


def shipped_attackers(asked: Any, budgets: Sequence[float]) -> dict[float, str]:
    """The attackers that come with the package for its own victim, by budget; none if anything else is asked for."""
    from sparring.loaders.builtin import names
    from sparring.oracles.options import TRAINING, changed

    given = (*TRAINING, "victim", "benign", "attackers", "others", "control", "coin", "seeds", "positive_control")
    if changed(asked, given):
        return {}
    prefix = f"{seating.default_victim(asked).removeprefix('builtin:')}-attack-"
    found = {float(n.removeprefix(prefix)): f"builtin:{n}" for n in names() if n.startswith(prefix)}
    return found if all(budget in found for budget in budgets) else {}


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


def save_matches(path: Path, outcomes: Outcomes) -> None:
    """Write matches, and the sample of states, as safetensors."""
    arrays = {"length": outcomes.length, "invalid": outcomes.invalid}
    arrays |= {f"returns/{agent}": values for agent, values in outcomes.returns.items()}
    arrays |= {f"outcome/{agent}": values for agent, values in (outcomes.outcome or {}).items()}
    for agent, states in outcomes.states.items():
        arrays |= {f"states/{agent}/{name}": array for name, array in states._asdict().items()}
    checkpoint.save(path, {name: np.asarray(array) for name, array in arrays.items()}, {"kind": "matches"})


def read_matches(path: Path) -> Outcomes:
    """What `save_matches` has written."""
    arrays, _ = checkpoint.load(path)

    def under(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    watched = {name.rpartition("/")[0] for name in under("states/")}
    states = {a: States(*(arrays[f"states/{a}/{field}"] for field in States._fields)) for a in sorted(watched)}
    return Outcomes(under("outcome/") or None, arrays["length"], arrays["invalid"], under("returns/"), states)


def _check_alike(game: Game, question: Question) -> None:
    if game.agents != question.agents or game.spaces != question.spaces:
        raise InputError(f"train-game: {game.id} has other agents, observations or actions than {question.game}")


def _start(asked: Asked, question: Question) -> tuple[str, dict[AgentID, ActorCritic]]:
    """Whose weights training starts from, and these; if the user does not say, the strongest at hand.

    Raises:
      InputError: the benign policy's, but it has none; or those of a policy without weights.
    """
    from sparring.loaders import load
    from sparring.nets import ActorCritic

    attackers, benign = question.threat.attackers, question.threat.benign
    has_weights = all(isinstance(benign[agent], ActorCritic) for agent in attackers)
    if asked.start == "benign" and not has_weights:
        raise InputError("start=benign: the benign policy has no weights to start from; use start=scratch")
    start = asked.start
    if start is None:
        shipped = {seating.shipped_agent(question.game, seat) for seat in question.seats(attackers)}
        start = (shipped.pop() if len(shipped) == 1 else None) or ("benign" if has_weights else "scratch")
    if start in ("benign", "scratch"):
        return start, {}
    weights: dict[AgentID, ActorCritic] = {}
    for agent in attackers:
        network = load(start, question.first, agent)
        if not isinstance(network, ActorCritic):
            raise InputError(f"start={start} needs a policy with weights of this package's kind; use start=scratch")
        weights[agent] = network
    return start, weights


def _reward(name: str, known: Any, steps: int) -> Reward:
    from sparring.training import Reward

    if name == "victim":
        return Reward()
    if name == "outcome":
        return Reward(outcome=1.0)
    shaping = getattr(known, "SHAPING", None)
    if not shaping:
        raise InputError("reward=shaped: this game reports no shaping terms; use outcome or victim")
    return Reward(outcome=1.0, shaping=shaping, shaping_steps=steps // 2)


def _goal(question: Question, config: AttackConfig) -> Goal:
    from sparring.attacks.adversarial_policy import attack_reward

    reward = attack_reward(question.threat, config)
    return Goal(weights=dict(reward.weights), outcome=reward.outcome, draw=reward.draw, shaping=dict(reward.shaping))
