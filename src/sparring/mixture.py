"""Partial control as a policy combinator: Eq. 3.2 of the paper, per decision, per match, or blended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from types import CellType, FunctionType, MethodType
from typing import Any, NamedTuple, get_args

import numpy as np

from sparring.errors import InputError, check_type, unknown
from sparring.policies import ConstantPolicy, MixturePolicy, PoolPolicy, RandomPolicy, TabularPolicy, batch_of
from sparring.pytrees import register
from sparring.types import AgentID, Array, Control, Decision, Key, Policy, ThreatModel, View, check_budget

# Folds beyond the reach of a policy that splits the key which it is given: `split(key, n)[i]` is `fold_in(key, i)`
# (DECISIONS 26).
_COIN, _BLEND = 0x7C011000, 0x7C012000
_LIMBS = 3  # of 16 bits each: budgets are told apart down to 2^-48


class MixedState(NamedTuple):
    benign: Any
    adversarial: Any
    coin: Array  # int8 [B]: -1 not yet tossed in this match, else 1 if the match is controlled ("episode" only)


@dataclass(frozen=True)
class MixedPolicy:
    """The attacker's agent under partial control: Eq. 3.2. Made by `mix`.

    Both policies decide with the same key, so that budget 0 replays the benign policy bit for bit and budget 1 the
    adversarial one (unless both are mixes: no two coins of a nest are the same). The coin has a key of its own, every
    mix in a nest another one. Blended, both policies' noise is executed at once, so the benign policy draws from
    another key (DECISIONS 27). Where each slot has a budget of its own, nothing is learned from the slots of budget 0:
    they are neither controlled nor valued.
    `log_prob` and `value` are the adversarial policy's. If that one is mixed itself, `controlled` is what all coins
    leave to it.
    """

    benign: Policy
    adversarial: Policy
    budget: float | Array  # one for all matches, or float32 [B], one for each slot: see `budgets`
    control: Control = "step"
    team: bool = False  # the coin is the team's: whoever asks all agents gives each the same `coin_key`
    number: int = 1  # tells its coin apart from those of the mixes that it is made of, whose numbers are smaller

    @property
    def traceable(self) -> bool:
        return self.benign.traceable and self.adversarial.traceable

    def initial_state(self, batch: int) -> MixedState:
        return MixedState(
            self.benign.initial_state(batch), self.adversarial.initial_state(batch), np.full(batch, -1, np.int8)
        )

    def act(self, key: Key, view: View, state: MixedState) -> Decision:
        return self._act(key, _coin(key, batch_of(view), self.budget, self.traceable, self.number), view, state)

    def act_with(self, key: Key, coin_key: Key, view: View, state: MixedState) -> Decision:
        """`act`, with the coin drawn from a key of its own: agents with the same one are controlled together.

        They are, whatever each is made of: functions of the host, networks, mixtures.
        """
        controlled = (_coin if self.traceable else _compiled_coin())(coin_key, batch_of(view), self.budget)
        return self._act(key, controlled if self.traceable else np.asarray(controlled), view, state)

    def _act(self, key: Key, controlled: Array, view: View, state: MixedState) -> Decision:
        benign_key = _folded(key, _BLEND + self.number, self.traceable) if self.control == "blend" else key
        benign = act(self.benign, benign_key, view, state.benign)
        adversarial = act(self.adversarial, key, view, state.adversarial)
        if np.shape(benign.action) != np.shape(adversarial.action):
            raise InputError(
                f"the benign policy's actions have shape {list(np.shape(benign.action))}, the adversarial policy's "
                f"{list(np.shape(adversarial.action))}; expected the same: do both fit this agent?"
            )
        xp = _arrays(self.traceable)
        coin, proposed, valued = state.coin, adversarial.proposed, adversarial.valued
        if self.control == "episode":
            controlled = xp.where(coin < 0, controlled, coin == 1)
            coin = controlled.astype(np.int8)
            # A controlled match goes on controlled: what the benign policy's matches return is another value.
            valued = controlled if valued is None else controlled & valued
        if np.ndim(self.budget):
            attacked = xp.broadcast_to(xp.asarray(self.budget > 0), controlled.shape)
            valued = attacked if valued is None else attacked & valued
        if self.control == "blend":
            if not xp.issubdtype(benign.action.dtype, xp.floating):
                raise InputError(
                    "control: blend combines continuous actions, and these are discrete; use step or episode"
                )
            controlled = xp.broadcast_to(xp.asarray(self.budget > 0), controlled.shape)
            share = self.budget
            if np.ndim(share):
                share = xp.asarray(share).reshape(controlled.shape + (1,) * (benign.action.ndim - 1))
            action = (1 - share) * benign.action + share * adversarial.action
            proposed = adversarial.action if proposed is None else proposed
        else:
            where = controlled.reshape(controlled.shape + (1,) * (benign.action.ndim - 1))
            action = xp.where(where, adversarial.action, benign.action)
        if adversarial.controlled is not None:
            controlled = controlled & adversarial.controlled
        return Decision(
            action,
            MixedState(benign.state, adversarial.state, coin),
            adversarial.log_prob,
            adversarial.value,
            controlled,
            proposed,
            valued,
        )


def mix(benign: Policy, adversarial: Policy, budget: float, control: Control = "step") -> MixedPolicy:
    """Eq. 3.2: pi_alpha = (1 - budget) benign + budget adversarial.

    Args:
      benign: what the agent does when it is not controlled.
      adversarial: what the attacker makes it do.
      budget: epsilon in [0, 1], the probability of control.
      control: "step", an independent draw at every decision (the paper; DECISIONS 1); "episode", one draw for a whole
        match; "blend", no draw: the executed action is the convex combination of the two (continuous actions only;
        the noisy-action robust MDP of Tessler et al. 2019).

    Raises:
      InputError: no policies, a budget outside [0, 1] or an unknown kind of control.
    """
    for what, policy in (("benign", benign), ("adversarial", adversarial)):
        check_type(f"mix: {what}", policy, Policy, "a policy, as load_policy returns it")
    if control not in get_args(Control):
        raise unknown("kind of control", control, get_args(Control))
    taken = _highest(benign)
    if taken and isinstance(adversarial, MixedPolicy):
        adversarial = _renumbered(adversarial, taken)
    number = 1 + max(taken, _highest(adversarial))
    return MixedPolicy(benign, adversarial, check_budget(budget), control, number=number)


def executed(
    threat: ThreatModel, adversarial: Mapping[AgentID, Policy], budgets: Array | None = None
) -> dict[AgentID, Policy]:
    """What the attackers' agents play under the threat: Eq. 3.2 for each of them.

    Args:
      threat: who is controlled, how often, and what each does otherwise.
      adversarial: the policy of every attacker when it is controlled.
      budgets: float32 [B], a budget for each slot, instead of the threat's.

    Raises:
      InputError: an attacker without an adversarial policy.
    """
    if missing := [agent for agent in threat.attackers if agent not in adversarial]:
        raise InputError(f"no adversarial policy for attacker {missing[0]}")
    team = threat.coin == "team"
    mixed: dict[AgentID, MixedPolicy] = {
        a: replace(mix(threat.benign[a], adversarial[a], threat.budget, threat.control), team=team)
        for a in threat.attackers
    }
    return {a: policy if budgets is None else replace(policy, budget=budgets) for a, policy in mixed.items()}


def slot_budgets(
    slots: int, budget: float, clean_share: float = 0.0, between: tuple[float, float] | None = None
) -> Array:
    """A budget for each slot: some are clean, and the others have one budget or a whole range of them.

    Budgets are dealt in turn to the even and the odd slots, which adversarial training against past opponents tells
    apart: of every kind both have equally many, but for one. Within them neighbours differ.

    Args:
      slots: B.
      budget: of the slots that are attacked, unless there is a range.
      clean_share: of the slots, which have budget 0.
      between: the least and the largest budget of those that are attacked; they are spread evenly.

    Returns:
      float32 [B].

    Raises:
      InputError: a share outside [0, 1) or so small that it is no slot, or a range that is none.
    """
    clean = round(clean_share * slots) if 0 <= clean_share < 1 else slots
    if clean == slots:
        raise InputError(f"clean-share: expected a share in [0, 1) that leaves a match to attack, got {clean_share}")
    if clean_share and not clean:
        raise InputError(f"clean-share: {clean_share} of {slots} matches side by side is none; use more num-games")
    low, high = (budget, budget) if between is None else (check_budget(end) for end in between)
    if not low <= high:
        raise InputError(f"budget-range: expected the lower budget first, got {low} {high}")
    sorted_ = np.concatenate([np.zeros(clean), np.linspace(low, high, slots - clean)]).astype(np.float32)
    dealt = np.empty(slots, np.float32)
    for parity in (0, 1):
        own = sorted_[parity::2]
        # Multiples of the golden ratio, modulo 1, are spread evenly over every stretch of slots.
        dealt[parity::2] = own[np.argsort(np.argsort(np.arange(len(own)) * ((math.sqrt(5) - 1) / 2) % 1.0))]
    return dealt


def act(policy: Policy, key: Key, view: View, state: Any) -> Decision:
    """`policy.act`, compiled where a traceable policy is called with NumPy arrays."""
    observation = view.observation
    while isinstance(observation, dict):
        observation = next(iter(observation.values()))
    if policy.traceable and isinstance(observation, np.ndarray):
        return _compiled()(policy, key, view, state)
    return policy.act(key, view, state)


@cache
def _compiled() -> Callable[..., Decision]:
    """`policy.act` in one compiled call; the policy's arrays are arguments, so new weights do not recompile."""
    import equinox as eqx

    register_policies()
    return eqx.filter_jit(lambda policy, key, view, state: policy.act(key, view, state))


