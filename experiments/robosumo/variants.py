"""The settings with which RoboSumo's robots and their attackers were trained, one named variant for each.

The names are those under which the runs in `results/robosumo-learning/runs.json` are recorded. Most variants change one
setting of another one: `Variant.change` says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sparring.attacks.adversarial_policy import AttackConfig
from sparring.defences.self_play import SelfPlayConfig
from sparring.errors import InputError, unknown
from sparring.games import frame
from sparring.games.robosumo.learning import ATTACK, FROM_SCRATCH, SELF_PLAY
from sparring.learners.ppo import PPOConfig
from sparring.nets import NetworkConfig
from sparring.training import Reward


@dataclass(frozen=True)
class Variant:
    """What is trained.

    Attributes:
      change: the setting in which it differs from the variant that it is compared with, in words.
      config: all settings.
      body: the body of both robots.
      victim: who is attacked; "" in self-play.
      benign: the opponent that an attack controls in part.
      start: whose weights the training starts from; "": the benign opponent's, or new ones.
      budget: the budget of an attack.
      partner: whom self-play meets in part of its matches; "" for nobody.
    """

    change: str
    config: AttackConfig | SelfPlayConfig
    body: str = "ant"
    victim: str = ""
    benign: str = ""
    start: str = ""
    budget: float = 1.0
    partner: str = ""

    @property
    def game(self) -> str:
        return f"robosumo/{self.body}-vs-{self.body},integrator=euler"


CHOICES = (
    "body",
    "victim",
    "benign",
    "start",
    "budget",
    "partner",
)  # given besides the variant, its steps and the seed
# The part of the steps that are shaped, of a variant that goes on from weights that fight already.
SHAPED_PART = 0.6

# The policy's noise may fall to a standard deviation of .1, and nothing resets it at the start or the end.
STD_FREE = {"min_std": 0.1, "start_std": 0.0, "end_std": 0.0}
# Shaping (`games.robosumo.reward.Terms`): 4 for a metre towards the opponent, 2 for a metre by which the opponent comes
# to be farther from the centre than the robot.
SHAPING_RING_2 = {"approach": 4.0, "ring": 2.0}
# The same, and 6 for a second at a metre below the height of .6 m.
SHAPING_RING_2_LOW_6 = {**SHAPING_RING_2, "low": 6.0}

ATTACK_PPO = PPOConfig(**{**ATTACK["ppo"], "normalize_observations": False})
ATTACK_DEFAULTS = AttackConfig(
    **{**ATTACK, "start": "benign", "reward": Reward(outcome=1.0), "ppo": ATTACK_PPO},
)
ATTACK_LAST_WEIGHTS = replace(ATTACK_DEFAULTS, ppo=replace(ATTACK_PPO, average=0.0))
ATTACK_STD_FREE = replace(ATTACK_LAST_WEIGHTS, ppo=replace(ATTACK_LAST_WEIGHTS.ppo, **STD_FREE))
ATTACK_GAMMA_98 = replace(ATTACK_STD_FREE, ppo=replace(ATTACK_STD_FREE.ppo, gamma=0.98, minibatch=512))

SELF_PLAY_PPO = PPOConfig(**{**SELF_PLAY["ppo"], "normalize_observations": False})
SELF_PLAY_DEFAULTS = SelfPlayConfig(
    num_games=SELF_PLAY["num_games"],
    steps_per_round=SELF_PLAY["steps_per_round"],
    past=SELF_PLAY["past"],
    passive=SELF_PLAY["passive"],
    reward=Reward(outcome=1.0, draw=SELF_PLAY["draw"]),
    ppo=SELF_PLAY_PPO,
)
SELF_PLAY_STD_FREE = replace(SELF_PLAY_DEFAULTS, ppo=replace(SELF_PLAY_PPO, **STD_FREE, average=0.99))
SELF_PLAY_ZERO_HALF = replace(SELF_PLAY_DEFAULTS, passive=0.5, ppo=replace(SELF_PLAY_PPO, average=0.99))


def with_shaping(config: SelfPlayConfig, shaping: Mapping[str, float]) -> SelfPlayConfig:
    return replace(config, reward=replace(config.reward, shaping=shaping))


def from_scratch(
    config: AttackConfig | SelfPlayConfig, shaping: Mapping[str, float] = FROM_SCRATCH["shaping"]
) -> AttackConfig | SelfPlayConfig:
    """The same settings for new weights, which have the symmetry of an ant: `chosen` sets that of the body."""
    network = NetworkConfig(initial_std=FROM_SCRATCH["initial_std"], frame=frame("robosumo-ant"))
    ppo = replace(config.ppo, normalize_observations=True, warmup_updates=0, network=network)
    reward = replace(config.reward, draw=FROM_SCRATCH["draw"], shaping=shaping)
    if isinstance(config, SelfPlayConfig):
        return replace(config, passive=FROM_SCRATCH["passive"], reward=reward, ppo=ppo)
    return replace(config, start="scratch", reward=reward, ppo=ppo)


VARIANTS: dict[str, Variant] = {
    "base": Variant(
        "from the benign weights, for wins and losses alone, rounds of 8,192 steps, gamma .98, noise may fall to .1",
        ATTACK_GAMMA_98,
    ),
    "batch": Variant(
        "base with rounds of 32,768 steps, minibatches of 4,096, 8 epochs, learning rate 5e-4",
        replace(
            ATTACK_GAMMA_98,
            num_games=256,
            steps_per_round=128,
            ppo=replace(ATTACK_GAMMA_98.ppo, minibatch=4096, epochs=8, learning_rate=5e-4),
        ),
    ),
    "quiet": Variant("base with gamma .99 and minibatches of 1,024", ATTACK_STD_FREE),
    "attack": Variant("quiet with noise of .3 during the training", ATTACK_LAST_WEIGHTS),
    "average": Variant(
        "attack that ends with the mean of the weights of some 100 rounds: the game's defaults", ATTACK_DEFAULTS
    ),
    "large": Variant(
        "attack with rounds of 65,536 steps, minibatches of 4,096, 4 epochs, learning rate 2e-4, one round of warm-up",
        replace(
            ATTACK_LAST_WEIGHTS,
            num_games=256,
            steps_per_round=256,
            ppo=replace(ATTACK_LAST_WEIGHTS.ppo, minibatch=4096, epochs=4, learning_rate=2e-4, warmup_updates=1),
        ),
    ),
    "attack-scratch": Variant(
        "attack of new weights with the body's symmetry; shaping at first, a draw counts as a loss",
        from_scratch(ATTACK_LAST_WEIGHTS),
    ),
    "self-play": Variant(
        "from given weights; 30% of the matches against zero, a draw costs half a loss", SELF_PLAY_DEFAULTS
    ),
    "sparring": Variant(
        "self-play with 40% of the matches against a given partner and 10% against zero",
        replace(SELF_PLAY_DEFAULTS, sparring=0.4, passive=0.1),
    ),
    "self-play-quiet": Variant(
        "self-play in which noise may fall to .1, and that ends with the mean of the weights of some 100 rounds",
        SELF_PLAY_STD_FREE,
    ),
    "self-play-still": Variant(
        "self-play with half of the matches against zero, that ends with the mean of the weights of some 100 rounds",
        SELF_PLAY_ZERO_HALF,
    ),
    "self-play-low": Variant(
        "self-play-quiet with the shaping of self-play-scratch-low",
        with_shaping(SELF_PLAY_STD_FREE, SHAPING_RING_2_LOW_6),
    ),
    "self-play-low-still": Variant(
        "self-play-still with the shaping of self-play-scratch-low",
        with_shaping(SELF_PLAY_ZERO_HALF, SHAPING_RING_2_LOW_6),
    ),
    "self-play-scratch": Variant(
        "self-play of new weights with the body's symmetry; shaping at first, 15% of the matches against zero, a draw "
        "counts as a loss",
        from_scratch(SELF_PLAY_DEFAULTS),
    ),
    "self-play-scratch-quiet": Variant(
        "self-play-scratch in which noise may fall to .1",
        from_scratch(replace(SELF_PLAY_DEFAULTS, ppo=replace(SELF_PLAY_PPO, **STD_FREE))),
    ),
    "self-play-scratch-ring": Variant(
        "self-play-scratch with shaping of 2 for a metre that the opponent is pushed outwards instead of .5, and of 4 "
        "for a metre towards it instead of 6",
        from_scratch(SELF_PLAY_DEFAULTS, SHAPING_RING_2),
    ),
    "self-play-scratch-low": Variant(
        "self-play-scratch-ring with 6 more for a second at a metre below the height of .6 m",
        from_scratch(SELF_PLAY_DEFAULTS, SHAPING_RING_2_LOW_6),
    ),
}


def chosen(
    name: str,
    steps: int,
    *,
    body: str = "ant",
    victim: str = "",
    benign: str = "",
    start: str = "",
    budget: float = 1.0,
    partner: str = "",
) -> Variant:
    """A variant with the other choices; its learning rate falls to zero over its steps.

    Raises:
      InputError: there is no such variant, or `start` or `partner` does not go with it.
    """
    if name not in VARIANTS:
        raise unknown("variant", name, VARIANTS)
    config = VARIANTS[name].config
    new = config.ppo.network.frame is not None
    if new and start:
        raise InputError(f"{name}: takes no start: its weights are new")
    if isinstance(config, AttackConfig):
        victim = victim or f"builtin:{body}"
        benign = benign or victim
        config = config if new else replace(config, start=start or "benign")
    elif not (new or start):
        raise InputError(f"{name}: needs start: whose weights it goes on from")
    has_partner = isinstance(config, SelfPlayConfig) and config.sparring > 0
    if has_partner != bool(partner):
        needs = "needs a" if has_partner else "takes no"
        raise InputError(f"{name}: {needs} partner: whom it meets in part of its matches")
    if new:
        network = replace(config.ppo.network, frame=frame(f"robosumo-{body}"))
        config = replace(config, ppo=replace(config.ppo, network=network))
    updates = -(-steps // (config.num_games * config.steps_per_round))
    part = FROM_SCRATCH["shaping_part"] if new else SHAPED_PART
    shaped = int(part * steps) if config.reward.shaping else 0
    reward = replace(config.reward, shaping_steps=shaped)
    config = replace(config, steps=steps, reward=reward, ppo=replace(config.ppo, decay_updates=updates))
    return Variant(VARIANTS[name].change, config, body, victim, benign, start, budget, partner)
