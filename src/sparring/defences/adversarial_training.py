"""Adversarial training (section 4) as settings of the one training loop.

Algorithm 1 (min oracle), Algorithm 2 (two timescales) and what they are compared with differ in three things alone: who
learns how fast, whether the sides take turns, and which opponent each is given. All of them play the same game, J_eps
(Def. 5.1): whatever the attacker's side learns or draws from its past is played through `mix` with the benign policy.

The victim that a learned attacker could not beat is not thereby robust (DECISIONS 22); where the game can be solved,
look at its exploitability: `tabulate` turns it into the table that exact solvers read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.errors import InputError, unknown
from sparring.exact.problem import Problem
from sparring.exact.tree_game import Infosets
from sparring.learners.a2c import A2CConfig, a2c
from sparring.learners.ppo import PPOConfig, ppo
from sparring.learners.replicas import Replicas
from sparring.learners.rpg import RPGConfig, rpg
from sparring.nets import ActorCritic
from sparring.policy import ConstantPolicy, MixedPolicy, Policy, RandomPolicy, TabularPolicy, mix
from sparring.training import Opponents, Play, Reward, Side, TrainState, train
from sparring.types import AgentID, Array, Discrete, Experience, Game, Key, Learner, LearnerState, Metrics, ThreatModel

LearnerConfig: TypeAlias = A2CConfig | RPGConfig | PPOConfig
Adversary: TypeAlias = Callable[[Policy], Policy]  # the adversarial policy that the victim of the moment is given
Method = Literal[
    "min-oracle", "two-timescale", "single-timescale", "alternating", "self-play", "fictitious-play", "retrain"
]


@dataclass(frozen=True)
class AdversarialTraining:
    """Who learns how fast, and against whom.

    Timescale separation is eta_nu << eta_alpha: a `ratio` well above one, by learning rates, by updates per round, or
    by both (DECISIONS 18). Sides that take turns never learn from play that was not their own, so either may be given
    an opponent from the past.

    Raises:
      InputError: updates less often than never, a probability outside [0, 1], or past opponents without turns.
    """

    victim: LearnerConfig  # its learning rate is eta_nu
    attacker: LearnerConfig | None  # eta_alpha; None: the attacker does not learn
    victim_every: int = 1  # rounds per update
    attacker_every: int = 1
    turns: bool = False  # the attacker learns in the first round, the victim in the next, and so on
    past: float = 0.0  # probability that a round's opponent is a snapshot (drawn uniformly), not the present policy
    snapshot_every: int = 100  # rounds
    max_snapshots: int = 1000
    steps_per_round: int = 5  # a match of Kuhn poker has at most three
    reward: Reward = Reward("victim")  # the attacker's; the victim wants the opposite

    def __post_init__(self) -> None:
        if min(self.victim_every, self.attacker_every, self.snapshot_every) < 1:
            raise InputError("victim_every, attacker_every, snapshot_every: expected at least 1 round")
        if not 0 <= self.past <= 1:
            raise InputError(f"past: expected a probability in [0, 1], got {self.past}")
        if self.past and not self.turns:
            raise InputError("past opponents need turns: a side cannot learn while its own past plays")

    @property
    def ratio(self) -> float:
        """eta_alpha / eta_nu per round; infinite where an oracle stands in for the attacker's learning."""
        if self.attacker is None:
            return np.inf
        fast, slow = self.attacker.learning_rate / self.attacker_every, self.victim.learning_rate / self.victim_every
        return fast / slow