@cache
def register_policies() -> None:
    """Make the plain policies and their mixtures pytrees, once; `sparring.nets` does it on import."""
    register(RandomPolicy, (), ("action",))
    register(ConstantPolicy, (), ("action",))
    register(TabularPolicy, ("probabilities",), ())
    register(PoolPolicy, ("live", "past", "numbers", "count", "probability"), ())
    register(MixturePolicy, ("policies", "weights"), ())
    register(MixedPolicy, ("benign", "adversarial", "budget"), ("control", "team", "number"))


def _highest(value: Any, seen: frozenset[int] = frozenset()) -> int:
    """The highest number of the mixes that a policy is made of, or holds and asks with its own key; 0: none.

    They are looked for in what policies hold: other policies, containers, and functions with what these enclose.
    """
    if isinstance(value, MixedPolicy):
        return value.number
    if id(value) in seen:
        return 0
    if isinstance(value, (list, tuple)):
        held = list(value)
    elif isinstance(value, Mapping):
        held = list(value.values())
    elif isinstance(value, partial):
        held = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, FunctionType):
        held = [_content(cell) for cell in value.__closure__ or ()]
    elif isinstance(value, MethodType):
        held = [value.__self__]
    elif callable(getattr(value, "act", None)) and not isinstance(value, type):
        held = list(getattr(value, "__dict__", {}).values())
    else:
        return 0
    return max((_highest(one, seen | {id(value)}) for one in held), default=0)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # its variable has no value yet
        return None


