"""Records and protocols that every layer shares: read this file first.

Shapes in brackets: T time, B matches played side by side, D observation size, A action size.
An agent is named by an `AgentID`; a match is one episode between all agents of a game.
A key is a `uint32 [2]` array: the seed of one act of randomness, for NumPy and JAX alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from sparring.errors import InputError

if TYPE_CHECKING:
    # The type checker takes an operator between two values of an alias of Any for one between types.
    from typing import Any as Array
    from typing import Any as Key

    from sparring.policy import Policy
else:
    Array = Any  # numpy.ndarray or jax.Array
    Key = Any  # uint32 [2]

AgentID: TypeAlias = str
Control = Literal["step", "episode", "blend"]

NO_WINNER = -1


@dataclass(frozen=True)
class Discrete:
    """Actions 0 .. n-1; a batch of actions is `int [B]`."""

    n: int


@dataclass(frozen=True)
class Continuous:
    """Actions in [low, high]^size; a batch of actions is `float32 [B, size]`.

    Games clamp what lies outside, as MuJoCo's actuators do, so that Gaussian policies can be played as they are.
    """

    size: int
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True)
class Spaces:
    """What one agent sees and does: observations are `float32 [B, observation]`."""

    observation: int
    action: Discrete | Continuous


class Step(NamedTuple):
    """What a vector game returns from one step of its B matches. Every array is the caller's to keep.

    A match that ends starts anew within the same step: `observation` is then the first one of the next match,
    and `final_observation` the last one of the match that ended. Where none ended the two are equal.
    In a game of turns, an agent whose observation is all zeros does not move: what it answers is not looked at.
    """

    observation: Mapping[AgentID, Array]  # float32 [B, D]
    reward: Mapping[AgentID, Array]  # float32 [B]
    terminated: Array  # bool [B], the match is decided (no bootstrap)
    truncated: Array  # bool [B], the match hit its time limit (bootstrap)
    final_observation: Mapping[AgentID, Array]  # float32 [B, D]
    winner: Array  # int8 [B], index into `agents` of who won at this step, NO_WINNER else
    invalid: Array  # bool [B], the match was cut off for broken physics: neither terminated nor won
    info: Mapping[str, Mapping[AgentID, Array]]  # named terms (of the reward, for shaping), each float32 [B]


@runtime_checkable
class VectorGame(Protocol):
    """B matches of a simulated game on the host, stepped together."""

    @property
    def id(self) -> str: ...
    @property
    def agents(self) -> tuple[AgentID, ...]: ...
    @property
    def spaces(self) -> Mapping[AgentID, Spaces]: ...
    @property
    def num_games(self) -> int: ...

    def reset(self, seed: int) -> Mapping[AgentID, Array]:
        """Start B new matches; returns the observations, `float32 [B, D]` for every agent."""
        ...

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        """Advance all matches by one step."""
        ...

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that decides how the matches go on, as named arrays (copies).

        Raises:
          InputError: this game cannot be saved; what is trained in it cannot be resumed.
        """
        ...

    def set_state(self, state: Mapping[str, np.ndarray]) -> Mapping[AgentID, Array]:
        """Put the matches back to `get_state()`'s; returns the observations, bit for bit those of then."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class FunctionalGame(Protocol):
    """A game as pure JAX functions: `rollout` runs it within one jitted scan. `state` is a pytree with B in front."""

    @property
    def id(self) -> str: ...
    @property
    def agents(self) -> tuple[AgentID, ...]: ...
    @property
    def spaces(self) -> Mapping[AgentID, Spaces]: ...
    @property
    def num_games(self) -> int: ...

    def init(self, key: Key) -> tuple[Any, Mapping[AgentID, Array]]:
        """B new matches: their state, and every agent's observation."""
        ...

    def step(self, state: Any, actions: Mapping[AgentID, Array], key: Key) -> tuple[Any, Step]:
        """One step of all matches; those that end start anew, as in `VectorGame`."""
        ...


Game = VectorGame | FunctionalGame


@dataclass(frozen=True)
class ThreatModel:
    """Eq. 3.2: who is attacked, through whom, and with what probability of control at every decision.

    Raises:
      InputError: the budget is not a number in [0, 1], or an attacker has no benign policy.
    """

    victim: AgentID
    attackers: tuple[AgentID, ...]
    benign: Mapping[AgentID, Policy]
    budget: float

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if self.victim in self.attackers:
            raise InputError(f"{self.victim} cannot be both the victim and an attacker")
        if missing := [a for a in self.attackers if a not in self.benign]:
            raise InputError(f"no benign policy for attacker {missing[0]}: Eq. 3.2 mixes with one")


def check_budget(budget: float) -> float:
    """The attack budget epsilon, if it is a number in [0, 1].

    Raises:
      InputError: it is not.
    """
    if not (isinstance(budget, (int, float, np.floating, np.integer)) and math.isfinite(budget) and 0 <= budget <= 1):
        raise InputError(f"budget: expected a probability in [0, 1] (epsilon of Eq. 3.2), got {budget}")
    return float(budget)


class Experience(NamedTuple):
    """What one agent learns from: [T, B] steps in time order, matches following each other without a gap."""

    observation: Array  # float32 [T, B, D]
    action: Array  # [T, B] or [T, B, A], what was executed, whoever chose it; blended control: the agent's own choice
    reward: Array  # float32 [T, B]
    log_prob: Array  # float32 [T, B], of the agent's own policy; meaningful only where `controlled`
    value: Array  # float32 [T, B], the critic at `observation`
    bootstrap: Array  # float32 [T, B], the critic at the final observation of a truncated match, 0 elsewhere
    controlled: Array  # bool [T, B], it was the agent's move and the learning policy chose the action (Eq. 3.2)
    terminated: Array  # bool [T, B]
    truncated: Array  # bool [T, B], time limit or broken physics: cut off, not decided
    first: Array  # bool [T, B], `observation` is the first one of a match
    last_value: Array  # float32 [B], the critic at the observation after the last step
    policy_state: Any  # state of the (recurrent) policy before the first step, [B, ...] leaves


class Trajectory(NamedTuple):
    """T steps of B matches, and what each recorded agent saw and did."""

    agents: Mapping[AgentID, Experience]
    reward: Mapping[AgentID, Array]  # float32 [T, B] of every agent of the game
    winner: Array  # int8 [T, B]
    terminated: Array  # bool [T, B]
    truncated: Array  # bool [T, B]
    invalid: Array  # bool [T, B]
    info: Mapping[str, Mapping[AgentID, Array]]  # float32 [T, B]


class Outcomes(NamedTuple):
    """Complete matches, one entry each, in the order in which their slots were dealt (not in that of ending)."""

    winner: np.ndarray  # int8 [n], index into the game's agents; NO_WINNER is a draw
    length: np.ndarray  # int32 [n], steps
    invalid: np.ndarray  # bool [n]
    returns: Mapping[AgentID, np.ndarray]  # float64 [n], undiscounted sum of rewards


LearnerState = Any
Metrics = Mapping[str, Array]


class Learner(NamedTuple):
    """A learning algorithm as pure functions, as optax does it."""

    init: Callable[[Spaces, Key], LearnerState]
    policy: Callable[[LearnerState], Policy]
    update: Callable[[LearnerState, Experience, Key], tuple[LearnerState, Metrics]]
