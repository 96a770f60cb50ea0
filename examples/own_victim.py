"""A victim of your own: `sparring audit robosumo/ant-vs-ant --victim examples.own_victim:load`.

`load` gets the agent's spaces and returns a function from a batch of observations to a batch of actions.
"""

import numpy as np


def load(spaces):
    """An ant that wriggles; put your own policy here."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.1, (spaces.observation.size, spaces.action.size))

    def act(observation, rng):
        # observation: float32 [B, D]; rng: for policies that sample. Returns float [B, A].
        return np.tanh(np.nan_to_num(observation).clip(-5, 5) @ weights)

    return act