def _renumbered(policy: MixedPolicy, by: int) -> MixedPolicy:
    """The mix with higher numbers, its own and those of the mixes that it is made of."""
    parts = (policy.benign, policy.adversarial)
    benign, adversarial = (_renumbered(part, by) if isinstance(part, MixedPolicy) else part for part in parts)
    return replace(policy, benign=benign, adversarial=adversarial, number=policy.number + by)


def _folded(key: Key, number: int, traceable: bool) -> Key:
    if traceable:
        import jax

        return jax.random.fold_in(key, number)
    return np.random.SeedSequence([number, *np.asarray(key).tolist()]).generate_state(2)


def _coin(key: Key, batch: int, budget: float | Array, traceable: bool = True, number: int = 0) -> Array:
    """True [B] with the probability of the budget; `number` tells the coins of one key apart.

    Float32 would tell budgets below 1e-6 badly apart, so a number of 48 random bits is compared digit by digit.
    """
    if not traceable:
        return np.random.default_rng([_COIN + number, *np.asarray(key).tolist()]).random(batch) < budget
    import jax
    import jax.numpy as jnp

    digits = jax.random.bits(jax.random.fold_in(key, _COIN + number), (_LIMBS, batch), jnp.uint16)
    return _below(digits, jnp.float32(budget))


@cache
def _compiled_coin() -> Callable[..., Array]:
    """The coin of networks, for what is called on the host."""
    import jax

    return jax.jit(_coin, static_argnums=1)


def _arrays(traceable: bool) -> Any:
    """The array module in which the policies answer."""
    if not traceable:
        return np
    import jax.numpy as jnp

    return jnp


def _below(digits: Array, limit: Array, base: int = 65536) -> Array:
    """Whether the numbers that `digits` [places, B] write are below `limit`, cut to as many digits: bool [B]."""
    import jax.numpy as jnp

    rest, below, equal = limit, jnp.zeros(digits.shape[1:], bool), jnp.ones(digits.shape[1:], bool)
    for drawn in digits.astype(jnp.float32):
        rest = rest * base
        digit = jnp.floor(rest)
        rest = rest - digit
        below, equal = below | (equal & (drawn < digit)), equal & (drawn == digit)
    return below