def method(name: Method, learner: LearnerConfig, ratio: float = 10.0) -> AdversarialTraining:
    """The settings of a method whose victim learns as `learner` says.

    `min-oracle` is given the best response to the victim of the moment, `retrain` an attacker that stays as it is:
    neither has an attacker who learns. The others have one with the victim's settings, and its learning rate times
    `ratio` in `two-timescale`. `alternating`, `self-play` and `fictitious-play` take turns against the present
    opponent, one that is half the time from the past, and one that always is (the pools are ours: DECISIONS 18).

    Raises:
      InputError: an unknown method.
    """
    same = AdversarialTraining(learner, learner)
    methods: dict[str, AdversarialTraining] = {
        "min-oracle": replace(same, attacker=None),
        "two-timescale": replace(same, attacker=replace(learner, learning_rate=ratio * learner.learning_rate)),
        "single-timescale": same,
        "alternating": replace(same, turns=True),
        "self-play": replace(same, turns=True, past=0.5),
        "fictitious-play": replace(same, turns=True, past=1.0),
        "retrain": replace(same, attacker=None),
    }
    if name not in methods:
        raise unknown("method", name, methods)
    return methods[name]


def adversarial_training(
    game: Game,
    threat: ThreatModel,
    config: AdversarialTraining,
    seed: int,
    adversary: Adversary | None = None,
    others: Mapping[AgentID, Policy] | None = None,
    victim: ActorCritic | None = None,
    state: TrainState | None = None,
) -> Iterator[TrainState]:
    """Harden a victim; yields after every round, for as long as the caller wants.

    Args:
      game: B matches.
      threat: who attacks whom, through which benign policy, at which budget. One attacker.
      config: the method.
      seed: of all randomness.
      adversary: where no attacker learns, the adversarial policy for the victim of the moment: `exact_oracle`, or a
        function that always returns the same.
      others: policies of agents that are neither victim nor attacker.
      victim: weights to start from (PPO only); None starts anew.
      state: where to go on.

    Raises:
      InputError: more than one attacker, an attacker who learns and an adversary too, or neither.
    """
    sides, play = defence_setup(game, threat, config, adversary, others or {}, victim)
    return train(game, sides, play, seed, config.steps_per_round, state)


def defence_setup(
    game: Game,
    threat: ThreatModel,
    config: AdversarialTraining,
    adversary: Adversary | None,
    others: Mapping[AgentID, Policy],
    victim: ActorCritic | None = None,
) -> tuple[dict[AgentID, Side], Play]:
    """The sides that learn, and who plays."""
    if len(threat.attackers) != 1:
        raise InputError(f"attackers: expected one, got {len(threat.attackers)}; a team needs a learner for each")
    if (config.attacker is None) == (adversary is None):
        raise InputError("adversarial training needs either an attacker who learns or an adversary, and not both")
    nu, alpha = threat.victim, threat.attackers[0]
    kept = config.snapshot_every if config.past else 0

    def side(learner: Learner, turn: int, sign: int, every: int) -> Side:
        goal = replace(config.reward, scale=sign * config.reward.scale)
        learner = in_turn(learner, turn) if config.turns else learner
        return Side(learner, goal, nu, every, kept, config.max_snapshots)

    sides = {nu: side(_learner(config.victim, victim), 1, -1, config.victim_every)}
    if config.attacker is not None:
        sides[alpha] = side(_learner(config.attacker, None), 0, 1, config.attacker_every)

    def play(opponents: Opponents, rng: np.random.Generator) -> Mapping[AgentID, Policy]:
        playing = dict(opponents.current)
        if adversary is not None:
            playing[alpha] = adversary(playing[nu])
        elif config.turns:
            round_ = opponents.steps // (config.steps_per_round * game.num_games)
            opponent = nu if round_ % 2 == 0 else alpha
            past = opponents.snapshots[opponent]
            if past and rng.random() < config.past:
                playing[opponent] = past[int(rng.integers(len(past)))]
        return {**others, nu: playing[nu], alpha: mix(threat.benign[alpha], playing[alpha], threat.budget)}

    return sides, play


class Turn(NamedTuple):
    learner: LearnerState
    rounds: Array  # int64 [], how many there have been


