"""Records and protocols that every layer shares: read this file first.

Shapes in brackets: T time, B matches played side by side, D observation size, A action size, n discrete actions.
An agent is named by an `AgentID`; a match is one episode between all agents of a game; a slot is one of the B places in
which matches are played side by side.
A key is a `uint32 [2]` array: the seed of one act of randomness, for NumPy and JAX alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np

from sparring.errors import InputError, check_type, unknown

if TYPE_CHECKING:
    # The type checker takes an operator between two values of an alias of Any for one between types.
    from typing import Any as Array
    from typing import Any as Key
else:
    Array = Any  # numpy.ndarray or jax.Array
    Key = Any  # uint32 [2]

AgentID: TypeAlias = str
Control = Literal["step", "episode", "blend"]
Coin = Literal["agent", "team"]
# Methods of hardening that there are in every game (section 4, and what it is compared with).
MethodName = Literal[
    "min-oracle", "two-timescale", "single-timescale", "alternating", "self-play", "fictitious-play", "retrain"
]


# ---------------------------------------------------------------------------------------------------------------------
# Spaces. They are hashable, so that they can be static under jit; gymnasium's are not.


@dataclass(frozen=True)
class Box:
    """Arrays of one shape. A batch is `dtype [B, *shape]`.

    `low` and `high` are one number, or one for each entry (a flat tuple in C order). Actions outside the bounds are
    clamped by the game, as MuJoCo's actuators do, so that Gaussian policies can be played as they are.

    Raises:
      InputError: bounds of another size, or a lower bound above its upper one.
    """

    shape: tuple[int, ...]
    low: float | tuple[float, ...] = -math.inf
    high: float | tuple[float, ...] = math.inf
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            bound = getattr(self, name)
            if isinstance(bound, tuple) and len(bound) != self.size:
                raise InputError(f"Box{list(self.shape)}: expected {self.size} {name} bounds, got {len(bound)}")
        if not (np.asarray(self.low) <= np.asarray(self.high)).all():
            raise InputError(f"Box{list(self.shape)}: a lower bound is above its upper bound, or NaN")

    @property
    def size(self) -> int:
        """Numbers in one element."""
        return math.prod(self.shape)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The bounds as arrays of the box's shape, float64."""
        low, high = (
            np.broadcast_to(np.asarray(b, np.float64), (self.size,)).reshape(self.shape) for b in (self.low, self.high)
        )
        return low, high


@dataclass(frozen=True)
class Discrete:
    """One of 0 .. n-1. A batch is `int [B]`."""

    n: int

    @property
    def size(self) -> int:
        """The number of logits that describe one choice."""
        return self.n


@dataclass(frozen=True)
class MultiDiscrete:
    """Several choices at once, the i-th of 0 .. nvec[i]-1. A batch is `int [B, len(nvec)]`."""

    nvec: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of logits that describe all choices, one choice after the other."""
        return sum(self.nvec)


@dataclass(frozen=True)
class Dict:
    """Named parts. A batch is a dict of the parts' batches. `parts` are sorted by name."""

    parts: tuple[tuple[str, Space], ...]

    @property
    def size(self) -> int:
        """Numbers in one element, each discrete choice as one-hot."""
        return sum(part.size for _, part in self.parts)


Space: TypeAlias = "Box | Discrete | MultiDiscrete | Dict"
ActionSpace: TypeAlias = "Box | Discrete | MultiDiscrete"


@dataclass(frozen=True)
class Spaces:
    """What one agent sees and does."""

    observation: Space
    action: ActionSpace


# ---------------------------------------------------------------------------------------------------------------------
# What agents see and decide.


class View(NamedTuple):
    """What one agent is shown at one step, in B matches.

    `legal` says which actions may be chosen: for `Discrete` actions [B, n], for `MultiDiscrete` ones [B, sum(nvec)].
    None: all of them. An agent that moves has a legal action in every choice.
    `moves` says in which matches the agent acts now: in a game of turns it waits for the others, and an agent that is
    out does not act any more. None: it always acts. What an agent answers where it does not move is not looked at.
    """

    observation: Any  # as `Spaces.observation` says: an array [B, ...], or a dict of them
    legal: Array | None = None  # bool [B, n]
    moves: Array | None = None  # bool [B]


class Decision(NamedTuple):
    """What a policy decides for B matches. What a policy has no word on is None."""

    action: Array  # int [B], int [B, k] or float32 [B, A]
    state: Any  # for the next step, [B, ...] leaves
    log_prob: Array | None = None  # float32 [B], of `action`
    value: Array | None = None  # float32 [B], the critic's
    controlled: Array | None = None  # bool [B], the adversarial policy chose; None: always
    proposed: Array | None = None  # the learning policy's own action, where another is executed although it controls
    valued: Array | None = None  # bool [B], what follows is what `value` is meant to predict; None: always


