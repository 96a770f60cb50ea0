"""Hardening a victim in a game that can only be simulated: PPO on both sides, in the one training loop.

What is trained against is what the attackers learn, so nothing that comes out is proven: what fresh attackers find
afterwards is a lower bound (DECISIONS 22).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sparring.errors import InputError
from sparring.events import read_events
from sparring.files import write_json
from sparring.oracles import seating
from sparring.oracles.hardening_curve import HardeningCurve
from sparring.oracles.preparation import Training
from sparring.oracles.seating import Question
from sparring.runs import Run
from sparring.types import AgentID, Game, MethodName, Policy

if TYPE_CHECKING:
    from sparring.defences.adversarial_training import Schedule
    from sparring.learners.ppo import PPOConfig
    from sparring.nets import ActorCritic
    from sparring.training import Method as Training_

LearnedMethod = Literal[MethodName, "regularised", "double-oracle"]
RATIO = 10.0  # two-timescale: the attackers' learning rate over the victim's, by default
MAGNET = 0.05  # regularised: weight of the divergence from the magnet, by default
SNAPSHOTS = 40  # of each side in a training, in methods with a pool
VICTIM_FILE, CURVE_FILE = "victim.safetensors", "curve.json"


@dataclass(frozen=True, eq=False)
class Hardening:
    """How a victim is hardened: resolved once, before anything is started."""

    question: Question  # about the starting victim
    method: LearnedMethod
    budget: float
    start: ActorCritic  # the victim's first weights
    new: bool  # they are random
    attacker: Training  # how the attackers are trained; its steps are those of the hardening
    victim: PPOConfig
    schedule: Schedule
    ratio: float
    clean_share: float
    budget_range: tuple[float, float] | None

    @property
    def steps(self) -> int:
        return self.attacker.config.steps


def hardening_of(asked: Any, question: Question, training: Training, start: ActorCritic, new: bool) -> Hardening:
    """What the settings of `defend` mean in a game that can only be simulated.

    The attackers learn at the rate that is best for attacks in this game, and the victim slower by the ratio; a given
    learning rate is the victim's. Both stay constant, so that what the score does in the end is the method's doing.

    Args:
      asked: the settings.
      question: about the starting victim.
      training: how an attacker is trained, with the steps of the hardening.
      start: the victim's first weights.
      new: they are random.

    Raises:
      InputError: more than one victim, settings that do not fit the method, or a share of clean matches or a range of
        budgets that is none.
    """
    from sparring.defences.adversarial_training import SCHEDULES
    from sparring.mixture import slot_budgets
    from sparring.nets import NetworkConfig
    from sparring.play.plateau import Plateau

    method, config = asked.method, training.config
    # A best response of the double oracle is trained as `retrain` trains: against opponents that stay as they are.
    alike: dict[str, MethodName] = {"regularised": "single-timescale", "double-oracle": "retrain"}
    played: MethodName = alike.get(method) or method
    if len(question.threat.victims) != 1:
        raise InputError(f"victim-seat: expected one victim to harden, got {len(question.threat.victims)}")
    if method in ("retrain", "double-oracle") and len(question.threat.attackers) > 1:
        raise InputError(f"method={method}: its attacker is fixed, and there can be one alone, not a team")
    if method in ("self-play", "fictitious-play") and config.num_games < 2:
        raise InputError(f"num-games: {method} needs at least 2 matches side by side, one for each side to learn")
    ratio = (RATIO if asked.ratio is None else asked.ratio) if method == "two-timescale" else 1.0
    fast = config.ppo.learning_rate if asked.learning_rate is None else ratio * asked.learning_rate
    rounds = config.steps // (config.num_games * config.steps_per_round)
    every = 1 if asked.attacker_rounds is None else asked.attacker_rounds
    schedule = replace(
        SCHEDULES[played],
        victim_every=every,
        snapshot_every=max(1, rounds // SNAPSHOTS),
        max_snapshots=2 * SNAPSHOTS,
        waits=Plateau() if method == "min-oracle" else None,
    )
    magnet = 0.0
    if method == "regularised":
        magnet = MAGNET if asked.magnet is None else asked.magnet
    ppo = replace(config.ppo, decay_updates=0, magnet=magnet, learning_rate=fast)
    if asked.architecture is not None and config.start == "scratch":
        ppo = replace(ppo, network=NetworkConfig(asked.architecture))
    known: Mapping[str, Any] = getattr(seating.family_learning(training.game), "ATTACK", {}).get("ppo", {})
    warmup = 0 if new else known.get("warmup_updates", 0)
    updates = rounds // (every * (2 if schedule.turns else Plateau().window if schedule.waits else 1))
    victim = replace(
        ppo,
        learning_rate=fast / ratio,
        # A victim that waits learns rarely: its critic is given one update alone.
        warmup_updates=min(warmup, 1) if schedule.waits else warmup,
        start_std=0.0 if new else known.get("start_std", 0.0),
        normalize_observations=new,
        # The mean of the weights must not reach back to where a short training began.
        average=min(ppo.average, max(0.0, 1 - 4 / max(updates, 1))),
        measure_gradient=True,
    )
    training = replace(training, config=replace(config, ppo=ppo))
    slot_budgets(config.num_games, asked.budget, asked.clean_share, asked.budget_range)
    return Hardening(
        question,
        method,
        asked.budget,
        start,
        new,
        training,
        victim,
        schedule,
        ratio,
        asked.clean_share,
        asked.budget_range,
    )


def method_of(hardening: Hardening, game: Game, fixed: Policy | None = None) -> tuple[Training_, Any]:
    """The method of training, and the budget of each slot, float32 [B].

    Args:
      hardening: how.
      game: the one that is trained in.
      fixed: the attacker that `retrain` trains against.
    """
    from functools import partial

    from sparring.attacks.adversarial_policy import attack_learner, attack_reward
    from sparring.defences.adversarial_training import adversarial_training
    from sparring.learners.ppo import ppo
    from sparring.mixture import slot_budgets

    threat, training = replace(hardening.question.threat, budget=hardening.budget), hardening.attacker
    attackers: Any
    if fixed is None:
        attackers = {
            agent: attack_learner(training.config, threat.benign[agent], training.start.get(agent))
            for agent in threat.attackers
        }
    else:
        attackers = partial(_always, fixed)
    budgets = slot_budgets(game.num_games, hardening.budget, hardening.clean_share, hardening.budget_range)
    method = adversarial_training(
        game,
        threat,
        hardening.schedule,
        ppo(hardening.victim, hardening.start),
        attackers,
        training.config.steps_per_round,
        attack_reward(threat, training.config),
        budgets,
    )
    return method, budgets


def harden(run: Run, hardening: Hardening, seed: int, fixed: Policy | None = None) -> None:
    """Train, and leave the victim's weights, the attackers' and the curve in the run's folder.

    Raises:
      Stopped: Ctrl-C or SIGTERM; a checkpoint has been written.
    """
    from sparring.defences.adversarial_training import VICTIM, of_the_moment
    from sparring.drive import drive
    from sparring.loaders import native

    question, training = hardening.question, hardening.attacker
    everybody = [
        *question.threat.benign.values(),
        *(question.threat.others or {}).values(),
        *([fixed] if fixed else []),
    ]
    game = _playable(training.make(training.config.num_games), everybody)
    method, budgets = method_of(hardening, game, fixed)
    attackers = question.threat.attackers
    files = {s: VICTIM_FILE if s == VICTIM else attacker_file(s, attackers) for s in method.sides}
    if all((run.folder / name).exists() for name in files.values()):
        return  # the last of them was written when all was done
    settings = {
        "game": training.game,
        "method": hardening.method,
        "budget": hardening.budget,
        "clean_share": hardening.clean_share,
        "budget_range": hardening.budget_range,
        "schedule": asdict(hardening.schedule),
        "attacker": asdict(training.config),
        "victim": asdict(hardening.victim),
    }
    curve = HardeningCurve(question.threat, budgets, of_the_moment(hardening.schedule, game.num_games))
    label = f"defend, {hardening.method}"
    state = drive(
        run,
        game,
        method,
        seed=seed,
        steps=hardening.steps,
        label=label,
        settings=settings,
        on_round=curve.add,
        beside=curve,
    )
    halved = [event["steps"] for event in read_events(run.folder) if event.get("halved")]
    write_json(run.folder / CURVE_FILE, {"rounds": curve.rows, "halved_at": halved[0] if halved else None})
    made = {"command": run.config["command"], "game": training.game, "seed": seed, "steps": state.steps}
    for side, spec in method.sides.items():
        network: Any = (spec.learner.final or spec.learner.policy)(state.learners[side])
        native.save(network, run.folder / files[side], {**made, "agent": spec.seats[0], "settings": settings})


def attacker_file(agent: AgentID, attackers: tuple[AgentID, ...]) -> str:
    """The name of the file of an attacker that the victim was hardened against."""
    return "attacker.safetensors" if len(attackers) == 1 else f"attacker-{agent}.safetensors"


def hardened(folder: Path) -> ActorCritic:
    """The victim that `harden` has left."""
    from sparring.loaders import native

    return native.read(folder / VICTIM_FILE)[0]


def _always(policy: Policy, _: Policy) -> Policy:
    return policy


def _playable(game: Game, policies: Any) -> Game:
    """The game as these policies can be played in it: a user's function cannot run inside JAX."""
    from sparring.games.hosted import hosted

    return game if all(policy.traceable for policy in policies) else hosted(game)
