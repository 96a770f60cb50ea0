"""RoboSumo as a vector game: B matches on MuJoCo's thread pool."""

# MuJoCo is a compiled module without type stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from sparring.errors import InputError
from sparring.games.robosumo import reward as rewards
from sparring.games.robosumo.bodies import BODIES
from sparring.games.robosumo.model import FRAME_SKIP, build
from sparring.games.robosumo.observation import features, observe, size, slices
from sparring.games.robosumo.settings import SumoSettings, format_settings
from sparring.types import AgentID, Array, Box, Spaces, Step, View

START_RADIUS, START_HEIGHT = 1.15, 1.25  # m, of the torsos, before noise
START_NOISE = 0.1  # half-width of the uniform noise on positions, standard deviation of that on velocities

# Each of these kinds makes MuJoCo reset the state by itself, or drop the controls.
_FAULTS = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADCTRL) + 1)
# MuJoCo writes the first warning of a kind to the screen and to MUJOCO_LOG.TXT in the working folder. Counters that
# start above 0 keep it silent; above 1 even its own reset, which zeroes them and counts 1, is told from none.
_QUIET = 2


class RoboSumo:
    """Two robots, each tries to push the other from the tatami or to topple it (Al-Shedivat et al. 2017).

    A match is terminated when a robot lost (both may), truncated at 501 steps. Match b's k-th episode starts from the
    random numbers of `SeedSequence(seed, spawn_key=(b, k))`, so it does not depend on the other matches.

    Args:
      bodies: of the two robots: "ant", "bug" or "spider".
      num_games: B.
      threads: that step the matches; 0 means all cores. The results do not depend on it.
      settings: what differs from the original game.
    """

    def __init__(
        self, bodies: tuple[str, str], num_games: int = 1, threads: int = 0, settings: SumoSettings | None = None
    ) -> None:
        self.settings = settings or SumoSettings()
        self.id = f"robosumo/{bodies[0]}-vs-{bodies[1]}{format_settings(self.settings)}"
        self.agents: tuple[AgentID, ...] = tuple(f"{body}{i}" for i, body in enumerate(bodies))
        self.num_games = num_games
        first, second = BODIES[bodies[0]], BODIES[bodies[1]]
        self.spaces: Mapping[AgentID, Spaces] = {
            agent: Spaces(Box((size(body),)), Box((body.nu,), -1.0, 1.0))
            for agent, body in zip(self.agents, (first, second), strict=True)
        }
        self.features = {agent: features(body) for agent, body in zip(self.agents, (first, second), strict=True)}
        self._action_shape = {self.agents[0]: (num_games, first.nu), self.agents[1]: (num_games, second.nu)}
        self.model = build(bodies, self.settings)
        self.batch = Batch(self.model, num_games, threads)
        self._slices = slices((first, second))
        self._qpos, self._qvel, self._ctrl = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        shape = (num_games, self.model.nbody, 6)
        self._cfrc_ext = self.batch.bind("cfrc_ext") if self.settings.contact_forces else np.zeros(shape)
        self.batch.warning[:, :, 1] = _QUIET
        self._seed: int | None = None
        self._episode = np.zeros(num_games, np.int64)
        self._steps = np.zeros(num_games, np.int64)
        self._observation: dict[AgentID, np.ndarray] = {}

    def reset(self, seed: int) -> dict[AgentID, View]:
        """Start B new matches; see `VectorGame`.

        Raises:
          InputError: the seed is negative or takes more than 64 bits.
        """
        if not 0 <= seed < 2**64:
            raise InputError(f"{self.id}: expected a seed from 0 to 2^64 - 1, got {seed}")
        self._seed = int(seed)
        self._episode[:] = -1
        self._restart(np.arange(self.num_games, dtype=np.int32))
        self._observation = self._observe(slice(None))
        return _views(self._observation)

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        """Advance all matches by 0.05 s; see `VectorGame`. A step into broken physics earns nothing (DECISIONS 24).

        Args:
          actions: `[B, A]` per agent, torques as parts of 150 N m; those outside [-1, 1] are clamped by the motors,
            and paid for in full.

        Raises:
          InputError: `reset` was not called, or an action is missing or has the wrong shape.
        """
        if self._seed is None:
            raise InputError(f"{self.id}: step before reset; call reset(seed) or set_state(state) first")
        taken = [self._check_action(agent, actions) for agent in self.agents]
        before = self._positions()
        for where, action in zip(self._slices, taken, strict=True):
            self._ctrl[:, where.ctrl] = action
        invalid = self._advance()
        self._steps += 1

        after = self._positions()
        lost = [rewards.lost(p, self.settings.tatami_size) & ~invalid for p in after]
        late = (self._steps >= rewards.STEP_LIMIT) & ~invalid
        terminated = lost[0] | lost[1]
        reward: dict[AgentID, Array] = {}
        info: dict[str, dict[AgentID, Array]] = {name: {} for name in rewards.Terms._fields}
        for me, other in ((0, 1), (1, 0)):
            agent = self.agents[me]
            terms = rewards.terms(
                (before[me], before[other]), (after[me], after[other]), (lost[me], lost[other]), late, taken[me]
            )
            reward[agent] = np.where(invalid, 0, terms.reward).astype(np.float32)
            sound = np.where(invalid, 0, terms).astype(np.float32)
            for name, values in zip(terms._fields, sound, strict=True):
                info[name][agent] = values
        outcome = np.int8(lost[1]) - np.int8(lost[0])

        final = self._observe(slice(None))
        for agent, values in final.items():
            # Nothing can be read off broken physics: the last observation is the one that came before.
            values[invalid] = self._observation[agent][invalid]
        self._observation = _copy(final)
        ended = np.flatnonzero(terminated | late | invalid).astype(np.int32)
        if ended.size:
            self._restart(ended)
            for agent, values in self._observe(ended).items():
                self._observation[agent][ended] = values
        return Step(
            view=_views(self._observation),
            final_view={agent: View(values) for agent, values in final.items()},
            reward=reward,
            terminated=terminated,
            truncated=late & ~terminated,
            invalid=invalid,
            outcome={self.agents[0]: outcome, self.agents[1]: -outcome},
            info=info,
        )

    def get_state(self) -> dict[str, np.ndarray]:
        """Physics rows (mjSTATE_INTEGRATION), seed, counters, and the observations, whose forces are not in the rows.

        Raises:
          InputError: `reset` was not called.
        """
        if self._seed is None:
            raise InputError(f"{self.id}: no state before reset; call reset(seed) first")
        state = {
            "physics": self.batch.state.copy(),
            "seed": np.array(self._seed, np.uint64),
            "episode": self._episode.copy(),
            "steps": self._steps.copy(),
        }
        return state | {f"observation/{agent}": values.copy() for agent, values in self._observation.items()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[AgentID, View]:
        """Put the matches back to `get_state()`'s; see `VectorGame`.

        Raises:
          InputError: the state is not one of this game and number of matches.
        """
        shapes = {"physics": self.batch.state.shape, "seed": (), "episode": (self.num_games,)}
        shapes |= {"steps": (self.num_games,)}
        shapes |= {f"observation/{a}": (self.num_games, self.spaces[a].observation.size) for a in self.agents}
        for name, shape in shapes.items():
            if name not in state or np.shape(state[name]) != shape:
                got = list(np.shape(state[name])) if name in state else "nothing"
                raise InputError(f"{self.id}: state {name!r}: expected shape {list(shape)}, got {got}: another game's?")
        self.batch.state[:] = state["physics"]
        self._seed = int(state["seed"])
        self._episode[:] = state["episode"]
        self._steps[:] = state["steps"]
        self._observation = {a: np.array(state[f"observation/{a}"], np.float32) for a in self.agents}
        return _views(self._observation)

    def frame(self, match: int = 0, size: tuple[int, int] | None = None) -> np.ndarray:
        """A picture of the match, `uint8 [480, 640, 3]`, or of `size` (width, height); see `render.frame`.

        Raises:
          NoPicture: this machine cannot draw.
          InputError: it is no size of a picture.
        """
        from sparring.games.robosumo.render import frame

        return frame(self, match, size)

    def close(self) -> None:
        """Nothing is held open: MuJoCo's memory and threads go with the object."""

    def _check_action(self, agent: AgentID, actions: Mapping[AgentID, Array]) -> np.ndarray:
        shape = self._action_shape[agent]
        if agent not in actions:
            raise InputError(f"{self.id}: no action for {agent}; expected one of shape {list(shape)}")
        taken = np.asarray(actions[agent])
        if taken.shape != shape:
            raise InputError(f"{self.id}: action of {agent}: expected shape {list(shape)}, got {list(taken.shape)}")
        return taken

    def _advance(self) -> np.ndarray:
        """One control step of the physics; returns which matches broke, bool [B], whose physics is then reset."""
        invalid = np.zeros(self.num_games, bool)
        try:
            self.batch.step(nstep=FRAME_SKIP)
        except SimulationError as error:
            invalid[error.ids] = True
        invalid |= (self.batch.warning[:, _FAULTS, 1] != _QUIET).any(axis=1)
        # MuJoCo looks at a state when it steps from it, so nobody has looked at the last one yet.
        limit = mujoco.mjMAXVAL
        invalid |= ~((np.abs(self._qpos) < limit).all(axis=1) & (np.abs(self._qvel) < limit).all(axis=1))
        if invalid.any():
            self.batch.reset(invalid, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        return invalid

    def _restart(self, ids: np.ndarray) -> None:
        """Put the matches `ids`, int32, to the start of their next episode."""
        assert self._seed is not None
        self.batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self.batch.warning[ids, :, 1] = _QUIET
        self._episode[ids] += 1
        self._steps[ids] = 0
        angle = np.empty(len(ids))
        noise = np.empty((len(ids), self.model.nq))
        velocity = np.empty((len(ids), self.model.nv))
        for row, b in enumerate(ids):
            sequence = np.random.SeedSequence(self._seed, spawn_key=(int(b), int(self._episode[b])))
            rng = np.random.default_rng(sequence)
            angle[row] = rng.uniform(0, 2 * np.pi)
            noise[row] = rng.uniform(-START_NOISE, START_NOISE, self.model.nq)
            velocity[row] = START_NOISE * rng.standard_normal(self.model.nv)
        qpos = self._qpos[ids]
        x, y = START_RADIUS * np.cos(angle), START_RADIUS * np.sin(angle)
        for where, side in zip(self._slices, (1, -1), strict=True):
            torso = where.qpos.start
            qpos[:, torso : torso + 3] = np.stack([side * x, side * y, np.full(len(ids), START_HEIGHT)], axis=1)
        qpos += noise
        for where in self._slices:
            quaternion = qpos[:, where.qpos.start + 3 : where.qpos.start + 7]
            quaternion /= np.sqrt(np.vecdot(quaternion, quaternion))[:, None]
        self._qpos[ids], self._qvel[ids] = qpos, velocity
        self.batch.forward(ids)

    def _positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Of both torsos, float64 [B, 3], heights adjusted."""
        first, second = (self._qpos[:, s.qpos.start : s.qpos.start + 3].copy() for s in self._slices)
        first[:, 2] += self.settings.adjust_z
        second[:, 2] += self.settings.adjust_z
        return first, second

    def _observe(self, ids: np.ndarray | slice) -> dict[AgentID, np.ndarray]:
        scene = self._qpos[ids], self._qvel[ids], self._cfrc_ext[ids]
        first, second = self._slices
        return {
            agent: observe(own, opponent, *scene, self.settings.adjust_z)
            for agent, own, opponent in zip(self.agents, (first, second), (second, first), strict=True)
        }


def _views(observation: Mapping[AgentID, np.ndarray]) -> dict[AgentID, View]:
    """Views of copies: what is handed out is the caller's to keep."""
    return {agent: View(values.copy()) for agent, values in observation.items()}


def _copy(arrays: Mapping[AgentID, np.ndarray]) -> dict[AgentID, np.ndarray]:
    return {name: values.copy() for name, values in arrays.items()}