@runtime_checkable
class Policy(Protocol):
    """A pure function of a key, what the agent is shown, and the policy's own state.

    A `traceable` policy is a JAX pytree whose `act` may run inside `jax.jit`; any other (a user's function) is called
    with NumPy arrays, once for each batch.
    """

    @property
    def traceable(self) -> bool:
        """`act` is made of JAX operations alone."""
        ...

    def initial_state(self, batch: int) -> Any:
        """The state at the first step of a match, for `batch` matches: a pytree of [B, ...] arrays, or ()."""
        ...

    def act(self, key: Key, view: View, state: Any) -> Decision:
        """Decide for B matches; the same key gives the same decision."""
        ...


# ---------------------------------------------------------------------------------------------------------------------
# Games.


class Step(NamedTuple):
    """What a vector game returns from one step of its B matches. Every array is the caller's to keep.

    A match that ends starts anew within the same step: `view` is then the first one of the next match, and `final_view`
    the last one of the match that ended. Where none ended the two are equal.
    """

    view: Mapping[AgentID, View]
    final_view: Mapping[AgentID, View]
    reward: Mapping[AgentID, Array]  # float32 [B]
    terminated: Array  # bool [B], the match is decided (no bootstrap)
    truncated: Array  # bool [B], the match hit its time limit (bootstrap)
    invalid: Array  # bool [B], the match was cut off for broken physics: neither terminated nor won
    outcome: Mapping[AgentID, Array] | None  # int8 [B]: 1 won, 0 drawn, -1 lost where a match ended, 0 where none did;
    # None: the game has no winners
    info: Mapping[str, Mapping[AgentID, Array]]  # named terms (of the reward, for shaping), each float32 [B]


class SimulatedGame(Protocol):
    """What both kinds of simulated games say about themselves."""

    @property
    def id(self) -> str: ...
    @property
    def agents(self) -> tuple[AgentID, ...]: ...
    @property
    def spaces(self) -> Mapping[AgentID, Spaces]: ...
    @property
    def num_games(self) -> int: ...


