"""How attackers are trained: the user's settings over the game's learning defaults, resolved before anything starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sparring.errors import InputError
from sparring.files import memory
from sparring.oracles import seating
from sparring.oracles.options import PRESETS, TRAINING, changed
from sparring.oracles.seating import Question
from sparring.records import Goal
from sparring.types import AgentID, Game

if TYPE_CHECKING:
    from sparring.attacks.adversarial_policy import AttackConfig
    from sparring.nets import ActorCritic
    from sparring.oracles.options import Attacks
    from sparring.oracles.options import Training as Asked
    from sparring.training import Reward


MOST_CHECKPOINTS = 32
MOST_STEALTH = 1e4  # beyond it nothing of the reward is left


@dataclass(frozen=True, eq=False)
class Training:
    """How attackers are trained: resolved once, before anything is started."""

    game: str  # as it was asked for
    make: Callable[[int], Game]
    config: AttackConfig  # its steps are those that will be taken
    start: Mapping[AgentID, ActorCritic]  # weights, where they are neither new nor the benign policy's
    goal: Goal


def training_of(asked: Asked, question: Question) -> Training:
    """The game's learning defaults with what the user asked for on top.

    Raises:
      InputError: as `training_from`.
    """
    return training_from(asked, question, asked.start)


def training_from(asked: Attacks, question: Question, start: str | None) -> Training:
    """The same from a start that is given apart: "benign", "scratch", a policy, or None for the best at hand.

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
    if (rate := asked.learning_rate) is not None and not (math.isfinite(rate) and rate >= 0):
        raise InputError(f"learning-rate: expected a number of at least 0, got {rate}")
    if (trace := asked.gae_lambda) is not None and not 0 <= trace <= 1:
        raise InputError(f"gae-lambda: expected a number from 0 to 1, got {trace}")
    if not 0 <= asked.stealth <= MOST_STEALTH:
        raise InputError(f"stealth: expected a number from 0 to {MOST_STEALTH:g}, got {asked.stealth}")
    checkpoints = getattr(asked, "checkpoints", 0)
    if not 0 <= checkpoints <= MOST_CHECKPOINTS:
        raise InputError(f"checkpoints: expected 0 to {MOST_CHECKPOINTS}, got {checkpoints}")
    known = seating.family_learning(name)
    defaults = dict(getattr(known, "ATTACK", {}))
    ppo = dict(defaults.pop("ppo", {}))
    default_reward = defaults.pop("reward", "victim")
    defaults |= {n: v for n in ("num_games", "steps_per_round") if (v := getattr(asked, n)) is not None}
    asked_of_ppo = ("epochs", "minibatch", "learning_rate", "gae_lambda")
    ppo |= {n: v for n in asked_of_ppo if (v := getattr(asked, n)) is not None}
    if (gamma := discount(question)) is not None:
        ppo["gamma"] = gamma  # DECISIONS 32
    start, weights = _start(start, question)
    if start == "scratch":
        ppo |= {"warmup_updates": 0, "start_std": 0.0}
    else:
        # The weights were made for the statistics that they come with.
        ppo["normalize_observations"] = False
    config = AttackConfig(start=start, **defaults)
    given = make(config.num_games).num_games  # a game given as an object has the matches that it has
    if asked.num_games not in (None, given):
        raise InputError(f"num-games: the game was given as an object of {given} matches; leave it out")
    _check_memory(question, given, config.steps_per_round)
    steps = PRESETS[asked.preset or "standard"].steps if asked.steps is None else asked.steps
    rounds, length = rounds_of(steps, given, config.steps_per_round, fixed=asked.steps_per_round is not None)
    # A short training would be over before the policy moves.
    ppo["warmup_updates"] = min(ppo.get("warmup_updates", 0), rounds // 2)
    config = replace(
        config,
        steps=rounds * length * given,
        num_games=given,
        steps_per_round=length,
        reward=_reward(asked.reward or default_reward, known, rounds * length * given),
        victim_scale=getattr(known, "VICTIM_REWARD_SCALE", 1.0),
        stealth=asked.stealth,
        checkpoints=checkpoints,
        ppo=PPOConfig(**{**ppo, "decay_updates": rounds}),
    )
    # Whether the weights fit is found out before anything is started.
    open_ = replace(config, stealth=0.0)
    adversarial_policy(question.first, question.threat, question.victims, open_, weights or None)
    return Training(name, make, config, weights, _goal(question, config))


def rounds_of(steps: int, num_games: int, steps_per_round: int, fixed: bool = False) -> tuple[int, int]:
    """How many rounds, and of how many steps of each match, so that about `steps` steps are taken in all.

    No fewer steps than asked for are taken. The length of a round is shortened so that all rounds are alike and not a
    whole round too much is done, unless it is `fixed`.
    """
    rounds = -(-steps // (num_games * steps_per_round))
    return rounds, steps_per_round if fixed else -(-steps // (num_games * rounds))


def _check_memory(question: Question, num_games: int, steps_per_round: int) -> None:
    """Refuse rounds of training that this machine's memory cannot hold.

    Raises:
      InputError: the steps of one round take more than all of it.
    """
    numbers = sum(spaces.observation.size + spaces.action.size + 16 for spaces in question.spaces.values())
    needed, there = 4 * numbers * num_games * steps_per_round, memory()
    if there is not None and needed > there:
        raise InputError(
            f"num-games, steps-per-round: a round of {num_games:,} x {steps_per_round:,} steps takes about "
            f"{needed / 1e9:,.0f} GB of memory, and this machine has {there / 1e9:,.0f} GB: give smaller numbers"
        )


def discount(question: Question) -> float | None:
    """The game's own discount; None if it has none."""
    found = question.finite
    if found is None:
        gamma = getattr(question.first, "gamma", None)
        return None if gamma is None else float(gamma)
    inner = getattr(found, "game", None)
    return float(getattr(inner, "gamma", 1.0))


def shipped_attackers(asked: Any, budgets: Sequence[float]) -> dict[float, str]:
    """The attackers that come with the package for its victim, by budget; none if anything else is asked for."""
    from sparring.loaders.builtin import names

    given = (*TRAINING, "benign", "attackers", "others", "control", "coin", "seeds", "positive_control")
    victim = seating.default_victim(asked) if asked.victim is None else asked.victim
    if changed(asked, [name for name in given if hasattr(asked, name)]) or not (
        isinstance(victim, str) and victim.startswith("builtin:")
    ):
        return {}
    prefix = f"{victim.removeprefix('builtin:')}-attack-"
    found = {float(n.removeprefix(prefix)): f"builtin:{n}" for n in names() if n.startswith(prefix)}
    return found if all(budget in found for budget in budgets) else {}


def attacked_victims() -> list[str]:
    """The victims for which attackers come with the package."""
    from sparring.loaders.builtin import names

    return sorted({f"builtin:{name.partition('-attack-')[0]}" for name in names() if "-attack-" in name})


def _check_alike(game: Game, question: Question) -> None:
    if game.agents != question.agents or game.spaces != question.spaces:
        raise InputError(f"train-game: {game.id} has other agents, observations or actions than {question.game}")


def _start(start: str | None, question: Question) -> tuple[str, dict[AgentID, ActorCritic]]:
    """Whose weights training starts from, and these; if the user does not say, the strongest at hand.

    Raises:
      InputError: the benign policy's, but it has none; or those of a policy without weights.
    """
    from sparring.loaders import load
    from sparring.nets import ActorCritic

    attackers, benign = question.threat.attackers, question.threat.benign
    has_weights = all(isinstance(benign[agent], ActorCritic) for agent in attackers)
    if start == "benign" and not has_weights:
        raise InputError("start=benign: the benign policy has no weights to start from; use start=scratch")
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
    if name == "own":
        return Reward(own=1.0)
    shaping = getattr(known, "SHAPING", None)
    if not shaping:
        raise InputError("reward=shaped: this game reports no shaping terms; use outcome or victim")
    return Reward(outcome=1.0, shaping=shaping, shaping_steps=steps // 2)


def _goal(question: Question, config: AttackConfig) -> Goal:
    from sparring.attacks.adversarial_policy import attack_reward

    reward = attack_reward(question.threat, config)
    return Goal(
        weights=dict(reward.weights),
        own=reward.own,
        outcome=reward.outcome,
        draw=reward.draw,
        shaping=dict(reward.shaping),
        stealth=config.stealth,
    )