def in_turn(learner: Learner, turn: int) -> Learner:
    """The same learner, which sits out every other round: it updates in the first if `turn` is 0, else in the next."""

    def update(state: Turn, experience: Experience, key: Key) -> tuple[Turn, Metrics]:
        inner, metrics = state.learner, {}
        if state.rounds % 2 == turn:
            inner, metrics = learner.update(inner, experience, key)
        return Turn(inner, np.asarray(state.rounds + 1)), metrics

    return Learner(
        lambda spaces, key: Turn(learner.init(spaces, key), np.zeros((), np.int64)),
        lambda state: learner.policy(state.learner),
        update,
    )


def exact_oracle(problem: Problem, infosets: Infosets) -> Adversary:
    """The min oracle of Algorithm 1: the exact best response to the table of the victim, whose rows are `infosets`."""

    def oracle(victim: Policy) -> Policy:
        table = tabulate(victim, infosets)
        if isinstance(victim, Replicas):
            return Replicas(TabularPolicy(np.stack([best(own) for own in table])), victim.n)
        return TabularPolicy(best(table))

    def best(table: np.ndarray) -> np.ndarray:
        return problem.best_response(table).policy.astype(np.float32)

    return oracle


def tabulate(policy: Policy, infosets: Infosets) -> np.ndarray:
    """A policy's action probabilities at every information set (state), float64 [I, A]; of replicas [n, I, A].

    What it gives to columns beyond the legal ones is added to the last legal one, as `SampledTree` plays them.

    Raises:
      InputError: a policy whose probabilities cannot be read (a user's function, a recurrent network), or that is of
        another game.
    """
    rows, width = infosets.actions.shape
    played = np.asarray(_probabilities(policy, np.eye(rows, dtype=np.float32)), np.float64)
    if played.shape[-2:] != (rows, width):
        raise InputError(
            f"policy: expected action probabilities of shape {[rows, width]}, got {list(played.shape[-2:])}"
        )
    legal = np.arange(width) < infosets.count[:, None]
    table = np.where(legal, played, 0.0)
    table[..., np.arange(rows), infosets.count - 1] += np.where(legal, 0.0, played).sum(axis=-1)
    return table / table.sum(axis=-1, keepdims=True)  # float32's sums miss one by about 1e-7


@eqx.filter_jit
def _probabilities(policy: Any, observation: Array) -> Array:
    match policy:
        case ActorCritic(recurrent=False, action=Discrete()):
            if policy.normalizer.mean.size != observation.shape[1]:
                raise InputError(
                    f"policy: expected one for observations of size {observation.shape[1]}, "
                    f"got one for {policy.normalizer.mean.size}"
                )
            logits = policy.forward(policy.normalizer(observation), ((), ()))[0]
            return jax.nn.one_hot(logits.argmax(-1), logits.shape[-1]) if policy.greedy else jax.nn.softmax(logits)
        case Replicas():
            return eqx.filter_vmap(lambda own: _probabilities(own, observation))(policy.policies)
        case TabularPolicy():
            return jnp.asarray(policy.probabilities)
        case RandomPolicy(action=Discrete(n)):
            return jnp.full((len(observation), n), 1 / n)
        case ConstantPolicy(action=Discrete(n)):
            return jax.nn.one_hot(jnp.zeros(len(observation), int), n)
        case MixedPolicy(control="step"):
            benign, adversarial = (_probabilities(p, observation) for p in (policy.benign, policy.adversarial))
            return (1 - policy.budget) * benign + policy.budget * adversarial
        case _:
            raise InputError(f"{type(policy).__name__}: its action probabilities cannot be read as a table")


def _learner(config: LearnerConfig, start: ActorCritic | None) -> Learner:
    if isinstance(config, PPOConfig):
        return ppo(config, start)
    if start is not None:
        raise InputError(f"{type(config).__name__}: only PPO starts from given weights")
    return rpg(config) if isinstance(config, RPGConfig) else a2c(config)