@runtime_checkable
class VectorGame(SimulatedGame, Protocol):
    """B matches of a simulated game on the host, stepped together."""

    def reset(self, seed: int) -> Mapping[AgentID, View]:
        """Start B new matches; returns what every agent is shown."""
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

    def set_state(self, state: Mapping[str, np.ndarray]) -> Mapping[AgentID, View]:
        """Put the matches back to `get_state()`'s; returns the views, bit for bit those of then."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class FunctionalGame(SimulatedGame, Protocol):
    """A game as pure JAX functions: `rollout` runs it within one jitted scan. `state` is a pytree with B in front.

    The game itself is a pytree: its arrays are traced, so that two games of the same shape share one compilation.
    """

    def init(self, key: Key) -> tuple[Any, Mapping[AgentID, View]]:
        """B new matches: their state, and what every agent is shown."""
        ...

    def step(self, state: Any, actions: Mapping[AgentID, Array], key: Key) -> tuple[Any, Step]:
        """One step of all matches; those that end start anew, as in `VectorGame`."""
        ...


Game = VectorGame | FunctionalGame


# ---------------------------------------------------------------------------------------------------------------------
# Who is attacked.


@dataclass(frozen=True)
class ThreatModel:
    """Eq. 3.2: who is attacked, through whom, and with what probability of control at every decision.

    Several victims are one side (their rewards add up), several attackers are a team (DECISIONS 31): `coin` says
    whether each attacker's control is drawn by itself or once for the team. `victim` may be given as one name.

    Raises:
      InputError: the budget is not a number in [0, 1], nobody is attacked, an agent has two parts, an attacker has no
        benign policy, or an unknown kind of control or coin.
    """

    victims: tuple[AgentID, ...]
    attackers: tuple[AgentID, ...]
    benign: Mapping[AgentID, Any]  # each attacker's own policy
    budget: float
    others: Mapping[AgentID, Any] | None = None  # what bystanders play
    control: Control = "step"
    coin: Coin = "agent"

    if TYPE_CHECKING:  # one name is accepted, and kept as a tuple

        def __init__(
            self,
            victims: tuple[AgentID, ...] | AgentID,
            attackers: tuple[AgentID, ...] | AgentID,
            benign: Mapping[AgentID, Any],
            budget: float,
            others: Mapping[AgentID, Any] | None = None,
            control: Control = "step",
            coin: Coin = "agent",
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("victims", "attackers"):
            given = getattr(self, name)
            if not isinstance(given, (str, tuple, list)) or not all(isinstance(agent, str) for agent in given):
                raise InputError(f"{name}: expected an agent's name or several, got {given!r}")
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
            if not getattr(self, name):
                raise InputError(f"{name}: expected at least one agent, got none")
        check_budget(self.budget)
        if self.control not in get_args(Control):
            raise unknown("kind of control", self.control, get_args(Control))
        if self.coin not in get_args(Coin):
            raise unknown("kind of coin", self.coin, get_args(Coin))
        everybody = (*self.victims, *self.attackers)
        if twice := [agent for agent in everybody if everybody.count(agent) > 1]:
            raise InputError(f"{twice[0]} cannot be both the victim and an attacker, nor one of them twice")
        check_type("benign", self.benign, Mapping, "a dictionary of each attacker's own policy")
        if self.others is not None:
            check_type("others", self.others, Mapping, "a dictionary of the remaining agents' policies")
            if both := [agent for agent in self.others if agent in everybody]:
                raise InputError(f"others: {both[0]} is a victim or an attacker: name the remaining agents alone")
        if missing := [a for a in self.attackers if a not in self.benign]:
            raise InputError(f"no benign policy for attacker {missing[0]}: Eq. 3.2 mixes with one")

    @property
    def victim(self) -> AgentID:
        """The only, or the first, victim."""
        return self.victims[0]


def check_budget(budget: float) -> float:
    """The attack budget epsilon, if it is a number in [0, 1].

    Raises:
      InputError: it is not.
    """
    if not (isinstance(budget, (int, float, np.floating, np.integer)) and math.isfinite(budget) and 0 <= budget <= 1):
        raise InputError(
            f"budget: expected a probability in [0, 1] (epsilon of Eq. 3.2), got {' '.join(str(budget).split())}"
        )
    return float(budget)


# ---------------------------------------------------------------------------------------------------------------------
# What was played.


class Experience(NamedTuple):
    """What one agent learns from: [T, B] steps in time order, matches following each other without a gap."""

    observation: Any  # [T, B, ...] leaves, as `Spaces.observation` says
    legal: Array | None  # bool [T, B, n]
    action: Array  # [T, B] or [T, B, A], what was executed, whoever chose it; blended control: the agent's own choice
    reward: Array  # float32 [T, B]
    log_prob: Array  # float32 [T, B], of the agent's own policy; meaningful only where `controlled`
    value: Array  # float32 [T, B], the critic at `observation`
    bootstrap: Array  # float32 [T, B], the critic at the final observation of a truncated match, 0 elsewhere
    controlled: Array  # bool [T, B], it was the agent's move and the learning policy chose the action (Eq. 3.2)
    valued: Array  # bool [T, B], the critic learns from this step (DECISIONS 15 and 27)
    terminated: Array  # bool [T, B]
    truncated: Array  # bool [T, B], time limit or broken physics: cut off, not decided
    first: Array  # bool [T, B], `observation` is the first one of a match
    last_value: Array  # float32 [B], the critic at the observation after the last step
    policy_state: Any  # state of the (recurrent) policy before the first step, [B, ...] leaves
    moves: Array | None = None  # bool [T, B], it was the agent's move; None: always


class Trajectory(NamedTuple):
    """T steps of B matches, and what each recorded agent saw and did."""

    agents: Mapping[AgentID, Experience]
    seen: Mapping[AgentID, Any]  # observations of the watched agents, [T, B, ...] leaves
    reward: Mapping[AgentID, Array]  # float32 [T, B] of every agent of the game
    outcome: Mapping[AgentID, Array] | None  # int8 [T, B], as in `Step`
    terminated: Array  # bool [T, B]
    truncated: Array  # bool [T, B]
    invalid: Array  # bool [T, B]
    info: Mapping[str, Mapping[AgentID, Array]]  # float32 [T, B]


class States(NamedTuple):
    """A sample of what one agent saw, with the match and the step that each row comes from; no invalid matches."""

    rows: np.ndarray  # float32 [n, D], flat
    match: np.ndarray  # int64 [n], index into `Outcomes`
    step: np.ndarray  # int64 [n], steps since the match began


class Tracks(NamedTuple):
    """Whole valid matches as one agent met them: the steps of a match one after the other, matches in order."""

    rows: np.ndarray  # float32 [n, D], what it saw before it decided, flat
    action: np.ndarray  # float32 [n, A], what it did, flat (a discrete choice as one-hot)
    controlled: np.ndarray  # bool [n], an attacker was controlled in this step
    match: np.ndarray  # int64 [n], index into `Outcomes`
    step: np.ndarray  # int64 [n], steps since the match began


class Outcomes(NamedTuple):
    """Complete matches, one entry each, in the order in which their slots were dealt (not in that of ending)."""

    outcome: Mapping[AgentID, np.ndarray] | None  # int8 [n]: 1, 0, -1; None: the game has no winners
    length: np.ndarray  # int32 [n], steps
    invalid: np.ndarray  # bool [n]
    returns: Mapping[AgentID, np.ndarray]  # float64 [n], undiscounted sum of rewards
    states: Mapping[AgentID, States]  # of the watched agents


LearnerState = Any
Metrics = Mapping[str, Array]


class Learner(NamedTuple):
    """A learning algorithm as pure functions, as optax does it."""

    init: Callable[[Spaces, Key], LearnerState]
    policy: Callable[[LearnerState], Policy]
    update: Callable[[LearnerState, Experience, Key], tuple[LearnerState, Metrics]]
    final: Callable[[LearnerState], Policy] | None = None  # the policy to keep, where it is not `policy`
    # The same algorithm at half its learning rate, which goes on from the same states; None: it has no such rate.
    halved: Callable[[], Learner] | None = None
